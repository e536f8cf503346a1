//! The life of one scaler: observe, decide, publish, wait for the next instant.
//!
//! Promises that nothing that happens in here reaches another scaler: a panic, an observation that
//! never ends and a slow one each cost this scaler its tick and no more. Ends when nobody wants the
//! scaler any more or the server ends; the scaler's watch then closes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use crate::engine::observation::{Fault, FaultKind, Observation};
use crate::engine::units::Timestamp;
use crate::scaler::desk::Desk;
use crate::scaler::handle::{Scaler, Unanswered};
use crate::scaler::metrics::TickEnd;
use crate::scaler::quarantine::Quarantine;
use crate::scaler::schedule;
use crate::scaler::shared::Shared;
use crate::scaler::world::Observe;

/// Real time after which an observation is given up. Observers promise to end within their
/// datasources' timeouts, which are at most 60 s; this is for those that break the promise.
const OBSERVATION_MAX: Duration = Duration::from_secs(65);

/// The part of a scaler that ticks.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    scaler: Arc<Scaler>,
    namespace_gate: Arc<Semaphore>,
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
        observer: Box<dyn Observe>,
    ) -> Self {
        let quarantine = Quarantine::default();
        let (overdue, hinted) = (false, false);
        Self { shared, scaler, namespace_gate, observer, quarantine, overdue, hinted }
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
            Ok(end) => end,
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
    async fn decide(&mut self, target: Timestamp) -> TickEnd {
        let (of_namespace, of_all) = (Arc::clone(&self.namespace_gate), Arc::clone(&self.shared));
        let _namespace_place = of_namespace.acquire().await.ok();
        let _place = of_all.gate.acquire().await.ok();
        let now = self.scaler.clock().now();
        let at = schedule::instant(now, target, self.scaler.spec.setup.tick);
        let (observation, end) = self.observe(at).await;
        self.scaler.note_seen(&observation);
        Desk { shared: &self.shared, scaler: &self.scaler }.decide(&observation);
        end
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
        self.scaler.close();
    }
}
