//! What pages scraped directly show: the engine's pods and latencies, and demand held at a gateway.
//!
//! Given a target with endpoints. Promises the same data as the queried parts, from pages whose
//! addresses stand for pods; a part without endpoints is absent and left to the datasource.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::observation::{
    Fault, FaultKind, GatewayReading, Latency, LatencyReading, Observation, Phase, PodObservation,
};
use crate::engine::units::Timestamp;
use crate::source::assemble::{RawSeries, Selection};
use crate::source::parts::arrivals::Rows;
use crate::source::parts::asking::{Notes, searched};
use crate::source::parts::engine::searches;
use crate::source::parts::held;
use crate::source::preset::{self, Asked, asked, on_any_page, preset};
use crate::source::scrape::{Pages, Reading, Scraper, wanted};
use crate::spec::{SourceRef, Target};

/// The pages of one scaler.
#[derive(Debug)]
pub(crate) struct Direct {
    engine: Option<Pages>,
    held: Option<Pages>,
}

/// What they showed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Pods by address, and how many addresses there are; absent without endpoints.
    pods: Option<(BTreeMap<String, PodObservation>, Option<u32>)>,
    latency: BTreeMap<Latency, LatencyReading>,
    /// Demand held; absent without pages for it.
    held: Option<GatewayReading>,
    notes: Notes,
}

impl Direct {
    /// Nothing read yet.
    pub(crate) fn new(scraper: &Arc<Scraper>, target: &Target) -> Self {
        let pages = |endpoints: &[_], wanted| {
            let scraper = Arc::clone(scraper);
            Pages::new(scraper, &target.namespace, endpoints.to_vec(), wanted, target.tick)
        };
        let engine = match &target.source {
            SourceRef::Datasource(_) => None,
            SourceRef::Endpoints { endpoints, .. } => {
                Some(pages(endpoints, wanted(&preset(target.engine), &target.latencies)))
            }
        };
        let held = (!target.activation_endpoints.is_empty())
            .then(|| pages(&target.activation_endpoints, preset::wanted(ways(target))));
        Self { engine, held }
    }

    /// Reads every page for the tick at `at`.
    pub(crate) async fn read(&mut self, at: Timestamp, target: &Target) -> Shown {
        let engine = async {
            match &mut self.engine {
                Some(pages) => Some(pages.read(at).await),
                None => None,
            }
        };
        let held = async {
            match &mut self.held {
                Some(pages) => Some(pages.read(at).await),
                None => None,
            }
        };
        let (engine, held) = tokio::join!(engine, held);
        let mut shown = Shown::default();
        if let Some(reading) = engine {
            shown.take_engine(reading, target);
        }
        if let Some(reading) = held {
            shown.take_held(reading, at, target);
        }
        shown
    }
}

impl Shown {
    fn take_engine(&mut self, reading: Reading, target: &Target) {
        let preset = preset(target.engine);
        let pods = reading.pods(&preset, target.model.as_deref(), &target.selector);
        let selection = Selection::new(&preset, target.model.as_deref(), &target.selector);
        let keep = |row: &RawSeries| selection.accepts(row);
        for latency in &target.latencies {
            let quantile = target.latency_quantile;
            let read = reading.latency(&preset, *latency, quantile, &keep);
            self.latency.insert(*latency, read);
        }
        let roles = pods.values().map(|pod| &pod.roles);
        self.notes.searched.extend(searches(&preset, roles));
        // Listed pages of which none ever answered may be wrong, or of a workload at zero: they are no pods.
        let nobody =
            reading.addresses.is_none() && reading.pages.values().all(|page| !page.answered_ever);
        let pods = if nobody { BTreeMap::new() } else { pods };
        self.notes.faults.extend(reading.faults);
        if target.gpu {
            // Pages know pods by address, GPU exporters by name: nobody says which is which.
            let place = "GPU metrics (need the engine's metrics from a datasource)".to_owned();
            self.notes.fault(Fault { place, kind: FaultKind::NotAllowed });
        }
        self.pods = Some((pods, reading.addresses));
    }

    fn take_held(&mut self, reading: Reading, at: Timestamp, target: &Target) {
        let ways = ways(target);
        let of = |answered: bool| {
            let pages = reading.pages.iter().filter(move |(_, page)| page.answered == answered);
            rows(pages.map(|(address, page)| (address, &page.series)))
        };
        let (read, unread, gone) = (of(true), of(false), rows(&reading.gone));
        // Silent for longer than its past is remembered: nobody knows what arrived there.
        let lost = reading.pages.values().any(|page| page.phase == Phase::Unready);
        let complete = reading.faults.is_empty();
        self.notes.faults.extend(reading.faults);
        let names: Vec<&str> = ways.iter().flat_map(|way| way.demand()).collect();
        let present = read.iter().map(|row| row.name.as_str()).collect();
        self.notes.searched.push(searched("gateway", &names, &present));
        let rows = Rows { read: &read, unread: &unread, gone: &gone };
        let read = ways.into_iter().find_map(|way| held::on_pages(way, target, rows, at));
        let mut read = read.unwrap_or_default();
        read.arrivals_per_second = read.arrivals_per_second.filter(|_| !lost);
        // A page that was not read may be that of a gateway which holds something: what the others
        // hold counts, that they hold nothing does not.
        read.held = read.held.filter(|held| complete || *held > 0.0);
        self.held = Some(read);
    }

    /// Puts what the pages showed into what the datasource said.
    pub(crate) fn into_observation(self, observation: &mut Observation) {
        let Self { pods, latency, held, notes } = self;
        if let Some((pods, addresses)) = pods {
            // The cluster knows these pods by name, the pages by address: of the cluster's list only
            // those count that can have no page yet.
            observation.pods.retain(|_, pod| pod.phase == Phase::Pending);
            observation.pods.extend(pods);
            observation.workload.addresses = addresses;
            // Of ready pods without a page, only the target's status knows.
            observation.workload.phases_known = false;
            observation.latency = latency;
            observation.candidates.clear();
        }
        if let Some(held) = held {
            let other = observation.gateway.take();
            observation.gateway = Some(other.map_or(held, |other| held::both(held, other)));
        }
        observation.partial |= notes.partial;
        observation.faults.extend(notes.faults);
        observation.searched.extend(notes.searched);
    }
}

/// The ways in which a page of held demand may be read.
fn ways(target: &Target) -> Vec<&'static Asked> {
    on_any_page(target.gateway).into_iter().flat_map(asked).collect()
}

/// The series of pages by their addresses.
fn rows<'a>(pages: impl IntoIterator<Item = (&'a String, &'a Vec<RawSeries>)>) -> Vec<RawSeries> {
    let of = |(address, series): (&'a String, &'a Vec<RawSeries>)| {
        series.iter().map(move |row| on_page(row.clone(), address))
    };
    pages.into_iter().flat_map(of).collect()
}

/// Series of two pages are told apart as a server's are: by the instance.
fn on_page(mut row: RawSeries, address: &str) -> RawSeries {
    row.labels.insert("instance".to_owned(), address.to_owned());
    row
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Observation, Phase, PodObservation, RawSeries, Reading, Shown, Timestamp};
    use crate::engine::observation::{Fault, FaultKind};
    use crate::engine::series::{Sample, Series};
    use crate::source::scrape::PageResult;
    use crate::spec::{Limits, Target, parse};

    fn at() -> Timestamp {
        Timestamp::from_unix_ms(1_000_000)
    }

    fn target() -> Target {
        let metadata =
            [("gateway", "prescale-gate"), ("activationEndpoints", "dns://gate:9091/metrics")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        parse("llm", "llama", &metadata.into(), &Limits::default()).unwrap().target
    }

    /// A gate's page with so many in flight; `None`: it was not read.
    fn page(in_flight: Option<f64>) -> PageResult {
        let labels = [("namespace", "llm"), ("name", "llama")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let series = in_flight.map(|value| RawSeries {
            name: "prescale_gate_requests_in_flight".to_owned(),
            labels: BTreeMap::from(labels),
            series: Series::new(vec![Sample { at: at(), value }]),
        });
        let answered = series.is_some();
        let fault = || Fault { place: "gate".to_owned(), kind: FaultKind::Timeout };
        PageResult {
            series: series.into_iter().collect(),
            answered,
            answered_ever: answered,
            phase: Phase::Ready,
            ready: None,
            fault: (!answered).then(fault),
        }
    }

    #[test]
    fn nothing_is_held_only_where_every_page_was_read() {
        let rows = [
            (&[Some(0.0), Some(0.0)][..], Some(0.0)),
            (&[Some(0.0), Some(2.0)], Some(2.0)),
            (&[Some(2.0), None], Some(2.0)),
            (&[Some(0.0), None], None),
            (&[None], None),
        ];
        for (pages, held) in rows {
            let pages = pages.iter().zip(1..).map(|(it, n)| (format!("10.0.0.{n}"), page(*it)));
            let pages: BTreeMap<String, PageResult> = pages.collect();
            let faults = pages.values().filter_map(|page| page.fault.clone()).collect();
            let reading = Reading { pages, faults, ..Reading::default() };
            let mut shown = Shown::default();
            shown.take_held(reading, at(), &target());
            assert_eq!(shown.held.and_then(|reading| reading.held), held);
        }
    }

    /// A gate's page of which so many ticks were read, the last of them so long ago.
    fn counting(ticks: u32, ago: u32) -> PageResult {
        let mut page = page(Some(0.0));
        let sample = |idx: u32| Sample {
            at: at().minus(Duration::from_secs(u64::from((ago + idx) * 15))),
            value: f64::from(100 - ago - idx),
        };
        let series = Series::new((0..ticks).map(sample).collect());
        page.series[0].series = series.clone();
        page.series.push(RawSeries {
            name: "prescale_gate_requests_total".to_owned(),
            series,
            ..page.series[0].clone()
        });
        PageResult { answered: ago == 0, ..page }
    }

    #[test]
    fn arrivals_at_a_page_that_is_not_read_are_not_forgotten() {
        let unready = || PageResult { phase: Phase::Unready, ..page(None) };
        let rows = [
            (vec![counting(8, 0), counting(8, 0)], vec![], Some(8.0)),
            (vec![counting(8, 0), counting(8, 1)], vec![], Some(8.0)),
            (vec![counting(8, 0), counting(5, 4)], vec![], Some(8.0)),
            (vec![counting(8, 0), counting(4, 5)], vec![], None),
            (vec![counting(8, 0), unready()], vec![], None),
            (vec![counting(8, 0), page(None)], vec![], Some(4.0)),
            (vec![counting(8, 0)], vec![counting(7, 2)], Some(6.0)),
        ];
        for (pages, gone, expected) in rows {
            let named = |(n, page): (u32, PageResult)| (format!("10.0.0.{n}"), page);
            let pages = (1..).zip(pages).map(named).collect();
            let gone = (8..).zip(gone).map(named).map(|(name, page)| (name, page.series)).collect();
            let mut shown = Shown::default();
            let reading = Reading { pages, gone, ..Reading::default() };
            let text = format!("{reading:?}");
            shown.take_held(reading, at(), &target());
            let rate = shown.held.and_then(|reading| reading.arrivals_per_second);
            assert_eq!(rate.map(|rate| (rate * 60.0).round()), expected, "{text}");
        }
    }

    #[test]
    fn listed_pages_that_never_answered_are_no_pods() {
        let silent = || PageResult { phase: Phase::Loading, ..page(None) };
        let rows = [
            (vec![silent(), silent()], None, 0),
            (vec![silent(), page(Some(1.0))], None, 2),
            (vec![PageResult { answered_ever: true, ..silent() }], None, 1),
            // Behind a name there is a pod for each address.
            (vec![silent(), silent()], Some(2), 2),
        ];
        for (pages, addresses, pods) in rows {
            let pages = (1..).zip(pages).map(|(n, page)| (format!("10.0.0.{n}"), page)).collect();
            let mut shown = Shown::default();
            shown.take_engine(Reading { pages, addresses, ..Reading::default() }, &target());
            assert_eq!(shown.pods.map(|(pods, _)| pods.len()), Some(pods));
        }
    }

    /// The cluster's list is about pods by name: beside pages it must not be taken for complete.
    #[test]
    fn ready_replicas_without_a_page_are_not_forgotten() {
        let mut observation = Observation::empty(Timestamp::from_unix_ms(0));
        observation.workload.phases_known = true;
        observation.workload.ready_replicas = Some(4);
        for (name, phase) in [("llama-a", Phase::Ready), ("llama-b", Phase::Pending)] {
            observation.pods.insert(name.to_owned(), PodObservation::new(phase));
        }
        let page = ("10.0.0.1".to_owned(), PodObservation::new(Phase::Ready));
        let shown = Shown { pods: Some(([page].into(), Some(4))), ..Shown::default() };
        shown.into_observation(&mut observation);
        let names: Vec<&str> = observation.pods.keys().map(String::as_str).collect();
        assert_eq!(names, ["10.0.0.1", "llama-b"]);
        assert_eq!(observation.workload.addresses, Some(4));
        assert!(!observation.workload.phases_known);
    }
}
