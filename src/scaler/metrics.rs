//! What the registry and its ticks count about themselves.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::engine::invariants::Invariant;

/// How a tick ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(crate) enum TickEnd {
    /// A decision was made.
    decided,
    /// The observation took too long; a decision was made without it.
    overdue,
    /// It panicked.
    panicked,
    /// It was not run, after repeated panics.
    paused,
}

/// Why a reference got no scaler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(crate) enum RefusedFor {
    metadata,
    malformed,
    full,
    ending,
}

/// Why a scaler was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(crate) enum RemovedFor {
    idle,
    superseded,
    failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Tick {
    end: TickEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusal {
    cause: RefusedFor,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Removal {
    cause: RemovedFor,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Broken {
    invariant: &'static str,
}

/// Counters of the registry; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    scalers: Gauge,
    ticks: Family<Tick, Counter>,
    tick_duration: Histogram,
    refused: Family<Refusal, Counter>,
    removed: Family<Removal, Counter>,
    violations: Family<Broken, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            scalers: Gauge::default(),
            ticks: Family::default(),
            // 1 ms to 65 s, which is the longest an observation may take.
            tick_duration: Histogram::new(exponential_buckets(0.001, 4.0, 9)),
            refused: Family::default(),
            removed: Family::default(),
            violations: violations(),
        }
    }
}

impl Metrics {
    /// Registers everything under its full name.
    pub fn register(&self, registry: &mut Registry) {
        let Self { scalers, ticks, tick_duration, refused, removed, violations } = self;
        registry.register("prescale_scalers", "Scalers in memory", scalers.clone());
        registry.register("prescale_ticks", "Ticks by how they ended", ticks.clone());
        registry.register(
            "prescale_tick_duration_seconds",
            "Time from the beginning of a tick to its decision",
            tick_duration.clone(),
        );
        registry.register(
            "prescale_scalers_refused",
            "Calls for which no scaler could serve, by cause",
            refused.clone(),
        );
        registry.register(
            "prescale_scalers_removed",
            "Scalers removed from memory, by cause",
            removed.clone(),
        );
        registry.register(
            "prescale_invariant_violations",
            "Decisions that broke an invariant; any is a bug",
            violations.clone(),
        );
    }

    pub(crate) fn count(&self, scalers: usize) {
        self.scalers.set(i64::try_from(scalers).unwrap_or(i64::MAX));
    }

    pub(crate) fn ticked(&self, end: TickEnd, seconds: f64) {
        self.ticks.get_or_create(&Tick { end }).inc();
        self.tick_duration.observe(seconds);
    }

    pub(crate) fn skipped(&self) {
        self.ticks.get_or_create(&Tick { end: TickEnd::paused }).inc();
    }

    pub(crate) fn refuse(&self, cause: RefusedFor) {
        self.refused.get_or_create(&Refusal { cause }).inc();
    }

    pub(crate) fn remove(&self, cause: RemovedFor) {
        self.removed.get_or_create(&Removal { cause }).inc();
    }

    pub(crate) fn violated(&self, invariant: Invariant) {
        self.violations.get_or_create(&Broken { invariant: invariant.name() }).inc();
    }
}

/// A series for every invariant from the start, so that a first violation shows as an increase.
fn violations() -> Family<Broken, Counter> {
    let violations = Family::default();
    for invariant in Invariant::ALL {
        drop(violations.get_or_create(&Broken { invariant: invariant.name() }));
    }
    violations
}
