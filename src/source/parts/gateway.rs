//! Demand that shows outside of the pods: a gateway preset, or the user's own activation query.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::observation::{Fault, FaultKind, GatewayReading};
use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::parts::asking::{Asking, Notes, searched};
use crate::source::parts::own::{self, Question};
use crate::source::plan;
use crate::source::preset::{Asked, Tenant, asked};
use crate::source::tenancy::confined;
use crate::spec::{Gateway, Target};

/// Arrivals are counted over the last minute: longer than two scrapes, shorter than a cold start.
const MINUTE: Duration = Duration::from_secs(60);

/// What the places outside of the pods show; `None` when none is configured.
pub(crate) async fn read(
    asking: Asking<'_>,
    activation: Option<&Question>,
    window: Duration,
) -> (Option<GatewayReading>, Notes) {
    let preset = async {
        match asking.target.gateway.filter(|_| asking.target.activation_endpoints.is_empty()) {
            Some(gateway) => Some(preset(asking, gateway, window).await),
            None => None,
        }
    };
    let query = async {
        match activation {
            Some(question) => Some(query(asking, question).await),
            None => None,
        }
    };
    let (preset, query) = tokio::join!(preset, query);
    let mut notes = Notes::default();
    let mut reading: Option<GatewayReading> = None;
    for (one, note) in [preset, query].into_iter().flatten() {
        reading = Some(reading.map_or(one, |other| both(other, one)));
        notes.add(note);
    }
    (reading, notes)
}

/// What pages of a gateway show, asked in one way; `None` when none of its families is there.
///
/// A counter that appears between two reads of a page already counts from zero there, so births need
/// no question of their own. The page of a gateway for one namespace need not name it.
pub(crate) fn on_pages(
    way: &Asked,
    target: &Target,
    rows: &[RawSeries],
    at: Timestamp,
) -> Option<GatewayReading> {
    let names = || way.held.iter().chain(way.arrivals).chain(way.alive);
    let rows: Vec<RawSeries> = rows
        .iter()
        .filter(|row| names().any(|name| row.name == *name) && of_tenant(way, target, row))
        .cloned()
        .collect();
    (!rows.is_empty()).then(|| summed(way, &rows, at, 0.0))
}

fn of_tenant(way: &Asked, target: &Target, row: &RawSeries) -> bool {
    let namespace = target.namespace.as_str();
    match way.tenant {
        Tenant::Label(label) => row.labels.get(label).is_none_or(|value| value == namespace),
        Tenant::Prefix(label) => row.labels.get(label).is_none_or(|value| {
            value.split_once('/').is_some_and(|(within, _)| within == namespace)
        }),
    }
}

/// Two places show one demand: the larger counts, and zero only where both are read.
pub(crate) fn both(a: GatewayReading, b: GatewayReading) -> GatewayReading {
    let held = match (a.held, b.held) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (one, other) => one.or(other).filter(|held| *held > 0.0),
    };
    GatewayReading {
        held,
        arrivals_per_second: a.arrivals_per_second.or(b.arrivals_per_second),
        // As old as the older one: both are needed for zero.
        age: a.age.max(b.age),
    }
}

async fn query(asking: Asking<'_>, question: &Question) -> (GatewayReading, Notes) {
    let mut notes = Notes::default();
    let (held, age) =
        tokio::join!(own::value(asking, question, &mut notes), own::age(asking, question));
    (GatewayReading { held, arrivals_per_second: None, age }, notes)
}

async fn preset(asking: Asking<'_>, gateway: Gateway, window: Duration) -> (GatewayReading, Notes) {
    let mut notes = Notes::default();
    let ways = asked(gateway);
    if let Some(refused) = refused(asking, ways) {
        notes.fault(refused);
        return (GatewayReading::default(), notes);
    }
    let mut read = None;
    for way in ways {
        let mut found: Vec<RawSeries> = Vec::new();
        for query in plan::gateway(asking.target, way, window) {
            let rows = asking.series(&query, &mut notes).await.unwrap_or_default();
            found.extend(rows.into_iter().filter(|row| row.series.latest().is_some()));
        }
        let names: Vec<&str> = way.held.iter().chain(way.arrivals).copied().collect();
        let present = found.iter().map(|row| row.name.as_str()).collect();
        notes.searched.push(searched("gateway", &names, &present));
        if read.is_none() && !found.is_empty() {
            read = Some(understood(asking, way, &found, window).await);
        }
    }
    if read.is_none() && notes.faults.is_empty() {
        notes.fault(Fault { place: "gateway".to_owned(), kind: FaultKind::Empty });
    }
    (read.unwrap_or_default(), notes)
}

/// Why a gateway may not be asked in these ways, if it may not: this version does not read it, or the
/// user's matchers leave the namespace.
pub(crate) fn refused(asking: Asking<'_>, ways: &[Asked]) -> Option<Fault> {
    let fault = |place: &str| Fault { place: place.to_owned(), kind: FaultKind::ClientError };
    if ways.is_empty() {
        return Some(fault("gateway (not supported in this version)"));
    }
    let mut labels = asking.datasource.tenant_labels()?.to_vec();
    // Where the user names the gateway's own label, the template leaves it out: whatever the
    // administrator lists, it is confined too.
    labels.extend(ways.iter().filter_map(|way| match way.tenant {
        Tenant::Label(label) => Some(label.to_owned()),
        Tenant::Prefix(_) => None,
    }));
    let within = confined(&asking.target.gateway_selector, &asking.target.namespace, &labels);
    (!within).then(|| fault("gatewaySelector (selects another namespace)"))
}

async fn understood(
    asking: Asking<'_>,
    way: &Asked,
    rows: &[RawSeries],
    window: Duration,
) -> GatewayReading {
    let counters = best(rows, way.arrivals);
    let born = if way.edge { births(asking, &counters, window).await } else { 0.0 };
    summed(way, rows, asking.at, born)
}

/// The reading of the series of one way; `born` is what counters began with in the last minute.
fn summed(way: &Asked, rows: &[RawSeries], at: Timestamp, born: f64) -> GatewayReading {
    let newest = rows.iter().filter_map(|row| row.series.latest()).map(|sample| sample.at).max();
    let counters = best(rows, way.arrivals);
    let from = at.minus(MINUTE);
    let arrived = counters.iter().map(|row| increase(&row.series, from)).sum::<f64>() + born;
    let arrivals = (!counters.is_empty()).then_some(arrived);
    let held = if way.edge { arrivals } else { held(way, rows) };
    GatewayReading {
        held,
        arrivals_per_second: arrivals.map(|count| count / MINUTE.as_secs_f64()),
        age: newest.map(|newest| at.since(newest)),
    }
}

/// Requests held, summed over flows and replicas. A living gateway without a series of its own holds
/// nothing; a series that ended before the newest sample of its page belonged to a flow that is over,
/// and a page that ended before the others to a replica that is gone.
fn held(way: &Asked, rows: &[RawSeries]) -> Option<f64> {
    let gauges = best(rows, way.held);
    if gauges.is_empty() {
        let alive = rows.iter().any(|row| way.alive.contains(&row.name.as_str()));
        return alive.then_some(0.0);
    }
    let mut pages: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
    for row in rows {
        if let Some(sample) = row.series.latest() {
            let newest = pages.entry(page(row)).or_insert(sample.at);
            *newest = sample.at.max(*newest);
        }
    }
    let newest = pages.values().max().copied()?;
    let current = |row: &&RawSeries| {
        let stamp = row.series.latest().map(|sample| sample.at);
        let ended = pages.get(&page(row)).copied();
        stamp == ended && ended.is_some_and(|ended| newest.since(ended) <= MINUTE)
    };
    let values = gauges.into_iter().filter(current);
    Some(values.filter_map(|row| row.series.latest()).map(|sample| sample.value.max(0.0)).sum())
}

/// The page that a series stands on.
fn page(row: &RawSeries) -> (String, String) {
    (label(row, "instance"), label(row, "pod"))
}

fn label(row: &RawSeries, name: &str) -> String {
    row.labels.get(name).cloned().unwrap_or_default()
}

/// The series of the first name that is there.
fn best<'a>(rows: &'a [RawSeries], names: &[&str]) -> Vec<&'a RawSeries> {
    names
        .iter()
        .map(|name| rows.iter().filter(|row| row.name == *name).collect::<Vec<_>>())
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// What a counter grew by after `from`, a restart counting from zero.
fn increase(series: &Series, from: Timestamp) -> f64 {
    let pairs = series.samples().windows(2);
    pairs
        .filter_map(|pair| match pair {
            [before, after] if after.at > from => Some((before.value, after.value)),
            _ => None,
        })
        .map(|(before, after)| if after >= before { after - before } else { after })
        .sum()
}

/// What counters that were born within the last minute began with: their first requests. A counter
/// counts as born only if its page was scraped before without it; a server that just began to scrape
/// saw no birth.
async fn births(asking: Asking<'_>, counters: &[&RawSeries], window: Duration) -> f64 {
    let from = asking.at.minus(MINUTE);
    let mut born = 0.0;
    for row in counters {
        let Some(first) = row.series.samples().first().filter(|first| first.at > from) else {
            continue;
        };
        if scraped_before(asking, row, *first, window).await {
            born += first.value.max(0.0);
        }
    }
    born
}

async fn scraped_before(
    asking: Asking<'_>,
    row: &RawSeries,
    first: Sample,
    window: Duration,
) -> bool {
    let labels: Vec<(&str, &str)> = ["namespace", "job", "instance"]
        .into_iter()
        .filter_map(|name| Some((name, row.labels.get(name)?.as_str())))
        .collect();
    if labels.is_empty() {
        return false;
    }
    let query = plan::up(&labels, window);
    // Without an answer there is no evidence of a birth, and nothing else is lost.
    let mut unheard = Notes::default();
    let rows = asking.series(&query, &mut unheard).await.unwrap_or_default();
    rows.iter()
        .flat_map(|up| up.series.samples())
        .any(|sample| sample.at < first.at && sample.value >= 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Asked, GatewayReading, RawSeries, both, held, increase};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::preset::asked;
    use crate::spec::Gateway;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + seconds * 1000)
    }

    fn series(samples: &[(i64, f64)]) -> Series {
        Series::new(
            samples.iter().map(|(time, value)| Sample { at: at(*time), value: *value }).collect(),
        )
    }

    fn row(name: &str, flow: &str, samples: &[(i64, f64)]) -> RawSeries {
        RawSeries {
            name: name.to_owned(),
            labels: [("fairness_id".to_owned(), flow.to_owned())].into(),
            series: series(samples),
        }
    }

    #[test]
    fn names_of_two_ages_are_never_added_and_an_ended_flow_holds_nothing() {
        let new = "llm_d_epp_flow_control_queue_size";
        let old = "inference_extension_flow_control_queue_size";
        let alive = "llm_d_epp_ready_endpoints";
        let way: &Asked = &asked(Gateway::LlmD)[0];
        let rows = [
            (vec![row(new, "a", &[(30, 17.0)]), row(old, "a", &[(30, 17.0)])], Some(17.0)),
            (vec![row(new, "a", &[(30, 17.0)]), row(new, "b", &[(30, 3.0)])], Some(20.0)),
            (vec![row(old, "a", &[(30, 4.0)])], Some(4.0)),
            (vec![row(new, "a", &[(0, 9.0)]), row(alive, "", &[(0, 0.0), (30, 0.0)])], Some(0.0)),
            (vec![row(alive, "", &[(30, 0.0)])], Some(0.0)),
            (vec![row("llm_d_epp_request_total", "", &[(30, 8.0)])], None),
        ];
        for (page, expected) in rows {
            assert_eq!(held(way, &page), expected, "{page:?}");
        }
    }

    #[test]
    fn a_replica_of_the_gateway_that_is_gone_holds_nothing() {
        let way: &Asked = &asked(Gateway::KedaHttp)[0];
        let of = |pod: &str, samples: &[(i64, f64)]| {
            let mut row = row("interceptor_request_concurrency", "", samples);
            row.labels.insert("pod".to_owned(), pod.to_owned());
            row
        };
        let rows = [
            (vec![of("a", &[(0, 5.0)]), of("b", &[(90, 1.0)])], Some(1.0)),
            (vec![of("a", &[(75, 5.0)]), of("b", &[(90, 1.0)])], Some(6.0)),
        ];
        for (page, expected) in rows {
            assert_eq!(held(way, &page), expected, "{page:?}");
        }
    }

    #[test]
    fn a_restart_counts_from_zero_and_the_past_does_not_count() {
        let rows = [
            (vec![(0, 5.0), (30, 8.0), (60, 9.0)], 10, 4.0),
            (vec![(0, 5.0), (30, 8.0), (60, 9.0)], 40, 1.0),
            (vec![(0, 5.0), (30, 2.0)], 0, 2.0),
            (vec![(0, 5.0)], 0, 0.0),
        ];
        for (samples, from, expected) in rows {
            let grown = increase(&series(&samples), at(from));
            assert!((grown - expected).abs() < 1e-9, "{samples:?} from {from}: {grown}");
        }
    }

    #[test]
    fn zero_needs_both_places() {
        let reading = |held, age: u64| GatewayReading {
            held,
            arrivals_per_second: None,
            age: Some(Duration::from_secs(age)),
        };
        let rows = [
            (Some(2.0), Some(3.0), Some(3.0)),
            (Some(0.0), Some(0.0), Some(0.0)),
            (Some(0.0), None, None),
            (None, Some(2.0), Some(2.0)),
            (None, None, None),
        ];
        for (a, b, expected) in rows {
            let read = both(reading(a, 1), reading(b, 2));
            assert_eq!((read.held, read.age), (expected, Some(Duration::from_secs(2))));
        }
    }
}
