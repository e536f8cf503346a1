//! From ticks to minutes: a minute is what the tick at its end read over the minute behind it; where none
//! is there, the last one before or, if that was long before, the first one after.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::arrived::Minute;
use crate::engine::units::Timestamp;

/// A reading looks back over about a minute; one taken earlier in a minute than this is mostly about
/// the one before, one taken later about its own.
const HALF: Duration = Duration::from_secs(30);

/// What a tick measured; as in [`Minute`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Requests per second.
    pub requests: Option<f64>,
    /// Work per second, in output tokens.
    pub work: Option<f64>,
    /// Demand in replicas.
    pub replicas: Option<f64>,
}

impl Measured {
    const fn minute(self, at: Timestamp) -> Minute {
        let Self { requests, work, replicas } = self;
        Minute { at, requests, work, replicas }
    }
}

/// The last tick, until its minute is over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Meter {
    last: Option<(Timestamp, Measured)>,
    /// Minutes since the epoch that are over; the last one.
    closed: Option<i64>,
}

impl Meter {
    /// Notes a tick; the minute that ended with it or before it, once.
    pub(super) fn note(&mut self, at: Timestamp, measured: Measured) -> Option<Minute> {
        let minute = minute_of(at);
        let last = self.last.replace((at, measured));
        let (over, read) = if is_mark(at) {
            (minute - 1, Some(measured))
        } else {
            let (before, read) = last?;
            let over = minute_of(before);
            let late = over == minute - 1 && into(at) < HALF;
            (over, (into(before) >= HALF).then_some(read).or_else(|| late.then_some(measured)))
        };
        // Set back by more, the clock was wrong before.
        self.closed = self.closed.filter(|closed| *closed <= over + BACK_MAX);
        let is_new = over < minute && self.closed.is_none_or(|closed| over > closed);
        if !is_new {
            return None;
        }
        self.closed = Some(over);
        let began = Timestamp::from_unix_ms(over.saturating_mul(MINUTE_MS));
        Some(read.map_or(Minute::unknown(began), |read| read.minute(began)))
    }
}

const MINUTE_MS: i64 = 60_000;
/// Minutes that a clock may be set back before what was closed counts no more.
const BACK_MAX: i64 = 60;

const fn minute_of(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(MINUTE_MS)
}

const fn is_mark(at: Timestamp) -> bool {
    at.unix_ms().rem_euclid(MINUTE_MS) == 0
}

/// How far into its minute.
fn into(at: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(at.unix_ms().rem_euclid(MINUTE_MS)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Measured, Meter};
    use crate::engine::units::Timestamp;

    fn check(what: &str, ticks: &[(i64, f64)], expected: &[(i64, Option<f64>)]) {
        let mut meter = Meter::default();
        let minutes: Vec<(i64, Option<f64>)> = ticks
            .iter()
            .filter_map(|(second, value)| {
                let at = Timestamp::from_unix_ms(second * 1000);
                meter.note(at, Measured { requests: Some(*value), ..Measured::default() })
            })
            .map(|minute| (minute.at.unix_ms() / 60_000, minute.requests))
            .collect();
        assert_eq!(minutes, expected, "{what}");
    }

    #[test]
    fn a_minute_is_what_the_tick_at_its_end_read() {
        let ticks: Vec<_> = (0_i32..=8).map(|k| (i64::from(k) * 15, f64::from(k))).collect();
        check("every 15 s", &ticks, &[(-1, Some(0.0)), (0, Some(4.0)), (1, Some(8.0))]);
        check(
            "beside the mark",
            &[(50, 1.0), (67, 2.0), (110, 3.0), (121, 4.0)],
            &[(0, Some(1.0)), (1, Some(3.0))],
        );
        check("the mark is missed", &[(45, 1.0), (75, 2.0)], &[(0, Some(1.0))]);
        check(
            "too early, and soon after",
            &[(60, 1.0), (75, 2.0), (135, 3.0)],
            &[(0, Some(1.0)), (1, Some(3.0))],
        );
        check(
            "too early to tell, and too late",
            &[(60, 1.0), (75, 2.0), (155, 3.0), (195, 4.0)],
            &[(0, Some(1.0)), (1, None), (2, Some(3.0))],
        );
        let ticks: Vec<_> = (0_i32..=12).map(|k| (i64::from(k) * 50, f64::from(k))).collect();
        let expected = [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 11.0, 12.0];
        let minutes: Vec<_> = (-1..).zip(expected.map(Some)).collect();
        check("every 50 s", &ticks, &minutes);
        check(
            "a clock set back",
            &[(60, 1.0), (0, 2.0), (60, 3.0), (120, 4.0)],
            &[(0, Some(1.0)), (1, Some(4.0))],
        );
        let wrong = 10 * 86_400;
        check(
            "a clock that went ahead",
            &[(60, 1.0), (wrong, 2.0), (120, 3.0), (180, 4.0)],
            &[(0, Some(1.0)), (wrong / 60 - 1, Some(2.0)), (1, Some(3.0)), (2, Some(4.0))],
        );
    }
}
