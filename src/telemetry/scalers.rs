//! Metrics per scaler, read from the latest decisions when the page is scraped.
//!
//! Nothing is kept between scrapes, so a retired scaler leaves no series behind. What is unknown has
//! no series: never zero, never NaN. Labels are the scaler's ids and closed lists; the one free
//! label, `term`, is bounded by the number of signals a trigger may have.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use crate::engine::decision::{Decision, Verdict};
use crate::engine::units::{Replicas, Timestamp};
use crate::report::{data_age, term_name};

/// One scaler as metrics see it.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// First eight hex digits of the trigger's hash.
    pub trigger: String,
    /// The latest decision; `None` before the first tick.
    pub decision: Option<Arc<Decision>>,
}

/// All scalers at one instant.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The instant; ages are measured against it.
    pub now: Timestamp,
    /// The scalers.
    pub scalers: Vec<Reading>,
}

/// Reads all scalers; asked once per scrape.
pub struct Readings(Box<dyn Fn() -> Snapshot + Send + Sync>);

impl Readings {
    /// Readings that `read` takes.
    pub fn new(read: impl Fn() -> Snapshot + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").finish_non_exhaustive()
    }
}

/// One family with one series per scaler: name, help, and the value where it is known.
type Plain = (&'static str, &'static str, fn(&Decision, Timestamp) -> Option<f64>);

const PLAIN: [Plain; 9] = [
    (
        "prescale_desired_replicas",
        "Replicas wanted; no series while an error is sent",
        |decision, _| desired(decision).map(count),
    ),
    (
        "prescale_active",
        "1 while more than zero replicas are wanted; no series while unknown",
        |decision, _| decision.active().map(|active| f64::from(u8::from(active))),
    ),
    (
        "prescale_data_age_seconds",
        "Age of the newest trustworthy sample; no series if there never was one",
        |decision, now| data_age(decision, now).map(|age| age.as_secs_f64()),
    ),
    (
        "prescale_current_replicas",
        "Replicas the target has; no series while unknown",
        |decision, _| decision.current.map(count),
    ),
    ("prescale_ready_replicas", "Ready replicas; no series while unknown", |decision, _| {
        decision.ready.map(count)
    }),
    (
        "prescale_reactive_replicas",
        "Replicas that demand as it is needs; no series where nothing is forecast",
        |decision, _| decision.foreseen.map(|foreseen| f64::from(foreseen.reactive)),
    ),
    (
        "prescale_forecast_replicas",
        "Replicas that the forecast needs, counted or not; no series while unknown",
        |decision, _| decision.foreseen?.replicas.map(f64::from),
    ),
    (
        "prescale_forecast_counts",
        "1 while the forecast takes part in the decision",
        |decision, _| decision.foreseen.map(|foreseen| f64::from(u8::from(foreseen.counts))),
    ),
    (
        "prescale_lead_seconds",
        "From a decision to a ready pod; no series where nothing is forecast",
        |decision, _| decision.foreseen.map(|foreseen| foreseen.lead.as_secs_f64()),
    ),
];

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Snapshot { now, scalers } = (self.0)();
        for (name, help, value) in PLAIN {
            let mut family = gauge(&mut encoder, name, help)?;
            for (reading, decision) in decided(&scalers) {
                if let Some(value) = value(decision, now) {
                    family.encode_family(&ids(reading))?.encode_gauge(&value)?;
                }
            }
        }
        states(&mut encoder, &scalers)?;
        demand(&mut encoder, &scalers)
    }
}

/// One series per scaler, of the state it is in, because seven zeros beside each would be most of
/// the page.
fn states(encoder: &mut DescriptorEncoder<'_>, scalers: &[Reading]) -> fmt::Result {
    let help = "1 for the state of the latest decision; other states have no series";
    let mut family = gauge(encoder, "prescale_state", help)?;
    for (reading, decision) in decided(scalers) {
        let labels = with(ids(reading), ("state", decision.state.name()));
        family.encode_family(&labels)?.encode_gauge(&1_i64)?;
    }
    Ok(())
}

fn demand(encoder: &mut DescriptorEncoder<'_>, scalers: &[Reading]) -> fmt::Result {
    let help = "Terms of demand, in replica-equivalents; the largest one decides";
    let mut family = gauge(encoder, "prescale_demand_replicas", help)?;
    for (reading, decision) in decided(scalers) {
        for term in decision.terms.iter().filter(|term| term.replicas.is_finite()) {
            let name = term_name(&term.kind);
            let labels = with(ids(reading), ("term", name.as_str()));
            family.encode_family(&labels)?.encode_gauge(&term.replicas)?;
        }
    }
    Ok(())
}

fn gauge<'s>(
    encoder: &'s mut DescriptorEncoder<'_>,
    name: &'s str,
    help: &str,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn decided(scalers: &[Reading]) -> impl Iterator<Item = (&Reading, &Decision)> {
    scalers.iter().filter_map(|reading| Some((reading, reading.decision.as_deref()?)))
}

fn ids(reading: &Reading) -> [(&'static str, &str); 3] {
    [
        ("namespace", reading.namespace.as_str()),
        ("name", reading.name.as_str()),
        ("trigger", reading.trigger.as_str()),
    ]
}

fn with<'a>(
    [namespace, name, trigger]: [(&'static str, &'a str); 3],
    label: (&'static str, &'a str),
) -> [(&'static str, &'a str); 4] {
    [namespace, name, trigger, label]
}

fn desired(decision: &Decision) -> Option<Replicas> {
    match decision.verdict {
        Verdict::Scale { replicas, .. } => Some(replicas),
        Verdict::Refuse(_) => None,
    }
}

fn count(replicas: Replicas) -> f64 {
    f64::from(replicas.get())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Reading, Readings, Snapshot};
    use crate::engine::decision::{Decision, Refusal, State, Term, Verdict};
    use crate::engine::units::{Replicas, Timestamp};
    use crate::telemetry::metrics::{Build, Metrics};

    /// Read from JSON, because a kind of term may have more numbers than metrics look at.
    fn terms() -> Vec<Term> {
        let own = serde_json::json!({"kind": {"own": "say \"hi\""}, "replicas": 2.5});
        let own: Term = serde_json::from_value(own).unwrap();
        let mut poison = own.clone();
        poison.replicas = f64::NAN;
        vec![own, poison]
    }

    fn decision(state: State, verdict: Verdict) -> Arc<Decision> {
        Arc::new(Decision {
            at: Timestamp::from_unix_ms(10_000),
            state,
            unmasked: verdict.clone(),
            verdict,
            terms: terms(),
            reasons: Vec::new(),
            data_age: Some(Duration::from_secs(4)),
            current: Some(Replicas::new(2)),
            ready: None,
            serving: true,
            foreseen: None,
        })
    }

    fn reading(name: &str, decision: Option<Arc<Decision>>) -> Reading {
        let (namespace, trigger) = ("team-a".to_owned(), "0123abcd".to_owned());
        Reading { namespace, name: name.to_owned(), trigger, decision }
    }

    fn page() -> String {
        let three = Replicas::new(3);
        let number = Verdict::Scale { replicas: three, sent: three, active: true };
        let error = Verdict::Refuse(Refusal::NoData { text: "secret text".to_owned() });
        let scalers = vec![
            reading("new", None),
            reading("blind", Some(decision(State::Blind, error))),
            reading("fresh", Some(decision(State::Fresh, number))),
        ];
        let now = Timestamp::from_unix_ms(11_000);
        let build = Build { version: "1.2.3", commit: None, started: now };
        let readings = Readings::new(move || Snapshot { now, scalers: scalers.clone() });
        let metrics = Metrics::new(&build, readings);
        metrics.page().unwrap()
    }

    #[test]
    fn the_page_says_what_is_known_and_nothing_else() {
        let page = page();
        let fresh = "namespace=\"team-a\",name=\"fresh\",trigger=\"0123abcd\"";
        let present = [
            format!("prescale_desired_replicas{{{fresh}}} 3.0"),
            format!("prescale_active{{{fresh}}} 1.0"),
            format!("prescale_data_age_seconds{{{fresh}}} 5.0"),
            format!("prescale_current_replicas{{{fresh}}} 2.0"),
            format!("prescale_state{{{fresh},state=\"fresh\"}} 1"),
            format!("prescale_demand_replicas{{{fresh},term=\"own:say \\\"hi\\\"\"}} 2.5"),
            "prescale_build_info{version=\"1.2.3\",commit=\"unknown\"} 1".to_owned(),
            "process_start_time_seconds 11.0".to_owned(),
        ];
        for line in present {
            assert!(page.lines().any(|l| l == line), "{line} in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn what_is_unknown_has_no_series_and_errors_no_text() {
        let page = page();
        for absent in ["prescale_ready_replicas{", "NaN", "secret", "name=\"new\""] {
            assert!(!page.contains(absent), "{absent} in\n{page}");
        }
        let desired = page.lines().filter(|l| l.starts_with("prescale_desired_replicas{")).count();
        assert_eq!(desired, 1, "{page}");
    }
}
