//! Where observations come from: Prometheus-compatible servers and pages scraped directly.
//!
//! Given what to read ([`crate::spec::Target`]), a [`Reader`] promises an
//! [`crate::engine::observation::Observation`] for every instant asked, whatever fails: what could
//! not be read is absent and named. Judging it is left to the engine.

pub mod config;
pub mod preset;

pub mod assemble;
pub mod plan;
pub mod tenancy;

pub mod prometheus;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Clock;
use crate::engine::observation::Observation;
use crate::engine::units::Timestamp;
use crate::source::config::{DatasourceConfig, Error, ScrapePolicy};
use crate::spec::Target;

/// All datasources of the server and what direct scrape may reach; shared by every scaler.
#[derive(Debug)]
pub struct Sources {
    names: Vec<String>,
}

impl Sources {
    /// Opens the datasources: reads credential files, builds clients. No network I/O.
    ///
    /// # Errors
    /// The first datasource whose URL, files or headers cannot be used.
    pub fn open(
        datasources: &BTreeMap<String, DatasourceConfig>,
        scrape: ScrapePolicy,
        clock: Clock,
    ) -> Result<Arc<Self>, Error> {
        let _ = (scrape, clock);
        Ok(Arc::new(Self { names: datasources.keys().cloned().collect() }))
    }

    /// A reader for one scaler. It owns what direct scrape remembers between ticks.
    #[must_use]
    pub fn reader(self: &Arc<Self>, target: &Target) -> Reader {
        Reader { sources: Arc::clone(self), target: target.clone() }
    }
}

/// Reads one scaler's world.
#[derive(Debug)]
pub struct Reader {
    sources: Arc<Sources>,
    target: Target,
}

impl Reader {
    /// Everything that could be read for the tick at `at`, within the datasources' timeouts.
    pub async fn observe(&mut self, at: Timestamp) -> Observation {
        let _ = (&self.sources.names, &self.target);
        Observation::empty(at)
    }
}
