//! The run as prescale lives through it: one observation and one decision a tick.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use prescale::clock::Clock;
use prescale::engine::decision::{Decision, Verdict};
use prescale::engine::invariants::{Invariant, violations};
use prescale::engine::observation::{Observation, Role};
use prescale::engine::series::Sample;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::source::{Reader, Sources};
use prescale::spec::{Limits, Spec, parse};

/// The trigger of the one scaled object; it finds workload and pods by its name.
const METADATA: [(&str, &str); 4] =
    [("queueDepth", "5"), ("kvCache", "0.7"), ("ttft", "2s"), ("scaleUpForward", "60s")];

/// One tick.
pub(crate) struct Tick {
    pub(crate) observation: Observation,
    pub(crate) decision: Decision,
    /// Rules that the decision breaks.
    pub(crate) broken: Vec<Invariant>,
}

impl Tick {
    pub(crate) const fn at(&self) -> Timestamp {
        self.observation.at
    }

    /// The newest sample of the only pod's only series of `role`.
    pub(crate) fn sample(&self, role: Role) -> Sample {
        assert_eq!(self.observation.pods.len(), 1, "{self}");
        let found = &self.observation.pods.values().next().unwrap().roles[&role];
        let [series] = found.series.as_slice() else { panic!("{self}: {found:?}") };
        series.latest().unwrap()
    }

    /// The number and activity told, if any.
    pub(crate) fn told(&self) -> Option<(u32, bool)> {
        match self.decision.verdict {
            Verdict::Scale { sent, active, .. } => Some((sent.get(), active)),
            Verdict::Refuse(_) => None,
        }
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at().unix_ms() / 1000, self.decision.headline())
    }
}

/// A reader and what is remembered beside it.
pub(crate) struct Replay {
    spec: Spec,
    reader: Reader,
    memory: Memory,
}

impl Replay {
    /// Reads from the Prometheus at `url`.
    pub(crate) fn of_prometheus(url: String) -> Self {
        let datasources = [("default".to_owned(), DatasourceConfig::at(url))].into();
        let policy = ScrapePolicy::default();
        Self::new(None, &Sources::open(&datasources, policy, Clock::system()).unwrap())
    }

    /// Reads the page at `address`, beginning at `at`; there is no Prometheus.
    pub(crate) fn of_page(address: SocketAddr, at: Timestamp) -> Self {
        let names = [("vllm.team-a.svc.cluster.local".to_owned(), vec![address.ip()])].into();
        let names = Some(Arc::new(Mutex::new(names)));
        let policy = ScrapePolicy { allow_loopback: true, names };
        let sources = Sources::open(&BTreeMap::new(), policy, Clock::scaled(at, 1.0)).unwrap();
        Self::new(Some(format!("dns://vllm:{}/metrics", address.port())), &sources)
    }

    fn new(endpoints: Option<String>, sources: &Arc<Sources>) -> Self {
        let mut metadata: BTreeMap<String, String> =
            METADATA.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        metadata.extend(endpoints.map(|endpoints| ("endpoints".to_owned(), endpoints)));
        let spec = parse("team-a", "llama", &metadata, &Limits::default()).unwrap();
        let reader = sources.reader(&spec.target);
        Self { spec, reader, memory: Memory::default() }
    }

    /// Observes and decides at `at`.
    pub(crate) async fn tick(&mut self, at: Timestamp) -> Tick {
        let observation = self.reader.observe(at).await;
        let before = self.memory.clone();
        let stepped = step(&self.spec.setup, &observation, std::mem::take(&mut self.memory));
        self.memory = stepped.memory;
        let decision = stepped.decision;
        let broken = violations(&self.spec.setup, &observation, &before, &decision);
        Tick { observation, decision, broken }
    }
}
