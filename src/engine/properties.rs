//! Properties of the whole step, over arbitrary worlds: within limits, no NaN out, never lowered
//! blindly, never down inside the window, more demand never fewer replicas, same input same bytes.

#[cfg(test)]
mod ticks;

use std::time::Duration;

use proptest::prelude::*;

use crate::engine::calendar::{Bound, Calendar, Entry, Rule};
use crate::engine::capacity::Capacity;
use crate::engine::decide::max_replicas;
use crate::engine::decision::{Decision, Reason, Verdict};
use crate::engine::invariants::violations;
use crate::engine::numeric::replicas_ceil;
use crate::engine::observation::{
    Combine, GatewayReading, Observation, OwnReading, Phase, PodObservation, Role, RoleSeries,
};
use crate::engine::series::{Sample, Series};
use crate::engine::setup::{
    CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives, OnNoData, OwnRole, OwnSignal,
    Setup, Strategy as Scale, Targets,
};
use crate::engine::step::{Memory, step};
use crate::engine::units::{Ratio, Replicas, Timestamp};

use ticks::{Pod, Tick, calm, wild};

const TICK: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_mins(3);
const MAX: u32 = 40;

fn ratio(value: f64) -> Ratio {
    Ratio::try_new(value).unwrap()
}

fn setup(family: Family, own: bool, seeded: bool) -> Setup {
    let signal =
        OwnSignal { name: "lag".to_owned(), target: 10.0, role: OwnRole::Demand, total: true };
    let generation = seeded.then_some(500.0);
    Setup {
        family,
        has_kv: family == Family::Llm,
        prefill_waits: false,
        targets: Targets {
            queue_depth: own.then_some(5.0),
            kv_cache: Some(ratio(0.7)),
            ..Targets::default()
        },
        gpu: GpuTargets { utilization: Some(ratio(0.8)), ..GpuTargets::default() },
        objectives: Objectives::default(),
        own: if own || family == Family::Custom { vec![signal] } else { Vec::new() },
        activation: 0.0,
        wake_path: true,
        idle_after: Duration::from_mins(5),
        activation_timeout: None,
        strategy: Scale::Auto,
        lead: Lead::Learned,
        capacity: CapacitySeed {
            generation_tokens_per_second: generation,
            ..CapacitySeed::default()
        },
        min_replicas: None,
        max_replicas: Some(Replicas::new(MAX)),
        replicas_limit: Replicas::new(1000),
        calendar: Calendar::default(),
        headroom: ratio(0.7),
        on_no_data: OnNoData::Hold,
        hpa_tolerance: own.then(|| ratio(0.1)),
        forecast: Forecasting::default(),
        tick: TICK,
    }
}

/// A floor and a ceiling that hold in every minute, where they are given.
fn always(min: Option<u32>, max: Option<u32>) -> Calendar {
    let bound = |min: Option<u32>, max: Option<u32>| Bound {
        cron: "* * * * *".parse().unwrap(),
        min: min.map(Replicas::new),
        max: max.map(Replicas::new),
    };
    let bounds = vec![bound(min, None), bound(None, max)];
    let rule = Rule::Matching { from: None, until: None, bounds };
    Calendar::new(vec![Entry { zone: chrono_tz::Tz::UTC, rule }])
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![3 => Just(Family::Llm), 1 => Just(Family::Gpu), 1 => Just(Family::Custom)]
}

/// The observation of the last of `ticks`, 15 s apart, with the earlier ones as scrape history.
fn observe(ticks: &[Tick]) -> Observation {
    let at = |idx: usize| {
        let idx = u32::try_from(idx).unwrap();
        Timestamp::from_unix_ms(1_000_000_000).plus(TICK * idx)
    };
    let last = ticks.len() - 1;
    let mut observation = Observation::empty(at(last));
    for (number, pod) in ticks[last].pods.iter().enumerate() {
        let mut seen = PodObservation::new(pod.phase);
        for (role, _) in pod.gauges.iter().filter(|(_, value)| value.is_some()) {
            let samples = ticks.iter().enumerate().filter_map(|(idx, tick)| {
                let gauges = &tick.pods.get(number)?.gauges;
                let value = gauges.iter().find(|(seen, _)| seen == role)?.1?;
                Some(Sample { at: at(idx), value })
            });
            insert(&mut seen, *role, samples.collect());
        }
        let mut total = 0.0;
        let counter = ticks.iter().enumerate().map(|(idx, tick)| {
            total += tick.pods.get(number).map_or(0.0, |pod| pod.per_second * 15.0);
            Sample { at: at(idx), value: total }
        });
        let counter: Vec<Sample> = counter.collect();
        insert(&mut seen, Role::Finished, counter.clone());
        insert(&mut seen, Role::GenerationTokens, counter);
        observation.pods.insert(format!("pod-{number}"), seen);
    }
    let tick = &ticks[last];
    observation.workload.phases_known = true;
    observation.workload.spec_replicas = tick.spec;
    observation.gateway = Some(GatewayReading { held: tick.held, ..GatewayReading::default() });
    observation.own = vec![OwnReading { value: tick.own, age: None }];
    observation.partial = tick.partial;
    observation
}

fn insert(pod: &mut PodObservation, role: Role, samples: Vec<Sample>) {
    let series = vec![Series::new(samples)];
    pod.roles.insert(role, RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series });
}

/// Steps through all ticks; every decision keeps every invariant.
fn play(setup: &Setup, ticks: &[Tick]) -> (Vec<Decision>, Memory) {
    let (mut memory, mut decisions) = (Memory::default(), Vec::new());
    for until in 1..=ticks.len() {
        let observation = observe(&ticks[..until]);
        let asked = ticks[until - 1].asked;
        if asked {
            memory.wake.ask(observation.at);
        }
        let before = memory.clone();
        let next = step(setup, &observation, memory);
        let broken = violations(setup, &observation, &before, &next.decision);
        assert!(broken.is_empty(), "{broken:?} in {:#?}", next.decision);
        let may = max_replicas(setup, &observation) > 0;
        let heard = !may || next.decision.active() != Some(false);
        assert!(!asked || heard, "asked and not heard: {:#?}", next.decision);
        memory = next.memory;
        decisions.push(next.decision);
    }
    (decisions, memory)
}

fn replicas(decision: &Decision) -> Option<u32> {
    match decision.unmasked {
        Verdict::Scale { replicas, .. } => Some(replicas.get()),
        Verdict::Refuse(_) => None,
    }
}

fn need(decision: &Decision) -> u32 {
    decision.terms.first().map_or(0, |term| replicas_ceil(term.replicas)).min(MAX)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_keeps_every_invariant(
        ticks in wild(), family in family(), own: bool, seeded: bool,
    ) {
        play(&setup(family, own, seeded), &ticks);
    }

    #[test]
    fn every_number_is_within_the_calendar_and_every_invariant_holds(
        ticks in wild(), family in family(), own: bool,
        min in proptest::option::of(0..6_u32), max in proptest::option::of(0..50_u32),
    ) {
        let setup = Setup { calendar: always(min, max), ..setup(family, own, true) };
        let most = max.unwrap_or(MAX).min(MAX);
        let least = min.unwrap_or(0).min(most);
        for decision in play(&setup, &ticks).0 {
            let within = replicas(&decision).is_none_or(|count| (least..=most).contains(&count));
            prop_assert!(within, "{least}..{most}: {decision:#?}");
            prop_assert!(least == 0 || decision.active() != Some(false), "{decision:#?}");
        }
    }

    #[test]
    fn equal_inputs_give_equal_bytes_and_memory_survives_storage(
        ticks in wild(), family in family(), own: bool,
    ) {
        let setup = setup(family, own, true);
        let (decisions, memory) = play(&setup, &ticks);
        let (again, memory_again) = play(&setup, &ticks);
        let bytes = |decisions: &[Decision]| serde_json::to_vec(decisions).unwrap();
        prop_assert_eq!(bytes(&decisions), bytes(&again));
        let stored = serde_json::to_string(&memory).unwrap();
        prop_assert_eq!(&stored, &serde_json::to_string(&memory_again).unwrap());
        let restored: Memory = serde_json::from_str(&stored).unwrap();
        // What the forecast learned is not stored, but rebuilt from minutes.
        let kept = Memory { foresight: restored.foresight.clone(), ..memory };
        prop_assert_eq!(&restored, &kept);
        prop_assert_eq!(serde_json::to_string(&restored).unwrap(), stored);
    }

    #[test]
    fn a_poisoned_sample_is_a_missing_one(
        ticks in calm(2..7), bits: u64, at in 0..3_usize, role in 0..3_usize, own: bool,
    ) {
        let any = f64::from_bits(bits);
        let poison = if (0.0..=1e9).contains(&any) { -1.0 - any } else { any };
        let setup = setup(Family::Llm, own, true);
        let (_, memory) = play(&setup, &ticks[..ticks.len() - 1]);
        let last = ticks.len() - 1;
        let (mut poisoned, mut without) = (ticks.clone(), ticks);
        poisoned[last].pods[at].gauges[role].1 = Some(poison);
        without[last].pods[at].gauges[role].1 = Some(f64::NAN);
        let poisoned = step(&setup, &observe(&poisoned), memory.clone());
        let without = step(&setup, &observe(&without), memory);
        prop_assert!(replicas(&poisoned.decision) >= replicas(&without.decision));
    }

    #[test]
    fn missing_data_never_lowers(
        ticks in calm(2..7), gone in 1..8_u8, family in family(), own: bool,
    ) {
        let setup = setup(family, own, true);
        let (decisions, memory) = play(&setup, &ticks[..ticks.len() - 1]);
        let before = replicas(decisions.last().unwrap());
        let mut observation = observe(&ticks);
        for (idx, pod) in observation.pods.values_mut().enumerate() {
            if gone & (1 << idx) != 0 {
                pod.roles.clear();
            }
        }
        observation.own.clear();
        let after = step(&setup, &observation, memory).decision;
        // With nothing missing that the family needs, going down is allowed.
        let complete = after.state == crate::engine::decision::State::Fresh;
        prop_assert!(complete || replicas(&after) >= before, "{after:#?}");
    }

    #[test]
    fn more_demand_never_means_fewer_replicas(
        ticks in calm(2..9), more in 1.0..4.0_f64, pods in 1..8_u8, roles in 1..8_u8,
        own: bool, seeded: bool,
    ) {
        let setup = setup(Family::Llm, own, seeded);
        let (_, memory) = play(&setup, &ticks[..ticks.len() - 1]);
        let last = ticks.len() - 1;
        let mut heavier = ticks.clone();
        for (idx, pod) in heavier[last].pods.iter_mut().enumerate() {
            for (kind, (role, value)) in pod.gauges.iter_mut().take(3).enumerate() {
                if pods & (1 << idx) != 0 && roles & (1 << kind) != 0 {
                    let top = if *role == Role::KvUsage { 1.0 } else { f64::MAX };
                    *value = value.map(|value| (value * more).min(top));
                }
            }
        }
        let less = step(&setup, &observe(&ticks), memory.clone()).decision;
        let heavier = step(&setup, &observe(&heavier), memory).decision;
        // What is read out of all proportion is not believed, and its pod's gauges count for nothing in
        // arrivals, until a second sample says the same.
        let is_doubted = |reason: &Reason| matches!(reason, Reason::Outlier { .. });
        prop_assume!(!heavier.reasons.iter().any(is_doubted));
        prop_assert!(replicas(&heavier) >= replicas(&less), "{less:#?} {heavier:#?}");
    }

    #[test]
    fn nothing_goes_down_inside_the_window(ticks in calm(2..30), own: bool, seeded: bool) {
        let setup = setup(Family::Llm, own, seeded);
        let (decisions, _) = play(&setup, &ticks);
        for (idx, decision) in decisions.iter().enumerate() {
            let lately = decisions[..=idx].iter().filter(|then| {
                decision.at.since(then.at) < WINDOW
            });
            let peak = lately.map(need).max().unwrap_or(0);
            prop_assert!(replicas(decision) >= Some(peak));
        }
        // A brand-new memory never goes below what is there before it has a window of data.
        let young = decisions.iter().filter(|then| then.at.since(decisions[0].at) < WINDOW);
        prop_assert!(young.clone().all(|decision| replicas(decision) >= Some(3)));
    }
}

/// What a replica is thought to carry after twelve quiet ticks of three pods, each with 4 requests that
/// hold 0.4 of its cache and 2 of 100 tokens finished per second, and `spoil`ed afterwards.
fn learned(more: usize, spoil: impl Fn(usize, &mut Observation)) -> Capacity {
    let gauges =
        || vec![(Role::Waiting, Some(0.0)), (Role::Running, Some(4.0)), (Role::KvUsage, Some(0.4))];
    let pod = || Pod { phase: Phase::Ready, gauges: gauges(), per_second: 2.0 };
    let tick = || Tick {
        pods: vec![pod(), pod(), pod()],
        spec: Some(3),
        held: Some(0.0),
        own: None,
        partial: false,
        asked: false,
    };
    let ticks: Vec<Tick> = (0..12 + more).map(|_| tick()).collect();
    let setup = setup(Family::Llm, false, false);
    let mut memory = Memory::default();
    for until in 1..=ticks.len() {
        let mut observation = observe(&ticks[..until]);
        for pod in observation.pods.values_mut() {
            let found = pod.roles.get_mut(&Role::GenerationTokens).unwrap();
            let tokens = found.series[0].samples().iter();
            let tokens = tokens.map(|one| Sample { value: one.value * 100.0, ..*one }).collect();
            found.series = vec![Series::new(tokens)];
        }
        if until > 12 {
            spoil(until - 13, &mut observation);
        }
        memory = step(&setup, &observation, memory).memory;
    }
    memory.capacity
}

#[test]
fn what_cannot_be_read_or_lies_does_not_make_requests_look_smaller() {
    type Spoil = fn(usize, &mut Observation);
    fn without(observation: &mut Observation, names: &[&str], role: Role) {
        for name in names {
            observation.pods.get_mut(*name).unwrap().roles.remove(&role);
        }
    }
    let rows: [(&str, Spoil); 5] = [
        ("nothing", |_, _| ()),
        ("tokens of two pods are gone", |_, observation| {
            without(observation, &["pod-0", "pod-1"], Role::GenerationTokens);
        }),
        ("caches of two pods are gone", |_, observation| {
            without(observation, &["pod-0", "pod-1"], Role::KvUsage);
        }),
        ("two pods are unread", |_, observation| {
            for name in ["pod-0", "pod-1"] {
                observation.pods.get_mut(name).unwrap().roles.clear();
            }
        }),
        ("all gauges of running requests lie", |since, observation| {
            for pod in observation.pods.values_mut() {
                let found = pod.roles.get_mut(&Role::Running).unwrap();
                let mut samples = found.series[0].samples().to_vec();
                let from = samples.len() - since.min(3) - 1;
                samples[from..].iter_mut().for_each(|sample| sample.value = 1e6);
                found.series = vec![Series::new(samples)];
            }
        }),
    ];
    for (what, spoil) in rows {
        let found = learned(4, spoil);
        let shape = found.shape.unwrap();
        let (held, _) = found.cache_per_request.unwrap();
        assert!((95.0..105.0).contains(&shape.output), "{what}: {shape:?}");
        // A lying gauge is divided by; nothing else moves it.
        assert!(what.ends_with("lie") || (0.099..0.101).contains(&held), "{what}: {held}");
        assert!(found.request_rate().is_none_or(|rate| rate < 100.0), "{what}: {found:?}");
    }
}
