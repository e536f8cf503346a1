//! The loop: the world lives, pods are scraped, the law looks, KEDA and the HPA act.
//!
//! Given a scene and a law, it promises the same run for the same scene, bit by bit: one clock whose
//! next instant is the earliest at which anything is due. What a request costs and gives is counted
//! by the world; deciding is the law's.

mod account;
mod actuate;
mod calendar;

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::disturb::{Disturbance, Kind, cold_start, show};
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::policy::Actuator;
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::run::account::Account;
use crate::engine::replay::run::actuate::Acting;
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
    /// What happens at an instant and has not yet, the last one first.
    ahead: Vec<Disturbance>,
}

impl<'a> Play<'a> {
    fn new(scene: &'a Scene, law: &'a mut dyn Law, every: Duration, actuator: &Actuator) -> Self {
        let settings = Settings { objectives: scene.objectives, ..scene.settings.clone() };
        let gpus = settings.profile.gpus;
        let arrivals = Arc::clone(&scene.arrivals);
        let world = World::new(settings, arrivals, scene.initial, scene.seed);
        let mut ahead: Vec<Disturbance> =
            scene.disturbances.iter().filter(|one| one.kind.is_instant()).copied().collect();
        ahead.sort_by_key(|disturbance| std::cmp::Reverse(disturbance.from));
        Self {
            scene,
            law,
            scrapes: Scrapes::new(scene.pipeline, scene.origin, scene.limits),
            calendar: Calendar::new(every, actuator, scene.seed),
            acting: Acting::new(actuator, scene.limits),
            answer: Answer::default(),
            account: Account::new(scene.length, gpus, &world),
            broken: Vec::new(),
            ahead,
            world,
        }
    }

    /// The next instant at which anything is due; `None` when the run is over.
    fn next(&self) -> Option<Duration> {
        let now = self.world.now();
        if self.account.is_closed() && (self.world.is_empty() || now >= self.end()) {
            return None;
        }
        let instants = [
            Some(self.scrapes.due(&self.world)).filter(|_| self.calendar.has_begun()),
            Some(self.calendar.next()),
            self.account.next(),
            self.ahead.last().map(|disturbance| disturbance.from.max(now)),
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
        self.account.note(&self.world);
    }

    fn now(&self) -> Timestamp {
        self.scene.origin.plus(self.world.now())
    }

    fn disturb(&mut self, now: Duration) {
        while let Some(one) = self.ahead.pop_if(|one| one.from <= now) {
            match one.kind {
                Kind::Restart => self.law.restart(),
                Kind::Crash => {
                    self.adopt_cold_start();
                    self.world.crash();
                }
                Kind::Lost
                | Kind::Poisoned(_)
                | Kind::Unread(_)
                | Kind::ColdStart(_)
                | Kind::NoNodes => {}
            }
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
        self.world.start_like(start);
    }
}

#[cfg(test)]
mod tests;
