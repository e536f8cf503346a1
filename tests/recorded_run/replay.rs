//! The run as prescale lives through it: one observation and one decision a tick.

use std::collections::BTreeMap;
use std::fmt;

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

/// The pod of the recorded server.
const POD: &str = "llama-7d9f8b6c5d-x2x4q";

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

    /// The newest sample of the pod's only series of `role`.
    pub(crate) fn sample(&self, role: Role) -> Sample {
        let found = &self.observation.pods[POD].roles[&role];
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
    pub(crate) fn new(url: String) -> Self {
        let metadata: BTreeMap<String, String> =
            METADATA.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let spec = parse("team-a", "llama", &metadata, &Limits::default()).unwrap();
        let datasources = [("default".to_owned(), DatasourceConfig::at(url))].into();
        let sources =
            Sources::open(&datasources, ScrapePolicy::default(), Clock::system()).unwrap();
        let reader = sources.reader(&spec.target);
        Self { spec, reader, memory: Memory::default() }
    }

    /// The ticks at `instants`, one after the other.
    pub(crate) async fn run(mut self, instants: &[Timestamp]) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for at in instants {
            ticks.push(self.tick(*at).await);
        }
        ticks
    }

    async fn tick(&mut self, at: Timestamp) -> Tick {
        let observation = self.reader.observe(at).await;
        let before = self.memory.clone();
        let stepped = step(&self.spec.setup, &observation, std::mem::take(&mut self.memory));
        self.memory = stepped.memory;
        let decision = stepped.decision;
        let broken = violations(&self.spec.setup, &observation, &before, &decision);
        Tick { observation, decision, broken }
    }
}
