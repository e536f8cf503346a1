//! The calendar against a clock that is read minute by minute, around every change of every zone.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::{Bound, Calendar, Entry, Limits, Rule};
use crate::engine::units::{Replicas, Timestamp};

fn at(text: &str) -> Timestamp {
    Timestamp::from_unix_ms(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn between(zone: Tz, start: &str, end: &str, desired: u32) -> Entry {
    let (start, end) = (start.parse().unwrap(), end.parse().unwrap());
    Entry { zone, rule: Rule::Between { start, end, desired: Replicas::new(desired) } }
}

fn matching(zone: Tz, bounds: &[(&str, Option<u32>, Option<u32>)]) -> Entry {
    let bound = |(cron, min, max): &(&str, Option<u32>, Option<u32>)| Bound {
        cron: cron.parse().unwrap(),
        min: min.map(Replicas::new),
        max: max.map(Replicas::new),
    };
    let bounds = bounds.iter().map(bound).collect();
    Entry { zone, rule: Rule::Matching { from: None, until: None, bounds } }
}

/// An instant, a lead in minutes, and the floor: replicas, begin in seconds.
type Row<'a> = (&'a str, u64, Option<(u32, u64)>);

fn check(calendar: &Calendar, rows: &[Row<'_>]) {
    for (instant, minutes, expected) in rows {
        let floor = calendar.ahead(at(instant), Duration::from_mins(*minutes));
        let found = floor.map(|floor| (floor.replicas, floor.begins_in.as_secs()));
        assert_eq!(found, *expected, "{instant} and {minutes} min ahead");
    }
}

#[test]
fn a_floor_lasts_from_each_start_to_the_next_end() {
    // 2026-01-09 is a Friday.
    let week = between(Tz::Europe__Berlin, "0 8 * * 1-5", "0 20 * * 1-5", 3);
    let rows = [
        ("2026-01-09T06:59:59Z", 0, None),
        ("2026-01-09T06:59:30Z", 1, Some((3, 30))),
        ("2026-01-09T06:50:00Z", 10, Some((3, 600))),
        ("2026-01-09T06:49:59Z", 10, None),
        ("2026-01-09T07:00:00Z", 0, Some((3, 0))),
        ("2026-01-09T18:59:59Z", 0, Some((3, 0))),
        ("2026-01-09T19:00:00Z", 60, None),
        ("2026-01-11T12:00:00Z", 60, None),
        // Two days ahead count as one.
        ("2026-01-10T07:00:00Z", 2880, None),
        ("2026-01-11T07:00:00Z", 2880, Some((3, 86_400))),
    ];
    check(&Calendar::new(vec![week]), &rows);
    // A night, a year, the rarest day, and a start that is an end as well.
    let night = between(Tz::UTC, "0 22 * * *", "0 6 * * *", 2);
    let year = between(Tz::UTC, "0 0 1 7 *", "0 0 1 1 *", 4);
    let leap = between(Tz::UTC, "0 0 29 2 *", "0 0 1 3 *", 9);
    let same = between(Tz::UTC, "0 0 * * 1", "0 0 * * *", 5);
    let rows = [
        (&night, "2026-01-09T21:59:00Z", None),
        (&night, "2026-01-09T23:00:00Z", Some(2)),
        (&night, "2026-01-10T05:59:00Z", Some(2)),
        (&night, "2026-01-10T06:00:00Z", None),
        (&year, "2026-12-31T23:59:59Z", Some(4)),
        (&year, "2027-01-01T00:00:00Z", None),
        (&year, "2027-06-30T00:00:00Z", None),
        (&leap, "2028-02-29T12:00:00Z", Some(9)),
        (&leap, "2032-02-28T12:00:00Z", None),
        (&same, "2026-01-12T00:00:00Z", Some(5)),
        (&same, "2026-01-13T00:00:00Z", None),
    ];
    for (entry, instant, expected) in rows {
        let limits = Calendar::new(vec![entry.clone()]).at(at(instant));
        assert_eq!(limits, Limits { min: expected, max: None }, "{entry:?} at {instant}");
    }
}

#[test]
fn where_starts_and_ends_alternate_kedas_comparison_says_the_same() {
    let after = |text: &str, minute: i64| {
        let schedule: super::Schedule = text.parse().unwrap();
        schedule.first(minute + 1..=minute + 20 * 1440).unwrap()
    };
    let rows = [
        ("0 8 * * 1-5", "30 18 * * 1-5"),
        ("0 22 * * 5", "0 6 * * 1"),
        ("15 6,14 * * *", "45 9,20 * * *"),
        ("0 0 1-28/9 * *", "0 12 1-28/9 * *"),
    ];
    for (start, end) in rows {
        let calendar = Calendar::new(vec![between(Tz::UTC, start, end, 1)]);
        for minute in (29_500_000..29_500_000 + 15 * 1440).step_by(5) {
            // KEDA's cron scaler: active unless the next start comes before the next end.
            let kedas = after(end, minute) <= after(start, minute);
            let now = Timestamp::from_unix_ms(minute * 60_000);
            assert_eq!(calendar.at(now).min.is_some(), kedas, "{start} {end} at {minute}");
        }
    }
}

#[test]
fn overlaps_are_resolved_upwards() {
    let calendar = Calendar::new(vec![
        matching(Tz::UTC, &[("* 8-19 * * *", Some(4), Some(10)), ("* 12 * * *", Some(6), None)]),
        matching(Tz::UTC, &[("30-59 12 * * *", None, Some(12)), ("* 23 * * *", Some(0), Some(0))]),
        between(Tz::UTC, "0 13 * * *", "0 14 * * *", 5),
    ]);
    let rows = [
        ("2026-01-09T07:00:00Z", None, None),
        ("2026-01-09T08:00:00Z", Some(4), Some(10)),
        ("2026-01-09T12:00:00Z", Some(6), Some(10)),
        ("2026-01-09T12:30:00Z", Some(6), Some(12)),
        ("2026-01-09T13:00:00Z", Some(5), Some(10)),
        ("2026-01-09T14:00:00Z", Some(4), Some(10)),
        ("2026-01-09T23:00:00Z", None, Some(0)),
    ];
    for (instant, min, max) in rows {
        assert_eq!(calendar.at(at(instant)), Limits { min, max }, "{instant}");
    }
    assert_eq!((calendar.floor_max(), Calendar::default().floor_max()), (6, 0));
    let rows = [
        ("2026-01-09T07:57:00Z", 2, None),
        ("2026-01-09T07:57:00Z", 3, Some((4, 180))),
        // Of those within the lead time the largest, not the next.
        ("2026-01-09T07:57:00Z", 300, Some((6, 14_580))),
        ("2026-01-09T12:59:00Z", 10, Some((6, 0))),
        ("2026-01-09T22:59:00Z", 10, None),
    ];
    check(&calendar, &rows);
}

#[test]
fn start_time_and_end_time_cut_to_the_second() {
    let mut entry = matching(Tz::UTC, &[("* * * * *", Some(2), Some(7))]);
    let Rule::Matching { from, until, .. } = &mut entry.rule else { panic!() };
    (*from, *until) = (Some(at("2026-01-09T08:00:20Z")), Some(at("2026-01-09T09:00:10Z")));
    let calendar = Calendar::new(vec![entry]);
    let rows = [
        ("2026-01-09T08:00:19Z", 0, None),
        ("2026-01-09T08:00:19Z", 1, Some((2, 1))),
        ("2026-01-09T08:00:20Z", 0, Some((2, 0))),
        ("2026-01-09T09:00:09Z", 60, Some((2, 0))),
        ("2026-01-09T09:00:10Z", 60, None),
    ];
    check(&calendar, &rows);
    let rows = [("2026-01-09T08:00:19Z", None), ("2026-01-09T09:00:09Z", Some(7))];
    for (instant, max) in rows {
        assert_eq!(calendar.at(at(instant)).max, max, "{instant}");
    }
}

#[test]
fn a_calendar_survives_storage_and_the_end_of_time() {
    let calendar = Calendar::new(vec![
        between(Tz::Asia__Kathmandu, "0 8 * * 1-5", "0 20 * * 1-5", 3),
        matching(Tz::Europe__Berlin, &[("* 8-19 * * *", Some(4), Some(10))]),
    ]);
    let stored = serde_json::to_string(&calendar).unwrap();
    assert_eq!(serde_json::from_str::<Calendar>(&stored).unwrap(), calendar);
    for instant in [i64::MIN, i64::MIN / 2, -1, 0, i64::MAX / 2, i64::MAX - 1, i64::MAX] {
        let now = Timestamp::from_unix_ms(instant);
        let _ = (calendar.at(now), calendar.ahead(now, Duration::MAX));
    }
    assert_eq!(Calendar::default().at(at("2026-01-09T08:00:00Z")), Limits::default());
}

/// A change of the clock: the first minute after it, and seconds ahead of UTC before and after.
type Change = (i64, i64, i64);

fn ahead_of_utc(zone: Tz, minute: i64) -> i64 {
    let utc = DateTime::from_timestamp(minute * 60, 0).unwrap().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// Every change of every zone in some years, each once with one of the zones that have it: among them
/// half an hour (Lord Howe), two hours (Troll), a whole day (Samoa in 2011), and midnight (Beirut).
fn changes() -> BTreeMap<Change, Tz> {
    let minute = |year: &str| at(&format!("{year}-01-01T00:00:00Z")).unix_ms() / 60_000;
    let years = [(minute("2011"), minute("2012") + 1440), (minute("2026"), minute("2028"))];
    let mut found = BTreeMap::new();
    for zone in TZ_VARIANTS {
        let days = years.iter().flat_map(|(from, to)| (*from..*to).step_by(1440));
        for day in days {
            let (before, after) = (ahead_of_utc(zone, day), ahead_of_utc(zone, day + 1440));
            if before != after {
                let change = (day..=day + 1440).find(|at| ahead_of_utc(zone, *at) == after);
                found.entry((change.unwrap(), before, after)).or_insert(zone);
            }
        }
    }
    found
}

/// Whether a floor from `start` to `end`, minutes of the day, is in force at each minute of `from..to`:
/// the clock is read each minute, starts and ends are done as it shows or skips them.
fn walked(zone: Tz, (from, to): (i64, i64), start: u32, end: u32) -> Vec<bool> {
    let shown = |minute: i64| -> NaiveDateTime {
        zone.timestamp_opt(minute * 60, 0).unwrap().naive_local()
    };
    let mut is_on = false;
    let mut next = shown(from);
    let each = (from..to).map(|minute| {
        let now = shown(minute);
        // Put back: what is shown again is done again.
        next = next.min(now);
        while next <= now {
            let time = next.hour() * 60 + next.minute();
            is_on = time == start || (is_on && time != end);
            next += TimeDelta::minutes(1);
        }
        is_on
    });
    each.collect()
}

/// The calendar says around a change, and at some minutes of the day after it, what the walk says, now and
/// ahead.
fn check_around(entry: Entry, change: i64, walked: &[bool], from: i64) {
    let calendar = Calendar::new(vec![entry]);
    let near = change - 100..change + 200;
    for minute in near.chain((change + 200..change + 1440).step_by(37)) {
        let now = Timestamp::from_unix_ms(minute * 60_000);
        let idx = usize::try_from(minute - from).unwrap();
        let next = walked[idx..].iter().position(|on| *on);
        assert_eq!(calendar.at(now).min.is_some(), walked[idx], "{calendar:?} at {minute}");
        for lead in [3, 60, 1440] {
            let expected = next.filter(|minutes| *minutes <= lead);
            let lead = Duration::from_mins(u64::try_from(lead).unwrap());
            let begin = calendar.ahead(now, lead).map(|floor| floor.begins_in.as_secs() / 60);
            let expected = expected.map(|minutes| u64::try_from(minutes).unwrap());
            assert_eq!(begin, expected, "{calendar:?} at {minute}, {lead:?} ahead");
        }
    }
}

/// `MINUTE HOUR * * *` of a minute of the day.
fn daily(time: u32) -> String {
    format!("{} {} * * *", time % 60, time / 60)
}

#[test]
fn around_every_change_of_every_zone_it_is_as_the_clock_shows() {
    let changes = changes();
    assert!(changes.len() > 60, "{}", changes.len());
    // Starts and ends in minutes after what the clock shows when it is changed: before, in and after
    // the time that is skipped or shown twice.
    let pairs = [(-30, 90), (15, 45), (30, 600), (-600, 30), (45, 15), (0, 60), (60, 0), (-45, 20)];
    for (idx, ((change, before, _), zone)) in changes.iter().enumerate() {
        let shown = change + before.div_euclid(60);
        let time = |after: i64| u32::try_from((shown + after).rem_euclid(1440)).unwrap();
        let (from, to) = (change - 30 * 60, change + 51 * 60);
        for (start, end) in [pairs[idx % 8], pairs[(idx + 3) % 8]] {
            let (start, end) = (time(start), time(end));
            let walked = walked(*zone, (from, to), start, end);
            let entry = between(*zone, &daily(start), &daily(end), 3);
            check_around(entry, *change, &walked, from);
        }
        let hour = time(i64::try_from(idx % 3).unwrap() * 60 - 60) / 60;
        let local = |minute: i64| zone.timestamp_opt(minute * 60, 0).unwrap();
        let walked: Vec<bool> = (from..to).map(|minute| local(minute).hour() == hour).collect();
        let cron = format!("* {hour} * * *");
        check_around(matching(*zone, &[(&cron, Some(3), None)]), *change, &walked, from);
    }
}

#[test]
fn a_skipped_start_is_not_lost_for_the_day() {
    for ((change, before, after), zone) in changes() {
        let shown = (change + before.div_euclid(60) + 5).rem_euclid(1440);
        let (start, end) = (u32::try_from(shown).unwrap(), u32::try_from(shown + 720).unwrap());
        let entry = between(zone, &daily(start), &daily(end % 1440), 3);
        let later = Timestamp::from_unix_ms((change + 150) * 60_000);
        let limits = Calendar::new(vec![entry]).at(later);
        assert_eq!(limits.min, Some(3), "{zone} from {before} to {after} at {change}");
    }
}
