//! Made-up workloads, memories, decisions and minutes, each told by one number.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::decision::{Decision, Reason, State, Verdict};
use prescale::engine::step::Memory;
use prescale::engine::units::{Replicas, Timestamp};
use prescale::store::{Identity, Key, Store};

/// Longer than any write on a machine that does other things besides.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn key(name: &str, trigger: &str) -> Key {
    let (namespace, workload) = ("team-a".to_owned(), "deployment/llama".to_owned());
    let identity =
        Identity { namespace, name: name.to_owned(), workload, engine: "vllm".to_owned() };
    Key { identity, trigger: trigger.to_owned() }
}

/// A memory in which the number stands in several places.
pub(crate) fn memory(number: u32) -> Memory {
    let at = Timestamp::from_unix_ms(i64::from(number) * 1000);
    let mut memory = Memory { last: Some(number), newest: Some(at), ..Memory::default() };
    memory.window.seed(at, number);
    memory.window.note(at, number / 2, Duration::from_mins(3));
    memory.trim.value = 0.8 + 1.0 / f64::from(number + 7);
    memory
}

pub(crate) fn decision(number: u32, at: Timestamp) -> Arc<Decision> {
    let replicas = Replicas::new(number);
    let verdict = Verdict::Scale { replicas, sent: replicas, active: number > 0 };
    Arc::new(Decision {
        at,
        state: State::Fresh,
        unmasked: verdict.clone(),
        verdict,
        terms: Vec::new(),
        reasons: vec![Reason::Need { replicas: number }],
        data_age: Some(Duration::from_secs(5)),
        current: Some(replicas),
        ready: Some(replicas),
        serving: true,
        foreseen: None,
    })
}

/// The number that a decision tells.
pub(crate) fn told(decision: &Decision) -> Option<(u32, bool)> {
    match decision.verdict {
        Verdict::Scale { sent, active, .. } => Some((sent.get(), active)),
        Verdict::Refuse(_) => None,
    }
}

pub(crate) fn minute(number: u32) -> Minute {
    let mut minute = Minute::unknown(Timestamp::from_unix_ms(i64::from(number) * 60_000));
    minute.requests = Some(f64::from(number) / 7.0);
    minute.work = (!number.is_multiple_of(3)).then_some(f64::from(number) * 1e3);
    minute.replicas = number.is_multiple_of(5).then_some(0.0);
    minute
}

pub(crate) fn minutes(numbers: std::ops::Range<u32>) -> Vec<Minute> {
    numbers.map(minute).collect()
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, Clock::system()).unwrap()
}

/// The files set aside in `dir`, without companions.
pub(crate) fn aside(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.contains("set-aside") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    entries.filter(is_aside).collect()
}

/// A number from the environment: how much is tried.
pub(crate) fn asked(name: &str, default: usize) -> usize {
    std::env::vars()
        .find(|(key, _)| key == name)
        .map_or(default, |(_, value)| value.parse().unwrap())
}
