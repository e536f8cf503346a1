//! What one round of scraping found, and how it reads as pods and latencies.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::observation::{Fault, Latency, LatencyReading, Phase, PodObservation};
use crate::engine::units::Timestamp;
use crate::source::assemble::{RawSeries, roles};
use crate::source::exposition::Wanted;
use crate::source::histogram;
use crate::source::preset::{Histogram, Preset};
use crate::spec::LabelMatcher;

/// One address of an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct PageResult {
    /// Every wanted series with its samples of the last minutes; still there, ageing, when the page
    /// could not be read this time.
    pub series: Vec<RawSeries>,
    /// The page was read in this round.
    pub answered: bool,
    /// The page was read in this round or before.
    pub answered_ever: bool,
    /// What that says of the pod: see [`Phase`]. A pod that answered within the last minutes and
    /// does not now is still [`Phase::Ready`], for its silence is missing data and must not make
    /// the workload look smaller.
    pub phase: Phase,
    /// When it first answered, if it was seen not answering before.
    pub ready: Option<Timestamp>,
    /// What kept it from being read.
    pub fault: Option<Fault>,
}

/// One round over all endpoints.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The pages by address and port, which stand for pods.
    pub pages: BTreeMap<String, PageResult>,
    /// Series of the last minutes of addresses that their names have no more.
    pub gone: BTreeMap<String, Vec<RawSeries>>,
    /// Distinct addresses behind the `dns://` names; `Some(0)` when they surely have none; `None`
    /// when one could not be resolved or there is no such name.
    pub addresses: Option<u32>,
    /// What could not be read, each place and kind once.
    pub faults: Vec<Fault>,
}

impl Reading {
    /// The pages as pods of an engine: their roles by `preset`, of the served `model`, among series
    /// that `selector` matches. Lazy families count as zero only where the page was read.
    #[must_use]
    pub fn pods(
        &self,
        preset: &Preset,
        model: Option<&str>,
        selector: &[LabelMatcher],
    ) -> BTreeMap<String, PodObservation> {
        let pod = |page: &PageResult| {
            let (roles, known_zero) = roles(preset, model, selector, &page.series);
            let known_zero = if page.answered { known_zero } else { BTreeSet::new() };
            let PageResult { phase, ready, .. } = *page;
            PodObservation { ready, roles, known_zero, ..PodObservation::new(phase) }
        };
        self.pages.iter().map(|(name, page)| (name.clone(), pod(page))).collect()
    }

    /// The `quantile` (0..=1) of a latency over the pages read in this round. Only series that
    /// `keep` accepts count: those of the model and selector.
    #[must_use]
    pub fn latency(
        &self,
        preset: &Preset,
        latency: Latency,
        quantile: f64,
        keep: &dyn Fn(&RawSeries) -> bool,
    ) -> LatencyReading {
        let wanted = preset.histograms.iter().filter(|histogram| histogram.latency == latency);
        for histogram in wanted {
            let pods: Vec<Vec<&RawSeries>> = self
                .pages
                .values()
                .filter(|page| page.answered)
                .map(|page| buckets(histogram, &page.series, keep))
                .filter(|pod| !pod.is_empty())
                .collect();
            if !pods.is_empty() {
                return histogram::reading(quantile, histogram.scale, &pods);
            }
        }
        histogram::reading(quantile, 1.0, &[])
    }
}

/// The bucket series under the first name of `histogram` that a page has.
fn buckets<'a>(
    histogram: &Histogram,
    page: &'a [RawSeries],
    keep: &dyn Fn(&RawSeries) -> bool,
) -> Vec<&'a RawSeries> {
    let named = |name: &str| {
        let name = format!("{name}_bucket");
        page.iter().filter(|raw| raw.name == name && keep(raw)).collect::<Vec<_>>()
    };
    histogram.names.iter().map(|name| named(name)).find(|all| !all.is_empty()).unwrap_or_default()
}

/// The sample names that an engine's preset and these latencies need.
#[must_use]
pub fn wanted(preset: &Preset, latencies: &[Latency]) -> Wanted {
    let families = preset.family_names();
    let histograms = preset.histograms.iter().filter(|one| latencies.contains(&one.latency));
    let buckets = histograms.flat_map(|one| one.names).map(|name| format!("{name}_bucket"));
    Wanted::names(families.into_iter().map(str::to_owned).chain(buckets))
}
