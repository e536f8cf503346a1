//! When a scaler ticks: at multiples of its tick since the Unix epoch.
//!
//! No phase is added: several replicas of prescale read the same instants and therefore decide the
//! same. Pure; safe against a clock that is set forwards or backwards.

use std::time::Duration;

use crate::engine::units::Timestamp;

/// The latest multiple of `tick` that is not after `now`; a tick below 1 ms counts as 1 ms.
pub(crate) fn aligned(now: Timestamp, tick: Duration) -> Timestamp {
    let tick = whole_ms(tick);
    Timestamp::from_unix_ms(now.unix_ms().div_euclid(tick).saturating_mul(tick))
}

/// The first multiple of `tick` after `now`.
pub(crate) fn next(now: Timestamp, tick: Duration) -> Timestamp {
    aligned(now, tick).plus(Duration::from_millis(whole_ms(tick).unsigned_abs()))
}

/// The instant that a tick meant for `target` stands for, when it in fact begins at `now`.
///
/// A timer may fire a little early and the queue for a slot may take a while: within half a tick
/// before and a whole one after, it is still `target`. Further off, the clock was set or the
/// process was stopped, and the instant is the latest one that has passed.
pub(crate) fn instant(now: Timestamp, target: Timestamp, tick: Duration) -> Timestamp {
    let early = target.since(now) <= tick / 2;
    let late = now.since(target) < tick;
    if early && late { target } else { aligned(now, tick) }
}

fn whole_ms(tick: Duration) -> i64 {
    i64::try_from(tick.as_millis()).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{aligned, instant, next};
    use crate::engine::units::Timestamp;

    const TICK: Duration = Duration::from_secs(15);

    #[test]
    fn ticks_stand_at_multiples_since_the_epoch() {
        let rows = [
            (0, 0, 15_000),
            (1, 0, 15_000),
            (14_999, 0, 15_000),
            (15_000, 15_000, 30_000),
            (-1, -15_000, 0),
        ];
        for (now, before, after) in rows {
            let now = Timestamp::from_unix_ms(now);
            assert_eq!(aligned(now, TICK).unix_ms(), before, "{now:?}");
            assert_eq!(next(now, TICK).unix_ms(), after, "{now:?}");
        }
    }

    #[test]
    fn a_tick_of_nothing_does_not_divide_by_zero() {
        assert_eq!(next(Timestamp::from_unix_ms(7), Duration::ZERO).unix_ms(), 8);
    }

    #[test]
    fn a_clock_that_was_set_moves_the_tick_and_a_late_timer_does_not() {
        let target = Timestamp::from_unix_ms(60_000);
        let rows = [
            ("on time", 60_000, 60_000),
            ("a timer that fired early", 59_990, 60_000),
            ("a queue for a slot", 74_000, 60_000),
            ("stopped for an hour", 3_660_001, 3_660_000),
            ("set back an hour", -3_540_000, -3_540_000),
        ];
        for (what, now, expected) in rows {
            let at = instant(Timestamp::from_unix_ms(now), target, TICK);
            assert_eq!(at.unix_ms(), expected, "{what}");
        }
    }
}
