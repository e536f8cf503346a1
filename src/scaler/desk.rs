//! Decides and publishes for one scaler, one decision at a time: its ticks, and wakes between them.
//!
//! A wake must not wait for a tick, which observes first and may hang for as long as a dead datasource
//! does. It is decided at once upon what the last tick saw of the workload, by the same engine, and
//! what comes of it is the wake alone: nothing is learned from data that was not read. The next tick
//! goes on from there.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error};

use crate::engine::arrived::Minute;
use crate::engine::decide::Timings;
use crate::engine::decision::{Decision, Reason, State};
use crate::engine::invariants::violations;
use crate::engine::observation::Observation;
use crate::engine::setup::Strategy;
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::scaler::course::Ticked;
use crate::scaler::handle::{Publisher, Scaler};
use crate::scaler::keep;
use crate::scaler::shared::Shared;
use crate::telemetry::{Ids, decision_changed};

/// Times a tick decides again because its memory was revised meanwhile; each revision is a history
/// that was learned, so a second collision is already rare.
const REVISIONS_MAX: u32 = 4;

/// A wake that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What `IsActive` answers now.
    pub active: bool,
    /// Whether it was not active before.
    pub begun: bool,
    /// About how long until a pod serves; zero: one does.
    pub ready_in: Duration,
    /// Until when it is held at most; where pods serve, until when they stay at least.
    pub until: Timestamp,
}

/// What came of asking for a wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Woken {
    /// It is held.
    Held(Held),
    /// The last wake was given up; this one counts for nothing.
    BacksOff {
        /// Time until it may be tried again.
        retry: Duration,
    },
    /// It is not acted upon, in one line: the calendar allows no replica, or nothing is sent.
    Refused(String),
}

/// Where one scaler's decisions are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) scaler: &'a Scaler,
}

impl Desk<'_> {
    /// Decides upon what a tick observed, and publishes.
    pub(crate) fn decide(&self, observation: &Observation) {
        let turn = self.scaler.turn();
        let decision = self.step(observation);
        if let Some(publisher) = turn.as_ref() {
            self.publish(decision, publisher);
        }
    }

    /// Has the scaler woken: at once if it is asleep, else with its next tick. `None`: its ticks have
    /// ended, and nobody would keep the promise.
    pub(crate) fn wake(&self) -> Option<Woken> {
        if self.scaler.spec.setup.strategy == Strategy::Shadow {
            return Some(Woken::Refused("scaleStrategy is shadow: nothing is sent".to_owned()));
        }
        let now = self.scaler.clock().now();
        let turn = self.scaler.turn();
        let publisher = turn.as_ref()?;
        let retry = self.scaler.memory().wake.retry_in(now).filter(|retry| !retry.is_zero());
        if let Some(retry) = retry {
            return Some(Woken::BacksOff { retry });
        }
        self.scaler.revise_quietly(|memory| memory.wake.ask(now));
        let told = self.told();
        if told.as_deref().and_then(Decision::active) == Some(true) {
            return Some(Woken::Held(self.held(now, told.as_deref(), false)));
        }
        let slept = self.scaler.memory().last == Some(0);
        let refused = if slept { self.wake_now(now, publisher) } else { None };
        drop(turn);
        self.scaler.revise(|_| {});
        let held = || Woken::Held(self.held(now, self.told().as_deref(), true));
        Some(refused.unwrap_or_else(held))
    }

    /// The decision that is told now.
    fn told(&self) -> Option<Arc<Decision>> {
        self.scaler.answer().ok()
    }

    /// Decides upon what the last tick saw of the workload. Of the memory only the wake goes on: a
    /// minute in which nothing was read is no minute without demand.
    fn wake_now(&self, now: Timestamp, publisher: &Publisher) -> Option<Woken> {
        let setup = &self.scaler.spec.setup;
        let observation = Observation {
            workload: self.scaler.seen().workload.clone(),
            ..Observation::empty(now)
        };
        let before = self.scaler.memory();
        let step = self.shared.world.step(setup, &observation, before.clone());
        if step.decision.active() != Some(true) {
            return Some(refused(&step.decision));
        }
        self.check(&observation, &before, &step.decision);
        self.scaler.revise_quietly(|memory| {
            (memory.wake, memory.last) = (step.memory.wake, step.memory.last);
            // Pods that seem to serve by what the last tick saw: the next one will know.
            memory.wake.ask(now);
        });
        self.publish(step.decision, publisher);
        None
    }

    fn held(&self, now: Timestamp, told: Option<&Decision>, begun: bool) -> Held {
        let (setup, memory) = (&self.scaler.spec.setup, self.scaler.memory());
        let timings = Timings::of(setup, &memory);
        let serves = told.is_some_and(|told| told.serving);
        let left = timings.lead.saturating_sub(memory.wake.held_for(now).unwrap_or_default());
        let lease = memory.wake.lease(timings.wake_timeout);
        Held {
            active: told.and_then(Decision::active) == Some(true),
            begun,
            // What is overdue is still not there.
            ready_in: if serves { Duration::ZERO } else { left.max(Duration::from_secs(1)) },
            until: if serves {
                now.plus(timings.idle_after)
            } else {
                lease.unwrap_or_else(|| now.plus(timings.wake_timeout))
            },
        }
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
            // Before it is remembered: who takes over a past meanwhile finds it in one of both.
            step.minute.iter().for_each(|minute| self.scaler.lessons().note(*minute));
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
    fn publish(&self, decision: Decision, publisher: &Publisher) {
        let before = publisher.borrow().clone();
        let Scaler { namespace, name, hash8, .. } = self.scaler;
        let ids = Ids { namespace, name, trigger: hash8 };
        decision_changed(ids, before.as_deref(), &decision);
        let is_waking = |decision: &Decision| decision.state == State::Waking;
        let wakes = is_waking(&decision) && !before.as_deref().is_some_and(is_waking);
        let changed = self.scaler.answer().is_err()
            || before.is_none_or(|before| tells_other(&before, &decision));
        self.scaler.note_decision(&decision);
        let decision = Arc::new(decision);
        self.keep(&decision, wakes);
        publisher.send_if_modified(|latest| {
            *latest = Some(decision);
            changed
        });
    }

    /// Keeps what arrived in a minute that is over.
    fn keep_minute(&self, minute: Option<Minute>) {
        let Some(minute) = minute else { return };
        if let Some(store) = &self.shared.store {
            let key = keep::minutes_key(self.scaler.key(), &self.scaler.spec);
            if !store.add_minutes(&key, &[minute]) {
                debug!("a minute not stored: too much waits to be written");
            }
        }
    }

    /// Hands over what has to outlive the process; before it is told to anybody. A wake that begins is
    /// written at once: a process that is killed just then would be back without it, and say inactive
    /// while the pod loads that it had started.
    fn keep(&self, decision: &Arc<Decision>, wakes: bool) {
        if let Some(store) = &self.shared.store {
            let key = keep::key(self.scaler.key(), &self.scaler.spec);
            store.save(key, self.scaler.memory().kept(), Arc::clone(decision));
            if wakes {
                store.hurry();
            }
        }
    }
}

/// Why nothing comes of it.
fn refused(decision: &Decision) -> Woken {
    let limited = |reason: &&Reason| matches!(reason, Reason::Limited { .. });
    let expired = decision.reasons.iter().find_map(|reason| {
        if let Reason::WakeExpired { retry } = reason { Some(*retry) } else { None }
    });
    match (expired, decision.reasons.iter().find(limited)) {
        (Some(retry), _) => Woken::BacksOff { retry },
        (None, Some(limit)) => Woken::Refused(limit.to_string()),
        (None, None) => Woken::Refused(decision.headline()),
    }
}

fn tells_other(before: &Decision, after: &Decision) -> bool {
    before.verdict != after.verdict
        || before.state != after.state
        || before.serving != after.serving
}
