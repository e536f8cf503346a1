//! A wake and its lease: from the first demand at zero until a pod serves, or until it is given up.
//!
//! An unanswered wake is not held for ever: without nodes it would hold a claim that others could
//! use. It is tried again after five minutes, then ten, up to an hour.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// First pause after a wake that nobody answered.
const PAUSE: Duration = Duration::from_mins(5);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// While pods load, a lease lasts at least this much longer: several ticks may miss them.
const GRACE: Duration = Duration::from_mins(2);

/// What a tick says about a wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five independent yes-or-no facts of a tick")]
pub struct Sight {
    /// Replicas are zero.
    pub at_zero: bool,
    /// Demand above activation, or a floor.
    pub asks: bool,
    /// Ready pods serve.
    pub serving: bool,
    /// Pods are on their way.
    pub loading: bool,
    /// Nobody says how many replicas there are or whether they serve.
    pub blind: bool,
}

/// The wake in progress, if any, and what became of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wake {
    /// Until when the wake is held.
    until: Option<Timestamp>,
    /// Wakes in a row that nobody answered.
    failures: u32,
    /// When to try again.
    retry: Option<Timestamp>,
}

impl Wake {
    /// Notes a tick; a new wake is held for `timeout`.
    pub fn note(&mut self, sight: Sight, now: Timestamp, timeout: Duration) {
        if sight.serving && !sight.at_zero {
            *self = Self::default();
            return;
        }
        // No promise reaches further than it could have been made now: clocks are set back.
        self.until = self.until.map(|until| until.min(now.plus(timeout.max(GRACE))));
        self.retry = self.retry.map(|retry| retry.min(now.plus(PAUSE_MAX)));
        // What cannot be seen may be serving by now: a wake is given up only on evidence.
        if sight.loading || sight.blind {
            self.until = self.until.map(|until| until.max(now.plus(GRACE)));
        }
        if self.until.is_some_and(|until| until <= now) {
            self.failures = self.failures.saturating_add(1);
            self.until = None;
            self.retry = Some(now.plus(pause(self.failures)));
        }
        let may = self.retry.is_none_or(|retry| retry <= now);
        if self.until.is_none() && may && sight.asks && (sight.at_zero || self.retry.is_some()) {
            self.until = Some(now.plus(timeout));
            self.retry = None;
        } else if sight.at_zero && may && !sight.asks && self.until.is_none() {
            *self = Self::default();
        }
    }

    /// How much longer the wake is held; `None` when there is none.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }

    /// Time until the next try, when the last wake was given up.
    #[must_use]
    pub fn retry_in(&self, now: Timestamp) -> Option<Duration> {
        self.retry.map(|retry| retry.since(now))
    }
}

fn pause(failures: u32) -> Duration {
    PAUSE
        .saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Sight, Wake};
    use crate::engine::units::Timestamp;

    const ZERO: Sight =
        Sight { at_zero: true, asks: false, serving: false, loading: false, blind: false };
    const ASKS: Sight = Sight { asks: true, ..ZERO };
    const LOADS: Sight = Sight { at_zero: false, loading: true, ..ZERO };
    const SERVES: Sight = Sight { at_zero: false, serving: true, ..ZERO };

    /// Ticks as (minute, sight) -> whether the wake is held afterwards.
    fn check(ticks: &[(u64, Sight, bool)]) {
        let mut wake = Wake::default();
        for (minute, sight, held) in ticks {
            let now = Timestamp::default().plus(Duration::from_mins(*minute));
            wake.note(*sight, now, Duration::from_mins(15));
            assert_eq!(wake.remaining(now).is_some(), *held, "minute {minute} of {ticks:?}");
        }
    }

    #[test]
    fn a_wake_is_held_until_a_pod_serves() {
        check(&[(0, ZERO, false)]);
        check(&[(0, ASKS, true), (1, ZERO, true), (14, ZERO, true), (15, ZERO, false)]);
        check(&[(0, ASKS, true), (14, LOADS, true), (15, LOADS, true), (16, SERVES, false)]);
        check(&[(0, SERVES, false), (1, LOADS, false)]);
        let blind = Sight { at_zero: false, blind: true, ..ZERO };
        check(&[(0, ASKS, true), (15, blind, true), (60, blind, true), (63, ZERO, false)]);
    }

    #[test]
    fn a_wake_that_nobody_answers_is_tried_again_later_and_later() {
        check(&[(0, ASKS, true), (15, ASKS, false), (19, ASKS, false), (20, ASKS, true)]);
        let again = [(0, ASKS, true), (15, ASKS, false), (20, ASKS, true), (35, ASKS, false)];
        check(&[again[0], again[1], again[2], again[3], (44, ASKS, false), (45, ASKS, true)]);
    }
}
