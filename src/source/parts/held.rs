//! What the series of a gateway say: requests held, refused or arrived, of one trigger.
//!
//! Given series of one page or of a server's answer, and the way the gateway was asked. Promises that a
//! series of another namespace, model or scaled object never counts, wherever it stands; that absent is
//! zero only beside what shows that the gateway lives; that a counter's restart counts from zero. How many
//! arrive per second is counted by [`arrivals`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::observation::GatewayReading;
use crate::engine::series::Series;
use crate::engine::units::Timestamp;
use crate::source::assemble::{RawSeries, Selection};
use crate::source::parts::arrivals::{self, MINUTE, Rows, page};
use crate::source::plan;
use crate::source::preset::{Asked, Model, Preset, Refusals, Tenant};
use crate::spec::{LabelMatcher, Target};

/// The series that one trigger may read in one way.
struct Mine<'a> {
    way: &'a Asked,
    target: &'a Target,
    names: Vec<&'static str>,
    demand: Selection<'a>,
    alive: Selection<'a>,
}

impl<'a> Mine<'a> {
    fn new(way: &'a Asked, target: &'a Target, of_page: &'a [LabelMatcher]) -> Self {
        const NONE: &Preset = &Preset::NONE;
        let demand = Selection::new(NONE, None, &target.gateway_selector);
        let alive = Selection::new(NONE, None, of_page);
        Self { way, target, names: way.demand(), demand, alive }
    }

    fn has(&self, row: &RawSeries) -> bool {
        let Self { way, target, names, .. } = self;
        if !of_tenant(way.tenant, &target.namespace, row) {
            return false;
        }
        if way.alive.contains(&row.name.as_str()) && self.alive.accepts(row) {
            return true;
        }
        let with = way.with.iter().all(|(label, value)| is(row, label, value));
        let object = way.object.is_none_or(|label| is(row, label, &target.scaled_object));
        names.contains(&row.name.as_str())
            && with
            && object
            && of_model(way.model, target.model.as_deref(), row)
            && self.demand.accepts(row)
    }
}

/// What pages of a gateway show, asked in one way; `None` when none of its families is on a page that was
/// read. Of the others only the arrivals count.
///
/// A counter that appears between two reads of a page already counts from zero there, so births need
/// no question of their own. The page of a gateway for one namespace need not name it.
pub(crate) fn on_pages(
    way: &Asked,
    target: &Target,
    rows: Rows<'_>,
    at: Timestamp,
) -> Option<GatewayReading> {
    if !way.fits(target) {
        return None;
    }
    let of_page = plan::of_page(way, &target.gateway_selector);
    let mine = Mine::new(way, target, &of_page);
    let of = |rows: &[RawSeries]| -> Vec<RawSeries> {
        rows.iter().filter(|row| mine.has(row)).cloned().collect()
    };
    let [read, unread, gone] = [rows.read, rows.unread, rows.gone].map(of);
    let rows = Rows { read: &read, unread: &unread, gone: &gone };
    (!read.is_empty()).then(|| summed(way, rows, at, target.tick))
}

/// Whether a series on a page is one of `namespace`. Labels of a scrape are not on a page; labels of
/// the series itself must be there.
fn of_tenant(tenant: Tenant, namespace: &str, row: &RawSeries) -> bool {
    let within = |value: &String| {
        value.split_once('/').is_some_and(|(within, rest)| within == namespace && !rest.is_empty())
    };
    let routed = |value: &String| {
        routed(value).is_some_and(|(within, rest)| within == namespace && !rest.is_empty())
    };
    let get = |label: &str| row.labels.get(label);
    match tenant {
        Tenant::Label(label) => get(label).is_none_or(|value| value == namespace),
        Tenant::Own(label) | Tenant::Renamed(label) => {
            get(label).is_some_and(|value| value == namespace)
        }
        Tenant::Prefix(label) => get(label).is_none_or(within),
        Tenant::Route(label) => get(label).is_some_and(routed),
    }
}

/// The namespace that a series on a page names; `None` where the page is of one namespace and need not.
pub(crate) fn tenant_of<'a>(way: &Asked, labels: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let get = |label: &str| labels.get(label).map(String::as_str);
    match way.tenant {
        Tenant::Label(label) | Tenant::Own(label) | Tenant::Renamed(label) => get(label),
        Tenant::Prefix(label) => get(label)?.split_once('/').map(|(within, _)| within),
        Tenant::Route(label) => routed(get(label)?).map(|(within, _)| within),
    }
}

/// Namespace and rest of the name of a cluster of Envoy Gateway.
fn routed(cluster: &str) -> Option<(&str, &str)> {
    plan::ROUTES.iter().find_map(|kind| cluster.strip_prefix(kind))?.split_once('/')
}

fn of_model(model: Model, named: Option<&str>, row: &RawSeries) -> bool {
    let Some(named) = named else { return true };
    match model {
        Model::Unsaid | Model::Mixed => true,
        Model::Label(label) => is(row, label, named),
        Model::AnyCase(label) => {
            row.labels.get(label).is_some_and(|value| value.eq_ignore_ascii_case(named))
        }
    }
}

fn is(row: &RawSeries, label: &str, value: &str) -> bool {
    row.labels.get(label).is_some_and(|found| found == value)
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
        refuses: a.refuses || b.refuses,
    }
}

/// The reading of the series of one way. What came or was refused within the last minute is seen from the
/// newest sample: a page that is not read any more has not fallen silent.
pub(crate) fn summed(way: &Asked, rows: Rows<'_>, at: Timestamp, tick: Duration) -> GatewayReading {
    let read = rows.read;
    let newest = read.iter().filter_map(|row| row.series.latest()).map(|sample| sample.at).max();
    let from = newest.unwrap_or(at).minus(MINUTE);
    let refuses = way.edge || way.refused.is_some();
    let held = if way.edge {
        let alive = || read.iter().any(|row| way.alive.contains(&row.name.as_str()));
        grown(best(read, way.arrivals), from).or_else(|| alive().then_some(0.0))
    } else {
        let refused = way.refused.and_then(|of| refused(of, read, from));
        match (held(way, read), refused) {
            (Some(held), Some(refused)) => Some(held + refused),
            (one, other) => one.or(other),
        }
    };
    GatewayReading {
        held,
        arrivals_per_second: arrivals::per_second(rows, way.arrivals, tick),
        age: newest.map(|newest| at.since(newest)),
        refuses,
    }
}

/// The counters that stand for requests held.
pub(crate) fn edges<'a>(way: &Asked, rows: &'a [RawSeries]) -> Vec<&'a RawSeries> {
    match way.refused {
        Some(of) => marked(of, best(rows, of.names)),
        None if way.edge => best(rows, way.arrivals),
        None => Vec::new(),
    }
}

/// Refusals after `from`; zero beside requests that were answered, absent beside nothing.
fn refused(of: Refusals, rows: &[RawSeries], from: Timestamp) -> Option<f64> {
    let counters = best(rows, of.names);
    let known = !counters.is_empty();
    known.then(|| grown(marked(of, counters), from).unwrap_or(0.0))
}

/// What counters grew by after `from`; absent where there are none.
fn grown(counters: Vec<&RawSeries>, from: Timestamp) -> Option<f64> {
    let known = !counters.is_empty();
    known.then(|| counters.into_iter().map(|row| increase(&row.series, from)).sum())
}

fn marked(of: Refusals, mut counters: Vec<&RawSeries>) -> Vec<&RawSeries> {
    if let Some((label, value)) = of.only {
        counters.retain(|row| is(row, label, value));
    }
    counters
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Asked, GatewayReading, RawSeries, Rows, both, held, increase, on_pages};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::exposition::{self, Format, Parser, Wanted};
    use crate::source::preset::asked;
    use crate::source::ring::Memory;
    use crate::spec::{Gateway, Limits, Target, parse};

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

    fn target(of: Gateway, model: Option<&str>, selector: &[(&str, &str)]) -> Target {
        let mut metadata: BTreeMap<String, String> = BTreeMap::from([
            ("gateway".to_owned(), of.to_string()),
            ("activationEndpoints".to_owned(), "http://10.0.0.9:9090/metrics".to_owned()),
        ]);
        metadata.extend(model.map(|model| ("model".to_owned(), model.to_owned())));
        if !selector.is_empty() {
            let matchers: Vec<String> =
                selector.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            metadata.insert("gatewaySelector".to_owned(), matchers.join(","));
        }
        parse("llm", "llama", &metadata, &Limits::default()).unwrap().target
    }

    /// The series of a page at two instants half a minute apart.
    fn page(before: &str, after: &str) -> Vec<RawSeries> {
        let read = |text: &str| {
            let mut parser = Parser::new(Format::Text, Wanted::All, exposition::Limits::default());
            parser.feed(text.as_bytes()).unwrap();
            parser.finish(true).unwrap()
        };
        let mut memory = Memory::new(Duration::from_secs(150));
        for (second, text) in [(0, before), (30, after)] {
            memory.absorb(&read(text), at(second));
        }
        memory.series(at(30))
    }

    /// What a gateway's page shows to `llm/llama`: held, and arrived within the half minute between.
    fn shown(target: &Target, before: &str, after: &str) -> (Option<f64>, Option<f64>) {
        let rows = page(before, after);
        let mut ways = asked(target.gateway.unwrap()).iter();
        let rows = Rows { read: &rows, ..Rows::default() };
        let read = ways.find_map(|way| on_pages(way, target, rows, at(30))).unwrap_or_default();
        (read.held, read.arrivals_per_second.map(|rate| rate * 30.0))
    }

    type Shown = (Option<f64>, Option<f64>);
    type Case<'a> =
        (&'a str, Gateway, Option<&'a str>, &'a [(&'a str, &'a str)], [&'a str; 2], Shown);

    /// The page of every gateway that was read from its source: what is held or refused, known zero with
    /// evidence, unknown without, and nothing of another namespace.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of pages")]
    fn every_gateway_shows_demand_and_zero_only_with_evidence() {
        const UP: &str = "up 1\n";
        const MISC: &str = include_str!("../../../tests/data/prometheus/gateways-misc.prom");
        let busier = MISC.replace("} 12", "} 15");
        let foreign =
            MISC.replace("\"llm\"", "\"other\"").replace("httproute/llm/", "httproute/llm-x/");
        let cluster = [("envoy_cluster_name", "httproute/llm/llama/rule/0")];
        let none_healthy = |n: u32| {
            format!(
                "envoy_cluster_upstream_rq_active{{envoy_cluster_name=\"httproute/llm/llama/rule/0\"}} 0\n\
             envoy_cluster_upstream_cx_none_healthy{{envoy_cluster_name=\"httproute/llm/llama/rule/0\"}} {n}\n"
            )
        };
        let nginx = |status: &str, n: u32| {
            format!(
                "nginx_ingress_controller_requests{{namespace=\"llm\",service=\"llama\",status=\"{status}\"}} {n}\n"
            )
        };
        let dynamo = |n: u32| {
            format!(
                "dynamo_frontend_disconnected_clients 0\n\
             dynamo_frontend_requests_started_total{{model=\"org/m\"}} {n}\n"
            )
        };
        let gate = |ns: &str, name: &str, n: u32| {
            format!(
                "prescale_gate_requests_in_flight{{namespace=\"{ns}\",name=\"{name}\"}} {n}\n\
             prescale_gate_requests_total{{namespace=\"{ns}\",name=\"{name}\"}} 4\n"
            )
        };
        let litellm = |n: u32| {
            format!(
                "litellm_in_flight_requests 0\n\
             litellm_proxy_total_requests_metric_total{{requested_model=\"llama\"}} {n}\n"
            )
        };
        let (h3, h5) = (none_healthy(3), none_healthy(5));
        let (n503, n503b, n200) = (nginx("503", 12), nginx("503", 15), nginx("200", 9));
        let (d4, d6) = (dynamo(4), dynamo(6));
        let (g0, g2) = (gate("llm", "llama", 0), gate("llm", "llama", 2));
        let (gn, gx) = (gate("llm", "other", 9), gate("llm-x", "llama", 9));
        let (l1, l4) = (litellm(1), litellm(4));
        let completed =
            "gen_ai_server_request_duration_seconds_count{gen_ai_request_model=\"llama\"}";
        let (ai12, ai13) = (format!("{completed} 12\n"), format!("{completed} 13\n"));
        let llama = Some("llama");
        let rows: Vec<Case<'_>> = vec![
            ("held", Gateway::Knative, None, &[], [MISC, MISC], (Some(5.0), None)),
            ("another's", Gateway::Knative, None, &[], [&foreign, &foreign], (None, None)),
            (
                "OpenCensus",
                Gateway::Knative,
                None,
                &[],
                [UP, "activator_request_concurrency{namespace_name=\"llm\"} 2\n"],
                (Some(2.0), None),
            ),
            ("refused", Gateway::EnvoyAi, None, &cluster, [&h3, &h5], (Some(2.0), None)),
            ("in flight", Gateway::EnvoyAi, None, &cluster, [MISC, MISC], (Some(4.0), None)),
            ("another's", Gateway::EnvoyAi, None, &cluster, [&foreign, &foreign], (None, None)),
            ("completions", Gateway::EnvoyAi, llama, &[], [&ai12, &ai13], (Some(1.0), Some(1.0))),
            (
                "whole proxy",
                Gateway::Litellm,
                None,
                &[("job", "")],
                [MISC, MISC],
                (Some(47.0), None),
            ),
            ("one model", Gateway::Litellm, llama, &[], [&l1, &l4], (Some(3.0), Some(3.0))),
            (
                "a model nobody asked for",
                Gateway::Litellm,
                Some("new"),
                &[],
                [&l1, &l4],
                (Some(0.0), None),
            ),
            ("refused", Gateway::Dynamo, Some("Org/M"), &[], [&d4, &d6], (Some(2.0), Some(2.0))),
            (
                "a model nobody asked for",
                Gateway::Dynamo,
                Some("new"),
                &[],
                [&d4, &d6],
                (Some(0.0), None),
            ),
            ("another page", Gateway::Dynamo, None, &[], [MISC, MISC], (None, None)),
            (
                "queued",
                Gateway::Ray,
                None,
                &[("application", "llm")],
                [UP, "ray_serve_deployment_queued_queries{application=\"llm\"} 7\n"],
                (Some(7.0), None),
            ),
            (
                "nothing queued yet",
                Gateway::Ray,
                None,
                &[("application", "llm")],
                [UP, "ray_serve_num_ongoing_http_requests 0\n"],
                (Some(0.0), None),
            ),
            ("503", Gateway::IngressNginx, None, &[], [&n503, &n503b], (Some(3.0), Some(3.0))),
            ("answered", Gateway::IngressNginx, None, &[], [&n200, &n200], (Some(0.0), Some(0.0))),
            ("another's", Gateway::IngressNginx, None, &[], [&foreign, &foreign], (None, None)),
            ("nothing", Gateway::IngressNginx, None, &[], [UP, UP], (None, None)),
            ("UH", Gateway::Istio, None, &[], [MISC, &busier], (Some(3.0), Some(3.0))),
            ("another's", Gateway::Istio, None, &[], [&foreign, &foreign], (None, None)),
            ("held", Gateway::PrescaleGate, None, &[], [&g0, &g2], (Some(2.0), Some(0.0))),
            ("idle", Gateway::PrescaleGate, None, &[], [&g2, &g0], (Some(0.0), Some(0.0))),
            ("another object's", Gateway::PrescaleGate, None, &[], [&gn, &gn], (None, None)),
            ("another namespace's", Gateway::PrescaleGate, None, &[], [&gx, &gx], (None, None)),
        ];
        for (what, gateway, model, selector, [before, after], expected) in rows {
            let target = target(gateway, model, selector);
            assert_eq!(shown(&target, before, after), expected, "{gateway} {what}");
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
            age: Some(Duration::from_secs(age)),
            ..GatewayReading::default()
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
