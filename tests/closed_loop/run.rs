//! One closed loop: fleet, engine and HPA, a tick of 15 s at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use prescale::demo::rehearsal::{Account, Rehearsal};
use prescale::engine::decision::Verdict;
use prescale::engine::invariants::violations;
use prescale::engine::step::{Memory, Step, step};
use prescale::spec::{Limits, Spec, parse};

/// Time between ticks, and between syncs of the HPA.
pub(crate) const TICK: Duration = Duration::from_secs(15);

const KEYS: [(&str, &str); 6] = [
    ("engine", "vllm"),
    ("endpoints", "dns://vllm-headless:8000/metrics"),
    ("gateway", "keda-http"),
    ("activationEndpoints", "http://gateway:8000/metrics"),
    ("maxReplicas", "40"),
    ("tick", "15s"),
];

/// A loop and what is measured of it.
pub(crate) struct Run {
    pub(crate) fleet: Rehearsal,
    spec: Spec,
    memory: Memory,
    passed: Duration,
    before: Account,
    /// Fewest and most replicas decided since [`Run::settle`].
    pub(crate) range: Option<(u32, u32)>,
    /// The worst p95 of the time to first token since then, in seconds.
    pub(crate) worst: f64,
}

impl Run {
    /// A loop before arrivals along `course`, with `keys` beside the usual ones.
    pub(crate) fn new(
        seed: u64,
        replicas: u32,
        course: &[(f64, f64)],
        keys: &[(&str, &str)],
    ) -> Self {
        let metadata: BTreeMap<String, String> = KEYS
            .iter()
            .chain(keys)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let fleet = Rehearsal::new(seed, replicas, course);
        let before = fleet.account();
        Self {
            fleet,
            spec: parse("demo", "vllm", &metadata, &Limits::default()).unwrap(),
            memory: Memory::default(),
            passed: Duration::ZERO,
            before,
            range: None,
            worst: 0.0,
        }
    }

    /// Runs until `minutes` have passed since the beginning.
    pub(crate) fn until(&mut self, minutes: f64) {
        while seconds(self.passed + TICK) <= minutes * 60.0 {
            self.passed += TICK;
            self.tick();
        }
    }

    /// Measures from here on.
    pub(crate) fn settle(&mut self) {
        self.before = self.fleet.account();
        (self.range, self.worst) = (None, 0.0);
    }

    /// Starts the engine anew, with nothing in its memory.
    pub(crate) fn forget(&mut self) {
        self.memory = Memory::default();
    }

    /// Share of the requests since [`Run::settle`] that got a first token within three seconds.
    pub(crate) fn attained(&self) -> f64 {
        let (before, after) = (self.before, self.fleet.account());
        ratio(after.within - before.within, after.arrived - before.arrived)
    }

    /// Requests per second that the engine believes one replica to carry.
    pub(crate) fn known(&self) -> Option<f64> {
        self.memory.capacity.request_rate()
    }

    fn tick(&mut self) {
        self.fleet.pass(TICK);
        let observation = self.fleet.observe(&self.spec.target);
        let before = std::mem::take(&mut self.memory);
        let Step { decision, memory } = step(&self.spec.setup, &observation, before.clone());
        let broken = violations(&self.spec.setup, &observation, &before, &decision);
        assert!(broken.is_empty(), "after {:?}: {broken:?} in {decision:#?}", self.passed);
        self.memory = memory;
        let (replicas, active) = match decision.verdict {
            Verdict::Scale { replicas, active, .. } => (Some(replicas.get()), Some(active)),
            Verdict::Refuse(_) => (None, None),
        };
        self.fleet.scale(replicas, active, true);
        if let Some(count) = replicas {
            let (low, high) = self.range.unwrap_or((count, count));
            self.range = Some((low.min(count), high.max(count)));
        }
        // It covers five minutes: once a minute misses nothing.
        if self.passed.as_secs().is_multiple_of(60) {
            self.worst = self.worst.max(self.fleet.ttft_p95().map_or(0.0, seconds));
        }
    }
}

/// A span in seconds.
pub(crate) fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

/// A quotient of counts that are far below 2^32.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    let float = |count: u64| f64::from(u32::try_from(count).unwrap());
    float(part) / float(whole.max(1))
}

/// `course` again and again; each begins where the one before ended.
pub(crate) fn repeated(course: &[(f64, f64)], times: u32) -> Vec<(f64, f64)> {
    let length = course.last().map_or(0.0, |(end, _)| *end);
    let shifted = |day: u32| {
        let from = f64::from(day) * length;
        course.iter().map(move |(at, rate)| (at + from, *rate))
    };
    (0..times).flat_map(shifted).collect()
}
