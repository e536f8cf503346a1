//! Restarts: what the first answers say, and that nothing is lower than what was told before unless
//! data says so.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::decision::{Reason, State};
use prescale::engine::units::Timestamp;
use prescale::scaler::{Registry, Scaler, Unanswered};
use prescale::spec::Limits;
use prescale::store::Store;

use crate::made::{PATIENCE, told};
use crate::world::{Mood, Moody, TRIGGER, reference};

/// Between two ticks.
const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_790_000_007_000);

const SLEEPER: &[(&str, &str)] = &[("gateway", "keda-http"), ("queueDepth", "5")];

/// One process: registry and store, from `second` on.
struct Life {
    registry: Arc<Registry>,
    store: Arc<Store>,
    mood: Arc<Mutex<Mood>>,
}

impl Life {
    fn begin(dir: &Path, second: u64, mood: Mood) -> Self {
        let clock = Clock::scaled(ORIGIN.plus(Duration::from_secs(second)), 1.0);
        let store = Arc::new(Store::open(dir, clock.clone()).unwrap());
        let mood = Arc::new(Mutex::new(mood));
        let world = Arc::new(Moody(Arc::clone(&mood)));
        let registry = Registry::keeping(world, clock, Limits::default(), Arc::clone(&store));
        Self { registry, store, mood }
    }

    fn scaler(&self, metadata: &[(&str, &str)]) -> Arc<Scaler> {
        self.registry.scaler(&reference("llama", metadata)).unwrap()
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Ends it as a kill would, but for the last second.
    async fn end(self) {
        assert!(self.store.flush(PATIENCE));
        self.registry.shutdown().await;
        self.store.close();
    }
}

/// A workload that was told a number for ten minutes; the number, and the second of the end.
async fn served(dir: &Path, mood: Mood, metadata: &[(&str, &str)]) -> ((u32, bool), u64) {
    let life = Life::begin(dir, 0, mood);
    let scaler = life.scaler(metadata);
    life.pass(600).await;
    let number = told(&scaler.answer().unwrap()).unwrap();
    life.end().await;
    (number, 600)
}

/// Whatever the world does at the restart: the first answer is there at once, and for nearly ten
/// minutes nothing is lower, be the source alive, dead or silent.
#[tokio::test(start_paused = true)]
async fn a_restart_under_load_lowers_nothing_and_answers_at_once() {
    let rows = [
        (Mood::Busy, 20, State::Fresh),
        (Mood::Dead, 20, State::Hold),
        (Mood::Hangs, 20, State::Hold),
        (Mood::Busy, 300, State::Fresh),
        (Mood::Dead, 300, State::Hold),
    ];
    for (mood, down, state) in rows {
        let dir = tempfile::tempdir().unwrap();
        let ((before, active), end) = served(dir.path(), Mood::Busy, TRIGGER).await;
        assert!(active && before == 6, "{before}");
        let life = Life::begin(dir.path(), end + down, mood);
        let scaler = life.scaler(TRIGGER);
        let first = scaler.answer().unwrap();
        assert_eq!((first.state, told(&first)), (State::Hold, Some((before, true))), "{mood:?}");
        let restored = |reason: &Reason| matches!(reason, Reason::Restored { .. });
        assert!(first.reasons.iter().any(restored), "{first:?}");
        for second in 0..(580 - down) {
            life.pass(1).await;
            let answer =
                scaler.answer().unwrap_or_else(|error| panic!("{mood:?} {second}: {error}"));
            let (replicas, active) = told(&answer).unwrap();
            assert!(replicas >= before && active, "{mood:?} {second}: {answer:?}");
        }
        assert_eq!(scaler.answer().unwrap().state, state, "{mood:?}");
        life.end().await;
    }
}

/// Data says so: after a full window of idle pods it goes down as always.
#[tokio::test(start_paused = true)]
async fn after_a_restart_data_lowers_as_always() {
    let dir = tempfile::tempdir().unwrap();
    let ((before, _), end) = served(dir.path(), Mood::Busy, TRIGGER).await;
    let life = Life::begin(dir.path(), end + 120, Mood::Idle);
    let scaler = life.scaler(TRIGGER);
    life.pass(160).await;
    assert_eq!(told(&scaler.answer().unwrap()), Some((before, true)), "not before a window");
    life.pass(600).await;
    assert!(told(&scaler.answer().unwrap()).unwrap().0 < before);
    life.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_is_too_old_is_not_told_and_what_was_learned_is_kept() {
    for (down, last) in [(599, Some(6)), (3_000, Some(6)), (4_000, None)] {
        let dir = tempfile::tempdir().unwrap();
        let (_, end) = served(dir.path(), Mood::Busy, TRIGGER).await;
        let life = Life::begin(dir.path(), end + down, Mood::Hangs);
        let scaler = life.scaler(TRIGGER);
        assert_eq!(scaler.answer().unwrap_err(), Unanswered::NotYet, "{down}");
        assert_eq!(scaler.memory().last, last, "{down}");
        life.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn asleep_stays_asleep_over_restarts_of_any_length_without_an_error() {
    for (down, mood) in
        [(20, Mood::Dead), (20, Mood::Zero(0)), (300, Mood::Dead), (90_000, Mood::Dead)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (before, end) = served(dir.path(), Mood::Zero(0), SLEEPER).await;
        assert_eq!(before, (0, false));
        let life = Life::begin(dir.path(), end + down, mood);
        let scaler = life.scaler(SLEEPER);
        if down <= 600 {
            let first = scaler.answer().unwrap();
            assert_eq!((first.state, told(&first)), (State::Asleep, Some((0, false))));
        }
        for _ in 0..60 {
            life.pass(15).await;
            let answer = scaler.answer().unwrap();
            assert_eq!(told(&answer), Some((0, false)), "{down} {mood:?}: {answer:?}");
        }
        life.end().await;
    }
}

/// Somebody waits, the wake is held, the process is killed, the gateway cannot be read any more: the
/// wake goes on, and ends when it would have ended.
#[tokio::test(start_paused = true)]
async fn a_lease_survives_and_is_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), 0, Mood::Zero(0));
    let scaler = life.scaler(SLEEPER);
    life.pass(60).await;
    life.set(Mood::Zero(3));
    life.pass(60).await;
    let answer = scaler.answer().unwrap();
    assert_eq!((answer.state, told(&answer)), (State::Waking, Some((1, true))));
    let wake = scaler.memory().wake;
    let now = life.registry.clock().now();
    let ends = now.plus(wake.remaining(now).unwrap());
    life.end().await;
    let life = Life::begin(dir.path(), 300, Mood::Zero(0));
    let scaler = life.scaler(SLEEPER);
    let first = scaler.answer().unwrap();
    assert_eq!((first.state, told(&first)), (State::Waking, Some((1, true))));
    assert_eq!(scaler.memory().wake, wake);
    while life.registry.clock().now() < ends.minus(Duration::from_secs(20)) {
        life.pass(15).await;
        assert_eq!(told(&scaler.answer().unwrap()), Some((1, true)));
    }
    life.pass(45).await;
    assert_eq!(told(&scaler.answer().unwrap()), Some((0, false)));
    life.end().await;
}

/// Both are asked after the restart, the smaller one first: neither takes the other's past.
#[tokio::test(start_paused = true)]
async fn two_triggers_of_one_object_each_go_on_from_their_own() {
    let small: &[(&str, &str)] = &[("concurrency", "32"), ("maxReplicas", "10")];
    for order in [[small, TRIGGER], [TRIGGER, small]] {
        let dir = tempfile::tempdir().unwrap();
        let life = Life::begin(dir.path(), 0, Mood::Busy);
        let both = order.map(|metadata| life.scaler(metadata));
        life.pass(600).await;
        let before = both.map(|scaler| told(&scaler.answer().unwrap()).unwrap().0);
        life.end().await;
        let life = Life::begin(dir.path(), 620, Mood::Hangs);
        for (metadata, before) in order.into_iter().zip(before) {
            let scaler = life.scaler(metadata);
            assert!(scaler.memory().last.unwrap() >= before);
            if let Ok(answer) = scaler.answer() {
                assert_eq!(told(&answer).unwrap().0, before);
            }
        }
        life.end().await;
    }
}

/// The trigger was edited while nobody ran: the memory is inherited, the number is not told, for it
/// may be masked or beyond the new limits.
#[tokio::test(start_paused = true)]
async fn a_trigger_edited_meanwhile_inherits_the_memory_and_not_the_number() {
    let dir = tempfile::tempdir().unwrap();
    let (_, end) = served(dir.path(), Mood::Busy, TRIGGER).await;
    let edited: &[(&str, &str)] = &[("concurrency", "16"), ("scaleStrategy", "shadow")];
    let life = Life::begin(dir.path(), end + 20, Mood::Hangs);
    let scaler = life.scaler(edited);
    assert_eq!(scaler.answer().unwrap_err(), Unanswered::NotYet);
    assert_eq!(scaler.memory().last, Some(6));
    life.end().await;
    // Another engine's numbers would mean something else.
    let life = Life::begin(dir.path(), end + 40, Mood::Hangs);
    assert_eq!(life.scaler(&[("engine", "sglang")]).memory().last, None);
    life.end().await;
}

/// Nobody asked for an hour, the scaler was forgotten; who asks again gets what was learned.
#[tokio::test(start_paused = true)]
async fn a_forgotten_scaler_is_remembered_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path(), 0, Mood::Busy);
    let scaler = life.scaler(TRIGGER);
    life.pass(3_700).await;
    assert!(life.registry.all().is_empty());
    let pods = scaler.memory().pods;
    let again = life.scaler(TRIGGER);
    assert!(!Arc::ptr_eq(&scaler, &again));
    assert_eq!(again.memory().pods, pods);
    life.end().await;
}
