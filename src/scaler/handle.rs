//! One scaler as others see it: its latest decision, whether that may still be told, and who asks.
//!
//! Written to by its desk only, one decision at a time; every reader gets the same immutable decision. What an answer looks
//! like on the wire is left to `crate::grpc`.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::engine::decision::{Decision, State, Verdict};
use crate::engine::observation::{Fault, Observation, Searched, WorkloadFacts};
use crate::engine::step::Memory;
use crate::report::explain::Past;
use crate::scaler::calls::Calls;
use crate::scaler::course::{Course, Ticked};
use crate::scaler::past::{Learning, Lessons};
use crate::scaler::reference::Key;
use crate::spec::Spec;

/// A decision older than this, or than three ticks, means that ticks do not come: the process was
/// stopped or an observation hangs. It is also how long data counts as fresh (docs/safety.md).
const DECISION_AGE_MAX: Duration = Duration::from_secs(60);

/// Beyond this total age of data there is nothing trustworthy (docs/safety.md, hold).
pub(crate) const DATA_AGE_MAX: Duration = Duration::from_secs(600);

/// Why a scaler has no answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The first tick has not ended: UNAVAILABLE.
    #[error("first reading not finished yet; the next poll will have it")]
    NotYet,
    /// Ticks stopped coming and what was decided is too old: UNAVAILABLE.
    #[error("data stale {} s (no tick has ended since)", age.as_secs())]
    Stale {
        /// Age of the data behind the last decision.
        age: Duration,
    },
    /// The last tick failed for a fault of ours: INTERNAL.
    #[error("internal error in the last tick; see the log of prescale")]
    Failed,
    /// Repeated failures: ticks pause: INTERNAL.
    #[error("ticks paused for 10 min after repeated internal errors; see the log of prescale")]
    Paused,
}

/// The active periods of a scaler: one begins whenever it turns from inactive to active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Number of the current period, or of the last one when inactive; zero: none yet.
    pub period: u64,
    /// Whether the last decision with a number was active.
    pub active: bool,
    /// Whether the current period was pushed to somebody.
    pub announced: bool,
}

#[derive(Debug)]
struct Pulse {
    ticked: Option<Duration>,
    broken: Option<Unanswered>,
    activity: Activity,
    calls: Calls,
}

/// What the last tick looked for and could not read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Which metric names were looked for and found.
    pub searched: Vec<Searched>,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// The workload and its HPA.
    pub workload: WorkloadFacts,
}

/// Where decisions are told.
pub(crate) type Publisher = watch::Sender<Option<Arc<Decision>>>;

/// One scaler as others see it.
pub struct Scaler {
    /// Namespace.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// First eight hex digits of the metadata's hash.
    pub hash8: String,
    /// What it was asked for.
    pub spec: Spec,
    key: Key,
    clock: Clock,
    created: Duration,
    decision: watch::Receiver<Option<Arc<Decision>>>,
    /// Held while a decision is made and told; empty once its ticks have ended.
    turn: Mutex<Option<Publisher>>,
    pulse: Mutex<Pulse>,
    seen: Mutex<Arc<Seen>>,
    course: Mutex<Course>,
    memory: Mutex<(u64, Memory)>,
    revised: Notify,
    streams: AtomicUsize,
    past: Mutex<Lessons>,
}

/// The specification is left out: it holds the user's queries.
impl fmt::Debug for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scaler")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("hash8", &self.hash8)
            .finish_non_exhaustive()
    }
}

impl Scaler {
    /// A scaler that has just been asked for the first time, and what it tells until its first tick.
    pub(crate) fn new(
        key: Key,
        spec: Spec,
        memory: Memory,
        clock: Clock,
        decision: Option<Arc<Decision>>,
    ) -> Self {
        let (publisher, decision) = watch::channel(decision);
        let created = clock.elapsed();
        let pulse = Pulse {
            ticked: None,
            broken: None,
            activity: Activity::default(),
            calls: Calls::new(created),
        };
        Self {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            hash8: key.hash8(),
            spec,
            key,
            clock,
            created,
            decision,
            turn: Mutex::new(Some(publisher)),
            pulse: Mutex::new(pulse),
            seen: Mutex::default(),
            course: Mutex::default(),
            memory: Mutex::new((0, memory)),
            revised: Notify::new(),
            streams: AtomicUsize::new(0),
            past: Mutex::default(),
        }
    }

    /// The latest decision, whatever its age; `None` before the first tick.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Decision>> {
        self.decision.borrow().clone()
    }

    /// Decisions as they change; closed when the scaler is evicted or the server ends. Notified
    /// when something that is told changes, not at every tick.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Decision>>> {
        self.decision.clone()
    }

    /// The decision that may be told now. Its verdict may still be a refusal.
    ///
    /// # Errors
    /// When there is none yet, the last tick failed, or ticks stopped coming and the data behind
    /// the last one is more than 600 s old.
    pub fn answer(&self) -> Result<Arc<Decision>, Unanswered> {
        let (ticked, broken) = {
            let pulse = self.pulse();
            (pulse.ticked, pulse.broken)
        };
        if let Some(broken) = broken {
            return Err(broken);
        }
        let decision = self.latest().ok_or(Unanswered::NotYet)?;
        let on_the_wall = self.clock.now().since(decision.at);
        let ticked = self.clock.elapsed().saturating_sub(ticked.unwrap_or_default());
        judge(decision, on_the_wall.max(ticked), self.spec.setup.tick)
    }

    /// Waits for the first tick to end, until the scaler is `limit` of real time old; returns at
    /// once if that has passed or there is something to say already.
    pub async fn first_tick(&self, limit: Duration) {
        let age = self.clock.real(self.clock.elapsed().saturating_sub(self.created));
        let left = limit.saturating_sub(age);
        if left.is_zero() || !matches!(self.answer(), Err(Unanswered::NotYet)) {
            return;
        }
        let mut decision = self.watch();
        let first = decision.wait_for(Option::is_some);
        // Both ends of the wait are answered by `answer`, which knows what to say.
        drop(tokio::time::timeout(left, first).await);
    }

    /// The active periods.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.pulse().activity
    }

    /// Notes that active period `period` was pushed to somebody.
    pub fn announced(&self, period: u64) {
        let mut pulse = self.pulse();
        if pulse.activity.period == period && pulse.activity.active {
            pulse.activity.announced = true;
        }
    }

    /// Counts a stream as open until the guard is dropped.
    #[must_use]
    pub fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream { scaler: Arc::clone(self) }
    }

    /// Streams open now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Time since it was last asked.
    #[must_use]
    pub fn silent(&self) -> Duration {
        let last = self.pulse().calls.last();
        self.clock.elapsed().saturating_sub(last)
    }

    /// The estimated interval between polls.
    #[must_use]
    pub fn poll_interval(&self) -> Duration {
        self.pulse().calls.interval()
    }

    /// What the engine remembers, as of the last tick.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.remembered().1
    }

    /// Changes what the engine remembers, and has the next tick come at once.
    pub fn revise(&self, change: impl FnOnce(&mut Memory)) {
        self.revise_quietly(change);
        self.revised.notify_one();
    }

    /// Changes what the engine remembers; the next tick decides upon it.
    pub(crate) fn revise_quietly(&self, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.0 = memory.0.wrapping_add(1);
        change(&mut memory.1);
    }

    /// What it learned of the past, and how far it is.
    #[must_use]
    pub fn learning(&self) -> Learning {
        self.lessons().learning.clone()
    }

    pub(crate) fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn to decide: whoever holds it decides and tells, and nobody else meanwhile.
    pub(crate) fn turn(&self) -> MutexGuard<'_, Option<Publisher>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is told: the watch closes.
    pub(crate) fn close(&self) {
        drop(self.turn().take());
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) const fn created(&self) -> Duration {
        self.created
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) async fn revised(&self) {
        self.revised.notified().await;
    }

    /// Counts a call.
    pub(crate) fn touch(&self) {
        let now = self.clock.elapsed();
        self.pulse().calls.note(now);
    }

    /// The memory and its revision, for [`Scaler::remember`].
    pub(crate) fn remembered(&self) -> (u64, Memory) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps `memory` unless it was revised since `revision` was read; says whether it was kept.
    pub(crate) fn remember(&self, revision: u64, memory: Memory) -> bool {
        let mut kept = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let unrevised = kept.0 == revision;
        if unrevised {
            kept.1 = memory;
        }
        unrevised
    }

    /// What the last tick looked for and could not read; empty before the first one.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a tick looked for; kept as it is while nothing changes.
    pub(crate) fn note_seen(&self, observation: &Observation) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Observation { searched, faults, workload, .. } = observation;
        if seen.searched != *searched || seen.faults != *faults || seen.workload != *workload {
            let (searched, faults) = (searched.clone(), faults.clone());
            *seen = Arc::new(Seen { searched, faults, workload: workload.clone() });
        }
    }

    /// The last 24 hours, as they are shown now.
    #[must_use]
    pub fn past(&self) -> Past {
        let course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        let learning = self.learning();
        let history = (learning != Learning::None).then(|| learning.to_string());
        Past { history, ..course.shown(self.clock.now()) }
    }

    /// Notes a tick in the course.
    pub(crate) fn note_course(&self, ticked: &Ticked<'_>) {
        self.course.lock().unwrap_or_else(PoisonError::into_inner).note(ticked);
    }

    /// Time since it was first asked.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.created)
    }

    /// Notes a tick that ended with `decision`; before it is published.
    pub(crate) fn note_decision(&self, decision: &Decision) {
        let now = self.clock.elapsed();
        let mut pulse = self.pulse();
        pulse.ticked = Some(now);
        pulse.broken = None;
        pulse.activity = next_activity(pulse.activity, decision.active());
    }

    /// Notes a tick that failed.
    pub(crate) fn note_failure(&self, broken: Unanswered) {
        self.pulse().broken = Some(broken);
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open stream of a scaler; dropping it ends the count.
#[derive(Debug)]
pub struct OpenStream {
    scaler: Arc<Scaler>,
}

impl OpenStream {
    /// The scaler.
    #[must_use]
    pub const fn scaler(&self) -> &Arc<Scaler> {
        &self.scaler
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.scaler.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A period begins at each edge; a refusal neither begins nor ends one.
const fn next_activity(before: Activity, active: Option<bool>) -> Activity {
    match (active, before.active) {
        (Some(true), false) => {
            Activity { period: before.period.wrapping_add(1), active: true, announced: false }
        }
        (Some(false), _) => Activity { period: before.period, active: false, announced: false },
        (Some(true), true) | (None, _) => before,
    }
}

/// Whether a decision made `age` ago may be told: while ticks come, always; when they stopped, as
/// long as all the data behind it is at most 600 s old.
fn judge(
    decision: Arc<Decision>,
    age: Duration,
    tick: Duration,
) -> Result<Arc<Decision>, Unanswered> {
    let refused = matches!(decision.verdict, Verdict::Refuse(_));
    if refused || age <= DECISION_AGE_MAX.max(tick * 3) {
        return Ok(decision);
    }
    let total = age + data_age(&decision);
    if total <= DATA_AGE_MAX { Ok(decision) } else { Err(Unanswered::Stale { age: total }) }
}

/// Age of the data that carried the decision. The other states answer whatever the age of engine
/// data, by contract, so only the age of the decision itself counts.
pub(crate) fn data_age(decision: &Decision) -> Duration {
    match decision.state {
        State::Fresh | State::Hold | State::Partial => decision.data_age.unwrap_or_default(),
        State::Blind | State::Cold | State::Asleep | State::AsleepBlind | State::Waking => {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Activity, judge, next_activity};
    use crate::engine::decision::{Decision, Refusal, State, Verdict};
    use crate::engine::units::{Replicas, Timestamp};

    fn decision(state: State, verdict: Verdict, data_age_s: u64) -> Arc<Decision> {
        Arc::new(Decision {
            at: Timestamp::from_unix_ms(0),
            state,
            unmasked: verdict.clone(),
            verdict,
            terms: Vec::new(),
            reasons: Vec::new(),
            data_age: Some(Duration::from_secs(data_age_s)),
            current: None,
            ready: None,
            serving: false,
            foreseen: None,
        })
    }

    #[test]
    fn an_old_decision_is_told_only_while_its_data_is_trustworthy() {
        let number = Verdict::Scale { replicas: Replicas::ONE, sent: Replicas::ONE, active: true };
        let refusal = Verdict::Refuse(Refusal::NoData { text: String::new() });
        let rows = [
            ("young", State::Fresh, &number, 10, 15, true),
            ("within three ticks of a minute", State::Hold, &number, 590, 180, true),
            ("ticks stopped, data young", State::Fresh, &number, 10, 590, true),
            ("ticks stopped, data old", State::Fresh, &number, 11, 590, false),
            ("asleep with old engine data", State::Asleep, &number, 9000, 600, true),
            ("asleep, stopped too long", State::Asleep, &number, 0, 601, false),
            ("a refusal stays one", State::Blind, &refusal, 9000, 9000, true),
        ];
        for (what, state, verdict, data_age, age, told) in rows {
            let decision = decision(state, verdict.clone(), data_age);
            let answer = judge(decision, Duration::from_secs(age), Duration::from_secs(60));
            assert_eq!(answer.is_ok(), told, "{what}");
        }
    }

    #[test]
    fn a_period_begins_at_an_edge_and_survives_a_refusal() {
        let mut activity = Activity::default();
        let rows = [
            (None, 0, false),
            (Some(false), 0, false),
            (Some(true), 1, true),
            (None, 1, true),
            (Some(true), 1, true),
            (Some(false), 1, false),
            (None, 1, false),
            (Some(true), 2, true),
        ];
        for (idx, (active, period, expected)) in rows.into_iter().enumerate() {
            activity = next_activity(activity, active);
            assert_eq!((activity.period, activity.active), (period, expected), "row {idx}");
        }
    }
}
