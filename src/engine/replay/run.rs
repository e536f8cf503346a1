//! The loop: the world lives, pods are scraped, the law looks, KEDA and the HPA act.
//!
//! Given a scene and a law, it promises the same run for the same scene, bit by bit: one clock whose
//! next instant is the earliest at which anything is due. What a request costs and gives is counted
//! by the world; deciding is the law's.

mod account;
mod calendar;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::replay::actuate::Acting;
use crate::engine::replay::disturb::{Disturbance, Kind, cold_start, show};
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::policy::Actuator;
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::run::account::Account;
use crate::engine::replay::run::calendar::Calendar;
use crate::engine::replay::score::{Objectives, Trial};
use crate::engine::replay::scrape::{Pipeline, Scrapes};
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// Requests still inside at the end are followed for this long.
const FOLLOWED: Duration = Duration::from_mins(10);

/// Broken invariants are told this often at most: one says as much as a thousand.
const BROKEN_MAX: usize = 20;

/// Everything of a run but the policy.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What arrives.
    pub arrivals: Arc<[Arrival]>,
    /// How long it lasts; requests still inside then are followed for at most ten minutes more.
    pub length: Duration,
    /// The instant at which it begins.
    pub origin: Timestamp,
    /// What a request must meet; it counts, whatever `settings` say.
    pub objectives: Objectives,
    /// Replicas that serve at the beginning.
    pub initial: u32,
    /// Draws cold starts and phases.
    pub seed: u64,
    /// What the law sees.
    pub pipeline: Pipeline,
    /// The workload's surroundings.
    pub settings: Settings,
    /// Fewest and most replicas: `minReplicaCount` and `maxReplicaCount`.
    pub limits: (u32, u32),
    /// What goes wrong.
    pub disturbances: Vec<Disturbance>,
}

/// Runs `law`, looked at every `every`, with `actuator`, through `scene`.
///
/// A law with `every` of zero is looked at whenever KEDA or the HPA reads it, as a trigger that
/// queries inline is; without them once a second.
#[must_use]
pub fn run(scene: &Scene, law: &mut dyn Law, every: Duration, actuator: &Actuator) -> Trial {
    let mut stage = Play::new(scene, law, every, actuator);
    while let Some(instant) = stage.next() {
        stage.pass(instant);
    }
    let Play { account, world, broken, .. } = stage;
    Trial { broken, ..account.trial(&world) }
}

/// Something that happens to the world or the law at an instant.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Restart,
    Crash,
    NodesGone,
    NodesBack,
}

/// A run under way.
struct Play<'a> {
    scene: &'a Scene,
    law: &'a mut dyn Law,
    world: World,
    scrapes: Scrapes,
    calendar: Calendar,
    acting: Acting,
    answer: Answer,
    account: Account,
    broken: Vec<String>,
    /// What has not happened yet, the last one first.
    ahead: Vec<(Duration, Edge)>,
}

impl<'a> Play<'a> {
    fn new(scene: &'a Scene, law: &'a mut dyn Law, every: Duration, actuator: &Actuator) -> Self {
        let settings = Settings { objectives: scene.objectives, ..scene.settings.clone() };
        let gpus = settings.profile.gpus;
        let mut world = World::new(settings, within(scene), scene.initial, scene.seed);
        world.freeze(scene.length);
        Self {
            scene,
            law,
            scrapes: Scrapes::new(scene.pipeline, scene.origin, scene.limits),
            calendar: Calendar::new(every, actuator, scene.seed),
            acting: Acting::new(actuator, scene.limits),
            answer: Answer::default(),
            account: Account::new(scene.length, gpus),
            broken: Vec::new(),
            ahead: edges(&scene.disturbances),
            world,
        }
    }

    /// The next instant at which anything is due; `None` when the run is over.
    fn next(&self) -> Option<Duration> {
        let now = self.world.now();
        if self.account.is_closed() && (self.world.is_over() || now >= self.end()) {
            return None;
        }
        let instants = [
            Some(self.scrapes.due(&self.world)).filter(|_| self.calendar.has_begun()),
            Some(self.calendar.next()),
            self.account.next(),
            self.ahead.last().map(|(at, _)| *at),
        ];
        let next = instants.into_iter().flatten().min().unwrap_or(self.end());
        Some(next.min(self.end()))
    }

    fn end(&self) -> Duration {
        self.scene.length + FOLLOWED
    }

    /// Everything that is due at `instant`, in the order in which it would be seen.
    fn pass(&mut self, instant: Duration) {
        self.world.advance(instant);
        self.scrapes.scrape(&self.world);
        self.account.look(&self.world);
        self.disturb(instant);
        let due = self.calendar.take(instant);
        if due.look {
            self.look();
            if let Some(replicas) = self.acting.answered(&self.answer, &self.world, self.now()) {
                self.scale(replicas);
            }
        }
        if due.poll {
            self.look_inline(due.look);
            if let Some(replicas) = self.acting.poll(&self.answer, &self.world, self.now()) {
                self.scale(replicas);
            }
        }
        if due.sync {
            self.look_inline(due.look || due.poll);
            if let Some(replicas) = self.acting.sync(&self.answer, &self.world, self.now()) {
                self.scale(replicas);
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.scene.origin.plus(self.world.now())
    }

    fn disturb(&mut self, now: Duration) {
        while let Some((_, edge)) = self.ahead.pop_if(|(at, _)| *at <= now) {
            match edge {
                Edge::Restart => self.law.restart(),
                Edge::Crash => self.crash(),
                Edge::NodesGone => {
                    let taken = self.world.pods().iter().filter(|pod| pod.has_room()).count();
                    self.world.set_nodes(Some(count(taken)));
                }
                Edge::NodesBack => self.world.set_nodes(None),
            }
        }
    }

    /// The pod that serves longest dies.
    fn crash(&mut self) {
        let now = self.world.now();
        let serving = self.world.pods().iter().find(|pod| pod.stage(now) == Stage::Ready);
        if let Some(serial) = serving.map(Pod::serial) {
            self.adopt_cold_start();
            self.world.kill(serial);
        }
    }

    /// A law that queries inline is asked by who reads it, once an instant.
    fn look_inline(&mut self, has_looked: bool) {
        if self.calendar.is_inline() && !has_looked {
            self.look();
        }
    }

    fn look(&mut self) {
        let at = self.now();
        let observation = self.scrapes.observe(at);
        let observation = show(&self.scene.disturbances, observation, self.scene.origin);
        let census = self.world.census();
        let view = View {
            at,
            observation: &observation,
            spec: census.wanted,
            pods: census.ready + census.loading,
            ready: census.ready,
        };
        let mut answer = self.law.look(&view);
        let seconds = self.world.now().as_secs_f64();
        for broken in answer.broken.drain(..) {
            if self.broken.len() < BROKEN_MAX {
                self.broken.push(format!("at {seconds} s: {broken}"));
            }
        }
        self.answer = answer;
    }

    fn scale(&mut self, replicas: u32) {
        self.adopt_cold_start();
        self.world.scale(replicas);
    }

    /// Pods created now start as they do now.
    fn adopt_cold_start(&mut self) {
        let usual = self.scene.settings.cold_start;
        let start = cold_start(&self.scene.disturbances, usual, self.world.now());
        self.world.set_cold_start(start);
    }
}

/// The requests that arrive before the run is over; a trace may be longer.
fn within(scene: &Scene) -> Arc<[Arrival]> {
    let end = scene.arrivals.partition_point(|arrival| arrival.at < scene.length);
    match scene.arrivals.get(..end) {
        Some(before) if before.len() < scene.arrivals.len() => before.into(),
        _ => Arc::clone(&scene.arrivals),
    }
}

/// What happens at instants, the last one first.
fn edges(disturbances: &[Disturbance]) -> Vec<(Duration, Edge)> {
    let mut edges: Vec<(Duration, Edge)> = disturbances
        .iter()
        .flat_map(|one| match one.kind {
            Kind::Restart => vec![(one.from, Edge::Restart)],
            Kind::Crash => vec![(one.from, Edge::Crash)],
            Kind::NoNodes => vec![(one.from, Edge::NodesGone), (one.until, Edge::NodesBack)],
            Kind::Lost | Kind::Poisoned(_) | Kind::Unread(_) | Kind::ColdStart(_) => Vec::new(),
        })
        .collect();
    edges.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    edges
}

#[cfg(test)]
mod tests;
