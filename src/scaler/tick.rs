//! The life of one scaler: observe, decide, publish, wait for the next instant.
//!
//! Promises that nothing that happens in here reaches another scaler: a panic, an observation that
//! never ends and a slow one each cost this scaler its tick and no more. Ends when nobody wants the
//! scaler any more or the server ends; the scaler's watch then closes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, watch};
use tracing::{debug, error, warn};

use crate::engine::arrived::Minute;
use crate::engine::decision::Decision;
use crate::engine::invariants::violations;
use crate::engine::observation::{Fault, FaultKind, Observation};
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::scaler::course::Ticked;
use crate::scaler::handle::{Scaler, Unanswered};
use crate::scaler::keep;
use crate::scaler::metrics::{Metrics, TickEnd};
use crate::scaler::quarantine::Quarantine;
use crate::scaler::room::Room;
use crate::scaler::schedule;
use crate::scaler::world::{Observe, World};
use crate::store::Store;
use crate::telemetry::{Ids, decision_changed};

/// Real time after which an observation is given up. Observers promise to end within their
/// datasources' timeouts, which are at most 60 s; this is for those that break the promise.
const OBSERVATION_MAX: Duration = Duration::from_secs(65);

/// Times a tick decides again because its memory was revised meanwhile; each revision is a request
/// of its own, so a second collision is already rare.
const REVISIONS_MAX: u32 = 4;

/// What the ticks of all scalers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: Arc<dyn World>,
    pub(crate) room: Room,
    pub(crate) metrics: Metrics,
    /// Observations at once, of all namespaces.
    pub(crate) gate: Semaphore,
    /// Histories learned at once.
    pub(crate) learning: Semaphore,
    /// Where memories and decisions outlive the process.
    pub(crate) store: Option<Arc<Store>>,
}

/// The part of a scaler that ticks.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    scaler: Arc<Scaler>,
    namespace_gate: Arc<Semaphore>,
    publisher: watch::Sender<Option<Arc<Decision>>>,
    observer: Box<dyn Observe>,
    quarantine: Quarantine,
    overdue: bool,
    /// The last tick came between two others because demand showed.
    hinted: bool,
}

impl Ticker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        scaler: Arc<Scaler>,
        namespace_gate: Arc<Semaphore>,
        publisher: watch::Sender<Option<Arc<Decision>>>,
        observer: Box<dyn Observe>,
    ) -> Self {
        let quarantine = Quarantine::default();
        let (overdue, hinted) = (false, false);
        Self { shared, scaler, namespace_gate, publisher, observer, quarantine, overdue, hinted }
    }

    /// Ticks until nobody wants the scaler any more. The first tick comes at once and stands for
    /// the instant that has just passed, but not for one before `not_before`, up to which an
    /// inherited memory has already been told the story.
    pub(crate) async fn run(mut self, not_before: Option<Timestamp>) {
        let tick = self.scaler.spec.setup.tick;
        let passed = schedule::aligned(self.scaler.clock().now(), tick);
        let mut target = not_before.map_or(passed, |at| at.max(passed));
        loop {
            self.tick(target).await;
            if self.shared.room.dismiss(&self.scaler) {
                debug!("no longer asked for");
                return;
            }
            target = self.next().await;
        }
    }

    /// Waits for the next instant of the grid; or for a revision, or demand while it sleeps, which are
    /// decided upon at once. Demand that a tick did not wake for is left to the next of the grid.
    async fn next(&mut self) -> Timestamp {
        let clock = self.scaler.clock();
        let target = schedule::next(clock.now(), self.scaler.spec.setup.tick);
        let above = self.sleeps().then_some(self.scaler.spec.setup.activation);
        let told = above.is_some() && self.hinted;
        self.hinted = false;
        let shown = async {
            if told { std::future::pending().await } else { self.observer.demand(above).await }
        };
        tokio::select! {
            () = clock.sleep_until(target) => target,
            () = self.scaler.revised() => clock.now(),
            at = shown => {
                self.hinted = true;
                at
            }
        }
    }

    /// Whether nothing is wanted and nothing serves.
    fn sleeps(&self) -> bool {
        let latest = self.scaler.latest();
        latest.is_some_and(|decision| decision.active() != Some(true) && !decision.serving)
    }

    async fn tick(&mut self, target: Timestamp) {
        let began = self.scaler.clock().elapsed();
        if self.quarantine.paused(began) {
            self.shared.metrics.skipped();
            return;
        }
        let end = match AssertUnwindSafe(self.decide(target)).catch_unwind().await {
            Ok((decision, end)) => {
                self.publish(decision);
                end
            }
            Err(_) => {
                self.fail();
                TickEnd::panicked
            }
        };
        let took = self.scaler.clock().elapsed().saturating_sub(began);
        self.shared.metrics.ticked(end, took.as_secs_f64());
    }

    /// The namespace's gate comes first, so that a namespace in which everything hangs holds no
    /// more of the common places than its share.
    async fn decide(&mut self, target: Timestamp) -> (Decision, TickEnd) {
        let (of_namespace, of_all) = (Arc::clone(&self.namespace_gate), Arc::clone(&self.shared));
        let _namespace_place = of_namespace.acquire().await.ok();
        let _place = of_all.gate.acquire().await.ok();
        let now = self.scaler.clock().now();
        let at = schedule::instant(now, target, self.scaler.spec.setup.tick);
        let (observation, end) = self.observe(at).await;
        self.scaler.note_seen(&observation);
        (self.step(&observation), end)
    }

    async fn observe(&mut self, at: Timestamp) -> (Observation, TickEnd) {
        let observed = tokio::time::timeout(OBSERVATION_MAX, self.observer.observe(at)).await;
        let was_overdue = std::mem::replace(&mut self.overdue, observed.is_err());
        if let Ok(observation) = observed {
            return (observation, TickEnd::decided);
        }
        if !was_overdue {
            warn!(limit_seconds = OBSERVATION_MAX.as_secs(), "observation given up");
        }
        // It was dropped half-way: what it remembers may be half of something.
        self.observer = self.shared.world.observer(&self.scaler.spec.target);
        let place = format!("datasource {}", self.scaler.spec.target.source.datasource());
        let mut nothing = Observation::empty(at);
        nothing.faults.push(Fault { place, kind: FaultKind::Timeout });
        (nothing, TickEnd::overdue)
    }

    /// Decides; again if the memory was revised while it did.
    fn step(&self, observation: &Observation) -> Decision {
        let setup = &self.scaler.spec.setup;
        let mut tries = 0;
        loop {
            let (revision, memory) = self.scaler.remembered();
            let before = memory.clone();
            let step = self.shared.world.step(setup, observation, memory);
            tries += 1;
            if self.scaler.remember(revision, step.memory) || tries >= REVISIONS_MAX {
                self.check(observation, &before, &step.decision);
                self.keep_minute(step.minute);
                let (foresight, minute) = (&before.foresight, step.minute);
                let decision = &step.decision;
                self.scaler.note_course(&Ticked {
                    setup,
                    observation,
                    foresight,
                    decision,
                    minute,
                });
                return step.decision;
            }
        }
    }

    /// Counts the invariants that a decision breaks. It is told all the same: to stop answering
    /// would harm more than the one wrong number.
    fn check(&self, observation: &Observation, before: &Memory, decision: &Decision) {
        for invariant in violations(&self.scaler.spec.setup, observation, before, decision) {
            self.shared.metrics.violated(invariant);
            error!(invariant = invariant.name(), "invariant broken; this is a bug");
        }
    }

    /// Readers are woken only when something that is told has changed, be it from an error of ours
    /// to the decision that stood before it.
    fn publish(&self, decision: Decision) {
        let before = self.publisher.borrow().clone();
        let Scaler { namespace, name, hash8, .. } = &*self.scaler;
        let ids = Ids { namespace, name, trigger: hash8 };
        decision_changed(ids, before.as_deref(), &decision);
        let changed = self.scaler.answer().is_err()
            || before.is_none_or(|before| tells_other(&before, &decision));
        self.scaler.note_decision(&decision);
        let decision = Arc::new(decision);
        self.keep(&decision);
        self.publisher.send_if_modified(|latest| {
            *latest = Some(decision);
            changed
        });
    }

    /// Keeps what arrived in a minute that is over.
    fn keep_minute(&self, minute: Option<Minute>) {
        let Some(minute) = minute else { return };
        self.scaler.lessons().note(minute);
        if let Some(store) = &self.shared.store {
            let key = keep::key(self.scaler.key(), &self.scaler.spec);
            if !store.add_minutes(&key, &[minute]) {
                debug!("a minute not stored: too much waits to be written");
            }
        }
    }

    /// Hands over what has to outlive the process; before it is told to anybody.
    fn keep(&self, decision: &Arc<Decision>) {
        if let Some(store) = &self.shared.store {
            let key = keep::key(self.scaler.key(), &self.scaler.spec);
            store.save(key, self.scaler.memory(), Arc::clone(decision));
        }
    }

    fn fail(&mut self) {
        self.observer = self.shared.world.observer(&self.scaler.spec.target);
        if self.quarantine.note(self.scaler.clock().elapsed()) {
            error!("tick panicked repeatedly, ticks pause for 10 min");
            self.scaler.note_failure(Unanswered::Paused);
        } else {
            error!("tick panicked");
            self.scaler.note_failure(Unanswered::Failed);
        }
    }
}

/// However a scaler's life ends, it leaves the table: one that stayed without ticks would refuse
/// for ever, while one that left is made anew by the next call.
impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.room.leave(&self.scaler);
    }
}

fn tells_other(before: &Decision, after: &Decision) -> bool {
    before.verdict != after.verdict
        || before.state != after.state
        || before.serving != after.serving
}
