//! The down-window: nothing goes below the largest need of the last W, or of half of it after a fall where
//! load is not expected back, and nothing goes down before
//! there is a full W of data since the start or the last gap.
//!
//! An empty window after a restart would cut a fleet on its first tick, so it is seeded with the
//! replicas that are there.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// One or two missed ticks are covered by what the next one reads; more is a gap. Two ticks of the
/// slowest tick are two minutes, hence the floor.
const GAP_MIN: Duration = Duration::from_mins(1);

/// Whether the time between two ticks with data is a gap in the evidence.
#[must_use]
pub(super) fn is_gap(before: Timestamp, now: Timestamp, tick: Duration) -> bool {
    before > now || now.since(before) > GAP_MIN.max(tick.saturating_mul(2))
}

/// Needs of the last W: only those that no later one exceeds, so that it stays small.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DownWindow {
    /// Falling needs with their times, oldest first.
    needs: VecDeque<(Timestamp, u32)>,
    /// Since when there is data without a gap.
    since: Option<Timestamp>,
    /// The last tick with data.
    last: Option<Timestamp>,
    /// The last step down.
    stepped: Option<Timestamp>,
    /// Replicas wanted before the first of those that followed one another within a minute.
    #[serde(default)]
    stepped_from: u32,
}

impl DownWindow {
    /// Whether the next tick with data begins anew: the first one, or after a gap.
    #[must_use]
    pub fn begins(&self, now: Timestamp, tick: Duration) -> bool {
        self.since.is_none() || self.last.is_none_or(|last| is_gap(last, now, tick))
    }

    /// Starts anew, holding `seed` for a full window.
    pub fn seed(&mut self, now: Timestamp, seed: u32) {
        self.needs = VecDeque::from([(now, seed)]);
        self.since = Some(now);
        self.stepped = None;
    }

    /// Notes the need of a tick and forgets what is older than `window`.
    pub fn note(&mut self, now: Timestamp, need: u32, window: Duration) {
        self.needs.retain(|(at, _)| now.since(*at) < window);
        while self.needs.back().is_some_and(|(_, earlier)| *earlier <= need) {
            self.needs.pop_back();
        }
        self.needs.push_back((now, need));
        self.last = Some(now);
    }

    /// The largest need within the window.
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.needs.front().map_or(0, |(_, need)| *need)
    }

    /// The largest need of the last `span`, which is no longer than the window.
    #[must_use]
    pub fn peak_of(&self, now: Timestamp, span: Duration) -> u32 {
        let recent = self.needs.iter().find(|(at, _)| now.since(*at) < span);
        recent.map_or(0, |(_, need)| *need)
    }

    /// Time until there is a full window of data; `None` when there is.
    #[must_use]
    pub fn remaining(&self, now: Timestamp, window: Duration) -> Option<Duration> {
        let since = self.since.map_or(Duration::ZERO, |since| now.since(since));
        window.checked_sub(since).filter(|remaining| !remaining.is_zero())
    }

    /// Replicas that steps down are counted from within `span`, where `wanted` are wanted now.
    #[must_use]
    pub fn steps_from(&self, now: Timestamp, wanted: u32, span: Duration) -> u32 {
        let counted = self.stepped.is_some_and(|at| at <= now && now.since(at) < span);
        if counted { self.stepped_from.max(wanted) } else { wanted }
    }

    /// Notes a step down from `wanted`: those that follow one another within `span` are counted together.
    pub fn step(&mut self, now: Timestamp, wanted: u32, span: Duration) {
        self.stepped_from = self.steps_from(now, wanted, span);
        self.stepped = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::DownWindow;
    use crate::engine::units::Timestamp;

    const W: Duration = Duration::from_mins(3);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn the_peak_is_kept_for_the_whole_window() {
        let mut window = DownWindow::default();
        window.seed(at(0), 6);
        let rows = [(0, 2, 6), (60, 4, 6), (179, 1, 6), (180, 1, 4), (239, 1, 4), (240, 1, 1)];
        for (seconds, need, expected) in rows {
            window.note(at(seconds), need, W);
            assert_eq!(window.peak(), expected, "at {seconds}");
        }
    }

    #[test]
    fn a_gap_asks_for_a_full_window_of_data_again() {
        let tick = Duration::from_secs(15);
        let mut window = DownWindow::default();
        assert!(window.begins(at(0), tick));
        window.seed(at(0), 6);
        window.note(at(0), 1, W);
        assert_eq!(window.remaining(at(60), W), Some(Duration::from_mins(2)));
        assert_eq!(window.remaining(at(180), W), None);
        assert!(!window.begins(at(60), tick));
        assert!(window.begins(at(61), tick));
        // The clock was set back.
        assert!(window.begins(at(-1), tick));
    }
}
