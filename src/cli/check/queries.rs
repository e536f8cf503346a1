//! The queries of triggers, tried once at a server.
//!
//! Given triggers that could be understood and the server's address. Promises to end: every query has
//! the datasource's time limit, every trigger one of its own, and a server that does not answer is
//! asked for one trigger only. Saying what was found is left to [`crate::cli::check::observed`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::check::finding::{Finding, Findings, Level, Place};
use crate::cli::check::observed;
use crate::cli::check::trigger::Understood;
use crate::clock::Clock;
use crate::engine::observation::{FaultKind, Observation};
use crate::source::Sources;
use crate::source::config::{DatasourceConfig, Error, ScrapePolicy};
use crate::spec::{SourceRef, Spec, Target, WorkloadRef};

/// What the server is called in messages, whatever the trigger calls it.
const DATASOURCE: &str = "default";

/// For all queries of one trigger: six queries one after the other, each up to its time limit of
/// 5 s. A person waits.
const TRIAL_MAX: Duration = Duration::from_secs(30);

/// A trigger whose queries can be tried.
#[derive(Debug)]
pub(crate) struct Trial {
    place: Place,
    spec: Spec,
    /// Some of its values are only known in the cluster.
    from_env: bool,
}

impl Trial {
    /// The trial of a trigger whose metadata is right; `scaled` is what its object scales, which is
    /// what KEDA's HPA will say once the object is applied.
    pub(crate) fn of(trigger: Understood, scaled: Option<&WorkloadRef>) -> Option<Self> {
        let Understood { place, spec, from_env, named: _, push: _ } = trigger;
        let mut spec = spec?;
        spec.target.workload = spec.target.workload.or_else(|| scaled.cloned());
        Some(Self { place, spec, from_env: !from_env.is_empty() })
    }

    /// Whether pages are to be read as well.
    fn has_pages(&self) -> bool {
        let Target { source, activation_endpoints, .. } = &self.spec.target;
        matches!(source, SourceRef::Endpoints { .. }) || !activation_endpoints.is_empty()
    }
}

/// A server to try queries at.
pub(crate) struct Server {
    sources: Arc<Sources>,
    clock: Clock,
}

impl Server {
    /// The server at `url`. No network I/O.
    pub(crate) fn open(url: &str) -> Result<Self, Error> {
        let clock = Clock::system();
        let config = DatasourceConfig::at(url.to_owned());
        let datasources = BTreeMap::from([(DATASOURCE.to_owned(), config)]);
        let sources = Sources::open(&datasources, ScrapePolicy::default(), clock.clone())?;
        Ok(Self { sources, clock })
    }

    /// What trying `trials` found; what kept the server from answering, if it did not.
    pub(crate) async fn tried(&self, trials: &[Trial]) -> Result<Vec<Finding>, FaultKind> {
        let mut findings = Findings::default();
        for trial in trials {
            let Trial { place, spec, from_env } = trial;
            if *from_env {
                let message = "is not known here: the trigger's queries were not tried";
                findings.add(Level::Info, place, "FromEnv", message);
                continue;
            }
            if trial.has_pages() {
                let message = "pages are reached from within the cluster only: not tried";
                findings.add(Level::Info, place, "endpoints", message);
            }
            let target = asked(&spec.target);
            let observation = self.observed(&target).await?;
            observed::tell(spec, &target, &observation, (place, &mut findings));
        }
        Ok(findings.0)
    }

    async fn observed(&self, target: &Target) -> Result<Observation, FaultKind> {
        let mut reader = self.sources.reader(target);
        let observing = reader.observe(self.clock.now());
        let observation =
            tokio::time::timeout(TRIAL_MAX, observing).await.map_err(|_| FaultKind::Timeout)?;
        let place = format!("datasource {DATASOURCE}");
        let mut faults = observation.faults.iter();
        match faults.find(|fault| fault.place == place && fault.kind != FaultKind::Partial) {
            Some(fault) if is_blank(&observation) => Err(fault.kind),
            _ => Ok(observation),
        }
    }
}

/// Whether nothing at all was read: then the server is at fault, and not one of the queries.
fn is_blank(observation: &Observation) -> bool {
    observation.searched.iter().all(|searched| searched.found.is_none())
        && observation.own.iter().all(|reading| reading.value.is_none())
}

/// What can be asked from here of what a trigger wants read: nothing of pages.
fn asked(target: &Target) -> Target {
    let mut asked = target.clone();
    let datasource = DATASOURCE.to_owned();
    if matches!(target.source, SourceRef::Datasource(_)) {
        asked.source = SourceRef::Datasource(datasource);
    } else {
        asked.source = SourceRef::Endpoints { endpoints: Vec::new(), datasource };
        asked.latencies = Vec::new();
    }
    if !target.activation_endpoints.is_empty() {
        asked.activation_endpoints = Vec::new();
        asked.gateway = None;
    }
    asked
}
