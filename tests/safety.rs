//! The safety contract against the engine as a whole: what a single bad, missing or contradictory
//! signal may never do to a workload that serves.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use prescale::engine::decision::{Decision, State, Verdict};
use prescale::engine::observation::{
    Combine, GatewayReading, Observation, OwnReading, Phase, PodObservation, Role, RoleSeries,
    WorkloadFacts,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};
use proptest::prelude::*;

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

fn setup(pairs: &[(&str, &str)]) -> Setup {
    let metadata: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    parse("team-a", "llama", &metadata, &Limits::default()).unwrap().setup
}

fn at(seconds: u64) -> Timestamp {
    ORIGIN.plus(Duration::from_secs(seconds))
}

/// One value of each required gauge, with ten samples 15 s apart, the newest `age` seconds old.
fn pod(now: Timestamp, age: u64, values: [f64; 3]) -> PodObservation {
    let mut pod = PodObservation::new(Phase::Ready);
    let roles = [Role::Waiting, Role::Running, Role::KvUsage];
    for (role, value) in roles.into_iter().zip(values) {
        let stamps = (0..10).rev().map(|back| now.minus(Duration::from_secs(age + 15 * back)));
        let series = Series::new(stamps.map(|at| Sample { at, value }).collect());
        let series = RoleSeries {
            metric: role.name().to_owned(),
            combine: Combine::Sum,
            series: vec![series],
        };
        pod.roles.insert(role, series);
    }
    pod
}

/// Pods that carry `values` each, seen by the cluster as well.
fn world(now: Timestamp, pods: u32, values: [f64; 3]) -> Observation {
    let mut observation = Observation::empty(now);
    for idx in 0..pods {
        observation.pods.insert(format!("llama-{idx}"), pod(now, 5, values));
    }
    observation.workload.spec_replicas = Some(pods);
    observation.workload.ready_replicas = Some(pods);
    observation.workload.phases_known = true;
    observation
}

/// Four busy pods: 96 requests in all, which by [`TRIGGER`] need six.
fn busy(now: Timestamp) -> Observation {
    world(now, 4, BUSY)
}

const BUSY: [f64; 3] = [0.0, 24.0, 0.3];

/// (replicas, active); `None` for an error.
fn told(decision: &Decision) -> Option<(u32, bool)> {
    match decision.verdict {
        Verdict::Scale { sent, active, .. } => Some((sent.get(), active)),
        Verdict::Refuse(_) => None,
    }
}

/// A workload that has served four pods' load for ten minutes: the memory, what was told last, and
/// the second of the next tick.
fn served(setup: &Setup, world: fn(Timestamp) -> Observation) -> (Memory, u32, u64) {
    let (mut memory, mut last) = (Memory::default(), None);
    for second in (0..600).step_by(15) {
        let next = step(setup, &world(at(second)), memory);
        memory = next.memory;
        last = told(&next.decision);
    }
    let (replicas, active) = last.unwrap();
    assert!(active && replicas >= 4, "{replicas}");
    (memory, replicas, 600)
}

/// For `seconds`, everything told is an error or at least `least` replicas and active.
fn never_below(
    what: &str,
    (setup, mut memory, from): (&Setup, Memory, u64),
    (least, seconds): (u32, u64),
    world: impl Fn(Timestamp) -> Observation,
) -> Memory {
    for second in (from..from + seconds).step_by(15) {
        let next = step(setup, &world(at(second)), memory);
        if let Some((replicas, active)) = told(&next.decision) {
            let ok = active && replicas >= least;
            assert!(ok, "{what}, after {} s: {:#?}", second - from, next.decision);
        }
        memory = next.memory;
    }
    memory
}

const TRIGGER: &[(&str, &str)] = &[("concurrency", "16"), ("maxReplicas", "10")];

/// Each row takes one witness away or makes it lie, while the others say what they always said.
#[test]
fn no_single_bad_signal_lowers_a_serving_workload_or_sends_it_to_sleep() {
    type Lie = (&'static str, fn(&mut Observation));
    let lies: [Lie; 13] = [
        ("spec replicas say 0", |o| o.workload.spec_replicas = Some(0)),
        ("spec replicas say 1", |o| o.workload.spec_replicas = Some(1)),
        ("the status says nobody is ready", |o| o.workload.ready_replicas = Some(0)),
        ("the HPA is new and says 0", |o| {
            o.workload.spec_replicas = None;
            o.workload.hpa_current = Some(0);
        }),
        ("the cluster says nothing", |o| o.workload = WorkloadFacts::default()),
        ("no pod exports anything", |o| o.pods.values_mut().for_each(|pod| pod.roles.clear())),
        ("three pods export nothing", |o| {
            o.pods.values_mut().skip(1).for_each(|pod| pod.roles.clear());
        }),
        ("no pod is seen", |o| o.pods.clear()),
        ("no pod is ready", |o| {
            o.pods.values_mut().for_each(|pod| pod.phase = Phase::Unready);
        }),
        ("one pod is seen", |o| {
            o.workload.phases_known = false;
            o.pods.retain(|name, _| name == "llama-0");
        }),
        ("nothing is seen", |o| *o = Observation::empty(o.at)),
        ("the headless name has no address", |o| {
            *o = Observation::empty(o.at);
            o.workload.addresses = Some(0);
        }),
        ("a partial answer", |o| {
            o.partial = true;
            o.pods.retain(|name, _| name == "llama-0");
        }),
    ];
    let setup = setup(TRIGGER);
    for (what, lie) in lies {
        let (memory, before, from) = served(&setup, busy);
        never_below(what, (&setup, memory, from), (before, 580), |now| {
            let mut observation = busy(now);
            lie(&mut observation);
            observation
        });
    }
}

/// Without memory, as after a restart: nothing below what is there, whoever of the witnesses is late.
#[test]
fn the_first_number_after_a_restart_is_not_below_what_is_there() {
    type Late = (&'static str, fn(&mut Observation));
    let rows: [Late; 6] = [
        ("all there", |_| {}),
        ("idle at the moment", |o| {
            o.pods.values_mut().for_each(|pod| *pod = self::pod(o.at, 5, [0.0, 0.0, 0.0]));
        }),
        ("spec replicas late", |o| o.workload.spec_replicas = Some(0)),
        ("no cluster facts", |o| o.workload = WorkloadFacts::default()),
        ("half of the pods unread", |o| {
            o.pods.values_mut().take(2).for_each(|pod| pod.roles.clear());
        }),
        ("nothing read", |o| o.pods.values_mut().for_each(|pod| pod.roles.clear())),
    ];
    let setup = setup(TRIGGER);
    for (what, late) in rows {
        never_below(what, (&setup, Memory::default(), 0), (4, 165), |now| {
            let mut observation = busy(now);
            late(&mut observation);
            observation
        });
    }
}

/// Everything has just restarted: the datasource has scraped one pod of four, and nobody counts them.
#[test]
fn the_first_number_waits_until_every_pod_can_have_been_read() {
    let setup = setup(TRIGGER);
    let mut memory = Memory::default();
    for second in (0..120).step_by(15) {
        let now = at(second);
        let mut observation = busy(now);
        observation.workload = WorkloadFacts::default();
        if second < 45 {
            observation.pods.retain(|name, _| name == "llama-0");
        }
        for pod in observation.pods.values_mut() {
            for role in pod.roles.values_mut() {
                let young = |sample: &&Sample| sample.at >= at(0).minus(Duration::from_secs(5));
                let samples = role.series[0].samples().iter().filter(young).copied().collect();
                role.series = vec![Series::new(samples)];
            }
        }
        let next = step(&setup, &observation, memory);
        let replicas = told(&next.decision).map(|(replicas, _)| replicas);
        assert_eq!(replicas, (second >= 60).then_some(6), "{second} s: {:#?}", next.decision);
        memory = next.memory;
    }
}

/// A name without addresses puts nothing to sleep: pods that are not ready have none, and whoever lost the
/// name does not see them. Once nothing was read for ten minutes that is an error; demand still wakes.
#[test]
fn a_headless_name_that_lost_its_addresses_is_no_zero_however_long_it_lasts() {
    let setup = setup(&[("endpoints", "dns://llama:8000/metrics"), ("gateway", "keda-http")]);
    let (memory, before, from) = served(&setup, busy);
    let empty = |now: Timestamp, held: f64| {
        let mut observation = Observation::empty(now);
        observation.workload.addresses = Some(0);
        let held = Some(held);
        observation.gateway = Some(GatewayReading { held, ..GatewayReading::default() });
        observation
    };
    let idle = |now: Timestamp| empty(now, 0.0);
    let mut memory = never_below("no address", (&setup, memory, from), (before, 570), idle);
    for seconds in [600, 615, 3600] {
        let next = step(&setup, &idle(at(from + seconds)), memory);
        assert_eq!((next.decision.state, told(&next.decision)), (State::Blind, None), "{seconds}");
        memory = next.memory;
    }
    let asked = step(&setup, &empty(at(from + 3615), 2.0), memory);
    assert_eq!(asked.decision.active(), Some(true), "{:#?}", asked.decision);
}

/// Nobody behind a name that nobody was ever seen behind: a misspelt one looks like that, before six pods
/// that serve. Demand and a schedule still wake.
#[test]
fn an_empty_headless_name_of_which_nothing_is_known_is_an_error_and_no_zero() {
    let empty = |held: Option<f64>| {
        let mut observation = Observation::empty(at(0));
        observation.workload.addresses = Some(0);
        observation.gateway =
            held.map(|held| GatewayReading { held: Some(held), ..GatewayReading::default() });
        observation
    };
    let plain = &[("endpoints", "dns://llama:8000/metrics")][..];
    let gateway = &[("endpoints", "dns://llama:8000/metrics"), ("gateway", "keda-http")][..];
    let rows = [(plain, None, false), (gateway, Some(0.0), false), (gateway, Some(3.0), true)];
    for (trigger, held, active) in rows {
        let decision = step(&setup(trigger), &empty(held), Memory::default()).decision;
        let Verdict::Refuse(refusal) = &decision.verdict else { panic!("{decision:#?}") };
        assert!(refusal.to_string().contains("no address behind the name"), "{refusal}");
        assert_eq!(decision.active(), active.then_some(true), "{decision:#?}");
        let asleep = Memory { last: Some(0), ..Memory::default() };
        let decision = step(&setup(trigger), &empty(held), asleep).decision;
        assert_eq!(told(&decision), Some((u32::from(active), active)), "{decision:#?}");
    }
}

/// Own signals alone, one of them unreadable, and nobody counts replicas: that a part of the demand is one
/// replica is no reason to scale ten to it.
#[test]
fn an_own_signal_that_is_part_of_the_demand_is_no_first_number() {
    let setup = setup(&[
        ("engine", "custom"),
        ("signals", "[{name: a, query: sum(a), target: 4}, {name: b, query: sum(b), target: 4}]"),
    ]);
    let observe = |b: Option<f64>| {
        let mut observation = Observation::empty(at(0));
        let age = Some(Duration::ZERO);
        observation.own = vec![OwnReading { value: Some(4.0), age }, OwnReading { value: b, age }];
        observation
    };
    assert_eq!(told(&step(&setup, &observe(None), Memory::default()).decision), None);
    let whole = step(&setup, &observe(Some(40.0)), Memory::default());
    assert_eq!(told(&whole.decision), Some((10, true)), "{:#?}", whole.decision);
    // What was told before stands.
    let held = step(&setup, &observe(None), whole.memory);
    assert_eq!(told(&held.decision), Some((10, true)));
}

/// Somebody loads, of how many nobody says: no first number rests on that.
#[test]
fn a_pod_that_never_answered_is_no_count_of_them() {
    let setup = setup(&[("endpoints", "http://llama:8000/metrics")]);
    let mut memory = Memory::default();
    for second in (0..1200).step_by(15) {
        let mut observation = Observation::empty(at(second));
        observation
            .pods
            .insert("llama-0.llama:8000".to_owned(), PodObservation::new(Phase::Loading));
        let next = step(&setup, &observation, memory);
        assert_eq!(told(&next.decision), None, "{second} s: {:#?}", next.decision);
        memory = next.memory;
    }
}

/// The wake was answered, but nobody could see it: pods that nobody sees are not put to sleep.
#[test]
fn a_wake_that_ends_in_an_outage_never_sends_the_woken_to_sleep() {
    let setup = setup(&[("gateway", "keda-http"), ("queueDepth", "5")]);
    let held = |held| GatewayReading { held, ..GatewayReading::default() };
    let mut asleep = Observation::empty(at(0));
    asleep.workload.spec_replicas = Some(0);
    asleep.gateway = Some(held(Some(3.0)));
    let woken = step(&setup, &asleep, Memory::default());
    assert_eq!(told(&woken.decision).map(|(_, active)| active), Some(true));
    let dead = |now: Timestamp| {
        let mut observation = Observation::empty(now);
        observation.gateway = Some(held(None));
        observation
    };
    let (least, hours) = (1, 3 * 3600);
    never_below("an outage", (&setup, woken.memory, 15), (least, hours), dead);
}

/// The other way round: where the cluster says that nobody is ready, a wake is given up and tried
/// again, later each time.
#[test]
fn a_wake_that_nobody_answers_goes_back_to_sleep_and_is_tried_again_later_and_later() {
    let setup = setup(&[("gateway", "keda-http"), ("queueDepth", "5")]);
    let mut memory = Memory::default();
    let mut edges = Vec::new();
    let mut before = false;
    for second in (0..4 * 3600).step_by(15) {
        let mut observation = Observation::empty(at(second));
        observation.workload.spec_replicas = Some(u32::from(before));
        observation.workload.ready_replicas = Some(0);
        let held = Some(3.0);
        observation.gateway = Some(GatewayReading { held, ..GatewayReading::default() });
        let next = step(&setup, &observation, memory);
        let (_, active) = told(&next.decision).unwrap();
        if active != before {
            edges.push(second / 60);
            before = active;
        }
        memory = next.memory;
    }
    // Awake for 15 minutes, asleep for 5, 10, 20, 40, 60.
    assert_eq!(edges, [0, 15, 20, 35, 45, 60, 80, 95, 135, 150, 210, 225]);
}

/// A dead Prometheus while asleep: no error and no wake for a day, and none when it is back.
#[test]
fn a_dead_prometheus_wakes_nobody_and_is_no_error() {
    for wake in [&[][..], &[("gateway", "keda-http")][..]] {
        let setup = setup(wake);
        let gateway = |held| {
            let reading = GatewayReading { held, ..GatewayReading::default() };
            (!wake.is_empty()).then_some(reading)
        };
        let mut memory = Memory::default();
        for second in (0..86_400).step_by(60) {
            let alive = !(60..=80_000).contains(&second);
            let mut observation = Observation::empty(at(second));
            observation.workload.spec_replicas = alive.then_some(0);
            observation.gateway = gateway(alive.then_some(0.0));
            let next = step(&setup, &observation, memory);
            assert_eq!(told(&next.decision), Some((0, false)), "{wake:?} at {second} s");
            memory = next.memory;
        }
    }
}

#[test]
fn an_own_signal_that_is_missing_or_old_lowers_nothing() {
    let signals = "- {name: jobs, query: sum(jobs), target: 10}";
    let setup = setup(&[("signals", signals), ("maxReplicas", "20")]);
    let with = |now: Timestamp, reading: OwnReading| {
        let mut observation = world(now, 4, [0.0, 1.0, 0.01]);
        observation.own = vec![reading];
        observation
    };
    let young = Some(Duration::from_secs(5));
    let mut memory = Memory::default();
    for second in (0..600).step_by(15) {
        let reading = OwnReading { value: Some(75.0), age: young };
        let next = step(&setup, &with(at(second), reading), memory);
        assert!(second < 300 || told(&next.decision) == Some((8, true)), "{second}");
        memory = next.memory;
    }
    let old = Some(Duration::from_secs(90));
    let rows = [
        (None, None),
        (Some(0.0), old),
        (Some(f64::NAN), young),
        (Some(-1.0), young),
        (Some(f64::INFINITY), young),
        (Some(1e300), young),
    ];
    for (value, age) in rows {
        let memory = memory.clone();
        let what = format!("{value:?} {age:?}");
        never_below(&what, (&setup, memory, 600), (8, 600), |now| {
            with(now, OwnReading { value, age })
        });
    }
}

/// Four to eight pods' load over a day, at night a tenth of it.
fn day(now: Timestamp) -> Observation {
    let hours = f64::from(u32::try_from(now.since(ORIGIN).as_secs()).unwrap()) / 3600.0;
    let share = 0.55 - 0.45 * (hours / 24.0 * std::f64::consts::TAU).cos();
    world(now, 8, [0.0, (24.0 * share).round(), 0.6 * share])
}

/// F1: outages from one tick to six hours, begun in every half hour of a day: no number below what
/// was wanted before, none inactive, an error from ten minutes on; and nothing lower in the three
/// minutes after it, whatever the world has come to.
#[test]
fn an_outage_of_any_length_at_any_time_of_day_lowers_nothing() {
    let setup = setup(&[("concurrency", "16"), ("maxReplicas", "40"), ("tick", "60s")]);
    let mut memory = Memory::default();
    for minute in 0..24 * 60 {
        let next = step(&setup, &day(at(minute * 60)), memory);
        memory = next.memory;
        let Some((before, true)) = told(&next.decision).filter(|_| minute % 30 == 29) else {
            continue;
        };
        for length in [1, 5, 12, 60, 360] {
            let mut dark = memory.clone();
            for missed in 1..=length + 3 {
                let now = at((minute + missed) * 60);
                let back = missed > length;
                let seen = if back { day(now) } else { Observation::empty(now) };
                let next = step(&setup, &seen, dark);
                let what = format!("minute {minute}, {missed} of {length}: {:#?}", next.decision);
                match told(&next.decision) {
                    Some((replicas, active)) => assert!(active && replicas >= before, "{what}"),
                    None => assert!(missed >= 10 && !back, "{what}"),
                }
                dark = next.memory;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// T18: any bit pattern in any gauge of any of the pods, for as long as it likes. What is in
    /// range may be true and is judged as a number; everything else lowers nothing.
    #[test]
    fn no_bit_pattern_of_a_gauge_lowers_the_decision(
        bits: u64, pods in 1_u8..16, role in 0_usize..3, ticks in 1_u64..20,
    ) {
        let poison = f64::from_bits(bits);
        let range = if role == 2 { 0.0..=1.01 } else { 0.0..=1e9 };
        prop_assume!(!range.contains(&poison));
        let setup = setup(TRIGGER);
        let (memory, before, from) = served(&setup, busy);
        let after = never_below("poison", (&setup, memory, from), (before, ticks * 15), |now| {
            let mut observation = busy(now);
            for (idx, seen) in observation.pods.values_mut().enumerate() {
                if pods & (1 << idx) != 0 {
                    let mut values = BUSY;
                    values[role] = poison;
                    *seen = pod(now, 5, values);
                }
            }
            observation
        });
        prop_assert!(after.last.unwrap() <= before + 1, "nor does it raise: {:?}", after.last);
    }
}
