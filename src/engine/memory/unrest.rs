//! Unrest: load that goes and soon comes back, so that what was taken away is missed.
//!
//! Each tick it is asked what going down at once would have left, and what is needed now. Where that
//! would have been two replicas too few, and a fifth, of what was there shortly before, the way down has
//! to be patient; so it has while too little was seen to tell.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// Going down at once is no sooner than this: a minute is what a reading takes in.
const AT_ONCE: Duration = Duration::from_mins(1);
/// Load has come back when at least so many replicas are missed. One is chance.
const MISSED_MIN: u32 = 2;
/// And a need has fallen when by so many, and so many of ten: of ten replicas and more, two are chance in one
/// run of ten at constant load.
const FALL_MIN: u32 = 2;
const FALL_OF_TEN: u32 = 3;
/// Of all replicas this part, or more.
const NOTABLE_PART: u32 = 5;
/// How long load that came back once is expected to do so again.
const REMEMBERED: Duration = Duration::from_hours(1);

/// What came back lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Unrest {
    /// Falling needs of the last minute with their times, oldest first.
    needs: VecDeque<(Timestamp, u32)>,
    /// What going down at once would have left, from when on, oldest first.
    left: VecDeque<(Timestamp, u32)>,
    /// Since when there is data without a gap.
    since: Option<Timestamp>,
    /// When load was last seen to come back.
    returned: Option<Timestamp>,
}

/// Whether the fall of a need by so many replicas of `all` is more than chance.
#[must_use]
pub fn is_fall(replicas: u32, all: u32) -> bool {
    replicas >= FALL_MIN.max(all.saturating_mul(FALL_OF_TEN) / 10)
}

impl Unrest {
    /// Starts to look anew, after a gap in the data. What was seen to come back is remembered.
    pub fn begin(&mut self, now: Timestamp) {
        let returned = self.returned.filter(|at| *at <= now);
        *self = Self { since: Some(now), returned, ..Self::default() };
    }

    /// Notes the need of a tick: `up` certainly, `down` where nothing may be missed. What comes back
    /// later than `soon` was worth going down for.
    pub fn note(&mut self, now: Timestamp, (up, down): (u32, u32), soon: Duration) {
        self.since.get_or_insert(now);
        self.needs.retain(|(at, _)| now.since(*at) < AT_ONCE);
        while self.needs.back().is_some_and(|(_, earlier)| *earlier <= down) {
            self.needs.pop_back();
        }
        self.needs.push_back((now, down));
        // The first that is not too old began before, and lasted until the second.
        while self.left.get(1).is_some_and(|(at, _)| now.since(*at) >= soon) {
            self.left.pop_front();
        }
        if self.missed(up) >= MISSED_MIN.max(up / NOTABLE_PART) {
            self.returned = Some(now);
        }
        let left = self.needs.front().map_or(down, |(_, need)| *need);
        if self.left.back().is_none_or(|(_, before)| *before != left) {
            self.left.push_back((now, left));
        }
    }

    /// The most of `up` that was there, went, and would be missed now.
    fn missed(&self, up: u32) -> u32 {
        let over = |(fewest, most): (u32, u32), (_, left): &(Timestamp, u32)| {
            let fewest = fewest.min(*left);
            (fewest, most.max(up.min(*left) - fewest.min(up)))
        };
        self.left.iter().rev().fold((u32::MAX, 0), over).1
    }

    /// Whether load may be expected to come back: it did within the last hour, or `soon` is longer than
    /// all that was seen.
    #[must_use]
    pub fn expected(&self, now: Timestamp, soon: Duration) -> bool {
        let seen = self.since.is_some_and(|since| now.since(since) >= soon);
        !seen || self.returned.is_some_and(|at| now.since(at) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Unrest;
    use crate::engine::units::Timestamp;

    const SOON: Duration = Duration::from_mins(15);

    /// Needs from such seconds on, in ticks of 15 s; whether load is expected back at the end.
    fn check(what: &str, needs: &[(i64, u32)], end: i64, expected: bool) {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let mut unrest = Unrest::default();
        unrest.begin(at(0));
        for tick in 0..=end / 15 {
            let need = needs.iter().rev().find(|(from, _)| *from <= 15 * tick).unwrap().1;
            unrest.note(at(15 * tick), (need, need), SOON);
        }
        assert_eq!(unrest.expected(at(end), SOON), expected, "{what}");
    }

    #[test]
    fn load_is_expected_back_where_it_came_back_soon() {
        check("too little seen", &[(0, 4)], 885, true);
        check("steady", &[(0, 4)], 900, false);
        check("up and down", &[(0, 4), (300, 6), (600, 8), (1200, 4)], 1800, false);
        check("bursts", &[(0, 4), (600, 1), (900, 4)], 1200, true);
        check("shorter than a window", &[(0, 4), (600, 1), (645, 4)], 1200, false);
        check("one replica", &[(0, 4), (600, 3), (900, 4)], 1200, false);
        check("a tenth", &[(0, 40), (600, 35), (900, 40)], 1200, false);
        check("more than went", &[(0, 4), (600, 1), (900, 40)], 1200, false);
        check("more and again", &[(0, 14), (600, 1), (900, 40)], 1200, true);
        check("a quarter of an hour later", &[(0, 4), (600, 1), (1575, 4)], 1800, false);
        check("just before", &[(0, 4), (600, 1), (1530, 4)], 1800, true);
        check("more than an hour ago", &[(0, 4), (600, 1), (900, 4)], 1545 + 3600, false);
    }

    /// What an older version stored knows a window and no unrest.
    #[test]
    fn a_memory_without_it_begins_with_the_next_need() {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let mut unrest = Unrest::default();
        for tick in 0..=60 {
            unrest.note(at(15 * tick), (4, 4), SOON);
        }
        assert!(unrest.expected(at(885), SOON));
        assert!(!unrest.expected(at(900), SOON));
    }

    #[test]
    fn a_gap_asks_for_as_much_again_and_forgets_no_burst() {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let mut unrest = Unrest::default();
        unrest.begin(at(0));
        assert!(!unrest.expected(at(900), SOON));
        unrest.begin(at(1000));
        assert!(unrest.expected(at(1899), SOON));
        assert!(!unrest.expected(at(1900), SOON));
        for (seconds, need) in [(1900, 5), (1960, 1), (2020, 1), (2080, 5)] {
            unrest.note(at(seconds), (need, need), SOON);
        }
        unrest.begin(at(2100));
        assert!(unrest.expected(at(3100), SOON));
        // The clock was set back.
        unrest.begin(at(500));
        assert!(!unrest.expected(at(1400), SOON));
    }
}
