//! What waits to be written: the latest of each, never a queue of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::arrived::Minute;
use crate::engine::decision::Decision;
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::store::key::{Identity, Key};

/// States that may wait: as many as there may ever be scalers (limits.scalers).
const STATES_MAX: usize = 100_000;

/// Minutes that may wait, 20 MiB of them: a back-fill of two weeks for ten workloads, or twenty
/// minutes of 10 000 workloads while the disk does not answer.
const MINUTES_MAX: usize = 200_000;

/// What a tick leaves behind.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) memory: Memory,
    pub(super) decision: Arc<Decision>,
}

/// Rows by whom they belong to.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    /// A state is a kilobyte and more, and a third of the places of a tree are empty.
    pub(super) states: BTreeMap<Key, Box<State>>,
    pub(super) minutes: BTreeMap<Identity, BTreeMap<Timestamp, Minute>>,
    pub(super) cursors: BTreeMap<Identity, Timestamp>,
    minutes_count: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.minutes.is_empty() && self.cursors.is_empty()
    }

    /// Replaces what waits under `key`; says whether there was room.
    pub(super) fn save(&mut self, key: Key, state: Box<State>) -> bool {
        let room = self.states.len() < STATES_MAX || self.states.contains_key(&key);
        if room {
            self.states.insert(key, state);
        }
        room
    }

    /// Adds all of `minutes`, or none when there is no room for them.
    pub(super) fn add(&mut self, identity: &Identity, minutes: &[Minute]) -> bool {
        if self.minutes_count.saturating_add(minutes.len()) > MINUTES_MAX {
            return false;
        }
        if minutes.is_empty() {
            return true;
        }
        let waiting = self.minutes.entry(identity.clone()).or_default();
        let before = waiting.len();
        for minute in minutes {
            let there = waiting.entry(minute.at).or_insert(*minute);
            // Who could not read takes nothing away from who could.
            if minute.is_known() {
                *there = *minute;
            }
        }
        self.minutes_count += waiting.len() - before;
        true
    }

    /// Notes up to when the past is there.
    pub(super) fn set_cursor(&mut self, identity: Identity, until: Timestamp) -> bool {
        let room = self.cursors.len() < STATES_MAX || self.cursors.contains_key(&identity);
        if room {
            self.cursors.insert(identity, until);
        }
        room
    }

    /// Takes back what could not be written, except where newer waits; returns the rows for which
    /// there was no room.
    pub(super) fn put_back(&mut self, older: Self) -> u64 {
        let mut lost = 0;
        let Self { states, minutes, mut cursors, minutes_count: _ } = older;
        for (key, state) in states {
            if !self.states.contains_key(&key) {
                lost += u64::from(!self.save(key, state));
            }
        }
        for (identity, minutes) in minutes {
            let newer = self.minutes.get(&identity);
            let is_newer = |at: &Timestamp| {
                newer.and_then(|newer| newer.get(at)).is_some_and(Minute::is_known)
            };
            let kept: Vec<Minute> =
                minutes.into_iter().filter(|(at, _)| !is_newer(at)).map(|(_, it)| it).collect();
            if !self.add(&identity, &kept) {
                lost += u64::try_from(kept.len()).unwrap_or(u64::MAX);
                // It would say that these are there.
                cursors.remove(&identity);
            }
        }
        for (identity, until) in cursors {
            self.cursors.entry(identity).or_insert(until);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, MINUTES_MAX};
    use crate::engine::arrived::Minute;
    use crate::engine::units::Timestamp;
    use crate::store::key::Identity;

    fn identity(name: &str) -> Identity {
        let (namespace, workload) = ("ns".to_owned(), String::new());
        Identity { namespace, name: name.to_owned(), workload, engine: "vllm".to_owned() }
    }

    fn minutes(from: i64, count: usize, requests: f64) -> Vec<Minute> {
        let minute = |at: i64| Timestamp::from_unix_ms(at * 60_000);
        (from..)
            .take(count)
            .map(|at| Minute { requests: Some(requests), ..Minute::unknown(minute(at)) })
            .collect()
    }

    #[test]
    fn the_same_minute_waits_once_and_what_does_not_fit_is_refused_whole() {
        let mut batch = Batch::default();
        let full = minutes(0, MINUTES_MAX, 1.0);
        assert!(batch.add(&identity("a"), &full[..MINUTES_MAX / 2]));
        assert!(batch.add(&identity("a"), &full[..MINUTES_MAX / 2]));
        assert_eq!(batch.minutes_count, MINUTES_MAX / 2);
        assert!(!batch.add(&identity("b"), &full[..MINUTES_MAX / 2 + 1]));
        assert!(!batch.minutes.contains_key(&identity("b")));
        assert!(batch.add(&identity("b"), &[]) && !batch.minutes.contains_key(&identity("b")));
    }

    #[test]
    fn an_unknown_minute_replaces_nothing_that_waits() {
        let known = minutes(0, 2, 1.0);
        let unknown: Vec<_> = known.iter().map(|minute| Minute::unknown(minute.at)).collect();
        let requests = |batch: &Batch| -> Vec<_> {
            batch.minutes[&identity("a")].values().map(|minute| minute.requests).collect()
        };
        for rows in [[&known, &unknown], [&unknown, &known]] {
            let (mut added, mut older, mut newer) =
                (Batch::default(), Batch::default(), Batch::default());
            assert!(rows.iter().all(|minutes| added.add(&identity("a"), minutes)));
            assert!(older.add(&identity("a"), rows[0]) && newer.add(&identity("a"), rows[1]));
            assert_eq!(newer.put_back(older), 0);
            for batch in [&added, &newer] {
                assert_eq!((requests(batch), batch.minutes_count), (vec![Some(1.0); 2], 2));
            }
        }
    }

    #[test]
    fn what_could_not_be_written_never_replaces_what_is_newer() {
        let (mut older, mut batch) = (Batch::default(), Batch::default());
        assert!(older.add(&identity("a"), &minutes(0, 3, 1.0)));
        assert!(older.set_cursor(identity("a"), Timestamp::from_unix_ms(1)));
        assert!(older.set_cursor(identity("b"), Timestamp::from_unix_ms(1)));
        assert!(batch.add(&identity("a"), &minutes(2, 2, 2.0)));
        assert!(batch.set_cursor(identity("a"), Timestamp::from_unix_ms(2)));
        assert_eq!(batch.put_back(older), 0);
        let requests: Vec<_> =
            batch.minutes[&identity("a")].values().filter_map(|minute| minute.requests).collect();
        assert_eq!(requests, [1.0, 1.0, 2.0, 2.0]);
        let until = |name| batch.cursors[&identity(name)].unix_ms();
        assert_eq!((until("a"), until("b")), (2, 1));
    }
}
