//! Local time: time zones by their IANA names, dates, instants in a zone.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use crate::engine::units::Timestamp;
use crate::spec::fault::Problem;
use crate::spec::names::closest;

/// Dates in a list: twenty years of holidays.
const DATES_MAX: usize = 400;

/// A time zone of the IANA database, `Europe/Berlin`.
pub(crate) fn timezone(text: &str) -> Result<Tz, Problem> {
    text.parse().map_err(|_| {
        let names: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        let meant =
            closest(text, &names).map_or(String::new(), |name| format!("; did you mean {name}?"));
        Problem::new(format!("must be a time zone such as UTC or Europe/Berlin{meant}"))
    })
}

/// ISO dates, separated by commas or white space.
pub(crate) fn holidays(text: &str) -> Result<BTreeSet<NaiveDate>, Problem> {
    let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|w| !w.is_empty());
    let dates: BTreeSet<NaiveDate> = words.map(date).collect::<Result<_, _>>()?;
    match dates.len() {
        0 => Err(Problem::new("must be dates such as 2026-12-25,2027-01-01")),
        1..=DATES_MAX => Ok(dates),
        _ => Err(Problem::new(format!("must be at most {DATES_MAX} dates"))),
    }
}

fn date(text: &str) -> Result<NaiveDate, Problem> {
    // chrono also reads 2026-1-5 and signs; one spelling per date is enough.
    (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
        .ok_or_else(|| Problem::new("must be dates such as 2026-12-25,2027-01-01"))
}

/// An instant: `2026-01-31 08:00:00` or `2026-01-31` in `zone`, or RFC 3339 with its own offset.
///
/// A local time that daylight saving skips is the first instant after the gap; of one that happens
/// twice it is the first.
pub(crate) fn instant(text: &str, zone: Tz) -> Result<Timestamp, Problem> {
    if let Ok(exact) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_unix_ms(exact.timestamp_millis()));
    }
    let local = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| date(text).ok().and_then(|date| date.and_hms_opt(0, 0, 0)));
    let local = local.ok_or_else(|| {
        Problem::new("must be a time such as \"2026-01-31 08:00:00\" or 2026-01-31T08:00:00Z")
    })?;
    // No zone skips more than a day (Samoa and Kwajalein did once).
    (0..=24 * 4)
        .find_map(|quarter| {
            let moved = local.checked_add_signed(chrono::TimeDelta::minutes(15 * quarter))?;
            zone.from_local_datetime(&moved).earliest()
        })
        .map(|instant| Timestamp::from_unix_ms(instant.timestamp_millis()))
        .ok_or_else(|| Problem::new("must be a time that exists"))
}

#[cfg(test)]
mod tests {
    use super::{holidays, instant, timezone};

    #[test]
    fn zones_are_named_and_near_misses_answered() {
        for name in ["UTC", "Europe/Berlin", "Asia/Shanghai", "America/Argentina/Ushuaia"] {
            assert_eq!(timezone(name).unwrap().name(), name);
        }
        let rows = [
            ("europe/berlin", "; did you mean Europe/Berlin?"),
            ("Asia/Shanghia", "; did you mean Asia/Shanghai?"),
            ("+08:00", ""),
            ("../../etc/passwd", ""),
        ];
        for (text, hint) in rows {
            let refusal = timezone(text).unwrap_err().0;
            assert_eq!(refusal, format!("must be a time zone such as UTC or Europe/Berlin{hint}"));
        }
    }

    #[test]
    fn holidays_are_iso_dates() {
        let dates = holidays("2026-12-25, 2026-01-01\n2026-12-25").unwrap();
        assert_eq!(
            dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["2026-01-01", "2026-12-25"]
        );
        for text in ["", ",", "25.12.2026", "2026-02-30", "2026-1-5", "2026-12-25T00:00", "xmas"] {
            assert!(holidays(text).is_err(), "{text}");
        }
    }

    #[test]
    fn local_times_become_instants() {
        let rows = [
            ("2026-01-31 08:00:00", "UTC", Some(1_769_846_400)),
            ("2026-01-31T08:00:00Z", "Europe/Berlin", Some(1_769_846_400)),
            ("2026-01-31 08:00:00", "Europe/Berlin", Some(1_769_842_800)),
            ("2026-01-31", "UTC", Some(1_769_817_600)),
            // Skipped by the clock: 02:30 becomes 03:00 summer time, 01:00 UTC.
            ("2026-03-29 02:30:00", "Europe/Berlin", Some(1_774_746_000)),
            // Twice: the first, still summer time, 00:30 UTC.
            ("2026-10-25 02:30:00", "Europe/Berlin", Some(1_792_888_200)),
            ("soon", "UTC", None),
            ("2026-02-30 00:00:00", "UTC", None),
        ];
        for (text, zone, expected) in rows {
            let instant = instant(text, timezone(zone).unwrap()).ok();
            assert_eq!(instant.map(|at| at.unix_ms() / 1000), expected, "{text} {zone}");
        }
    }
}
