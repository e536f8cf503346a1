//! What a zone's clock on the wall shows at an instant, and when it is put forward or back.
//!
//! Instants are seconds since the epoch, what the clock shows is counted in minutes since its own
//! 1970-01-01 00:00. Zones put their clocks at most once a day: within a day, one change is looked for.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Instants between two changes of the clock, both ends included, and what it is ahead of UTC in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// First second.
    pub(super) from: i64,
    /// Last second.
    pub(super) to: i64,
    offset: i64,
}

impl Stretch {
    /// The minutes that the clock shows.
    pub(super) fn minutes(&self) -> RangeInclusive<i64> {
        minute(self.from, self.offset)..=minute(self.to, self.offset)
    }

    /// The first second in which it shows `minute`.
    pub(super) fn begin(&self, minute: i64) -> i64 {
        minute.saturating_mul(60).saturating_sub(self.offset).max(self.from)
    }
}

/// Seconds that `zone` is ahead of UTC at `second`; 0 beyond the calendar's range.
pub(crate) fn offset(zone: Tz, second: i64) -> i64 {
    if zone == Tz::UTC {
        return 0;
    }
    within_range(second).map_or(0, |utc| seconds(zone.offset_from_utc_datetime(&utc).fix()))
}

/// What the clock shows at `second`.
pub(super) fn shown(zone: Tz, second: i64) -> i64 {
    minute(second, offset(zone, second))
}

/// From the second `from` to the second `to`, which is at most a day later: one stretch, or two around
/// a change of the clock. None where `from` is after `to`.
pub(super) fn stretches(zone: Tz, from: i64, to: i64) -> impl Iterator<Item = Stretch> + Clone {
    let (before, after) = (offset(zone, from), offset(zone, to));
    let change = if before == after { None } else { Some(change(zone, from, to)) };
    let first = Stretch { from, to: change.map_or(to, |change| change - 1), offset: before };
    let second = change.map(|from| Stretch { from, to, offset: after });
    std::iter::once(first).chain(second).filter(move |_| from <= to)
}

/// The minutes that the clock shows twice, if at `second` it shows one of them for the second time.
pub(super) fn repeated(zone: Tz, second: i64) -> Option<RangeInclusive<i64>> {
    let after = offset(zone, second);
    let local = within_range(second.saturating_add(after))?;
    let MappedLocalTime::Ambiguous(one, other) = zone.offset_from_local_datetime(&local) else {
        return None;
    };
    let before = seconds(one.fix()).max(seconds(other.fix()));
    let earlier = second - (before - after);
    if earlier >= second {
        return None;
    }
    let change = change(zone, earlier, second);
    Some(minute(change, after)..=minute(change - 1, before))
}

const fn minute(second: i64, offset: i64) -> i64 {
    second.saturating_add(offset).div_euclid(60)
}

fn seconds(offset: chrono::FixedOffset) -> i64 {
    i64::from(offset.local_minus_utc())
}

fn within_range(second: i64) -> Option<NaiveDateTime> {
    let utc = DateTime::from_timestamp(second, 0)?;
    (-9999..=9999).contains(&utc.year()).then(|| utc.naive_utc())
}

/// The first second after `from` with the offset of `to`; there is one change in between.
fn change(zone: Tz, from: i64, to: i64) -> i64 {
    let (mut before, mut after, target) = (from, to, offset(zone, to));
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(zone, middle) == target {
            after = middle;
        } else {
            before = middle;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use chrono_tz::Tz;

    use super::{repeated, shown, stretches};

    fn second(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    /// What a clock shows, as minutes.
    fn wall(text: &str) -> i64 {
        second(&format!("{text}Z")).div_euclid(60)
    }

    #[test]
    fn a_clock_that_is_put_forward_skips_minutes() {
        let (from, to) = (second("2026-03-29T00:30:20Z"), second("2026-03-29T01:30:20Z"));
        let found: Vec<_> = stretches(Tz::Europe__Berlin, from, to).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].minutes(), wall("2026-03-29T01:30:00")..=wall("2026-03-29T01:59:00"));
        assert_eq!(found[1].minutes(), wall("2026-03-29T03:00:00")..=wall("2026-03-29T03:30:00"));
        assert_eq!(found[0].begin(wall("2026-03-29T01:30:00")), from);
        assert_eq!(found[1].begin(wall("2026-03-29T03:10:00")), second("2026-03-29T01:10:00Z"));
        assert_eq!(stretches(Tz::Europe__Berlin, to, from).count(), 0);
        assert_eq!(stretches(Tz::UTC, from, to).count(), 1);
    }

    #[test]
    fn a_clock_that_is_put_back_shows_minutes_twice() {
        let twice = wall("2026-10-25T02:00:00")..=wall("2026-10-25T02:59:00");
        let rows = [
            ("2026-10-25T00:59:59Z", "2026-10-25T02:59:00", None),
            ("2026-10-25T01:00:00Z", "2026-10-25T02:00:00", Some(twice.clone())),
            ("2026-10-25T01:59:59Z", "2026-10-25T02:59:00", Some(twice)),
            ("2026-10-25T02:00:00Z", "2026-10-25T03:00:00", None),
        ];
        for (instant, clock, expected) in rows {
            let at = second(instant);
            assert_eq!(shown(Tz::Europe__Berlin, at), wall(clock), "{instant}");
            assert_eq!(repeated(Tz::Europe__Berlin, at), expected, "{instant}");
        }
    }
}
