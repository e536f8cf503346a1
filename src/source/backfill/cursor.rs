//! How far a back-fill is: what was asked for, what is there, and what to fetch next.
//!
//! Pure. Newest first, in stages that never cross a midnight (UTC): every scaler and every replica of
//! the server then asks for the same days, which is what Thanos and Mimir keep answers by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::arrived::Minute;
use crate::engine::observation::FaultKind;
use crate::engine::units::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);

/// What was asked for and what is there. It can be stored, and a back-fill begun anew from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    from: Timestamp,
    until: Timestamp,
    have: Timestamp,
}

impl Cursor {
    /// The whole minutes of `from .. until`, none of them there yet; none at all where `until` is not
    /// later.
    #[must_use]
    pub fn new(from: Timestamp, until: Timestamp) -> Self {
        let from = floor(from, Minute::LENGTH);
        let until = floor(until, Minute::LENGTH).max(from);
        Self { from, until, have: until }
    }

    /// The first minute wanted.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// Where the minutes that are there begin; they reach to [`Self::until`].
    #[must_use]
    pub const fn have(&self) -> Timestamp {
        self.have
    }

    /// The end of the last minute wanted.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether nothing is left to fetch.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.have <= self.from
    }

    /// The next stage, `begins .. ends` in whole minutes: the newest that is not there, of one day and
    /// at most `longest`.
    #[must_use]
    pub(super) fn stage(&self, longest: Duration) -> Option<(Timestamp, Timestamp)> {
        if self.is_done() {
            return None;
        }
        let ends = self.have;
        let midnight = floor(ends.minus(Minute::LENGTH), DAY);
        let longest = longest.max(Minute::LENGTH);
        Some((floor(ends.minus(longest), Minute::LENGTH).max(midnight).max(self.from), ends))
    }

    /// Everything from `begins` on is there.
    pub(super) fn had(&mut self, begins: Timestamp) {
        self.have = self.have.min(begins);
    }

    /// Wants nothing after `latest`, unless some of it is there already.
    pub(super) fn end_by(&mut self, latest: Timestamp) {
        if self.have == self.until {
            self.until = floor(latest, Minute::LENGTH).min(self.until).max(self.from);
            self.have = self.until;
        }
    }
}

/// How far a back-fill is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Progress {
    /// Days that are there.
    pub days_done: f64,
    /// Days wanted.
    pub days_total: f64,
    /// Queries of this process, those that failed included.
    pub queries: u32,
    /// What kept the last query, if it was not answered.
    pub fault: Option<FaultKind>,
}

impl Progress {
    pub(super) fn of(cursor: &Cursor, queries: u32, fault: Option<FaultKind>) -> Self {
        let days = |from: Timestamp| cursor.until.since(from).as_secs_f64() / DAY.as_secs_f64();
        let (days_done, days_total) = (days(cursor.have), days(cursor.from));
        Self { days_done, days_total, queries, fault }
    }
}

/// The last whole `unit` since the epoch.
pub(super) fn floor(at: Timestamp, unit: Duration) -> Timestamp {
    let unit = i64::try_from(unit.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_ms(at.unix_ms().div_euclid(unit).saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cursor, DAY};
    use crate::engine::units::Timestamp;

    fn minute(count: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_006_400_000 + count * 60_000)
    }

    /// Minutes after a midnight -> the stages, newest first.
    fn check(from: i64, until: i64, longest: Duration, expected: &[(i64, i64)]) {
        let mut cursor = Cursor::new(minute(from), minute(until));
        let mut stages = Vec::new();
        while let Some((begins, ends)) = cursor.stage(longest) {
            stages.push((begins, ends));
            cursor.had(begins);
        }
        let expected: Vec<_> = expected.iter().map(|(a, b)| (minute(*a), minute(*b))).collect();
        assert_eq!(stages, expected, "{from} to {until} by {longest:?}");
        assert!(cursor.is_done());
    }

    #[test]
    fn stages_run_from_new_to_old_and_end_at_midnight() {
        assert_eq!(minute(0).unix_ms() % 86_400_000, 0);
        check(0, 0, DAY, &[]);
        check(10, 5, DAY, &[]);
        check(0, 1440, DAY, &[(0, 1440)]);
        check(5, 1445, DAY, &[(1440, 1445), (5, 1440)]);
        check(100, 3000, DAY, &[(2880, 3000), (1440, 2880), (100, 1440)]);
        let hour = Duration::from_secs(3600);
        check(0, 150, hour, &[(90, 150), (30, 90), (0, 30)]);
        check(1400, 1470, hour, &[(1440, 1470), (1400, 1440)]);
        check(0, 2, Duration::ZERO, &[(1, 2), (0, 1)]);
    }

    #[test]
    fn a_cursor_that_was_stored_goes_on_where_it_was() {
        let mut cursor = Cursor::new(minute(0), minute(3000));
        cursor.had(minute(2880));
        let stored = serde_json::to_string(&cursor).unwrap();
        let again: Cursor = serde_json::from_str(&stored).unwrap();
        assert_eq!(again, cursor);
        assert_eq!(again.stage(DAY), Some((minute(1440), minute(2880))));
    }

    #[test]
    fn minutes_that_are_not_over_yet_are_left_out_once() {
        let mut cursor = Cursor::new(minute(0), minute(100));
        cursor.end_by(minute(97).plus(Duration::from_secs(59)));
        assert_eq!((cursor.until(), cursor.have()), (minute(97), minute(97)));
        cursor.had(minute(50));
        cursor.end_by(minute(60));
        assert_eq!((cursor.until(), cursor.have()), (minute(97), minute(50)));
        let mut cursor = Cursor::new(minute(10), minute(100));
        cursor.end_by(minute(5));
        assert!(cursor.is_done());
    }
}
