//! Where observations come from: Prometheus-compatible servers and pages scraped directly.
//!
//! Given what to read ([`crate::spec::Target`]), a [`Reader`] promises an
//! [`crate::engine::observation::Observation`] for every instant asked, whatever fails: what could
//! not be read is absent and named. Judging it is left to the engine.

pub mod config;
pub mod exposition;
pub mod histogram;
pub mod preset;
pub mod resolve;
pub mod ring;
pub mod scrape;

pub mod assemble;
pub mod plan;
pub mod tenancy;

pub mod history;
pub mod prometheus;

pub mod backfill;

mod lookout;
mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::engine::observation::{Fault, FaultKind, GatewayReading, Observation, OwnReading};
use crate::engine::setup::Setup;
use crate::engine::units::Timestamp;
use crate::source::backfill::{Backfill, Cursor};
use crate::source::config::{DatasourceConfig, Error, ScrapePolicy};
use crate::source::lookout::{Look, Lookout};
use crate::source::parts::asking::{Asking, Notes};
use crate::source::parts::direct::Direct;
use crate::source::parts::engine::Pods;
use crate::source::parts::facts::Facts;
use crate::source::parts::latency::Latencies;
use crate::source::parts::own::Questions;
use crate::source::parts::{candidates, engine, facts, gateway, join, latency, own};
use crate::source::preset::{Preset, preset};
use crate::source::prometheus::Datasource;
use crate::source::prometheus::metrics::Metrics;
use crate::source::scrape::Scraper;
use crate::spec::{Engine, SourceRef, Target, WorkloadRef};

/// Names are listed in a fault only while they fit a message.
const NAMES_MAX: usize = 5;

/// Candidates are a hint for people: once a minute is often enough.
const CANDIDATES_EVERY: Duration = Duration::from_secs(60);

/// All datasources of the server and what direct scrape may reach; shared by every scaler.
#[derive(Debug)]
pub struct Sources {
    datasources: BTreeMap<String, Arc<Datasource>>,
    scraper: Arc<Scraper>,
    lookout: Arc<Lookout>,
    metrics: Metrics,
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
        let scraper = Scraper::new(&scrape, scrape::Limits::default(), clock.clone())
            .map_err(|error| Error::Scrape(Box::new(error)))?;
        let metrics = Metrics::default();
        let datasources = datasources
            .iter()
            .map(|(name, config)| {
                let opened = Datasource::open(name, config, clock.clone(), metrics.clone())?;
                Ok((name.clone(), Arc::new(opened)))
            })
            .collect::<Result<_, Error>>()?;
        let lookout = Lookout::new(Arc::clone(&scraper));
        Ok(Arc::new(Self { datasources, scraper, lookout, metrics }))
    }

    /// Shows what is counted about datasources on the metrics page.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// What is counted about datasources.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A reader for one scaler. It owns what is remembered between ticks.
    #[must_use]
    pub fn reader(self: &Arc<Self>, target: &Target) -> Reader {
        let queried = Queried {
            sources: Arc::clone(self),
            target: target.clone(),
            memory: Memory::default(),
        };
        Reader { queried, direct: Direct::new(&self.scraper, target), look: None }
    }

    /// What arrived in the past of one scaler's workload, minute by minute, as far as `cursor` lacks it.
    #[must_use]
    pub fn backfill(&self, target: &Target, setup: &Setup, cursor: Cursor) -> Backfill {
        let datasource = self.datasource(target.source.datasource(), &target.namespace);
        Backfill::new(datasource.cloned(), target, setup, cursor)
    }

    /// The datasource `name`, for a scaled object of `namespace`.
    fn datasource(&self, name: &str, namespace: &str) -> Result<&Arc<Datasource>, Fault> {
        let usable = self.datasources.get(name).filter(|found| found.allows(namespace));
        usable.ok_or_else(|| {
            let allowed = self.datasources.iter().filter(|(_, other)| other.allows(namespace));
            let names: Vec<&str> = allowed.map(|(name, _)| name.as_str()).collect();
            let place = match names.as_slice() {
                [] if self.datasources.is_empty() => {
                    format!("datasource {name} (this server has none; see --prometheus-url)")
                }
                [] => format!("datasource {name} (none is available)"),
                few if few.len() <= NAMES_MAX => {
                    format!("datasource {name} (available: {})", few.join(", "))
                }
                _ => format!("datasource {name}"),
            };
            Fault { place, kind: FaultKind::NotAllowed }
        })
    }
}

/// The youngest limit of freshness: an older age of the workload's own series is asked for anew.
const BORROWED_MAX: Duration = Duration::from_secs(60);

/// Reads one scaler's world.
#[derive(Debug)]
pub struct Reader {
    queried: Queried,
    direct: Direct,
    /// While the scaler sleeps, and its pages can be looked at.
    look: Option<Look>,
}

impl Reader {
    /// Everything that could be read for the tick at `at`, within the time limits of datasources and
    /// pages.
    pub async fn observe(&mut self, at: Timestamp) -> Observation {
        let Self { queried, direct, .. } = self;
        let target = queried.target.clone();
        let (mut observation, shown) = tokio::join!(queried.observe(at), direct.read(at, &target));
        shown.into_observation(&mut observation);
        observation
    }

    /// Waits until more demand than `above` shows on the pages that show it while there are no pods,
    /// which are looked at each second meanwhile; gives the instant of the look. Waits for ever where
    /// there are none, and, having them looked at no more, while the scaler does not sleep: `None`.
    pub async fn demand(&mut self, above: Option<f64>) -> Timestamp {
        let Self { queried, look, .. } = self;
        *look = match above {
            Some(above) => {
                look.take().or_else(|| queried.sources.lookout.look(&queried.target, above))
            }
            None => None,
        };
        match look {
            Some(look) => look.shows().await,
            None => std::future::pending().await,
        }
    }
}

/// The part of a reader that asks a datasource.
#[derive(Debug)]
struct Queried {
    sources: Arc<Sources>,
    target: Target,
    memory: Memory,
}

/// What a reader keeps between ticks; all of it can be lost without a wrong answer.
#[derive(Debug, Default)]
struct Memory {
    /// What the HPA was last seen to scale.
    scaled: Option<WorkloadRef>,
    /// The scrape interval of the engine's pages.
    interval: Option<Duration>,
    /// Pods that answered or were ready.
    served: BTreeSet<String>,
    /// Pods that could be meant, and when they were asked for.
    candidates: Option<(Timestamp, Vec<String>)>,
    /// The user's queries, understood once.
    questions: Option<Arc<Questions>>,
}

/// What the parts of one tick brought.
struct Parts {
    engine: Pods,
    gpus: Pods,
    facts: Facts,
    latency: Latencies,
    gateway: (Option<GatewayReading>, Notes),
    own: (Vec<OwnReading>, Notes),
}

impl Queried {
    /// Everything that the datasource says for the tick at `at`, within its timeout.
    async fn observe(&mut self, at: Timestamp) -> Observation {
        let sources = Arc::clone(&self.sources);
        let target = self.target.clone();
        let name = target.source.datasource();
        let datasource = match sources.datasource(name, &target.namespace) {
            Ok(datasource) => datasource,
            Err(fault) => return self.without_datasource(at, fault),
        };
        let questions = self.questions(datasource).await;
        let guess = self.workload();
        let asking = Asking { datasource, at, target: &target, workload: &guess };
        let (workload, early) = self.settled(asking).await;
        let asking = Asking { workload: &workload, ..asking };
        let mut parts = self.read(asking, &questions, early).await;
        own_ages(asking, &questions, &mut parts).await;
        let observation = self.joined(at, parts);
        self.hinted(asking, observation).await
    }

    /// All that can be said where the datasource may not be used.
    fn without_datasource(&self, at: Timestamp, fault: Fault) -> Observation {
        let mut observation = Observation::empty(at);
        observation.own = vec![OwnReading::default(); self.target.own.len()];
        let outside = self.asks_gateway() || self.target.activation_query.is_some();
        observation.gateway = outside.then(GatewayReading::default);
        if self.needs_datasource() {
            observation.faults.push(fault);
        }
        observation
    }

    /// Whether the gateway is asked through the datasource, and not on a page of its own.
    fn asks_gateway(&self) -> bool {
        self.target.gateway.is_some() && self.target.activation_endpoints.is_empty()
    }

    /// Whether anything but the replica facts comes from the datasource: pages alone are a setup of
    /// their own, and without a datasource they lack nothing that was asked for.
    fn needs_datasource(&self) -> bool {
        let Target { source, own, activation_query, gpu, .. } = &self.target;
        matches!(source, SourceRef::Datasource(_))
            || !own.is_empty()
            || activation_query.is_some()
            || *gpu
            || self.asks_gateway()
    }

    /// The workload as given, as the HPA was last seen to say, else by the scaled object's name.
    fn workload(&self) -> WorkloadRef {
        let named = || WorkloadRef { kind: None, name: self.target.scaled_object.clone() };
        self.target.workload.clone().or_else(|| self.memory.scaled.clone()).unwrap_or_else(named)
    }

    /// The workload to read. Where nothing but a name is known, the HPA is asked first; its facts are
    /// given along if they are about that workload.
    async fn settled(&mut self, asking: Asking<'_>) -> (WorkloadRef, Option<Facts>) {
        let guess = asking.workload.clone();
        if self.target.workload.is_some() || self.memory.scaled.is_some() {
            return (guess, None);
        }
        let facts = facts::read(asking).await;
        match &facts.scaled {
            Some(scaled) if *scaled != guess => {
                self.memory.scaled = Some(scaled.clone());
                (scaled.clone(), None)
            }
            _ => (guess, Some(facts)),
        }
    }

    async fn read(&self, asking: Asking<'_>, questions: &Questions, early: Option<Facts>) -> Parts {
        let preset = preset(self.target.engine);
        let window = plan::window(self.memory.interval);
        let rate_window = plan::rate_window(self.memory.interval);
        let (engine, gpus, facts, latency, gateway, own) = tokio::join!(
            self.engine(asking, &preset, window),
            self.gpus(asking, window),
            async {
                match early {
                    Some(facts) => facts,
                    None => facts::read(asking).await,
                }
            },
            self.latency(asking, &preset, rate_window),
            gateway::read(asking, questions.activation.as_ref(), window),
            own::read(asking, &questions.own),
        );
        Parts { engine, gpus, facts, latency, gateway, own }
    }

    /// What the engine's pods export: from the datasource, or from pages scraped directly.
    async fn engine(&self, asking: Asking<'_>, preset: &Preset, window: Duration) -> Pods {
        match (&self.target.source, self.target.engine) {
            (_, Engine::Gpu | Engine::Custom) => Pods::default(),
            (SourceRef::Datasource(_), _) => engine::engine(asking, preset, window).await,
            (SourceRef::Endpoints { .. }, _) => Pods::default(),
        }
    }

    async fn latency(&self, asking: Asking<'_>, preset: &Preset, window: Duration) -> Latencies {
        match self.target.source {
            SourceRef::Datasource(_) => latency::read(asking, preset, window).await,
            SourceRef::Endpoints { .. } => Latencies::default(),
        }
    }

    async fn gpus(&self, asking: Asking<'_>, window: Duration) -> Pods {
        if self.target.gpu || self.target.engine == Engine::Gpu {
            engine::gpus(asking, &preset(Engine::Gpu), window).await
        } else {
            Pods::default()
        }
    }

    fn joined(&mut self, at: Timestamp, parts: Parts) -> Observation {
        let Parts { mut engine, mut gpus, mut facts, latency, gateway, own } = parts;
        let mut observation = Observation::empty(at);
        let mut notes = std::mem::take(&mut engine.notes);
        notes.add(std::mem::take(&mut gpus.notes));
        notes.add(std::mem::take(&mut facts.notes));
        notes.add(latency.notes);
        notes.add(gateway.1);
        notes.add(own.1);
        self.memory.interval = engine.interval.or(gpus.interval).or(self.memory.interval);
        if facts.scaled.is_some() {
            self.memory.scaled.clone_from(&facts.scaled);
        }
        let has_engine = !matches!(self.target.engine, Engine::Gpu | Engine::Custom);
        let witnesses = join::Witnesses { facts: &facts, engine, gpus, has_engine };
        join::pods(&mut observation, &mut self.memory.served, witnesses);
        observation.workload = facts.workload;
        observation.latency = latency.readings;
        observation.gateway = gateway.0;
        observation.own = own.0;
        observation.partial = notes.partial;
        observation.faults = notes.faults;
        observation.searched = notes.searched;
        observation
    }

    /// Adds pods that could be meant, where pods should be and none was found.
    async fn hinted(&mut self, asking: Asking<'_>, mut observation: Observation) -> Observation {
        let preset = preset(self.target.engine);
        let asleep = observation.workload.spec_replicas == Some(0);
        let scraped = matches!(self.target.source, SourceRef::Endpoints { .. });
        // A server that just failed is not asked for a hint: the tick would outlast its interval.
        let failing = observation.faults.iter().any(|fault| !is_of_content(fault.kind));
        let elsewhere = asleep || scraped || failing || preset.families.is_empty();
        if !observation.pods.is_empty() || elsewhere {
            return observation;
        }
        let fresh = |asked: Timestamp| asking.at.since(asked) < CANDIDATES_EVERY;
        let found = match self.memory.candidates.take() {
            Some((asked, found)) if fresh(asked) => (asked, found),
            _ => (asking.at, candidates::read(asking, &preset).await),
        };
        observation.candidates.clone_from(&found.1);
        self.memory.candidates = Some(found);
        observation
    }

    /// The user's queries, understood at the first tick and away from the runtime's small stacks.
    async fn questions(&mut self, datasource: &Datasource) -> Arc<Questions> {
        if let Some(questions) = &self.memory.questions {
            return Arc::clone(questions);
        }
        let target = self.target.clone();
        let labels = datasource.tenant_labels().map(<[String]>::to_vec);
        let understood = move || Questions::understood(&target, labels.as_deref());
        let questions = match tokio::task::spawn_blocking(understood).await {
            Ok(questions) => Arc::new(questions),
            // The runtime is ending: nothing will be asked.
            Err(_) => return Arc::new(Questions { own: Vec::new(), activation: None }),
        };
        self.memory.questions = Some(Arc::clone(&questions));
        questions
    }
}

/// Whether a server that answered in time and form is at fault for this.
const fn is_of_content(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Empty | FaultKind::TooManySeries | FaultKind::NotFinite)
}

/// The age of the user's signals: that of the workload's own series while those are young, else of
/// their first selector, because pods that are gone say nothing about a queue that is not theirs.
async fn own_ages(asking: Asking<'_>, questions: &Questions, parts: &mut Parts) {
    let own = &mut parts.own.0;
    if own.iter().all(|reading| reading.value.is_none()) {
        return;
    }
    let newest = parts.engine.newest().or(parts.gpus.newest());
    let borrowed = newest.map(|newest| asking.at.since(newest));
    let ages = match borrowed.filter(|age| *age <= BORROWED_MAX) {
        Some(age) => vec![Some(age); own.len()],
        None => own::ages(asking, &questions.own).await,
    };
    for (reading, age) in own.iter_mut().zip(ages) {
        reading.age = age.or(borrowed);
    }
}
