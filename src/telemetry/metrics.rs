//! The process's own metrics, and the page of all of them.
//!
//! Parts that count something register it here before the server starts; afterwards the registry
//! only reads.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::engine::units::Timestamp;
use crate::telemetry::invariant::Invariant;
use crate::telemetry::scalers::Readings;

/// What this process is.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Version of the package.
    pub version: &'static str,
    /// Commit it was built from, if the build knew.
    pub commit: Option<&'static str>,
    /// When the process started.
    pub started: Timestamp,
}

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    violations: Violations,
}

/// Counts broken invariants; cheap to clone.
type Violations = Family<Labels, Counter>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels(&'static str);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("invariant", self.0)].encode(encoder)
    }
}

impl Metrics {
    /// The metrics of the process and of its scalers, which are read when the page is.
    #[must_use]
    pub fn new(build: &Build, readings: Readings) -> Self {
        let mut registry = Registry::default();
        let labels =
            vec![("version", build.version), ("commit", build.commit.unwrap_or("unknown"))];
        registry.register("prescale_build", "The version that runs", Info::new(labels));
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
        let started = build.started.unix_ms() as f64 / 1000.0;
        registry.register(
            "process_start_time_seconds",
            "When the process started, seconds since the Unix epoch",
            ConstGauge::new(started),
        );
        let violations = violations();
        registry.register(
            "prescale_invariant_violations",
            "Decisions that broke an invariant; any is a bug",
            violations.clone(),
        );
        registry.register_collector(Box::new(readings));
        Self { registry, violations }
    }

    /// Where other parts register what they count, under their full names.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Counts one broken invariant.
    pub fn violated(&self, invariant: Invariant) {
        self.violations.get_or_create(&Labels(invariant.name())).inc();
    }

    /// The page, in OpenMetrics.
    ///
    /// # Errors
    /// When a part's metric cannot be written.
    pub fn page(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

/// A series for every invariant from the start, so that a first violation shows as an increase.
fn violations() -> Violations {
    let violations = Violations::default();
    for invariant in [Invariant::Limit, Invariant::Active, Invariant::Finite] {
        let _ = violations.get_or_create(&Labels(invariant.name()));
    }
    violations
}
