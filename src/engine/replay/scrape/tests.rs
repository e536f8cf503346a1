//! A world looked at through scrapes.

use std::sync::Arc;
use std::time::Duration;

use super::{Pipeline, Scrapes};
use crate::engine::calendar::Calendar;
use crate::engine::decision::{State, Verdict};
use crate::engine::observation::{Latency, Observation, Phase, PodObservation, Role};
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::world::World;
use crate::engine::series::Sample;
use crate::engine::setup::{
    CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives, OnNoData, Setup, Strategy,
    Targets,
};
use crate::engine::step::{Memory, step};
use crate::engine::units::{Ratio, Replicas, Timestamp};

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A world with so many requests a second and pods, and its scrapes.
struct Seen {
    world: World,
    scrapes: Scrapes,
}

impl Seen {
    fn new(rate: u64, replicas: u32, settings: Settings) -> Self {
        let at = |idx: u64| Duration::from_millis(idx * 1000 / rate.max(1));
        let arrival = |idx| Arrival { at: at(idx), prompt: 1000, cached: 0, output: 200 };
        let arrivals: Arc<[Arrival]> = (0..rate * 3600).map(arrival).collect();
        let pipeline = Pipeline { interval: seconds(15), window: seconds(120), quantile: 0.95 };
        Self {
            world: World::new(settings, arrivals, replicas, 1),
            scrapes: Scrapes::new(pipeline, ORIGIN, (0, 12)),
        }
    }

    /// Lives until `to`, scraped whenever that is due.
    fn until(&mut self, to: u64) -> Observation {
        if self.world.now().is_zero() {
            self.scrapes.scrape(&self.world);
        }
        loop {
            let due = self.scrapes.due(&self.world);
            assert!(due > self.world.now(), "time goes on");
            if due > seconds(to) {
                break;
            }
            self.world.advance(due);
            self.scrapes.scrape(&self.world);
        }
        self.world.advance(seconds(to));
        self.scrapes.observe(ORIGIN.plus(seconds(to)))
    }
}

fn samples(pod: &PodObservation, role: Role) -> &[Sample] {
    pod.roles.get(&role).map_or(&[], |found| found.series[0].samples())
}

fn phases(observation: &Observation) -> Vec<Phase> {
    observation.pods.values().map(|pod| pod.phase).collect()
}

#[test]
fn each_pod_is_scraped_every_interval_at_a_phase_of_its_own() {
    let mut seen = Seen::new(2, 6, Settings::demo());
    let observation = seen.until(600);
    let mut offsets = Vec::new();
    for pod in observation.pods.values() {
        let samples = samples(pod, Role::Running);
        // 150 s of samples 15 s apart.
        assert!((10..=11).contains(&samples.len()), "{}", samples.len());
        for pair in samples.windows(2) {
            assert_eq!(pair[1].at.since(pair[0].at), seconds(15));
        }
        offsets.push(samples[0].at.unix_ms().rem_euclid(15_000));
        assert_eq!(pod.roles.len(), 10, "{:?}", pod.roles.keys());
    }
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!((observation.pods.len(), offsets.len()), (6, 6));
    let kept: usize = seen.scrapes.pods.values().map(|watched| watched.pages.len()).sum();
    assert!(kept <= 6 * 22, "five minutes and no more: {kept}");
}

#[test]
fn a_pod_is_seen_through_the_stages_of_its_life() {
    let mut seen = Seen::new(2, 1, Settings::demo());
    seen.until(60);
    seen.world.scale(2);
    let rows = [61, 75, 78, 110, 180, 240].map(|at| (at, phases(&seen.until(at))));
    let of = |at: u64| rows.iter().find(|row| row.0 == at).unwrap().1.clone();
    assert_eq!(of(61), [Phase::Ready], "not listed before the next scrape of the cluster");
    assert_eq!(of(78), [Phase::Ready, Phase::Loading]);
    assert_eq!(of(110), [Phase::Ready, Phase::Loading]);
    assert_eq!(of(180), [Phase::Ready, Phase::Ready]);
    let observation = seen.until(240);
    let pod = observation.pods.values().last().unwrap();
    assert_eq!(pod.created.map(|at| at.since(ORIGIN)), Some(seconds(60)));
    let ready = pod.ready.unwrap().since(ORIGIN).as_secs();
    assert!((120..170).contains(&ready), "{ready}");
    let first = seen.scrapes.pods[&1].pages[0].at;
    assert!(first >= pod.ready.unwrap(), "nobody answers before that");
}

#[test]
fn a_pod_that_became_ready_since_the_cluster_was_scraped_looks_as_it_does_to_the_product() {
    // Starts of 3 s: between two scrapes of the cluster a pod comes, is scraped, and is not listed;
    // or it is listed as loading and answers.
    let mut settings = Settings::demo();
    settings.cold_start.node = Duration::from_millis(10);
    settings.cold_start.pull = Duration::from_millis(10);
    settings.cold_start.load = seconds(2);
    let mut seen = Seen::new(2, 1, settings);
    let mut found = Vec::new();
    for at in 60..300 {
        if at % 17 == 0 {
            let wanted = seen.world.census().wanted;
            seen.world.scale(wanted + 1);
        }
        found.extend(phases(&seen.until(at)));
    }
    for phase in [Phase::Unknown, Phase::Unready, Phase::Ready] {
        assert!(found.contains(&phase), "{phase:?}");
    }
}

#[test]
fn a_pod_that_leaves_is_gone_with_the_next_scrape_of_the_cluster() {
    let mut seen = Seen::new(2, 3, Settings::demo());
    assert_eq!(seen.until(60).pods.len(), 3);
    seen.world.scale(2);
    let counts: Vec<(usize, u32)> = (60..80)
        .map(|at| {
            let observation = seen.until(at);
            (observation.pods.len(), observation.workload.spec_replicas.unwrap())
        })
        .collect();
    assert_eq!(counts.first(), Some(&(3, 3)));
    assert_eq!(counts.last(), Some(&(2, 2)));
    assert!(counts.iter().all(|(pods, spec)| *spec == u32::try_from(*pods).unwrap()), "{counts:?}");
}

#[test]
fn latencies_are_those_of_the_last_window_within_their_buckets() {
    let mut seen = Seen::new(4, 2, Settings::demo());
    assert_eq!(seen.until(20).latency[&Latency::Ttft].seconds, None, "one scrape is no rate");
    let observation = seen.until(600);
    let ttft = observation.latency[&Latency::Ttft];
    let truth = seen.world.ledger().ttft_p95_recent().unwrap().as_secs_f64();
    // The bucket that holds the truth is at most 0.15 s wide there.
    assert!((ttft.seconds.unwrap() - truth).abs() < 0.15, "{ttft:?} {truth}");
    // 4 requests a second over 120 s; extrapolation is exact for even traffic but for whole counts.
    assert!((ttft.observations.unwrap() - 480.0).abs() < 10.0, "{ttft:?}");
    assert!(!ttft.clamped);
}

#[test]
fn a_busy_gpu_is_busy_and_an_idle_one_is_not() {
    let of = |rate| {
        let mut seen = Seen::new(rate, 1, Settings::demo());
        let observation = seen.until(300);
        let pod = observation.pods.values().next().unwrap();
        samples(pod, Role::GpuUtilization).iter().map(|sample| sample.value).collect::<Vec<_>>()
    };
    assert!(of(0).iter().all(|busy| *busy == 0.0));
    let busy = of(8);
    assert!(busy.len() > 8 && busy.iter().all(|busy| (0.9..=1.0).contains(busy)), "{busy:?}");
}

#[test]
fn the_gateway_shows_what_is_inside_or_where_it_refuses_what_came() {
    let mut seen = Seen::new(2, 0, Settings::demo());
    let reading = seen.until(100).gateway.unwrap();
    let age = reading.age.unwrap();
    let held = seconds(100).checked_sub(age).unwrap().as_secs_f64() * 2.0;
    assert!(age < seconds(15) && reading.arrivals_per_second.is_none(), "{reading:?}");
    assert!((reading.held.unwrap() - held).abs() <= 2.0, "{reading:?}");

    let refusing = Settings { hold: Duration::ZERO, ..Settings::demo() };
    let mut seen = Seen::new(2, 0, refusing);
    let reading = seen.until(200).gateway.unwrap();
    // What grew across the minute's edge counts: a minute and up to one scrape.
    assert!((118.0..=152.0).contains(&reading.held.unwrap()), "{reading:?}");
    let rate = reading.arrivals_per_second.unwrap();
    assert!((rate - reading.held.unwrap() / 60.0).abs() < 1e-9, "{reading:?}");
}

/// The trigger as most people would write it.
fn setup() -> Setup {
    Setup {
        family: Family::Llm,
        has_kv: true,
        prefill_waits: false,
        targets: Targets::default(),
        gpu: GpuTargets::default(),
        objectives: Objectives::default(),
        own: Vec::new(),
        activation: 0.0,
        wake_path: true,
        idle_after: Duration::from_mins(5),
        activation_timeout: None,
        strategy: Strategy::Reactive,
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
        tick: seconds(15),
    }
}

#[test]
fn a_saturated_fleet_gives_the_engine_fresh_data_and_a_reason_to_grow() {
    let mut settings = Settings::demo();
    settings.profile.max_sequences = 16;
    let mut seen = Seen::new(26, 2, settings);
    let (setup, mut memory) = (setup(), Memory::default());
    let mut last = None;
    for tick in 0..=40 {
        let observation = seen.until(tick * 15);
        let done = step(&setup, &observation, memory);
        memory = done.memory;
        last = Some(done.decision);
    }
    let decision = last.unwrap();
    let inside = seen.world.census();
    assert!(inside.waiting > 100 && inside.running == 32, "it is saturated: {inside:?}");
    assert_eq!(decision.state, State::Fresh, "{decision:#?}");
    let Verdict::Scale { replicas, .. } = decision.verdict else { panic!("{decision:#?}") };
    assert!((3..=12).contains(&replicas.get()), "{decision:#?}");
    assert!(decision.terms.iter().all(|term| term.replicas.is_finite()), "{decision:#?}");
    assert!(decision.data_age.unwrap() < seconds(15));
    assert_eq!(
        (decision.current, decision.ready),
        (Some(Replicas::new(2)), Some(Replicas::new(2)))
    );
}
