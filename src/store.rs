//! What survives a restart: memory and last decision of each workload, and what arrived in each minute.
//!
//! Given a directory, promises that saving never waits for the disk, that a process killed at any
//! moment loses at most the last second, that what is read is what was written or is not there, and that
//! no trouble with the disk ends the serving. One `SQLite` file, one thread that writes it, two that
//! read. What a memory means is left to the engine; whose it is, to `crate::scaler`.

mod batch;
mod error;
mod file;
mod key;
mod metrics;
mod place;
mod queue;
mod read;
mod seal;
mod shared;
mod write;

mod reader;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::engine::arrived::Minute;
use crate::engine::decision::Decision;
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::store::batch::State;
use crate::store::place::Place;
use crate::store::reader::Reader;
use crate::store::shared::Shared;
use crate::store::writer::Writer;

pub use error::Error;
pub use key::{Identity, Key};
pub use metrics::Metrics;

/// How long the memory of a new scaler is waited for. It is read in well under a millisecond; a disk
/// that hangs may hold up the call for half of its second.
const LOAD_MAX: Duration = Duration::from_millis(500);

/// How long minutes are waited for, by somebody whom nobody waits for.
const MINUTES_MAX: Duration = Duration::from_secs(30);

/// Triggers of one scaled object that were told within this time were told together.
const TOGETHER: Duration = Duration::from_mins(10);

/// What is kept of one trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The engine's memory.
    pub memory: Memory,
    /// The last decision; `None` if this version does not understand it.
    pub decision: Option<Decision>,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether it is of the very trigger that was asked for, and not of another one of the same
    /// workload, as after an edit.
    pub own: bool,
}

/// The store of one process. Dropping it writes what waits.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    loads: Reader,
    history: Reader,
}

/// What has to end, in this order.
#[derive(Debug)]
struct Running {
    writer: JoinHandle<()>,
    _lock: File,
}

impl Store {
    /// Opens the store in `dir`, which has to exist and belongs to this process from now on. A file
    /// there that cannot be used is set aside with a warning, and a new one begun.
    ///
    /// # Errors
    /// When the directory cannot be used, or is in use; each names the key `dataDir` and the path.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, Error> {
        let (place, lock) = Place::take(dir)?;
        let shared = Arc::new(Shared::new(place, clock));
        let file = shared.begin()?;
        let loads = Reader::start(&shared, 0).map_err(Error::Threads)?;
        let history = Reader::start(&shared, 1).map_err(Error::Threads)?;
        let writer = Writer::new(Arc::clone(&shared), file);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let writer = thread.spawn(move || writer.run()).map_err(Error::Threads)?;
        let running = Mutex::new(Some(Running { writer, _lock: lock }));
        Ok(Self { shared, running, loads, history })
    }

    /// Keeps what a tick left behind; of one trigger, the latest. Takes a lock and nothing else.
    pub fn save(&self, key: Key, memory: Memory, decision: Arc<Decision>) {
        let state = Box::new(State { memory, decision });
        let room = self.shared.queue.put(|batch| batch.save(key, state));
        self.shared.metrics.failed(u64::from(!room));
    }

    /// Has what was handed over written as soon as may be, not within a second. Waits for nothing.
    pub fn hurry(&self) {
        self.shared.queue.hurry();
    }

    /// What is kept of a trigger; else of the trigger of the same workload that wanted most of those
    /// that were told last, because an edit must not lower anything. Waits for half a second at most.
    #[must_use]
    pub fn load(&self, key: &Key) -> Option<Kept> {
        let fresh = self.shared.queue.look(|batch| {
            let of_identity = batch.states.iter().filter(|(it, _)| it.identity == key.identity);
            let kept = of_identity.map(|(it, state)| {
                let kept = Kept {
                    memory: state.memory.clone(),
                    decision: Some(Decision::clone(&state.decision)),
                    at: state.decision.at,
                    own: it.trigger == key.trigger,
                };
                (it.trigger.clone(), kept)
            });
            Some(kept.collect::<Vec<_>>())
        });
        let identity = key.identity.clone();
        let written = self.loads.ask(LOAD_MAX, move |file| read::states(file, &identity));
        let written = written.unwrap_or_default().into_iter().map(|row| {
            let read::Triggered { trigger, at, memory, decision } = row;
            let own = trigger == key.trigger;
            (trigger, Kept { memory, decision, at, own })
        });
        choose(written.chain(fresh.into_iter().flatten()).collect())
    }

    /// Keeps minutes of a workload; one that is there already is replaced. All, or none when too many
    /// wait: then says `false`, and a second later there may be room.
    #[must_use]
    pub fn add_minutes(&self, key: &Key, minutes: &[Minute]) -> bool {
        let room = self.shared.queue.put(|batch| batch.add(&key.identity, minutes));
        self.shared.metrics.failed(u64::from(!room));
        room
    }

    /// The minutes of a workload from `since` on, in order; minutes of which nothing was kept are not
    /// among them. Reads the disk: not for a thread that answers.
    #[must_use]
    pub fn minutes(&self, key: &Key, since: Timestamp) -> Vec<Minute> {
        let fresh = self.shared.queue.look(|batch| {
            let minutes = batch.minutes.get(&key.identity)?;
            Some(minutes.range(since..).map(|(_, minute)| *minute).collect::<Vec<_>>())
        });
        let identity = key.identity.clone();
        let ask = move |file: &_| read::minutes(file, &identity, since);
        let written = self.history.ask(MINUTES_MAX, ask).unwrap_or_default();
        if fresh.is_empty() {
            return written;
        }
        let mut all: BTreeMap<_, _> = written.into_iter().map(|it| (it.at, it)).collect();
        for minute in fresh.into_iter().flatten() {
            // As it will be written: what is not known takes nothing away.
            let there = all.entry(minute.at).or_insert(minute);
            if minute.is_known() {
                *there = minute;
            }
        }
        all.into_values().collect()
    }

    /// Notes that the past of a workload is there up to `until`. Written after all minutes that were
    /// added before.
    pub fn set_cursor(&self, key: &Key, until: Timestamp) {
        let identity = key.identity.clone();
        let room = self.shared.queue.put(|batch| batch.set_cursor(identity, until));
        self.shared.metrics.failed(u64::from(!room));
    }

    /// Up to when the past of a workload is there; `None`: nobody said so. Reads the disk: not for a
    /// thread that answers.
    #[must_use]
    pub fn cursor(&self, key: &Key) -> Option<Timestamp> {
        let fresh = self.shared.queue.look(|batch| batch.cursors.get(&key.identity).copied());
        let identity = key.identity.clone();
        let written = || self.history.ask(MINUTES_MAX, move |file| read::cursor(file, &identity));
        fresh.last().copied().or_else(|| written()?.first().copied())
    }

    /// Has everything that waits now written at once; says whether it was, within `limit`.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        self.shared.queue.flush(limit)
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Writes what waits, closes the file and gives the directory free; waits for the disk. What is
    /// saved afterwards is lost.
    pub fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { writer, _lock }) = running {
            self.shared.queue.end();
            // It ended by a panic at worst, and there is nothing more to save.
            drop(writer.join());
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// The newest row of each trigger, and of these the one asked for, or the one to inherit from.
fn choose(found: Vec<(String, Kept)>) -> Option<Kept> {
    let mut newest: BTreeMap<String, Kept> = BTreeMap::new();
    for (trigger, kept) in found {
        let older = newest.get(&trigger).is_none_or(|known| known.at <= kept.at);
        if older {
            newest.insert(trigger, kept);
        }
    }
    let mut kept: Vec<Kept> = newest.into_values().collect();
    if let Some(own) = kept.iter().position(|kept| kept.own) {
        return Some(kept.swap_remove(own));
    }
    let last = kept.iter().map(|kept| kept.at).max()?;
    kept.retain(|kept| last.since(kept.at) <= TOGETHER);
    kept.into_iter().max_by_key(|kept| (kept.memory.last, kept.at))
}

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;
    use std::time::Duration;

    use super::{Identity, Key, LOAD_MAX, Store};
    use crate::clock::Clock;
    use crate::engine::arrived::Minute;
    use crate::engine::units::Timestamp;

    /// A reader that got stuck in the system is one whose connection nobody gets.
    #[test]
    fn a_disk_that_hangs_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Clock::system()).unwrap();
        let [namespace, name, workload, engine] = ["ns", "llama", "", "vllm"].map(str::to_owned);
        let identity = Identity { namespace, name, workload, engine };
        let key = Key { identity, trigger: "t".to_owned() };
        let stuck = store.shared.readings[0].lock().unwrap_or_else(PoisonError::into_inner);
        let watch = Clock::system();
        for _ in 0..300 {
            assert!(store.load(&key).is_none());
            if watch.elapsed() > LOAD_MAX * 3 {
                break;
            }
        }
        assert!(watch.elapsed() < LOAD_MAX * 4 + Duration::from_secs(5));
        assert!(store.add_minutes(&key, &[Minute::unknown(Timestamp::default())]));
        assert!(store.flush(Duration::from_secs(60)), "the writer is not held up");
        assert_eq!(store.minutes(&key, Timestamp::default()).len(), 1, "nor the other reader");
        drop(stuck);
    }
}
