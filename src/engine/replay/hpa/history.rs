//! What the controller remembers of one HPA: recommendations, and the changes it made.
//!
//! Kept as `horizontal.go` keeps it, which forgets lazily: an entry that is out of date is replaced
//! by the next one, and until then still counts wherever a longer period reaches it. Pure.

use std::time::Duration;

use crate::engine::replay::hpa::behavior::{Rules, Step};
use crate::engine::units::Timestamp;

/// A number at an instant.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Timestamp,
    replicas: u32,
}

/// Recommendations or changes of one HPA.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Whether nothing was ever recorded.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The numbers of the last `window`, its far end not included.
    pub(super) fn within(&self, window: Duration, now: Timestamp) -> impl Iterator<Item = u32> {
        let cutoff = now.minus(window);
        self.entries.iter().filter(move |entry| entry.at > cutoff).map(|entry| entry.replicas)
    }

    /// The same, its far end included.
    pub(super) fn since(&self, window: Duration, now: Timestamp) -> impl Iterator<Item = u32> {
        let cutoff = now.minus(window);
        self.entries.iter().filter(move |entry| entry.at >= cutoff).map(|entry| entry.replicas)
    }

    /// Records `replicas` in place of the last entry that is older than `keep`, if there is one.
    pub(super) fn record(&mut self, replicas: u32, keep: Duration, now: Timestamp) {
        let cutoff = now.minus(keep);
        let entry = Entry { at: now, replicas };
        match self.entries.iter_mut().rfind(|entry| entry.at < cutoff) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }
}

/// The longest span over which `rules` count changes.
#[must_use]
pub(super) fn longest(rules: &Rules) -> Duration {
    rules.policies.iter().map(|policy| Step::period(*policy)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::History;
    use crate::engine::units::Timestamp;

    #[test]
    fn an_entry_out_of_date_counts_until_the_last_of_them_is_replaced() {
        let at = |seconds| Timestamp::default().plus(Duration::from_secs(seconds));
        let (keep, long) = (Duration::from_secs(15), Duration::from_mins(5));
        let mut history = History::default();
        let rows: [(u64, u32, &[u32]); 4] = [
            (0, 1, &[1]),
            (10, 2, &[1, 2]),
            (15, 4, &[1, 2, 4]), // at the edge: not yet out of date
            (40, 8, &[1, 2, 8]),
        ];
        for (seconds, replicas, expected) in rows {
            history.record(replicas, keep, at(seconds));
            let found: Vec<u32> = history.within(long, at(seconds)).collect();
            assert_eq!(found, expected, "{seconds} s");
        }
    }
}
