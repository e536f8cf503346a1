//! Hand-made sights of a workload, for the tests of its siblings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::calendar::Calendar;
use crate::engine::observation::{
    Combine, GatewayReading, Latency, LatencyReading, Observation, Phase, PodObservation, Role,
    RoleSeries,
};
use crate::engine::replay::law::View;
use crate::engine::replay::policy::entry::Context;
use crate::engine::replay::profile::Profile;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::score::Objectives;
use crate::engine::series::{Sample, Series};
use crate::engine::setup::{
    CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives as Wanted, OnNoData, Setup,
    Strategy, Targets,
};
use crate::engine::units::{Ratio, Replicas, Timestamp};

/// Midnight (UTC) of a Friday.
const ORIGIN: i64 = 1_700_179_200_000;

/// Seconds of `count` hours.
pub(super) const fn hours(count: u64) -> u64 {
    3600 * count
}

/// A workload of which one replica carries one request per second.
pub(super) fn context(limits: (u32, u32)) -> Context {
    Context {
        objectives: Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) },
        limits,
        profile: Profile::llama_3_8b_h100(),
        knee: 1.0,
        cold_start: Duration::from_secs(100),
        setup: setup(),
        arrivals: Arc::from([]),
        length: Duration::from_hours(1),
        origin: Timestamp::from_unix_ms(ORIGIN),
    }
}

fn setup() -> Setup {
    Setup {
        family: Family::Llm,
        has_kv: true,
        prefill_waits: false,
        targets: Targets { kv_cache: Some(Ratio::try_new(0.7).unwrap()), ..Targets::default() },
        gpu: GpuTargets::default(),
        objectives: Wanted::default(),
        own: Vec::new(),
        activation: 0.0,
        wake_path: true,
        idle_after: Duration::from_mins(5),
        activation_timeout: None,
        strategy: Strategy::Auto,
        lead: Lead::Learned,
        capacity: CapacitySeed::default(),
        min_replicas: None,
        max_replicas: None,
        replicas_limit: Replicas::new(1000),
        calendar: Calendar::default(),
        headroom: Ratio::try_new(0.7).unwrap(),
        on_no_data: OnNoData::Hold,
        hpa_tolerance: None,
        forecast: Forecasting::default(),
        tick: Duration::from_secs(15),
    }
}

/// Equal requests, evenly spaced: (seconds, requests per second) one after another.
pub(super) fn evenly(stages: &[(u64, f64)]) -> Arc<[Arrival]> {
    let mut arrivals = Vec::new();
    let mut begin = 0;
    for (seconds, rate) in stages {
        let gap = Duration::from_secs_f64(1.0 / rate);
        let mut at = Duration::from_secs(begin);
        begin += seconds;
        while at < Duration::from_secs(begin) {
            arrivals.push(Arrival { at, prompt: 1000, cached: 0, output: 200 });
            at += gap;
        }
    }
    arrivals.into()
}

/// What a law is shown.
pub(super) struct Sight {
    observation: Observation,
    spec: u32,
    pods: u32,
    ready: u32,
    age: Duration,
}

impl Sight {
    /// So many replicas wanted and there, so many of them ready; nothing scraped.
    pub(super) fn new(spec: u32, ready: u32) -> Self {
        let mut observation = Observation::empty(Timestamp::from_unix_ms(ORIGIN));
        observation.workload.spec_replicas = Some(spec);
        observation.workload.ready_replicas = Some(ready);
        observation.workload.phases_known = true;
        Self { observation, spec, pods: spec, ready, age: Duration::ZERO }
    }

    /// The same, `seconds` later; before anything is scraped.
    pub(super) fn later(mut self, seconds: u64) -> Self {
        self.observation.at = self.observation.at.plus(Duration::from_secs(seconds));
        self
    }

    /// What is scraped from here on is so many seconds old.
    pub(super) fn aged(mut self, seconds: u64) -> Self {
        self.age = Duration::from_secs(seconds);
        self
    }

    /// Gauges, pod by pod.
    pub(super) fn pods(mut self, roles: &[(Role, &[f64])]) -> Self {
        let at = self.observation.at.minus(self.age);
        for (role, values) in roles {
            for (idx, value) in values.iter().enumerate() {
                let samples = vec![Sample { at, value: *value }];
                self.insert(idx, *role, samples);
            }
        }
        self
    }

    /// Counters that grew by so much per second over the last minute, pod by pod.
    pub(super) fn counters(mut self, roles: &[(Role, &[f64])]) -> Self {
        let at = self.observation.at;
        for (role, rates) in roles {
            for (idx, rate) in rates.iter().enumerate() {
                // A jump of the newest sample would not count until a next one confirms it.
                let sample = |ago: u32| Sample {
                    at: at.minus(Duration::from_secs(u64::from(ago))),
                    value: rate * f64::from(60 - ago),
                };
                self.insert(idx, *role, vec![sample(60), sample(30), sample(0)]);
            }
        }
        self
    }

    /// What one pod showed so many seconds ago.
    pub(super) fn shown(mut self, idx: usize, role: Role, values: &[(u64, f64)]) -> Self {
        let at = self.observation.at;
        let sample = |(ago, value): &(u64, f64)| Sample {
            at: at.minus(Duration::from_secs(*ago)),
            value: *value,
        };
        self.insert(idx, role, values.iter().map(sample).collect());
        self
    }

    /// A pod's phase.
    pub(super) fn phase(mut self, idx: usize, phase: Phase) -> Self {
        self.pod(idx).phase = phase;
        self
    }

    /// Held, and arriving per second.
    pub(super) fn gateway(mut self, held: f64, rate: f64) -> Self {
        self.observation.gateway = Some(GatewayReading {
            held: Some(held),
            arrivals_per_second: Some(rate),
            age: Some(self.age),
            refuses: false,
        });
        self
    }

    /// Held by a gateway that counts nothing else.
    pub(super) fn holding(mut self, held: f64) -> Self {
        self.observation.gateway = Some(GatewayReading {
            held: Some(held),
            arrivals_per_second: None,
            age: Some(self.age),
            refuses: false,
        });
        self
    }

    /// Seconds to the first token and between tokens.
    pub(super) fn latency(mut self, ttft: Option<f64>, tpot: Option<f64>) -> Self {
        let reading = |seconds| LatencyReading { seconds, clamped: false, observations: None };
        self.observation.latency =
            BTreeMap::from([(Latency::Ttft, reading(ttft)), (Latency::InterToken, reading(tpot))]);
        self
    }

    /// As a law sees it.
    pub(super) fn view(&self) -> View<'_> {
        let Self { observation, spec, pods, ready, .. } = self;
        View { at: observation.at, observation, spec: *spec, pods: *pods, ready: *ready }
    }

    fn pod(&mut self, idx: usize) -> &mut PodObservation {
        let pod = || PodObservation::new(Phase::Ready);
        self.observation.pods.entry(format!("pod-{idx}")).or_insert_with(pod)
    }

    fn insert(&mut self, idx: usize, role: Role, samples: Vec<Sample>) {
        let series = vec![Series::new(samples)];
        let found = RoleSeries { metric: role.name().to_owned(), combine: Combine::Sum, series };
        self.pod(idx).roles.insert(role, found);
    }
}
