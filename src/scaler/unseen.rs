//! Wakes of scaled objects that nobody has asked this process for yet.
//!
//! KEDA holds one connection, so of several processes one knows a scaler; when it ends, KEDA comes to
//! another. A wake that was handed to that one meanwhile is remembered for it, for a while and within a
//! bound: what is not asked for within it was a name that somebody made up.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::engine::units::Timestamp;

/// How many; the oldest of the namespace that has most makes room, so that whoever makes names up drives
/// out his own.
const NAMES_MAX: usize = 256;

/// For how long: a process that ends is replaced within minutes, and a wake that is older has been
/// answered or given up.
const KEPT: Duration = Duration::from_mins(10);

/// The names, with the instant of the last wake.
#[derive(Debug, Default)]
pub(crate) struct Unseen(Mutex<BTreeMap<(String, String), Timestamp>>);

impl Unseen {
    /// Remembers a wake.
    pub(crate) fn note(&self, namespace: &str, name: &str, now: Timestamp) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, at| now.since(*at) < KEPT);
        let key = (namespace.to_owned(), name.to_owned());
        if names.len() >= NAMES_MAX && !names.contains_key(&key) {
            one_less(&mut names);
        }
        names.insert(key, now);
    }

    /// When the object was to be woken, if that still counts. It is kept: the object may have
    /// several triggers.
    pub(crate) fn of(&self, namespace: &str, name: &str, now: Timestamp) -> Option<Timestamp> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.get(&(namespace.to_owned(), name.to_owned())).copied()?;
        (now.since(at) < KEPT).then_some(at)
    }
}

fn one_less(names: &mut BTreeMap<(String, String), Timestamp>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, _) in names.keys() {
        *counts.entry(namespace).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(namespace, _)| namespace);
    let of_most = names.iter().filter(|((namespace, _), _)| Some(namespace.as_str()) == most);
    let oldest = of_most.min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
    oldest.and_then(|oldest| names.remove(&oldest));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{NAMES_MAX, Unseen};
    use crate::engine::units::Timestamp;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_wake_is_remembered_for_ten_minutes_and_the_oldest_makes_room() {
        let unseen = Unseen::default();
        unseen.note("ns", "llama", at(0));
        assert_eq!(unseen.of("ns", "llama", at(599)), Some(at(0)));
        assert_eq!(unseen.of("ns", "llama", at(600)), None);
        assert_eq!(unseen.of("ns", "other", at(1)), None);
        for idx in 0..u64::try_from(NAMES_MAX).unwrap() {
            unseen.note("ns", &format!("n{idx}"), at(1 + idx));
        }
        assert_eq!(unseen.of("ns", "llama", at(300)), None);
        assert!(unseen.of("ns", "n0", at(300)).is_some());
        // Asked for again, it takes no other's place.
        unseen.note("ns", "n255", at(300));
        assert!(unseen.of("ns", "n0", at(300)).is_some());
        assert_eq!(unseen.0.lock().unwrap().len(), NAMES_MAX);
    }

    #[test]
    fn who_makes_names_up_drives_out_his_own() {
        let unseen = Unseen::default();
        unseen.note("quiet", "llama", at(0));
        for idx in 0..2 * u64::try_from(NAMES_MAX).unwrap() {
            unseen.note("loud", &format!("n{idx}"), at(1));
        }
        assert!(unseen.of("quiet", "llama", at(2)).is_some());
        assert_eq!(unseen.0.lock().unwrap().len(), NAMES_MAX);
    }
}
