//! Cron expressions of 5 fields, `0-8 * ? * MON-FRI`: minute, hour, day of month, month, weekday.
//!
//! POSIX: weekdays count from Sunday, 0 or 7, and with both a day of month and a weekday either is
//! enough. The minutes that an expression names are found by [`crate::engine::calendar`].

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::engine::calendar::{Fields, Schedule};
use crate::spec::fault::Problem;

/// Characters of an expression; one that lists every minute has 168.
const EXPRESSION_CHARS: usize = 256;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Days of each month, February in a leap year.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One field: its values, and whether it was `*` or `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    values: BTreeSet<u32>,
    any: bool,
}

/// What a field may hold.
struct Range {
    what: &'static str,
    from: u32,
    to: u32,
    /// Names of the values, beginning with `from`.
    names: &'static [&'static str],
    /// Whether `?` may stand for all of them.
    question: bool,
}

const MINUTE: Range = Range { what: "minute", from: 0, to: 59, names: &[], question: false };
const HOUR: Range = Range { what: "hour", from: 0, to: 23, names: &[], question: false };
const DAY: Range = Range { what: "day of month", from: 1, to: 31, names: &[], question: true };
const MONTH: Range = Range { what: "month", from: 1, to: 12, names: &MONTHS, question: false };
const WEEKDAY: Range = Range { what: "weekday", from: 0, to: 7, names: &WEEKDAYS, question: true };

impl FromStr for Schedule {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if text.len() > EXPRESSION_CHARS {
            return Err(Problem::new(format!("must be at most {EXPRESSION_CHARS} characters")));
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(Problem::new(
                "must have 5 fields: minute, hour, day of month, month, weekday",
            ));
        };
        let (minute, hour) = (MINUTE.read(minute)?, HOUR.read(hour)?);
        let (month, weekday) = (MONTH.read(month)?, read_weekday(weekday, day)?);
        let day = DAY.read(day)?;
        if weekday.any {
            check_date_exists(&day, &month)?;
        }
        let named = Fields {
            minute: minute.bits(),
            hour: hour.bits(),
            day: day.bits(),
            month: month.bits(),
            weekday: weekday.bits(),
            either: !day.any && !weekday.any,
        };
        Ok(Self::new(fields.join(" "), named))
    }
}

/// The weekdays, from Sunday, 0, to Saturday, 6.
fn read_weekday(text: &str, day: &str) -> Result<Field, Problem> {
    // In Quartz, where `?` comes from, 1 is Sunday; in POSIX it is Monday.
    if day == "?" && text.contains(|c: char| c.is_ascii_digit()) && !text.starts_with("*/") {
        return Err(Problem::new("has a numeric weekday beside ?: write it by name, MON-FRI"));
    }
    let field = WEEKDAY.read(text)?;
    Ok(Field { values: field.values.iter().map(|day| day % 7).collect(), any: field.any })
}

fn check_date_exists(day: &Field, month: &Field) -> Result<(), Problem> {
    let first = day.values.first().copied().unwrap_or(1);
    let longest =
        MONTH_DAYS.iter().zip(1..).filter(|(_, month_number)| month.values.contains(month_number));
    if longest.map(|(days, _)| *days).max().is_some_and(|days| first <= days) {
        return Ok(());
    }
    Err(Problem::new("names a date that never comes"))
}

impl Range {
    fn read(&self, text: &str) -> Result<Field, Problem> {
        let any = matches!(text, "*" | "?");
        if text.contains('?') && !(self.question && any) {
            return Err(self.refused());
        }
        let mut values = BTreeSet::new();
        for part in text.split(',') {
            values.extend(self.part(part)?);
        }
        Ok(Field { values, any })
    }

    /// `*`, `7`, `MON`, `1-5`, each with an optional `/step`.
    fn part(&self, text: &str) -> Result<Vec<u32>, Problem> {
        let (span, step) = match text.split_once('/') {
            None => (text, 1),
            Some((span, step)) => (span, self.step(step)?),
        };
        let whole = matches!(span, "*" | "?");
        let (from, to) = match span.split_once('-') {
            // The eighth weekday is Sunday again.
            None if whole => (self.from, self.to.min(self.from + self.count() - 1)),
            // `7/2` is read differently by every cron: refused.
            None if text.contains('/') => return Err(self.refused()),
            None => (self.value(span)?, self.value(span)?),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
        };
        let to = if from <= to { to } else { to + self.wrap()? };
        let cycle = self.count();
        let step_by = usize::try_from(step).unwrap_or(1);
        Ok((from..=to).step_by(step_by).map(|v| self.from + (v - self.from) % cycle).collect())
    }

    /// How many different values there are.
    const fn count(&self) -> u32 {
        if self.names.is_empty() { self.to - self.from + 1 } else { length(self.names) }
    }

    /// What a range that ends before it begins goes around by: only the week does, SAT-SUN, FRI-MON.
    fn wrap(&self) -> Result<u32, Problem> {
        if self.to == 7 { Ok(7) } else { Err(self.refused()) }
    }

    fn step(&self, text: &str) -> Result<u32, Problem> {
        number(text).filter(|step| (1..=self.to).contains(step)).ok_or_else(|| self.refused())
    }

    fn value(&self, text: &str) -> Result<u32, Problem> {
        let name =
            self.names.iter().zip(self.from..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        name.map(|(_, value)| value)
            .or_else(|| number(text))
            .filter(|value| (self.from..=self.to).contains(value))
            .ok_or_else(|| self.refused())
    }

    fn refused(&self) -> Problem {
        let Self { what, from, to, names, question: _ } = self;
        let named = names.first().zip(names.last());
        let named = named.map_or(String::new(), |(first, last)| format!(" or {first} to {last}"));
        Problem::new(format!(
            "has a {what} that is not {from} to {to}{named}, a range, list or */n"
        ))
    }
}

impl Field {
    /// Bit `n` for each value `n`; all of them are below 60.
    fn bits(&self) -> u64 {
        self.values.iter().fold(0, |bits, value| bits | 1_u64.checked_shl(*value).unwrap_or(0))
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[expect(clippy::cast_possible_truncation, reason = "at most twelve names")]
const fn length(names: &[&str]) -> u32 {
    names.len() as u32
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDateTime;
    use chrono_tz::Tz;

    use super::Schedule;
    use crate::engine::calendar::{Bound, Calendar, Entry, Rule};
    use crate::engine::units::{Replicas, Timestamp};

    fn matches(schedule: &Schedule, at: Timestamp, zone: Tz) -> bool {
        let min = Some(Replicas::ONE);
        let bounds = vec![Bound { cron: schedule.clone(), min, max: min }];
        let rule = Rule::Matching { from: None, until: None, bounds };
        let limits = Calendar::new(vec![Entry { zone, rule }]).at(at);
        assert_eq!(limits.min, limits.max);
        limits.min.is_some()
    }

    fn at(text: &str) -> Timestamp {
        let utc = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc();
        Timestamp::from_unix_ms(utc.timestamp_millis())
    }

    /// 2026-01-04 is a Sunday, 05 a Monday.
    #[test]
    fn expressions_match_the_right_minutes() {
        let rows: [(&str, &[&str], &[&str]); 16] = [
            // AHPA's example: every minute of the hours 0 to 8 on working days.
            (
                "* 0-8 ? * MON-FRI",
                &["2026-01-05 00:00:00", "2026-01-05 08:59:59", "2026-01-09 03:30:00"],
                &["2026-01-04 03:30:00", "2026-01-05 09:00:00", "2026-01-10 03:30:00"],
            ),
            (
                "0 8 * * 1-5",
                &["2026-01-05 08:00:30"],
                &["2026-01-05 08:01:00", "2026-01-04 08:00:00"],
            ),
            ("0 8 * * 0", &["2026-01-04 08:00:00"], &["2026-01-05 08:00:00"]),
            ("0 8 * * 7", &["2026-01-04 08:00:00"], &["2026-01-05 08:00:00"]),
            ("0 8 * * SUN", &["2026-01-04 08:00:00"], &["2026-01-05 08:00:00"]),
            (
                "0 8 * * 5-7",
                &["2026-01-04 08:00:00", "2026-01-09 08:00:00"],
                &["2026-01-05 08:00:00"],
            ),
            (
                "0 8 * * sat-sun",
                &["2026-01-04 08:00:00", "2026-01-10 08:00:00"],
                &["2026-01-05 08:00:00"],
            ),
            (
                "0 8 * * FRI-MON",
                &["2026-01-05 08:00:00", "2026-01-10 08:00:00"],
                &["2026-01-06 08:00:00"],
            ),
            ("0 8 ? * *", &["2026-01-05 08:00:00"], &["2026-01-05 09:00:00"]),
            ("0 0 1 * ?", &["2026-02-01 00:00:00"], &["2026-02-02 00:00:00"]),
            ("*/20 * * * *", &["2026-01-05 03:40:00"], &["2026-01-05 03:41:00"]),
            (
                "0-30/15,45 6,18 * JAN-MAR *",
                &["2026-02-05 18:45:00"],
                &["2026-02-05 18:31:00", "2026-04-05 18:45:00"],
            ),
            ("0 0 29 2 *", &["2028-02-29 00:00:00"], &["2027-03-01 00:00:00"]),
            // POSIX: with both days given either is enough.
            (
                "0 0 13 * FRI",
                &["2026-01-13 00:00:00", "2026-01-09 00:00:00"],
                &["2026-01-14 00:00:00"],
            ),
            ("0 0 31 2,12 *", &["2026-12-31 00:00:00"], &["2026-12-30 00:00:00"]),
            (
                "0 0 * * */2",
                &["2026-01-04 00:00:00", "2026-01-06 00:00:00"],
                &["2026-01-05 00:00:00"],
            ),
        ];
        for (text, inside, outside) in rows {
            let schedule: Schedule = text.parse().unwrap();
            for instant in inside {
                assert!(matches(&schedule, at(instant), Tz::UTC), "{text} at {instant}");
            }
            for instant in outside {
                assert!(!matches(&schedule, at(instant), Tz::UTC), "{text} at {instant}");
            }
            assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule, "{text}");
        }
    }

    #[test]
    fn the_zone_decides() {
        let schedule: Schedule = "0 8 * * *".parse().unwrap();
        assert!(matches(&schedule, at("2026-01-05 07:00:00"), Tz::Europe__Berlin));
        assert!(matches(&schedule, at("2026-07-05 06:00:00"), Tz::Europe__Berlin));
        assert!(!matches(&schedule, at("2026-07-05 07:00:00"), Tz::Europe__Berlin));
    }

    #[test]
    fn what_is_not_posix_is_refused_with_a_reason() {
        let long = format!("{} * * * *", vec!["1"; 150].join(","));
        let rows = [
            ("0 8 ? * 2-6", "numeric weekday beside ?"),
            ("0 0 31 2 *", "never comes"),
            ("0 0 30 FEB ?", "never comes"),
            ("0 0 31 4,6,9,11 *", "never comes"),
            ("0 0 8 * * MON", "5 fields"),
            ("0 8 * *", "5 fields"),
            ("@daily", "5 fields"),
            ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * 32 * *", "day of month"),
            ("* * L * *", "day of month"),
            ("* * 15W * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * ? *", "month"),
            ("* * * DEC-JAN *", "month"),
            ("* * * * 8", "weekday"),
            ("* * * * MON#1", "weekday"),
            ("? * * * *", "minute"),
            ("*/0 * * * *", "minute"),
            ("5/10 * * * *", "minute"),
            ("30-10 * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            (&long, "256 characters"),
        ];
        for (text, expected) in rows {
            let refusal = text.parse::<Schedule>().unwrap_err().0;
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[0-9A-Z*?,/# -]{0,40}", when in -4_000_000_000_000_i64..4_000_000_000_000) {
            if let Ok(schedule) = text.parse::<Schedule>() {
                let _ = matches(&schedule, Timestamp::from_unix_ms(when), Tz::Asia__Kathmandu);
            }
        }
    }
}
