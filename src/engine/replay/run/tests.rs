//! Small scenes under laws from closures.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Scene, run};
use crate::engine::observation::{Observation, Phase, Role};
use crate::engine::replay::disturb::{Disturbance, Kind};
use crate::engine::replay::hpa::Behavior;
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::{Actuator, Keda};
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::score::Trial;
use crate::engine::replay::scrape::Pipeline;
use crate::engine::units::Timestamp;

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

/// A law from a closure.
struct Told<F>(F);

impl<F> fmt::Debug for Told<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl<F: FnMut(&View<'_>) -> Answer + Send> Law for Told<F> {
    fn look(&mut self, view: &View<'_>) -> Answer {
        (self.0)(view)
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Even arrivals from `from` to `to` seconds, so many a second.
fn even(from: u64, to: u64, rate: u64) -> Vec<Arrival> {
    let count = (to - from) * rate;
    let at = |idx: u64| seconds(from) + Duration::from_millis(idx * 1000 / rate);
    (0..count).map(|idx| Arrival { at: at(idx), prompt: 1000, cached: 0, output: 100 }).collect()
}

fn scene(arrivals: Vec<Arrival>, length: u64, initial: u32) -> Scene {
    let settings = Settings::demo();
    Scene {
        arrivals: arrivals.into(),
        length: seconds(length),
        origin: ORIGIN,
        objectives: settings.objectives,
        initial,
        seed: 1,
        pipeline: Pipeline { interval: seconds(15), window: seconds(120), quantile: 0.95 },
        settings,
        limits: (0, 12),
        disturbances: Vec::new(),
    }
}

fn keda(push: bool) -> Actuator {
    let hpa = Behavior::shipped(1, 12);
    Actuator::Keda(Keda { polling: seconds(5), cooldown: seconds(60), push, min: 0, hpa })
}

/// So many replicas wanted, as prescale's trigger says it and as a controller of one's own does.
fn wants(replicas: u32) -> Answer {
    let metric = Metric::Average { value: f64::from(replicas), target: 1.0 };
    Answer {
        metrics: vec![Some(metric)],
        active: Some(replicas > 0),
        replicas: Some(replicas),
        broken: Vec::new(),
    }
}

fn error() -> Answer {
    Answer { metrics: vec![None], ..Answer::default() }
}

/// Seconds since the beginning.
fn since(at: Timestamp) -> u64 {
    at.since(ORIGIN).as_secs()
}

/// The run under a law that looks every 15 s.
fn told(scene: &Scene, actuator: &Actuator, law: impl FnMut(&View<'_>) -> Answer + Send) -> Trial {
    run(scene, &mut Told(law), seconds(15), actuator)
}

#[test]
fn a_constant_answer_is_carried_out_by_either_hand() {
    for (actuator, wanted, initial) in
        [(keda(true), 3, 1), (Actuator::Direct, 3, 1), (keda(true), 1, 4), (Actuator::Direct, 0, 4)]
    {
        let trial = told(&scene(even(0, 600, 2), 1200, initial), &actuator, |_| wants(wanted));
        let last = trial.course.last().unwrap();
        assert_eq!((last.desired, last.at), (wanted, 1200.0), "{actuator:?}");
        assert_eq!(
            (trial.score.desired_min, trial.score.desired_max),
            (Some(wanted), Some(wanted))
        );
        assert_eq!(trial.score.requests, 1200);
        let created = trial.course.iter().map(|moment| u64::from(moment.created)).sum::<u64>();
        assert_eq!(created, u64::from(wanted.saturating_sub(initial)), "{actuator:?}");
    }
}

#[test]
fn errors_hold_whatever_there_is() {
    let trial = told(&scene(even(0, 600, 2), 1800, 3), &keda(true), |_| error());
    assert_eq!((trial.score.replicas_min, trial.score.replicas_max), (3, 3));
    assert_eq!((trial.score.scale_events, trial.score.failed), (0, 0));
    // One GPU a replica, three of them, half an hour.
    assert!((trial.score.gpu_hours - 1.5).abs() < 1e-9, "{}", trial.score.gpu_hours);
    assert!((trial.score.replicas_mean - 3.0).abs() < 1e-9);
    assert!((trial.score.attainment() - 1.0).abs() < 1e-9, "{:?}", trial.score);
}

#[test]
fn a_push_opens_the_door_at_once_and_a_poll_within_its_interval() {
    for (push, latest) in [(true, 61.0), (false, 66.0)] {
        let mut scene = scene(vec![], 300, 0);
        scene.limits = (0, 4);
        let asleep = |view: &View<'_>| wants(u32::from(since(view.at) >= 60));
        let trial = told(&scene, &keda(push), asleep);
        let up = trial.course.iter().find(|moment| moment.desired > 0).unwrap();
        assert!((60.0..=latest).contains(&up.at), "{push}: {}", up.at);
        assert_eq!((trial.score.wakes, trial.score.cold_starts), (1, 1));
    }
}

#[test]
fn the_door_closes_after_the_cooldown_from_any_number() {
    let asleep = |view: &View<'_>| wants(if since(view.at) < 60 { 3 } else { 0 });
    let trial = told(&scene(vec![], 300, 3), &keda(true), asleep);
    let down = trial.course.iter().find(|moment| moment.desired == 0).unwrap();
    // The last look that says active is at 45 s; polls read it until the one at 60 s.
    assert!((115.0..=126.0).contains(&down.at), "{}", down.at);
}

#[test]
fn what_is_there_is_seen_as_late_as_prometheus_sees_it() {
    let mut scene = scene(even(100, 400, 30), 420, 1);
    scene.settings.profile.max_sequences = 8;
    let mut ages = Vec::new();
    let mut first = None;
    let trial = told(&scene, &Actuator::Direct, |view| {
        for pod in view.observation.pods.values() {
            let Some(found) = pod.roles.get(&Role::Waiting) else { continue };
            let newest = found.series[0].latest().unwrap();
            ages.push(view.at.since(newest.at).as_secs_f64());
            if newest.value > 0.0 && first.is_none() {
                first = Some(since(view.at));
            }
        }
        wants(1)
    });
    assert!(trial.course.iter().any(|moment| moment.queue > 50), "a queue is there to be seen");
    // One pod, one phase: every look finds the newest sample equally old, less than an interval.
    assert!(ages.len() > 20 && ages.iter().all(|age| (0.0..15.0).contains(age)), "{ages:?}");
    let queue = trial.course.iter().find(|moment| moment.queue > 0).unwrap().at;
    let seen = first.unwrap();
    assert!(seen >= 105 && f64::from(u32::try_from(seen).unwrap()) >= queue, "{seen} {queue}");
    assert!(seen <= 135, "{seen}");
}

#[test]
fn the_clusters_facts_lag_by_a_scrape() {
    let mut seen = Vec::new();
    told(&scene(vec![], 300, 1), &Actuator::Direct, |view| {
        let Observation { workload, pods, .. } = view.observation;
        let phases: Vec<Phase> = pods.values().map(|pod| pod.phase).collect();
        seen.push((since(view.at), workload.spec_replicas, workload.ready_replicas, phases));
        assert_eq!((workload.hpa_min, workload.hpa_max), (Some(1), Some(12)));
        assert_eq!(view.spec, if since(view.at) <= 60 { 1 } else { 2 });
        wants(if since(view.at) < 60 { 1 } else { 2 })
    });
    let spec_at = |at: u64| seen.iter().find(|row| row.0 == at).unwrap().1;
    assert_eq!((spec_at(0), spec_at(60), spec_at(75)), (Some(1), Some(1), Some(2)));
    let row = seen.iter().find(|row| row.0 == 90).unwrap();
    assert_eq!((row.2, row.3.clone()), (Some(1), vec![Phase::Ready, Phase::Loading]));
    let last = seen.last().unwrap();
    assert_eq!((last.2, last.3.clone()), (Some(2), vec![Phase::Ready, Phase::Ready]));
}

#[test]
fn requests_inside_at_the_end_are_followed_and_cost_nothing_more() {
    // Ten minutes of tokens at 7 ms each, asked for in the last second.
    let long = |output| Arrival { at: seconds(59), prompt: 100, cached: 0, output };
    for (output, failed) in [(40_000, 0), (200_000, 1)] {
        let trial = told(&scene(vec![long(output)], 60, 1), &Actuator::Direct, |_| wants(1));
        assert_eq!((trial.score.requests, trial.score.failed), (1, failed), "{output}");
        assert!((trial.score.gpu_hours - 60.0 / 3600.0).abs() < 1e-9, "{:?}", trial.score);
        assert!((trial.course.last().unwrap().at - 60.0).abs() < 1e-9);
    }
}

#[test]
fn the_same_scene_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let mut scene = scene(even(0, 900, 6), 1200, 1);
        scene.seed = seed;
        scene.disturbances = Disturbance::draw(seed, scene.length);
        let trial = told(&scene, &keda(true), |view| {
            let queue: f64 = view
                .observation
                .pods
                .values()
                .filter_map(|pod| pod.roles.get(&Role::Running)?.series[0].latest())
                .map(|sample| sample.value)
                .sum();
            wants(crate::engine::numeric::replicas_ceil(queue / 4.0).max(1))
        });
        serde_json::to_string(&trial).unwrap()
    };
    assert_eq!(bytes(5), bytes(5));
    assert_ne!(bytes(5), bytes(6));
}

#[test]
fn a_law_that_queries_inline_is_asked_by_who_reads_it() {
    for (actuator, expected) in [(keda(false), 60 + 20), (Actuator::Direct, 301)] {
        let mut looks = 0;
        let law = &mut Told(|_: &View<'_>| {
            looks += 1;
            wants(1)
        });
        let trial = run(&scene(vec![], 300, 1), law, Duration::ZERO, &actuator);
        assert_eq!(trial.score.scale_events, 0);
        assert!((i32::abs_diff(looks, expected)) <= 2, "{actuator:?}: {looks}");
    }
}

#[test]
fn broken_invariants_are_told_with_their_instant_and_not_for_ever() {
    let trial = told(&scene(vec![], 600, 1), &Actuator::Direct, |_| Answer {
        broken: vec!["in_range".to_owned()],
        ..wants(1)
    });
    assert_eq!(trial.broken.len(), 20);
    assert_eq!(trial.broken[1], "at 15 s: in_range");
}

#[test]
fn a_restart_reaches_the_law_and_a_crash_the_world() {
    #[derive(Debug)]
    struct Counting(Arc<std::sync::atomic::AtomicU32>);
    impl Law for Counting {
        fn look(&mut self, _: &View<'_>) -> Answer {
            wants(2)
        }
        fn restart(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let once = |from, kind| Disturbance { from: seconds(from), until: seconds(from), kind };
    let mut scene = scene(even(0, 300, 4), 300, 2);
    scene.disturbances = vec![once(100, Kind::Restart), once(150, Kind::Crash)];
    let restarts = Arc::default();
    let mut law = Counting(Arc::clone(&restarts));
    let trial = run(&scene, &mut law, seconds(15), &keda(true));
    assert_eq!(restarts.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!((trial.score.cold_starts, trial.score.scale_events), (1, 0));
    assert!((1..=30).contains(&trial.score.failed), "{}", trial.score.failed);
}

#[test]
fn slow_cold_starts_and_missing_nodes_keep_pods_from_coming() {
    let late = |kind| {
        let mut scene = scene(vec![], 900, 1);
        scene.disturbances = vec![Disturbance { from: seconds(30), until: seconds(400), kind }];
        let trial =
            told(&scene, &Actuator::Direct, |view| wants(if since(view.at) < 60 { 1 } else { 2 }));
        trial.course.iter().find(|moment| moment.ready == 2).map(|moment| moment.at)
    };
    let ready = late(Kind::Restart).unwrap();
    assert!((120.0..180.0).contains(&ready), "{ready}");
    let ready = late(Kind::NoNodes).unwrap();
    assert!(ready > 400.0, "{ready}");
    let ready = late(Kind::ColdStart(crate::engine::replay::disturb::slow_pull())).unwrap();
    assert!(ready > 450.0, "{ready}");
}
