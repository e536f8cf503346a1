//! The minutes that a cron expression names, as sets of numbers: five fields, one machine word each.
//!
//! Minutes are those of a clock on the wall, counted from its 1970-01-01 00:00. `crate::spec` reads the
//! text.

use std::fmt;
use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

const DAY_MINUTES: i64 = 1440;
/// 1970-01-01, counted as chrono does from the year 1.
const EPOCH: i64 = 719_163;

/// What the fields of an expression name: bit `n` of a field stands for its value `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// Minutes, 0 to 59.
    pub minute: u64,
    /// Hours, 0 to 23.
    pub hour: u64,
    /// Days of the month, 1 to 31.
    pub day: u64,
    /// Months, 1 to 12.
    pub month: u64,
    /// Weekdays, 0 to 6 from Sunday.
    pub weekday: u64,
    /// Whether one of day and weekday is enough: POSIX says so where both are restricted.
    pub either: bool,
}

/// The minutes that an expression names; each of its fields names something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    text: String,
    fields: Fields,
}

impl Schedule {
    /// The expression `text`, which names `fields`.
    #[must_use]
    pub const fn new(text: String, fields: Fields) -> Self {
        Self { text, fields }
    }

    /// The first minute of `minutes` that is named; takes a step for each day in between.
    pub(super) fn first(&self, minutes: RangeInclusive<i64>) -> Option<i64> {
        let (from, to) = minutes.into_inner();
        let mut day = from.div_euclid(DAY_MINUTES);
        while day.saturating_mul(DAY_MINUTES) <= to {
            if self.has_date(date(day)?) {
                let midnight = day * DAY_MINUTES;
                if let Some(time) = self.time_from(time_of_day(from - midnight)) {
                    return Some(midnight + time).filter(|minute| *minute <= to);
                }
            }
            day += 1;
        }
        None
    }

    /// The last minute of `minutes` that is named; takes a step for each day in between, and one for a
    /// month that is not named.
    pub(super) fn last(&self, minutes: RangeInclusive<i64>) -> Option<i64> {
        let (from, to) = minutes.into_inner();
        let mut day = to.div_euclid(DAY_MINUTES);
        while day >= from.div_euclid(DAY_MINUTES) && from <= to {
            let date = date(day)?;
            if !has(self.fields.month, date.month()) {
                day -= i64::from(date.day());
                continue;
            }
            if self.has_date(date) {
                let midnight = day * DAY_MINUTES;
                if let Some(time) = self.time_until(time_of_day(to - midnight)) {
                    return Some(midnight + time).filter(|minute| *minute >= from);
                }
            }
            day -= 1;
        }
        None
    }

    fn has_date(&self, date: NaiveDate) -> bool {
        let Fields { day, month, weekday, either, .. } = self.fields;
        let by_day = has(day, date.day());
        let by_weekday = has(weekday, date.weekday().num_days_from_sunday());
        let is_day = if either { by_day || by_weekday } else { by_day && by_weekday };
        is_day && has(month, date.month())
    }

    /// The first minute of a day that is named, from minute `time` of it on.
    fn time_from(&self, time: u32) -> Option<i64> {
        let Fields { minute: minutes, hour: hours, .. } = self.fields;
        let (hour, minute) = (time / 60, time % 60);
        let rest = lowest(minutes >> minute);
        if let Some(rest) = rest.filter(|_| has(hours, hour)) {
            return Some(i64::from(time + rest));
        }
        let later = hour + 1 + lowest(hours >> (hour + 1))?;
        Some(i64::from(later * 60 + lowest(minutes)?))
    }

    /// The last minute of a day that is named, up to minute `time` of it.
    fn time_until(&self, time: u32) -> Option<i64> {
        let Fields { minute: minutes, hour: hours, .. } = self.fields;
        let (hour, minute) = (time / 60, time % 60);
        let before = (minutes << (63 - minute) >> (63 - minute)).checked_ilog2();
        if let Some(before) = before.filter(|_| has(hours, hour)) {
            return Some(i64::from(hour * 60 + before));
        }
        let earlier = (hours & !(u64::MAX << hour)).checked_ilog2()?;
        Some(i64::from(earlier * 60 + minutes.checked_ilog2()?))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const fn has(field: u64, value: u32) -> bool {
    field >> value & 1 == 1
}

fn lowest(field: u64) -> Option<u32> {
    (field != 0).then(|| field.trailing_zeros())
}

/// A number of minutes since midnight, brought within the day.
fn time_of_day(minutes: i64) -> u32 {
    u32::try_from(minutes.clamp(0, DAY_MINUTES - 1)).unwrap_or(0)
}

/// The date of a day since the epoch; `None` beyond the calendar's range.
fn date(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(day.checked_add(EPOCH)?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{Fields, Schedule};

    /// All months and weekdays; minutes, hours and days as given.
    fn schedule(minute: u64, hour: u64, day: u64) -> Schedule {
        let fields = Fields { minute, hour, day, month: 0x1ffe, weekday: 0x7f, either: false };
        Schedule::new(String::new(), fields)
    }

    proptest::proptest! {
        #[test]
        fn both_searches_find_what_a_walk_finds(
            minute in 1..1_u64 << 60, hour in 1..1_u64 << 24, day in 2..1_u64 << 32,
            from in -100_000..100_000_i64, length in -10..3000_i64,
        ) {
            let schedule = schedule(minute, hour, day);
            let minutes = from..=from + length;
            let named = |at: &i64| schedule.first(*at..=*at).is_some();
            let walked: Vec<i64> = minutes.clone().filter(named).collect();
            proptest::prop_assert_eq!(schedule.first(minutes.clone()), walked.first().copied());
            proptest::prop_assert_eq!(schedule.last(minutes), walked.last().copied());
        }
    }

    #[test]
    fn a_day_that_comes_every_eighth_year_is_found() {
        // 2096-02-29 00:00; 2100 is no leap year.
        let fields = Fields { month: 1 << 2, ..schedule(1, 1, 1 << 29).fields };
        let leap = Schedule::new(String::new(), fields);
        let day = |date: &str| {
            let date: chrono::NaiveDate = date.parse().unwrap();
            date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp() / 60
        };
        let until = day("2104-02-28");
        assert_eq!(leap.last(until - 9 * 366 * 1440..=until), Some(day("2096-02-29")));
        assert_eq!(leap.last(i64::MAX - 1..=i64::MAX), None);
        assert_eq!(leap.first(i64::MIN..=i64::MIN + 1), None);
    }
}
