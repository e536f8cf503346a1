//! How often a scaler's tick may fail before it is left alone for a while.

use std::collections::VecDeque;
use std::time::Duration;

/// Failures within [`WINDOW`] that pause the ticks: two may be one poisoned page read twice.
const FAILURES_MAX: usize = 3;

/// Time in which failures count together, and for which ticks then pause.
const WINDOW: Duration = Duration::from_secs(600);

/// The recent failures of one scaler, on a clock that never jumps.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    failures: VecDeque<Duration>,
    until: Option<Duration>,
}

impl Quarantine {
    /// Notes a failure at `now`; says whether ticks now pause.
    pub(crate) fn note(&mut self, now: Duration) -> bool {
        self.failures.push_back(now);
        self.failures.retain(|at| now.saturating_sub(*at) < WINDOW);
        if self.failures.len() < FAILURES_MAX {
            return false;
        }
        self.failures.clear();
        self.until = Some(now + WINDOW);
        true
    }

    /// Whether ticks pause at `now`.
    pub(crate) fn paused(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Quarantine;

    #[test]
    fn three_failures_in_ten_minutes_pause_for_ten_minutes() {
        let mut quarantine = Quarantine::default();
        let rows = [(0, false), (500, false), (601, false), (700, true)];
        for (at, pauses) in rows {
            assert_eq!(quarantine.note(Duration::from_secs(at)), pauses, "{at}");
        }
        assert!(quarantine.paused(Duration::from_secs(1299)));
        assert!(!quarantine.paused(Duration::from_secs(1300)));
    }
}
