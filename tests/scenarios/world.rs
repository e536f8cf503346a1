//! A small world that scenario files describe: pods with scrape history, a workload, a gateway, an
//! HPA that follows, and faults.
//!
//! Given `key=value` changes; promises one observation per tick as a source would assemble it. Load
//! is either given per pod (`waiting=0,0,38`) or, with `load=N` in flight, shared evenly by the ready
//! pods of `slots` requests each.

use std::collections::BTreeMap;
use std::time::Duration;

use prescale::engine::decision::{Decision, Verdict};
use prescale::engine::observation::{
    Combine, Fault, FaultKind, GatewayReading, Latency, LatencyReading, Observation, OwnReading,
    Phase, PodObservation, Role, RoleSeries,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::units::Timestamp;

/// How much scrape history a tick sees.
const HISTORY: Duration = Duration::from_secs(150);

struct Pod {
    created: Timestamp,
    ready: Option<Timestamp>,
    phase: Phase,
    samples: BTreeMap<Role, Vec<Sample>>,
    counters: BTreeMap<Role, f64>,
}

/// The world and the knobs that a scenario turns.
pub(crate) struct World {
    pods: BTreeMap<String, Pod>,
    born: u32,
    knobs: BTreeMap<String, String>,
    pub(crate) now: Timestamp,
    last_down: Option<Timestamp>,
    spec: Option<u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            pods: BTreeMap::new(),
            born: 0,
            knobs: BTreeMap::new(),
            now: Timestamp::from_unix_ms(1_800_000_000_000),
            last_down: None,
            spec: None,
        }
    }

    /// Turns a knob.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        match key {
            "replicas" => self.spec = value.parse().ok(),
            "pods" => self.keep_pods(value.parse().unwrap()),
            "restart" => self.restart(value),
            _ => {
                self.knobs.insert(key.to_owned(), value.to_owned());
            }
        }
    }

    fn knob(&self, key: &str) -> Option<&str> {
        self.knobs.get(key).map(String::as_str).filter(|value| *value != "off")
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.knob(key)?.parse().ok()
    }

    fn flag(&self, key: &str) -> bool {
        self.knob(key).is_some()
    }

    /// Exactly `count` pods: new ones are ready at once, the youngest go first.
    fn keep_pods(&mut self, count: usize) {
        while self.pods.len() > count {
            self.pods.pop_last();
        }
        while self.pods.len() < count {
            let name = self.add(Phase::Ready);
            let since = self.now.minus(Duration::from_hours(2));
            let pod = self.pods.get_mut(&name).unwrap();
            pod.created = since;
            pod.ready = Some(since.plus(Duration::from_secs(100)));
        }
    }

    fn add(&mut self, phase: Phase) -> String {
        self.born += 1;
        let name = format!("vllm-{:03}", self.born);
        let (samples, counters) = (BTreeMap::new(), BTreeMap::new());
        let pod = Pod { created: self.now, ready: None, phase, samples, counters };
        self.pods.insert(name.clone(), pod);
        name
    }

    /// Counters of a pod begin at zero again.
    fn restart(&mut self, idx: &str) {
        let idx: usize = idx.parse().unwrap();
        let pod = self.pods.values_mut().nth(idx).unwrap();
        pod.counters.clear();
    }

    /// Lets one tick pass: pods start and become ready, the HPA follows, pages are scraped.
    pub(crate) fn advance(&mut self, tick: Duration, decision: Option<&Decision>) {
        self.now = self.now.plus(tick);
        if let Some(decision) = decision.filter(|_| self.flag("follow")) {
            self.scale(decision);
        }
        self.start_pods();
        self.scrape(tick);
    }

    /// KEDA and the HPA shipped with prescale: up at once, down one pod per minute, to zero when
    /// inactive.
    fn scale(&mut self, decision: &Decision) {
        let Verdict::Scale { sent, active, .. } = decision.verdict else { return };
        let spec = self.spec.unwrap_or(0);
        let wanted = if active { sent.get().max(1) } else { 0 };
        let rested = self.last_down.is_none_or(|at| self.now.since(at) >= Duration::from_mins(1));
        if wanted > spec {
            self.spec = Some(wanted);
        } else if wanted < spec && rested {
            self.spec = Some(spec - 1);
            self.last_down = Some(self.now);
        }
        let spec = usize::try_from(self.spec.unwrap_or(0)).unwrap();
        while self.pods.len() > spec {
            self.pods.pop_last();
        }
        while self.pods.len() < spec {
            self.add(Phase::Pending);
        }
    }

    fn start_pods(&mut self) {
        let cold = Duration::from_secs_f64(self.number("cold").unwrap_or(60.0));
        let nodes: usize = self.number("nodes").map_or(usize::MAX, |nodes| {
            (0..1000)
                .find(|count| f64::from(*count) >= nodes)
                .map_or(0, |n| usize::try_from(n).unwrap())
        });
        let now = self.now;
        for pod in self.pods.values_mut().take(nodes) {
            let age = now.since(pod.created);
            pod.phase = match pod.phase {
                Phase::Pending | Phase::Loading if age >= cold => {
                    pod.ready = Some(now);
                    Phase::Ready
                }
                Phase::Pending if age >= Duration::from_secs(15) => Phase::Loading,
                Phase::Pending | Phase::Loading | Phase::Ready => pod.phase,
                Phase::Unready | Phase::Unknown => pod.phase,
            };
        }
    }

    fn scrape(&mut self, tick: Duration) {
        let ready = self.pods.values().filter(|pod| pod.phase == Phase::Ready).count();
        let shared = self.shared_load(ready);
        let names: Vec<String> = self.pods.keys().cloned().collect();
        let mut idx = 0;
        for name in names {
            if self.pods[&name].phase != Phase::Ready {
                continue;
            }
            let gauges = self.gauges(idx, &shared);
            let rates = self.rates(idx, &shared);
            idx += 1;
            let now = self.now;
            let pod = self.pods.get_mut(&name).unwrap();
            for (role, value) in gauges {
                pod.samples.entry(role).or_default().push(Sample { at: now, value });
            }
            for (role, rate) in rates {
                let counter = pod.counters.entry(role).or_default();
                *counter += rate * tick.as_secs_f64();
                let value = *counter;
                pod.samples.entry(role).or_default().push(Sample { at: now, value });
            }
            for samples in pod.samples.values_mut() {
                samples.retain(|sample| now.since(sample.at) <= HISTORY);
            }
        }
    }

    /// Running and waiting per ready pod of `load` requests in flight.
    fn shared_load(&self, ready: usize) -> Option<(f64, f64)> {
        let load = self.number("load")?;
        let pods = f64::from(u32::try_from(ready).unwrap().max(1));
        let slots = self.number("slots").unwrap_or(16.0);
        let running = (load / pods).min(slots);
        Some((running, load / pods - running))
    }

    /// The value of a per-pod knob; `None` when it is not given or is `-`.
    fn per_pod(&self, key: &str, idx: usize) -> Option<f64> {
        let text = self.knob(key)?;
        let mut values = text.split(',');
        let value = if text.contains(',') { values.nth(idx) } else { values.next() };
        value.and_then(|value| value.parse().ok())
    }

    fn gauges(&self, idx: usize, shared: &Option<(f64, f64)>) -> Vec<(Role, f64)> {
        let kv_each = self.number("kv_each").unwrap_or(0.04);
        let mut gauges = Vec::new();
        if let Some((running, waiting)) = shared {
            gauges.push((Role::Running, *running));
            gauges.push((Role::Waiting, *waiting));
            gauges.push((Role::KvUsage, (running * kv_each).min(1.0)));
        }
        let named = [
            ("waiting", Role::Waiting),
            ("running", Role::Running),
            ("kv", Role::KvUsage),
            ("kv_tokens", Role::KvTokens),
            ("awake", Role::Awake),
            ("gpu", Role::GpuUtilization),
            ("gpu_memory", Role::GpuMemoryUsed),
            ("gpu_memory_total", Role::GpuMemoryTotal),
            ("watts", Role::GpuPower),
        ];
        for (key, role) in named {
            if self.knob(key).is_some() {
                gauges.retain(|(seen, _)| *seen != role);
                gauges.extend(self.per_pod(key, idx).map(|value| (role, value)));
            }
        }
        gauges
    }

    fn rates(&self, idx: usize, shared: &Option<(f64, f64)>) -> Vec<(Role, f64)> {
        let service = self.number("service").unwrap_or(10.0);
        let mut rates = Vec::new();
        if let Some((running, _)) = shared {
            let served = running / service;
            rates.push((Role::Finished, served));
            rates.push((Role::GenerationTokens, served * 200.0));
            rates.push((Role::PromptTokens, served * 1000.0));
        }
        let named = [
            ("finished", Role::Finished),
            ("tokens", Role::GenerationTokens),
            ("prompt", Role::PromptTokens),
            ("rejected", Role::Rejections),
        ];
        for (key, role) in named {
            if self.knob(key).is_some() {
                rates.retain(|(seen, _)| *seen != role);
                rates.extend(self.per_pod(key, idx).map(|value| (role, value)));
            }
        }
        rates
    }

    /// What a source reads of this world now.
    pub(crate) fn observe(&self) -> Observation {
        let mut observation = Observation::empty(self.now);
        self.observe_outside(&mut observation);
        if self.flag("outage") {
            let (place, kind) = ("datasource main".to_owned(), FaultKind::ConnectTimeout);
            observation.faults.push(Fault { place, kind });
            return observation;
        }
        let unread = self.number("unread").unwrap_or(0.0);
        let phases_known = !self.flag("no_phases");
        for (idx, (name, pod)) in self.pods.iter().enumerate() {
            let phase = if phases_known { pod.phase } else { Phase::Unknown };
            let mut seen = PodObservation::new(phase);
            seen.created = phases_known.then_some(pod.created);
            seen.ready = pod.ready.filter(|_| phases_known);
            if f64::from(u32::try_from(idx).unwrap()) >= unread {
                seen.roles = self.roles(pod);
            }
            observation.pods.insert(name.clone(), seen);
        }
        observation.workload.phases_known = phases_known;
        observation.workload.spec_replicas = self.spec.filter(|_| !self.flag("no_spec"));
        observation.partial = self.flag("partial");
        observation
    }

    fn roles(&self, pod: &Pod) -> BTreeMap<Role, RoleSeries> {
        let series = |(role, samples): (&Role, &Vec<Sample>)| {
            let combine = if *role == Role::KvUsage { Combine::Mean } else { Combine::Sum };
            let series = vec![Series::new(samples.clone())];
            (*role, RoleSeries { metric: role.to_string(), combine, series })
        };
        pod.samples.iter().map(series).collect()
    }

    fn observe_outside(&self, observation: &mut Observation) {
        let outage = self.flag("outage");
        if let Some(held) = self.knob("held") {
            let held = held.parse().ok().filter(|_| !outage);
            let age = (!outage).then_some(Duration::from_secs(5));
            let reading = GatewayReading { held, age, ..GatewayReading::default() };
            observation.gateway = Some(reading);
        }
        if let Some(own) = self.knob("own") {
            let reading = |text: &str| OwnReading { value: text.parse().ok(), age: None };
            observation.own = own.split(',').map(reading).collect();
        }
        if let Some(ttft) = self.number("ttft") {
            let reading =
                LatencyReading { seconds: Some(ttft), clamped: false, observations: Some(100.0) };
            observation.latency.insert(Latency::Ttft, reading);
        }
    }
}
