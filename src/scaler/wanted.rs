//! What is known of a past, and what of it to ask for.
//!
//! Pure. Given the minutes that the store has and up to when a datasource was read to its end; promises
//! ranges that hold no minute that is known, newest first.

use std::time::Duration;

use crate::engine::arrived::Minute;
use crate::engine::units::Timestamp;
use crate::source::backfill::Cursor;

/// A start of a process leaves a few minutes that nobody counted; more is worth asking for.
const HOLE_MIN: Duration = Duration::from_mins(10);

/// What is known of a past.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Known {
    /// The first and the last minute that was looked at, known or not.
    ends: Option<(Timestamp, Timestamp)>,
    /// Minutes of which something is known.
    pub(super) minutes: usize,
    /// The last of them.
    newest: Option<Timestamp>,
    /// The minutes before and after holes between them, in order.
    holes: Vec<(Timestamp, Timestamp)>,
}

impl Known {
    /// Of minutes in ascending order.
    pub(super) fn of(minutes: &[Minute]) -> Self {
        let ends = minutes.first().zip(minutes.last()).map(|(first, last)| (first.at, last.at));
        let known = minutes.iter().filter(|minute| minute.is_known()).map(|minute| minute.at);
        let count = known.clone().count();
        Self { ends, minutes: count, newest: known.clone().next_back(), holes: holes(known) }
    }
}

/// The minutes before and after holes, in order.
fn holes(minutes: impl Iterator<Item = Timestamp> + Clone) -> Vec<(Timestamp, Timestamp)> {
    let pairs = minutes.clone().zip(minutes.skip(1));
    pairs.filter(|(at, next)| next.since(*at) > HOLE_MIN).collect()
}

/// What to ask for: the time since the newest known minute, the holes since everything was there, and the time
/// before the oldest minute that was ever asked for: there is one after `forecastHistory` was made longer. Of
/// what was there once, what is not known is not asked for again; nor are minutes that ticks counted.
pub(super) fn wanted(
    from: Timestamp,
    now: Timestamp,
    known: &Known,
    complete: Option<Timestamp>,
) -> Vec<Cursor> {
    let Some((first, last)) = known.ends else { return vec![Cursor::new(from, now)] };
    let after = |at: Timestamp| at.plus(Minute::LENGTH);
    let was_there = complete.map_or(from, |until| until.min(after(last)));
    let since = known.newest.map_or(from, after).max(was_there).max(from);
    let holes = known.holes.iter().rev();
    let holes = holes.filter(|(at, _)| complete.is_some_and(|until| *at >= until));
    let holes = holes.map(|(at, next)| Cursor::new(after(*at).max(from), *next));
    let all = std::iter::once(Cursor::new(since, now)).chain(holes);
    let all = all.chain([Cursor::new(from, first.max(from))]);
    all.filter(|cursor| !cursor.is_done()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cursor, Known, Minute, Timestamp, holes, wanted};

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_refill_that_was_broken_off_is_asked_for_again() {
        let day = |days: i64| Timestamp::from_unix_ms((20_000 + days) * DAY_MS);
        let minute = |days| day(days).plus(Duration::from_mins(1));
        let known = |first, last| Known {
            ends: Some((day(first), day(last))),
            newest: Some(day(last)),
            minutes: 9,
            ..Known::default()
        };
        let holed = |hole| Known {
            holes: vec![(day(6), day(7)), (day(hole), day(hole + 1))],
            ..known(0, 13)
        };
        let asleep = |since| Known { newest: Some(day(since)), ..known(0, 13) };
        let of =
            |minutes: &[i64]| holes(minutes.iter().map(|at| Timestamp::from_unix_ms(at * 60_000)));
        assert_eq!(of(&[1, 2, 3, 6, 7]), []);
        assert_eq!(of(&[1, 2, 60, 61, 200]), of(&[2, 60, 61, 200]));
        assert_eq!(of(&[1, 2, 60, 61, 200]).len(), 2);
        let rows = [1, 2, 3].map(|at| Minute::unknown(Timestamp::from_unix_ms(at * 60_000)));
        let one = Minute { requests: Some(1.0), ..rows[1] };
        let (first, last) = (rows[0].at, rows[2].at);
        let expected =
            Known { ends: Some((first, last)), minutes: 1, newest: Some(one.at), holes: vec![] };
        assert_eq!(Known::of(&[rows[0], one, rows[2]]), expected);
        let rows = [
            (Known::default(), None, vec![(day(0), day(14))]),
            // Nothing was ever whole.
            (known(5, 13), None, vec![(minute(13), day(14)), (day(0), day(5))]),
            (known(0, 13), Some(day(13)), vec![(minute(13), day(14))]),
            // A longer history is wanted than ever was.
            (known(5, 13), Some(day(13)), vec![(minute(13), day(14)), (day(0), day(5))]),
            // Ticks went on from 10 to 13.
            (known(0, 13), Some(day(10)), vec![(minute(13), day(14))]),
            // They did not, and the newest day was fetched before it was broken off.
            (holed(11), Some(day(11)), vec![(minute(13), day(14)), (minute(11), day(12))]),
            (holed(11), Some(day(10)), vec![(minute(13), day(14)), (minute(11), day(12))]),
            // Ticks went on and could not read; it was whole later, so that is what is known.
            (asleep(11), Some(day(10)), vec![(minute(11), day(14))]),
            (asleep(11), Some(day(12)), vec![(day(12), day(14))]),
            (asleep(11), Some(day(15)), vec![(minute(13), day(14))]),
            // That nothing is known of before it was whole is known.
            (holed(11), Some(day(12)), vec![(minute(13), day(14))]),
        ];
        for (known, complete, expected) in rows {
            let asked = wanted(day(0), day(14), &known, complete);
            let asked: Vec<_> = asked.iter().map(|it: &Cursor| (it.from(), it.until())).collect();
            assert_eq!(asked, expected, "{complete:?}");
        }
    }
}
