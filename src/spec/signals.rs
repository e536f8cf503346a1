//! The user's own signals: a YAML list of `name`, `query`, `target`, `role`, `total`.

use serde::Deserialize;

use crate::engine::setup::{OwnRole, OwnSignal};
use crate::spec::fault::{Fault, Problem};
use crate::spec::target::OwnQuery;
use crate::spec::yaml::{self, Element, Scalar};
use crate::spec::{names, number, query, span};

/// Signals of one trigger: each is a query per tick.
const SIGNALS_MAX: usize = 20;

const ROLES: [(&str, OwnRole); 3] = [
    ("demand", OwnRole::Demand),
    ("latency", OwnRole::Latency),
    ("activation", OwnRole::Activation),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignal {
    name: Option<Scalar>,
    query: Option<Scalar>,
    target: Option<Scalar>,
    role: Option<Scalar>,
    total: Option<Scalar>,
}

/// The signals of the list, setup and query of each in the same order.
pub(crate) fn parse(key: &str, text: &str) -> Result<Vec<(OwnSignal, OwnQuery)>, Vec<Fault>> {
    let refuse = |Problem(problem): Problem| vec![Fault::new(key, text, problem)];
    let raw: Vec<RawSignal> = yaml::list(text).map_err(refuse)?;
    if !(1..=SIGNALS_MAX).contains(&raw.len()) {
        let problem = format!("must have from 1 to {SIGNALS_MAX} signals");
        return Err(refuse(Problem::new(problem)));
    }
    let mut faults = Vec::new();
    let mut signals: Vec<(OwnSignal, OwnQuery)> = Vec::new();
    for (idx, raw) in raw.iter().enumerate() {
        let mut element = Element { place: format!("{key}[{idx}]"), faults: &mut faults };
        let Some(signal) = understand(raw, &mut element) else { continue };
        if signals.iter().any(|(other, _)| other.name == signal.0.name) {
            element.refuse(&format!("has the name {} of another signal", signal.0.name));
        }
        signals.push(signal);
    }
    if faults.is_empty() { Ok(signals) } else { Err(faults) }
}

fn understand(raw: &RawSignal, element: &mut Element<'_>) -> Option<(OwnSignal, OwnQuery)> {
    let RawSignal { name, query, target, role, total } = raw;
    let name = element.need("name", name.as_ref(), signal_name);
    let query = element.need("query", query.as_ref(), query::parse);
    let role = match role {
        None => Some(OwnRole::Demand),
        role => element.read("role", role.as_ref(), |text| names::one_of(text, &ROLES)),
    };
    // Waking compares with `activation`; what one replica carries may be left out there.
    let target = match (target, role) {
        (None, Some(OwnRole::Activation)) => Some(1.0),
        (target, _) => element.need("target", target.as_ref(), signal_target),
    };
    let total = match total {
        None => Some(true),
        total => element.read("total", total.as_ref(), number::boolean),
    };
    let (name, query) = (name?, query?);
    let own = OwnQuery { name: name.clone(), query };
    Some((OwnSignal { name, target: target?, role: role?, total: total? }, own))
}

fn signal_name(text: &str) -> Result<String, Problem> {
    if names::is_label(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new("must be lower-case letters, digits and -, at most 63"))
}

/// A number, a percentage (`70%` is 0.7) or a duration in seconds (`5s`, `200ms`): the unit that the
/// query results in.
fn signal_target(text: &str) -> Result<f64, Problem> {
    let percent = text.strip_suffix('%').and_then(number::parse).map(|percent| percent / 100.0);
    let seconds = || text.parse::<span::Span>().ok().map(|span| span.0.as_secs_f64());
    let plain = percent.or_else(|| number::parse(text)).or_else(seconds);
    plain
        .filter(|value| (1e-9..=1e9).contains(value))
        .ok_or_else(|| Problem::new("must be a number above 0, a percentage or a duration"))
}

/// Signals as they would be written, for `check`.
pub(crate) fn show(signals: &[OwnSignal]) -> String {
    let one = |OwnSignal { name, target, role, total }: &OwnSignal| {
        let role = ROLES.iter().find(|(_, known)| known == role).map_or("", |(word, _)| word);
        let mean = if *total { "" } else { ", mean per replica" };
        format!("{name}: {role}, target {target}{mean}")
    };
    signals.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn signals_are_read_with_their_defaults() {
        let text = "
- name: kafka
  query: sum(kafka_consumergroup_lag{group=\"a\"})
  target: 50
- {name: cpu, query: 'avg(x)', target: 70%, total: false}
- {name: slow, query: y, target: 200ms, role: latency}
- {name: held, query: z, role: activation}
";
        let signals = parse("signals", text).unwrap();
        let (setup, queries): (Vec<_>, Vec<_>) = signals.into_iter().unzip();
        assert_eq!(
            show(&setup),
            "kafka: demand, target 50; cpu: demand, target 0.7, mean per replica; \
             slow: latency, target 0.2; held: activation, target 1"
        );
        assert_eq!(queries[0].query, "sum(kafka_consumergroup_lag{group=\"a\"})");
        assert_eq!(queries[3].name, "held");
    }

    #[test]
    fn every_fault_of_the_list_is_found_and_placed() {
        let text = "
- {name: Kafka, query: 'sum(x', target: -1, role: demands, total: y}
- {query: x}
- {name: a, query: x, target: 1}
- {name: a, query: x, target: 1}
";
        let faults = parse("signals", text).unwrap_err();
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "signals[0].name: \"Kafka\" must be lower-case letters, digits and -, at most 63",
                "signals[0].query: \"sum(x\" must have matching brackets and quotes",
                "signals[0].role: \"demands\" is unknown: did you mean demand? one of demand, latency, activation",
                "signals[0].target: \"-1\" must be a number above 0, a percentage or a duration",
                "signals[0].total: \"y\" must be true or false",
                "signals[1]: is missing: name",
                "signals[1]: is missing: target",
                "signals[3]: has the name a of another signal",
            ]
        );
    }

    #[test]
    fn lists_of_the_wrong_shape_are_refused() {
        let many = "- {name: a, query: x, target: 1}\n".repeat(21);
        for text in ["[]", "name: a", "- {name: a, query: x, target: 1, threshold: 2}", &many] {
            let faults = parse("signals", text).unwrap_err();
            assert_eq!(faults.len(), 1, "{text}");
            assert_eq!(faults[0].key, "signals");
        }
    }
}
