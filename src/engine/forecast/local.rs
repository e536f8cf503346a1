//! Local time of a workload: which slot of its day and week an instant falls into.
//!
//! Given a time zone, dates that count as Sunday, and instants; promises slots that follow the wall
//! clock through every change to or from summer time. Offsets are kept per quarter of an hour, the
//! finest in which zones change them, so that the zone's table is asked once and not at each step.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::engine::calendar::offset;
use crate::engine::units::Timestamp;

/// Offsets from UTC change at multiples of this only.
const BLOCK_SECONDS: i64 = 900;
/// As many blocks as lie between now and the farthest horizon, a day's neighbours aside.
const KEPT: usize = 16;
const DAY_SECONDS: i64 = 86_400;
/// Slots of a day, of five minutes: fine enough for a morning's rise, coarse enough to be seen daily.
pub(super) const SLOTS: usize = 288;

/// Where an instant stands in its local day and week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Slot of the day, below [`SLOTS`].
    pub(super) slot: usize,
    /// Day of the week, Sunday is 0; a holiday is a Sunday.
    pub(super) weekday: usize,
}

impl Place {
    /// The hour of the day, 0..24.
    pub(super) const fn hour(self) -> usize {
        self.slot * 24 / SLOTS
    }

    /// The place `by` slots later (earlier, if negative), as far as the week goes round.
    pub(super) fn beside(self, by: isize) -> Self {
        let slot = self.slot.wrapping_add_signed(by);
        if slot < SLOTS {
            Self { slot, ..self }
        } else if by < 0 {
            Self { slot: slot.wrapping_add(SLOTS), weekday: (self.weekday + 6) % 7 }
        } else {
            Self { slot: slot - SLOTS, weekday: (self.weekday + 1) % 7 }
        }
    }
}

/// A time zone with its holidays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Local {
    zone: Tz,
    holidays: BTreeSet<NaiveDate>,
    /// Block and its offset in seconds, at the block's number modulo [`KEPT`].
    #[serde(skip, default = "forgotten")]
    known: [(i64, i64); KEPT],
}

const fn forgotten() -> [(i64, i64); KEPT] {
    [(i64::MIN, 0); KEPT]
}

/// What was kept of the zone's table is no part of what two of them have in common.
impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        let Self { zone, holidays, known: _ } = self;
        *zone == other.zone && *holidays == other.holidays
    }
}

impl Local {
    pub(super) const fn new(zone: Tz, holidays: BTreeSet<NaiveDate>) -> Self {
        Self { zone, holidays, known: forgotten() }
    }

    /// Where `at` stands.
    pub(super) fn place(&mut self, at: Timestamp) -> Place {
        let local = at.unix_ms().div_euclid(1000) + self.offset_seconds(at);
        let slot = usize::try_from(local.rem_euclid(DAY_SECONDS)).unwrap_or(0) * SLOTS
            / usize::try_from(DAY_SECONDS).unwrap_or(1);
        Place { slot, weekday: self.weekday(local.div_euclid(DAY_SECONDS)) }
    }

    /// The instant at which a wall clock showed, `days` earlier, what it shows at `at`.
    pub(super) fn days_before(&mut self, at: Timestamp, days: u32) -> Timestamp {
        let then = at.minus(Duration::from_secs(86_400 * u64::from(days)));
        let moved = self.offset_seconds(at) - self.offset_seconds(then);
        Timestamp::from_unix_ms(then.unix_ms().saturating_add(moved * 1000))
    }

    fn weekday(&self, days_since_epoch: i64) -> usize {
        // The epoch was a Thursday.
        let weekday = usize::try_from((days_since_epoch + 4).rem_euclid(7)).unwrap_or(0);
        if self.holidays.is_empty() {
            return weekday;
        }
        let date = DateTime::from_timestamp(days_since_epoch.saturating_mul(DAY_SECONDS), 0);
        let is_holiday = date.is_some_and(|date| self.holidays.contains(&date.date_naive()));
        if is_holiday { 0 } else { weekday }
    }

    fn offset_seconds(&mut self, at: Timestamp) -> i64 {
        if self.zone == Tz::UTC {
            return 0;
        }
        let block = at.unix_ms().div_euclid(1000).div_euclid(BLOCK_SECONDS);
        let place = usize::try_from(block.rem_euclid(16)).unwrap_or(0);
        if self.known[place].0 != block {
            self.known[place] = (block, offset(self.zone, block.saturating_mul(BLOCK_SECONDS)));
        }
        self.known[place].1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{DateTime, NaiveDate};
    use chrono_tz::Tz;

    use super::{Local, Place};
    use crate::engine::units::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_unix_ms(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    #[test]
    fn slots_follow_the_wall_clock_through_summer_time() {
        let mut local = Local::new(Tz::Europe__Amsterdam, BTreeSet::new());
        let rows = [
            ("2026-03-28T08:00:00Z", 9 * 12, 6),
            ("2026-03-29T08:00:00Z", 10 * 12, 0),
            ("2026-10-25T00:59:00Z", 2 * 12 + 11, 0),
            ("2026-10-25T01:00:00Z", 2 * 12, 0),
            ("2026-12-31T23:30:00Z", 6, 5),
        ];
        for (instant, slot, weekday) in rows {
            assert_eq!(local.place(at(instant)), Place { slot, weekday }, "{instant}");
        }
    }

    #[test]
    fn a_day_earlier_is_the_same_time_of_the_wall_clock() {
        let mut local = Local::new(Tz::America__New_York, BTreeSet::new());
        // Clocks went forward on the 8th: 9:00 of the day before was 14:00 UTC, not 13:00.
        let before = local.days_before(at("2026-03-08T13:00:00Z"), 1);
        assert_eq!(before, at("2026-03-07T14:00:00Z"));
        let week = local.days_before(at("2026-03-20T13:00:00Z"), 7);
        assert_eq!(week, at("2026-03-13T13:00:00Z"));
    }

    #[test]
    fn a_holiday_is_a_sunday() {
        let king = NaiveDate::from_ymd_opt(2026, 4, 27).unwrap();
        let mut local = Local::new(Tz::Europe__Amsterdam, BTreeSet::from([king]));
        assert_eq!(local.place(at("2026-04-27T10:00:00Z")).weekday, 0);
        assert_eq!(local.place(at("2026-04-28T10:00:00Z")).weekday, 2);
    }

    #[test]
    fn neighbours_of_midnight_are_of_the_next_and_the_last_day() {
        let midnight = Place { slot: 0, weekday: 0 };
        assert_eq!(midnight.beside(-2), Place { slot: 286, weekday: 6 });
        let evening = Place { slot: 287, weekday: 6 };
        assert_eq!(evening.beside(1), Place { slot: 0, weekday: 0 });
    }
}
