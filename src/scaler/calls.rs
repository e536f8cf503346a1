//! How often one scaler is asked, and for how long it has not been.
//!
//! Given the instants of calls on a clock that never jumps. KEDA asks in bursts, three calls within
//! milliseconds for each poll, so the poll interval is seen only in the gaps between bursts.

use std::time::Duration;

/// Calls nearer than this belong to one poll.
const BURST: Duration = Duration::from_secs(1);

/// KEDA's default polling interval, until gaps were seen.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(30);

/// Below this an estimate only says that somebody is asking by hand or in a loop.
const INTERVAL_MIN: Duration = Duration::from_secs(10);

/// Gaps remembered. The largest counts, because HPA syncs come between the polls only while there
/// are replicas: eight gaps of 15 s span two minutes, four default polls.
const GAPS: usize = 8;

/// The recent calls of one scaler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls {
    last: Duration,
    gaps: [Duration; GAPS],
    seen: usize,
}

impl Calls {
    /// A scaler whose first call is at `now`.
    pub(crate) const fn new(now: Duration) -> Self {
        Self { last: now, gaps: [Duration::ZERO; GAPS], seen: 0 }
    }

    /// Another call at `now`.
    pub(crate) fn note(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last);
        if gap >= BURST {
            if let Some(place) = self.gaps.get_mut(self.seen % GAPS) {
                *place = gap;
            }
            self.seen = self.seen.wrapping_add(1);
        }
        self.last = self.last.max(now);
    }

    /// When it was last asked.
    pub(crate) const fn last(&self) -> Duration {
        self.last
    }

    /// The estimated poll interval.
    pub(crate) fn interval(&self) -> Duration {
        let largest = self.gaps.iter().max().copied().unwrap_or_default();
        if largest.is_zero() { INTERVAL_DEFAULT } else { largest.max(INTERVAL_MIN) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Calls;

    fn check(what: &str, calls_ms: &[u64], interval_s: u64) {
        let mut calls = Calls::new(Duration::ZERO);
        for ms in calls_ms {
            calls.note(Duration::from_millis(*ms));
        }
        let off = calls.interval().abs_diff(Duration::from_secs(interval_s));
        assert!(off < Duration::from_millis(10), "{what}: {:?}", calls.interval());
    }

    #[test]
    fn the_poll_interval_is_the_largest_recent_gap_between_bursts() {
        check("nothing seen yet", &[], 30);
        check("one burst", &[2, 5], 30);
        check("bursts of three", &[2, 5, 20_000, 20_002, 20_005, 40_000], 20);
        check("HPA syncs between polls", &[15_000, 30_000, 60_000, 75_000], 30);
        check("someone in a loop", &[1_500, 3_000, 4_500], 10);
        let forgotten: Vec<u64> = (0..9).map(|n| 300_000 + n * 15_000).collect();
        check("an old gap is forgotten", &forgotten, 15);
    }
}
