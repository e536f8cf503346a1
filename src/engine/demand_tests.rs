//! Every term as a table: what was observed and known, and the term as people read it.

use std::time::Duration;

use crate::engine::calendar::Calendar;
use crate::engine::capacity::{Capacity, Shape};
use crate::engine::decision::Term;
use crate::engine::demand::{Asked, Cause, Input, Pressure, activation, terms};
use crate::engine::observation::{
    Combine, GatewayReading, Observation, OwnReading, Phase, PodObservation, Role, RoleSeries,
};
use crate::engine::series::{Sample, Series};
use crate::engine::setup::{
    CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives, OnNoData, OwnRole, OwnSignal,
    PowerTarget, Setup, Strategy, Targets,
};
use crate::engine::signals::{Bound, PodsSeen, Signals};
use crate::engine::units::{Ratio, Replicas, Timestamp};

const COLD: Duration = Duration::from_secs(100);

/// Two ready pods that show the same; counters by their rate.
struct World {
    setup: Setup,
    capacity: Capacity,
    pressure: Pressure,
    roles: Vec<(Role, f64)>,
    held: Option<f64>,
    own: Vec<f64>,
    pods: u32,
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_000_000)
}

/// What most tests set up.
pub(crate) fn setup() -> Setup {
    let ratio = |value| Ratio::try_new(value).unwrap();
    Setup {
        family: Family::Llm,
        has_kv: true,
        prefill_waits: false,
        targets: Targets { kv_cache: Some(ratio(0.7)), ..Targets::default() },
        gpu: GpuTargets::default(),
        objectives: Objectives::default(),
        own: Vec::new(),
        activation: 0.0,
        wake_path: false,
        idle_after: Duration::from_mins(5),
        activation_timeout: None,
        strategy: Strategy::Auto,
        lead: Lead::Learned,
        capacity: CapacitySeed::default(),
        min_replicas: None,
        max_replicas: None,
        replicas_limit: Replicas::new(1000),
        calendar: Calendar::default(),
        headroom: ratio(0.5),
        on_no_data: OnNoData::Hold,
        hpa_tolerance: None,
        forecast: Forecasting::default(),
        tick: Duration::from_secs(15),
    }
}

fn world(roles: &[(Role, f64)]) -> World {
    World {
        setup: setup(),
        capacity: Capacity::default(),
        pressure: Pressure::default(),
        roles: roles.to_vec(),
        held: None,
        own: Vec::new(),
        pods: 2,
    }
}

impl World {
    fn pod(&self) -> PodObservation {
        let mut pod = PodObservation::new(Phase::Ready);
        for (role, value) in &self.roles {
            let sample = |back: u32| {
                let grown = f64::from(60 - back) * value;
                let value = if role.is_counter() { grown } else { *value };
                Sample { at: now().minus(Duration::from_secs(back.into())), value }
            };
            let series = vec![Series::new([60, 45, 30, 15, 0].map(sample).to_vec())];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            pod.roles.insert(*role, found);
        }
        pod
    }

    fn lines(&self, of: fn(&Input<'_>) -> Vec<Term>) -> Vec<String> {
        let mut observation = Observation::empty(now());
        for idx in 0..self.pods {
            observation.pods.insert(format!("p{idx}"), self.pod());
        }
        let held = self.held;
        observation.workload.spec_replicas = Some(self.pods);
        observation.gateway = held.map(|_| GatewayReading { held, ..GatewayReading::default() });
        observation.own =
            self.own.iter().map(|value| OwnReading { value: Some(*value), age: None }).collect();
        let mut seen = PodsSeen::default();
        let signals = Signals::read(&self.setup, &observation, &mut seen, COLD * 2, false);
        let input = Input {
            setup: &self.setup,
            signals: &signals,
            bound: Bound::Low,
            capacity: &self.capacity,
            pressure: &self.pressure,
            headroom: self.setup.headroom,
            cold_start: COLD,
            slow: false,
        };
        of(&input).iter().map(ToString::to_string).collect()
    }

    fn check(&self, expected: &[&str]) {
        assert_eq!(self.lines(|input| terms(input, 1.0)), expected, "{:?}", self.roles);
    }
}

/// G of 100 tokens/s, P of 1000 tokens/s, requests of 200 computed prompt and 30 output tokens: 0.2 s
/// and 0.3 s of a replica, two per second.
fn known(world: &mut World) {
    let seed = CapacitySeed {
        kv_tokens: Some(10_000.0),
        prefill_tokens_per_second: Some(1000.0),
        generation_tokens_per_second: Some(100.0),
    };
    world.capacity.seed(&seed);
    world.capacity.shape =
        Some(Shape { uncached: 200.0, output: 30.0, requests: 100.0, at: now() });
}

const BUSY: [(Role, f64); 4] =
    [(Role::Waiting, 5.0), (Role::Running, 8.0), (Role::KvUsage, 0.35), (Role::Finished, 1.0)];

#[test]
fn kv_counts_what_is_used_and_what_waits() {
    let mut world = world(&BUSY);
    world.check(&["kv cache 0.7 caches / 0.7 per replica -> 1"]);
    // A running request holds a tenth of a cache: ten waiting ones hold another one.
    world.capacity.cache_per_request = Some((0.1, now()));
    world.check(&["kv cache 1.7 caches / 0.7 per replica -> 2.43"]);
}

#[test]
fn known_capacity_sizes_arrivals_and_backlog() {
    let mut world = world(&BUSY);
    known(&mut world);
    world.check(&[
        // 2 finished per second / (0.5 x 2); 10 waiting / (2 per second x 100 s).
        "rate 2 req/s / 1 per replica + 0.05 backlog -> 2.05",
        // 0.7 + 10 x (200 + 15) / 10000 = 0.915.
        "kv cache 0.91 caches / 0.7 per replica -> 1.31",
        "prefill 400 tokens/s / 500 per replica + 0.02 backlog -> 0.82",
    ]);
    // An objective of 1.2 s leaves one second for the prompts of the backlog.
    world.setup.objectives.ttft = Some(Duration::from_millis(1200));
    let prefill = "prefill 400 tokens/s / 500 per replica + 2 backlog -> 2.8";
    assert!(world.lines(|input| terms(input, 1.0)).contains(&prefill.to_owned()));
}

#[test]
fn a_gateways_queue_counts_beyond_what_the_engines_run() {
    let mut world = world(&BUSY);
    known(&mut world);
    world.held = Some(216.0);
    let rate = "rate 2 req/s / 1 per replica + 1 backlog -> 3";
    assert!(world.lines(|input| terms(input, 1.0)).contains(&rate.to_owned()));
}

#[test]
fn running_requests_keep_what_is_ready_and_never_more() {
    let mut world = world(&[(Role::Running, 8.0)]);
    for (most, expected) in [
        (16.0, "running 16 running / 16 per replica -> 1"),
        (5.0, "running 16 running / 5 per replica -> 2"),
        (1.0, "running 16 running / 4 per replica -> 2"),
    ] {
        world.capacity.running_without_queue = Some(most);
        world.check(&[expected]);
    }
    known(&mut world);
    assert!(world.lines(|input| terms(input, 1.0)).iter().all(|line| !line.contains("running")));
}

#[test]
fn the_users_targets_add_their_terms() {
    let mut world = world(&[
        (Role::Waiting, 19.0),
        (Role::Running, 8.0),
        (Role::Finished, 1.0),
        (Role::GenerationTokens, 50.0),
        (Role::PromptTokens, 200.0),
    ]);
    world.setup.targets = Targets {
        queue_depth: Some(5.0),
        concurrency: Some(10.0),
        request_rate: Some(2.0),
        token_rate: Some(100.0),
        kv_cache: None,
    };
    world.check(&[
        "queue 38 waiting / 5 per replica -> 7.6",
        "concurrency 54 in flight / 10 per replica -> 5.4",
        "token rate 500 tokens/s / 100 per replica -> 5",
        "request rate 2 req/s / 2 per replica -> 1",
    ]);
    // Once G is known the queue asks for what clears it in time, beside the running load: 2 + 1.
    known(&mut world);
    let queue = "queue 38 waiting / 5 per replica -> 3";
    assert!(world.lines(|input| terms(input, 1.0)).contains(&queue.to_owned()));
}

#[test]
fn own_signals_are_totals_or_means_per_ready_replica() {
    let mut world = world(&[]);
    world.setup.family = Family::Custom;
    let signal =
        |name: &str, role, total| OwnSignal { name: name.to_owned(), target: 0.5, role, total };
    world.setup.own = vec![
        signal("lag", OwnRole::Demand, true),
        signal("busy", OwnRole::Demand, false),
        signal("slow", OwnRole::Latency, true),
        signal("held", OwnRole::Activation, true),
    ];
    world.own = vec![3.0, 0.75, 9.0, 9.0];
    world.check(&[
        "signal lag 3 total / 0.5 per replica -> 6",
        "signal busy 1.5 total / 0.5 per replica -> 3",
    ]);
}

#[test]
fn gpus_drive_gpu_workloads_and_only_guard_engines() {
    let mut world = world(&[
        (Role::GpuUtilization, 0.9),
        (Role::GpuMemoryUsed, 3e10),
        (Role::GpuMemoryTotal, 6e10),
        (Role::GpuMemoryBandwidth, 0.5),
        (Role::GpuPower, 300.0),
        (Role::GpuPowerLimit, 600.0),
        (Role::Waiting, 0.0),
    ]);
    let ratio = |value| Some(Ratio::try_new(value).unwrap());
    world.setup.gpu = GpuTargets {
        utilization: ratio(0.8),
        memory: ratio(0.5),
        memory_bandwidth: ratio(0.25),
        power: Some(PowerTarget::Watts(100.0)),
    };
    world.check(&[]);
    let since = now().minus(Duration::from_secs(30));
    world.pressure.queue = Some((since, now()));
    world.check(&["gpu guard 0.9 busy -> 3"]);
    world.setup.family = Family::Gpu;
    world.check(&[
        "gpu power 600 power / 100 per replica -> 6",
        "gpu memory bandwidth 1 gpus / 0.25 per replica -> 4",
        "gpu utilization 1.8 gpus / 0.8 per replica -> 2.25",
        "gpu memory 1 gpus / 0.5 per replica -> 2",
    ]);
    world.setup.gpu.power = ratio(0.8).map(PowerTarget::OfLimit);
    let power = "gpu power 1 power / 0.8 per replica -> 1.25";
    assert!(world.lines(|input| terms(input, 1.0)).contains(&power.to_owned()));
}

#[test]
fn a_lasting_queue_asks_for_one_more() {
    let mut world = world(&[(Role::Waiting, 5.0)]);
    let asked = |cause| Some(Asked { replicas: 3, at: now(), cause });
    world.pressure.asked = asked(Cause::Unknown);
    world.check(&["lasting queue 10 waiting -> 3"]);
    world.pressure.asked = asked(Cause::Degraded(0.4));
    world.check(&["degradation 0.4 of earlier tokens/s -> 3"]);
}

#[test]
fn a_wake_is_as_large_as_what_is_held() {
    let held = |world: &World| world.lines(|input| activation(input).into_iter().collect());
    let mut world = world(&[]);
    (world.pods, world.held) = (0, Some(40.0));
    assert_eq!(held(&world), Vec::<String>::new());
    world.setup.targets.queue_depth = Some(5.0);
    assert_eq!(held(&world), ["activation 40 held / 5 per replica -> 8"]);
    world.setup.targets.concurrency = Some(8.0);
    assert_eq!(held(&world), ["activation 40 held / 8 per replica -> 5"]);
    world.setup.targets = Targets::default();
    known(&mut world);
    assert_eq!(held(&world), ["activation 40 held / 200 per replica -> 0.2"]);
}
