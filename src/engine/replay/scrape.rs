//! All that a policy sees of the world: samples of the pods' metrics, as a Prometheus has them.

use std::time::Duration;

use crate::engine::observation::Observation;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// What is read beside gauges and counters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pipeline {
    /// Time between scrapes of a pod; each has a phase of its own.
    pub interval: Duration,
    /// Window of rates and latency quantiles, as `rate(..[2m])`.
    pub window: Duration,
    /// Which latency quantile is asked for, 0..1.
    pub quantile: f64,
}

/// The samples so far.
#[derive(Debug)]
pub struct Scrapes {
    pipeline: Pipeline,
}

impl Scrapes {
    /// Nothing scraped yet.
    #[must_use]
    pub const fn new(pipeline: Pipeline) -> Self {
        Self { pipeline }
    }

    /// When the next pod is due to be scraped.
    #[must_use]
    pub fn due(&self, _world: &World) -> Duration {
        self.pipeline.interval
    }

    /// Scrapes what is due at the world's present.
    pub fn scrape(&mut self, _world: &World, _origin: Timestamp) {}

    /// What a query at `at` shows.
    #[must_use]
    pub fn observe(&self, _world: &World, at: Timestamp) -> Observation {
        Observation::empty(at)
    }
}
