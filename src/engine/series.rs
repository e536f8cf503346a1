//! Samples of one time series as a scrape or a range selector gives them: raw, with their own times.
//!
//! A [`Series`] holds finite samples in ascending time, at most one per instant. Rates, resets and
//! ages are computed here, so that direct scrape and Prometheus share one code path.

use crate::engine::units::Timestamp;

/// One reading of one series.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// When the page was scraped (never when a query was evaluated).
    pub at: Timestamp,
    /// The value; finite inside a [`Series`].
    pub value: f64,
}

/// Samples in ascending time; finite; at most one per instant.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Series {
    samples: Vec<Sample>,
}

impl Series {
    /// Builds a series from samples in any order: values that are not finite are dropped (missing,
    /// never zero), of two samples at one instant the later one given wins.
    #[must_use]
    pub fn new(mut samples: Vec<Sample>) -> Self {
        samples.retain(|sample| sample.value.is_finite());
        samples.sort_by_key(|sample| sample.at);
        samples.reverse();
        samples.dedup_by_key(|sample| sample.at);
        samples.reverse();
        Self { samples }
    }

    /// The samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The newest sample.
    #[must_use]
    pub fn latest(&self) -> Option<Sample> {
        self.samples.last().copied()
    }
}
