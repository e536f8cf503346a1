//! A wake and its lease: from the first demand at zero until a pod serves, or until it is given up.
//!
//! An unanswered wake is not held for ever: without nodes it would hold a claim that others could
//! use. It is tried again after five minutes, then ten, up to an hour.
//!
//! Somebody may also ask for a wake ([`Wake::ask`]). That counts as demand until a pod serves or the wake
//! is given up; asking again renews the lease, and is no way around giving up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// First pause after a wake that nobody answered.
const PAUSE: Duration = Duration::from_mins(5);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_hours(1);
/// While pods load, a lease lasts at least this much longer: several ticks may miss them.
const GRACE: Duration = Duration::from_mins(2);
/// Renewed by who asks again, a lease lasts at most so many times as long: who asks for ever, because
/// nothing answers, would otherwise hold it for ever.
const RENEWED_MAX: u32 = 2;
/// How long a failure is remembered after its pause, when nothing asks meanwhile. Who asks from outside is
/// turned away during the pause and comes back after it, which is no new beginning.
const REMEMBERED: Duration = Duration::from_hours(1);

/// What a tick says about a wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "six independent yes-or-no facts of a tick")]
pub struct Sight {
    /// Replicas are zero.
    pub at_zero: bool,
    /// Demand above activation, or a floor; that somebody asked is known here.
    pub asks: bool,
    /// Ready pods serve.
    pub serving: bool,
    /// They are on their way out: no replica is wanted of the workload.
    pub leaving: bool,
    /// Pods are on their way.
    pub loading: bool,
    /// Nobody says how many replicas there are or whether they serve.
    pub blind: bool,
}

/// The wake in progress, if any, and what became of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wake {
    /// Until when the wake is held.
    until: Option<Timestamp>,
    /// Wakes in a row that nobody answered.
    failures: u32,
    /// When to try again.
    retry: Option<Timestamp>,
    /// Since when it is held; none in what an older version stored.
    begun: Option<Timestamp>,
    /// When somebody asked last, while that counts.
    asked: Option<Timestamp>,
    /// When the last wake was given up.
    failed: Option<Timestamp>,
}

impl Wake {
    /// Somebody asks for a pod at `now`; the next tick decides upon it.
    pub fn ask(&mut self, now: Timestamp) {
        self.asked = Some(now);
    }

    /// Notes a tick; a new wake is held for `timeout`.
    pub fn note(&mut self, sight: Sight, now: Timestamp, timeout: Duration) {
        self.bound(now, timeout.max(GRACE));
        if sight.serving && !sight.at_zero {
            // Pods that leave are not what was asked for.
            *self = Self { asked: self.asked.filter(|_| sight.leaving), ..Self::default() };
            return;
        }
        self.renew(timeout);
        // What cannot be seen may be serving by now: a wake is given up only on evidence.
        if sight.loading || sight.blind {
            self.until = self.until.map(|until| until.max(now.plus(GRACE)));
        }
        if self.until.is_some_and(|until| until <= now) {
            self.give_up(now);
        }
        let asks = sight.asks || self.asked.is_some();
        let may = self.retry.is_none_or(|retry| retry <= now);
        if self.until.is_none() && may && asks && (sight.at_zero || self.retry.is_some()) {
            self.until = Some(now.plus(timeout));
            self.begun = Some(now);
            self.retry = None;
        } else if sight.at_zero && may && !asks && self.until.is_none() {
            self.retry = None;
            self.forget(now);
        }
    }

    /// No promise reaches further than it could have been made now: clocks are set back.
    fn bound(&mut self, now: Timestamp, longest: Duration) {
        self.until = self.until.map(|until| until.min(now.plus(longest)));
        self.retry = self.retry.map(|retry| retry.min(now.plus(PAUSE_MAX)));
        self.begun = self.begun.map(|at| at.min(now));
        self.failed = self.failed.map(|at| at.min(now));
        self.asked = self.asked.map(|at| at.min(now)).filter(|at| now.since(*at) < longest);
    }

    /// Who asks again has the lease last as long from then on, within [`RENEWED_MAX`].
    fn renew(&mut self, timeout: Duration) {
        if let (Some(until), Some(begun), Some(asked)) = (self.until, self.begun, self.asked) {
            let last = begun.plus(timeout.saturating_mul(RENEWED_MAX));
            self.until = Some(until.max(asked.plus(timeout).min(last)));
        }
    }

    /// Whoever asked has been told; he has to ask again.
    fn give_up(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        (self.until, self.begun, self.asked) = (None, None, None);
        self.failed = Some(now);
        self.retry = Some(now.plus(pause(self.failures)));
    }

    fn forget(&mut self, now: Timestamp) {
        let kept = pause(self.failures).saturating_add(REMEMBERED);
        if self.failed.is_none_or(|failed| now.since(failed) >= kept) {
            *self = Self::default();
        }
    }

    /// How much longer the wake is held; `None` when there is none.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }

    /// Until when it is held, whoever asked last counted; `None` when there is none.
    #[must_use]
    pub fn lease(mut self, timeout: Duration) -> Option<Timestamp> {
        self.renew(timeout);
        self.until
    }

    /// How long it has been held; `None` when there is none, or it is not known.
    #[must_use]
    pub fn held_for(&self, now: Timestamp) -> Option<Duration> {
        self.begun.filter(|_| self.until.is_some()).map(|begun| now.since(begun))
    }

    /// Time until the next try, when the last wake was given up.
    #[must_use]
    pub fn retry_in(&self, now: Timestamp) -> Option<Duration> {
        self.retry.map(|retry| retry.since(now))
    }

    /// How long ago somebody asked, while that counts.
    #[must_use]
    pub fn asked_for(&self, now: Timestamp) -> Option<Duration> {
        self.asked.map(|asked| now.since(asked))
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

    const ZERO: Sight = Sight {
        at_zero: true,
        asks: false,
        serving: false,
        leaving: false,
        loading: false,
        blind: false,
    };
    const ASKS: Sight = Sight { asks: true, ..ZERO };
    const LOADS: Sight = Sight { at_zero: false, loading: true, ..ZERO };
    const SERVES: Sight = Sight { at_zero: false, serving: true, ..ZERO };

    /// Ticks as (minute, sight) -> whether the wake is held afterwards.
    fn check(ticks: &[(u64, Sight, bool)]) {
        check_asked(&[], ticks);
    }

    /// The same, and somebody asks at these minutes.
    fn check_asked(asked: &[u64], ticks: &[(u64, Sight, bool)]) -> Wake {
        let mut wake = Wake::default();
        for (minute, sight, held) in ticks {
            let now = Timestamp::default().plus(Duration::from_mins(*minute));
            if asked.contains(minute) {
                wake.ask(now);
            }
            wake.note(*sight, now, Duration::from_mins(15));
            assert_eq!(wake.remaining(now).is_some(), *held, "minute {minute} of {ticks:?}");
        }
        wake
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

    #[test]
    fn who_asks_wakes_and_renews_within_twice_the_time() {
        let asked = [(0, ZERO, true), (14, ZERO, true), (15, ZERO, false), (20, ZERO, false)];
        check_asked(&[0], &asked);
        let renewed = [(0, ZERO, true), (10, ZERO, true), (24, ZERO, true), (25, ZERO, false)];
        check_asked(&[0, 10], &renewed);
        let for_ever: Vec<u64> = (0..40).collect();
        let ticks: Vec<_> =
            (0..40).map(|minute| (minute, ZERO, !(30..35).contains(&minute))).collect();
        check_asked(&for_ever, &ticks);
        check_asked(&[0], &[(0, ZERO, true), (1, SERVES, false), (2, ZERO, false)]);
        let leaves = Sight { leaving: true, ..SERVES };
        check_asked(&[0], &[(0, leaves, false), (1, ZERO, true), (2, SERVES, false)]);
        // Nothing to wake from: it waits for what is seen, as long as it counts.
        let nobody = Sight { at_zero: false, ..ZERO };
        check_asked(&[0], &[(0, nobody, false), (5, ZERO, true)]);
        check_asked(&[0], &[(0, nobody, false), (15, ZERO, false)]);
    }

    #[test]
    fn the_pause_grows_although_nobody_asks_during_it() {
        // Given up at 15, asked at 25, given up at 40: now ten minutes, not five.
        let ticks = [
            (0, ZERO, true),
            (15, ZERO, false),
            (21, ZERO, false),
            (25, ZERO, true),
            (40, ZERO, false),
            (49, ZERO, false),
        ];
        let wake = check_asked(&[0, 25], &ticks);
        let at = |minute| Timestamp::default().plus(Duration::from_mins(minute));
        assert_eq!(wake.retry_in(at(49)), Some(Duration::from_mins(1)));
        // An hour after the pause it is forgotten.
        let mut later = wake;
        later.note(ZERO, at(111), Duration::from_mins(15));
        assert_eq!(later, Wake::default());
    }

    #[test]
    fn what_an_older_version_stored_is_read() {
        let older = r#"{"until":1000,"failures":2,"retry":null}"#;
        let wake: Wake = serde_json::from_str(older).unwrap();
        assert_eq!(wake.remaining(Timestamp::default()), Some(Duration::from_secs(1)));
        assert_eq!(wake.asked_for(Timestamp::default()), None);
    }
}
