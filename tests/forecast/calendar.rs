//! Days of the week, holidays, and the days on which clocks change.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use prescale::engine::forecast::{Setup, Target};
use prescale::engine::units::Timestamp;

use crate::score::{ahead, play, score, setup};
use crate::series::Chance;

/// Arrivals a minute of an office: 60 at night, from 8 to 18 o'clock 240 after a rise of 20 minutes.
fn office(minute_of_day: u32) -> f64 {
    let up = (f64::from(minute_of_day) - 480.0).clamp(0.0, 20.0) / 20.0;
    let down = (f64::from(minute_of_day) - 1080.0).clamp(0.0, 20.0) / 20.0;
    60.0 + 180.0 * (up - down)
}

/// Counts of `days` local days from the midnight that begins `first`, every `step_minutes`, with their
/// instants: an office, of which the days that `is_half` have half.
struct Local {
    at: Vec<DateTime<Tz>>,
    actual: Vec<f64>,
}

impl Local {
    fn new(
        zone: Tz,
        first: NaiveDate,
        days: i64,
        step: i64,
        is_half: impl Fn(NaiveDate) -> bool,
    ) -> Self {
        let midnight = |date: NaiveDate| {
            zone.from_local_datetime(&date.and_hms_opt(0, 0, 0).unwrap())
                .unwrap()
                .with_timezone(&Utc)
        };
        let (begin, end) = (midnight(first), midnight(first + TimeDelta::days(days)));
        let steps = (0..(end - begin).num_minutes() / step).map(|idx| idx * step);
        let at: Vec<_> = steps
            .map(|minutes| (begin + TimeDelta::minutes(minutes)).with_timezone(&zone))
            .collect();
        let mut chance = Chance::new(8);
        let count = |at: &DateTime<Tz>| {
            let share = if is_half(at.date_naive()) { 0.5 } else { 1.0 };
            chance.count(share * office(at.hour() * 60 + at.minute()))
        };
        let actual = at.iter().map(count).collect();
        Self { at, actual }
    }

    fn fed(&self) -> impl Iterator<Item = (Timestamp, Option<f64>)> {
        let at = self.at.iter().map(|at| Timestamp::from_unix_ms(at.timestamp_millis()));
        at.zip(self.actual.iter().copied().map(Some))
    }

    /// The steps of a date.
    fn steps_of(&self, date: NaiveDate) -> std::ops::Range<usize> {
        let begin = self.at.partition_point(|at| at.date_naive() < date);
        begin..self.at.partition_point(|at| at.date_naive() <= date)
    }
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

fn is_weekend(date: NaiveDate) -> bool {
    matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

#[test]
fn after_two_weeks_the_rise_of_a_monday_is_known_from_that_of_a_sunday() {
    // From a Sunday on, 16 days: the last is the third Monday.
    let local = Local::new(Tz::UTC, date(2026, 1, 4), 16, 1, is_weekend);
    let setup = setup(vec![ahead(20, Target::At)]);
    let said = play(&setup, local.fed());
    for (date, share) in [(date(2026, 1, 18), 0.5), (date(2026, 1, 19), 1.0)] {
        // Ten minutes before 8 o'clock: nothing has risen yet, and much or all will have.
        let origins = 470..480;
        let first = local.steps_of(date).start;
        let foreseen: f64 = origins.clone().map(|minute| said[first + minute][0].own[0]).sum();
        let minutes = u32::try_from(origins.start).unwrap()..u32::try_from(origins.end).unwrap();
        let expected: f64 = minutes.map(|minute| share * office(minute + 20)).sum();
        assert!((foreseen / expected - 1.0).abs() < 0.2, "{date}: {foreseen:.0} for {expected}");
    }
}

#[test]
fn a_holiday_is_a_sunday_to_whom_it_was_told() {
    let holiday = date(2026, 1, 26);
    let local =
        Local::new(Tz::UTC, date(2026, 1, 5), 22, 5, |date| is_weekend(date) || date == holiday);
    let loss = |holidays: BTreeSet<NaiveDate>| {
        let step = Duration::from_mins(5);
        let setup = Setup { step, holidays, ..setup(vec![ahead(4, Target::At)]) };
        score(&setup, 0, &play(&setup, local.fed()), &local.actual, local.steps_of(holiday)).wql
    };
    let (told, untold) = (loss(BTreeSet::from([holiday])), loss(BTreeSet::new()));
    assert!(told < 0.9 * untold, "{told} where it was told, {untold} where not");
}

#[test]
fn the_days_on_which_clocks_change_are_forecast_like_others() {
    for changed in [date(2026, 3, 29), date(2026, 10, 25)] {
        let local =
            Local::new(Tz::Europe__Amsterdam, changed - TimeDelta::days(6), 7, 1, |_| false);
        let setup = Setup { timezone: Tz::Europe__Amsterdam, ..setup(vec![ahead(20, Target::At)]) };
        let said = play(&setup, local.fed());
        let loss = |date| score(&setup, 0, &said, &local.actual, local.steps_of(date)).wql;
        let (day, before) = (loss(changed), loss(changed - TimeDelta::days(1)));
        assert!(day <= 1.5 * before, "{changed}: {day}, the day before {before}");
    }
}
