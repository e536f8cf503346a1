//! The process's own metrics, and the page of all of them.
//!
//! Parts that count something register it here before the server starts; afterwards the registry
//! only reads.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::engine::units::Timestamp;
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
        registry.register_collector(Box::new(readings));
        Self { registry }
    }

    /// Where other parts register what they count, under their full names.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
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
