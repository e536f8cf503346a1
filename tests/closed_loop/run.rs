//! One closed loop of the replay's world around the shipped law, and what was seen of it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prescale::engine::numeric::replicas_ceil;
use prescale::engine::replay::disturb::{Disturbance, Kind};
use prescale::engine::replay::knee::knee;
use prescale::engine::replay::law::{Answer, Law, Metric, View};
use prescale::engine::replay::policy::{Context, Policy, Reactive, find};
use prescale::engine::replay::profile::Settings;
use prescale::engine::replay::random::Random;
use prescale::engine::replay::request::Arrival;
use prescale::engine::replay::run::{Scene, run};
use prescale::engine::replay::score::{Moment, Trial};
use prescale::engine::replay::scrape::Pipeline;
use prescale::engine::replay::traffic::Arrivals;
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

/// The trigger as a user writes it.
const KEYS: [(&str, &str); 4] =
    [("engine", "vllm"), ("gateway", "keda-http"), ("maxReplicas", "40"), ("tick", "15s")];

const LIMITS: (u32, u32) = (0, 40);

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

/// Chat, retrieval, documents: weight, prompt and output tokens; those of the demo.
const SIZES: [(f64, u32, u32); 4] =
    [(0.35, 600, 180), (0.35, 1800, 350), (0.20, 3500, 450), (0.10, 6000, 700)];

/// A first token within this many seconds is in time.
const IN_TIME: f64 = 3.0;

/// Requests per second that one replica finishes while more always wait, run and not reckoned: 5.7.
pub(crate) static KNEE: LazyLock<f64> =
    LazyLock::new(|| knee(&Settings::demo(), &arrivals(7, &[(0.0, 9.0), (30.0, 9.0)])));

/// What is played: arrivals along a course of (minute, requests per second), straight lines between,
/// before so many serving replicas and a trigger with more keys than the usual ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Play<'a> {
    pub(crate) seed: u64,
    pub(crate) replicas: u32,
    pub(crate) course: &'a [(f64, f64)],
    pub(crate) keys: &'a [(&'a str, &'a str)],
}

impl Play<'_> {
    /// The first so many minutes of it, with the scaler restarted at those given.
    pub(crate) fn until(&self, minutes: f64, restarts: &[f64]) -> Seen {
        let scene = self.scene(minutes, restarts);
        let context = self.context(&scene);
        let policy: &Policy = find("prescale-reactive").unwrap();
        let law = Reactive::new(&context, policy.knob.unwrap().default);
        let mut watched = Watched { law, looks: Vec::new() };
        let trial = run(&scene, &mut watched, policy.every, &(policy.actuator)(&context));
        assert!(trial.broken.is_empty(), "{self:?}: {:?}", trial.broken);
        Seen { looks: watched.looks, trial }
    }

    fn scene(&self, minutes: f64, restarts: &[f64]) -> Scene {
        let settings = Settings::demo();
        let restart = |minute: &f64| {
            let at = span(*minute);
            Disturbance { from: at, until: at, kind: Kind::Restart }
        };
        Scene {
            arrivals: arrivals(self.seed, self.course),
            length: span(minutes),
            origin: ORIGIN,
            objectives: settings.objectives,
            initial: self.replicas,
            seed: self.seed,
            pipeline: Pipeline {
                interval: Duration::from_secs(15),
                window: Duration::from_mins(2),
                quantile: 0.95,
            },
            settings,
            limits: LIMITS,
            disturbances: restarts.iter().map(restart).collect(),
        }
    }

    fn context(&self, scene: &Scene) -> Context {
        let metadata: BTreeMap<String, String> = KEYS
            .iter()
            .chain(self.keys)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Context {
            objectives: scene.objectives,
            limits: scene.limits,
            profile: scene.settings.profile.clone(),
            knee: *KNEE,
            cold_start: scene.settings.cold_start.total(),
            setup: parse("demo", "vllm", &metadata, &Limits::default()).unwrap().setup,
            arrivals: Arc::clone(&scene.arrivals),
            length: scene.length,
            origin: scene.origin,
        }
    }
}

/// One look of the law.
#[derive(Debug, Clone, Copy)]
struct Look {
    minute: f64,
    /// Replicas decided; `None`: an error.
    decided: Option<u32>,
    /// Replicas set before.
    set: u32,
    /// Requests per second that it believes one replica to carry.
    known: Option<f64>,
}

/// The law, with what it said written down.
#[derive(Debug)]
struct Watched {
    law: Reactive,
    looks: Vec<Look>,
}

impl Law for Watched {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let answer = self.law.look(view);
        let decided = match answer.metrics.as_slice() {
            [Some(Metric::Average { value, target })] => Some(replicas_ceil(value / target)),
            _ => None,
        };
        let minute = view.at.since(ORIGIN).as_secs_f64() / 60.0;
        let known = self.law.request_rate();
        self.looks.push(Look { minute, decided, set: view.spec, known });
        answer
    }

    fn restart(&mut self) {
        self.law.restart();
    }
}

/// What was seen of a run. Stretches are (from, to] in minutes.
#[derive(Debug)]
pub(crate) struct Seen {
    looks: Vec<Look>,
    pub(crate) trial: Trial,
}

impl Seen {
    /// Fewest and most replicas decided.
    pub(crate) fn range(&self, from: f64, to: f64) -> (u32, u32) {
        let decided = || self.looks(from, to).filter_map(|look| look.decided);
        (decided().min().unwrap(), decided().max().unwrap())
    }

    /// The least and the most that one replica was believed to carry, in requests per second.
    pub(crate) fn known(&self, from: f64, to: f64) -> (f64, f64) {
        let known: Vec<f64> = self.looks(from, to).map(|look| look.known.unwrap()).collect();
        let least = known.iter().copied().fold(f64::INFINITY, f64::min);
        (least, known.iter().copied().fold(0.0, f64::max))
    }

    /// Replicas set at a minute.
    pub(crate) fn set(&self, minute: f64) -> u32 {
        self.looks.iter().rfind(|look| look.minute <= minute).unwrap().set
    }

    /// Share of the requests that came in steps of the course in which 95 of 100 were answered in
    /// time.
    pub(crate) fn attained(&self, from: f64, to: f64) -> f64 {
        let in_time = |one: &&Moment| one.ttft_p95.is_some_and(|ttft| ttft <= IN_TIME);
        let requests: f64 = self.moments(from, to).map(|one| one.demand).sum();
        self.moments(from, to).filter(in_time).map(|one| one.demand).sum::<f64>() / requests
    }

    /// The worst 95th percentile of the time to first token in a step of the course, in seconds.
    pub(crate) fn worst(&self, from: f64, to: f64) -> f64 {
        self.moments(from, to).filter_map(|one| one.ttft_p95).fold(0.0, f64::max)
    }

    /// How it ended.
    pub(crate) fn last(&self) -> &Moment {
        self.trial.course.last().unwrap()
    }

    fn looks(&self, from: f64, to: f64) -> impl Iterator<Item = &Look> {
        self.looks.iter().filter(move |look| look.minute > from && look.minute <= to)
    }

    fn moments(&self, from: f64, to: f64) -> impl Iterator<Item = &Moment> {
        let within = move |one: &&Moment| one.at > from * 60.0 && one.at <= to * 60.0;
        self.trial.course.iter().filter(within)
    }
}

fn span(minutes: f64) -> Duration {
    Duration::from_secs_f64(minutes * 60.0)
}

fn arrivals(seed: u64, course: &[(f64, f64)]) -> Arc<[Arrival]> {
    let end = course.last().unwrap().0;
    let corners: Vec<_> = course.iter().map(|(at, rate)| (at / end, *rate)).collect();
    Arrivals::along(Random::new(seed), span(end), &corners, &SIZES).all()
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
