//! A process that has been running for days and one that begins foresee the same from the same minutes.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::foresight::{Carries, Foresight};
use prescale::engine::units::Timestamp;
use prescale::scaler::{Registry, Scaler};
use prescale::spec::Limits;
use prescale::store::{Identity, Key, Store};

use crate::made::PATIENCE;
use crate::world::{Mood, Moody, reference};

/// A midnight, UTC.
const MIDNIGHT: Timestamp = Timestamp::from_unix_ms(20_700 * 86_400_000);
/// Where what is stored ends; later ticks read nothing.
const EVENING: Timestamp = Timestamp::from_unix_ms(MIDNIGHT.unix_ms() - 3_600_000);
const DAY: Duration = Duration::from_hours(24);
const TRIGGER: &[(&str, &str)] =
    &[("engine", "vllm"), ("forecastHistory", "14d"), ("tick", "60s"), ("concurrency", "16")];

/// Requests that rise and fall with the day, and jump about meanwhile.
fn minutes(from: Timestamp, until: Timestamp) -> Vec<Minute> {
    let all = (from.unix_ms() / 60_000)..(until.unix_ms() / 60_000);
    let minute = |number: i64| {
        let step = f64::from(u32::try_from(number.rem_euclid(1_000_000)).unwrap());
        let day = 3.0 - 2.0 * (step * std::f64::consts::TAU / 1440.0).cos();
        let mut minute = Minute::unknown(Timestamp::from_unix_ms(number * 60_000));
        minute.requests = Some(day * (1.0 + 0.3 * (step * step * 0.37).sin()));
        minute
    };
    all.map(minute).collect()
}

/// A process that begins at `at` and has stored minutes from `from` on.
fn process(dir: &Path, at: Timestamp, from: Timestamp) -> (Arc<Registry>, Arc<Scaler>) {
    process_with(dir, at, &minutes(from, EVENING))
}

fn process_with(dir: &Path, at: Timestamp, stored: &[Minute]) -> (Arc<Registry>, Arc<Scaler>) {
    let clock = Clock::scaled(at, 1.0);
    let store = Arc::new(Store::open(dir, clock.clone()).unwrap());
    let (namespace, name) = ("team-a".to_owned(), "llama".to_owned());
    let (workload, engine) = (String::new(), "vllm".to_owned());
    let identity = Identity { namespace, name, workload, engine };
    let key = Key { identity, trigger: "t".to_owned() };
    assert!(store.add_minutes(&key, stored));
    assert!(store.flush(PATIENCE));
    let world = Arc::new(Moody(Arc::new(Mutex::new(Mood::Dead))));
    let registry = Registry::keeping(world, clock, Limits::default(), store);
    let scaler = registry.scaler(&reference("llama", TRIGGER)).unwrap();
    (registry, scaler)
}

/// What is said of `days` of history, and of nothing known after them until `now`.
fn taught(scaler: &Scaler, days: u32, now: Timestamp) -> Vec<(u32, f64, f64)> {
    let setup = &scaler.spec.setup;
    let mut history = minutes(MIDNIGHT.minus(DAY * days), EVENING);
    let unknown = EVENING.unix_ms() / 60_000..now.unix_ms() / 60_000;
    history.extend(unknown.map(|at| Minute::unknown(Timestamp::from_unix_ms(at * 60_000))));
    Foresight::of(setup, Duration::from_secs(195), Carries::default(), &history).bands(0.95)
}

#[tokio::test(start_paused = true)]
async fn after_a_midnight_nothing_before_the_history_has_a_say() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (first, old) =
        process(dirs[0].path(), EVENING.plus(Duration::from_mins(5)), MIDNIGHT.minus(DAY * 17));
    let says = |scaler: &Scaler| scaler.memory().foresight.bands(0.95);
    for _ in 0..8 * 12 {
        tokio::time::sleep(Duration::from_mins(5)).await;
        // Whom nobody asks is forgotten.
        first.scaler(&reference("llama", TRIGGER)).unwrap();
    }
    let (second, new) = process(dirs[1].path(), first.clock().now(), MIDNIGHT.minus(DAY * 14));
    // Between two ticks.
    tokio::time::sleep(Duration::from_mins(10) + Duration::from_secs(30)).await;
    let now = first.clock().now();
    assert_eq!(taught(&new, 14, now), says(&new));
    assert_ne!(taught(&new, 15, now), says(&new), "a day more of history says something else");
    assert!(Arc::ptr_eq(&first.scaler(&reference("llama", TRIGGER)).unwrap(), &old));
    assert_eq!(says(&old), says(&new));
    first.shutdown().await;
    second.shutdown().await;
}

/// A clock that was ten days ahead for a minute left one there; and when it was set back in a running process,
/// what that had learned was of a time to come, and was dropped.
#[tokio::test(start_paused = true)]
async fn a_minute_of_a_clock_that_was_ahead_is_none_and_days_that_were_lost_are_learned_again() {
    let dir = tempfile::tempdir().unwrap();
    let now = EVENING.plus(Duration::from_mins(5));
    let mut stored = minutes(MIDNIGHT.minus(DAY * 14), EVENING);
    let ahead = MIDNIGHT.plus(DAY * 10);
    stored.extend(minutes(ahead, ahead.plus(Minute::LENGTH)));
    let (registry, scaler) = process_with(dir.path(), now, &stored);
    let newest = || scaler.memory().foresight.newest_known();
    let wait = async |time| {
        tokio::time::sleep(time).await;
        registry.scaler(&reference("llama", TRIGGER)).unwrap();
    };
    wait(Duration::from_mins(2)).await;
    let last = EVENING.minus(Minute::LENGTH);
    assert_eq!(newest(), Some(last));
    scaler.revise(|memory| memory.foresight = Foresight::default());
    assert_eq!(newest(), None);
    for _ in 0..5 {
        wait(Duration::from_mins(5)).await;
    }
    assert_eq!(newest(), Some(last));
    registry.shutdown().await;
}
