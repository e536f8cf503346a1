//! Whether a datasource may be asked now: waiting as told, a circuit breaker, one probe.
//!
//! Pure but for its own state: the time is an argument, so is the draw of chance. A failure of one
//! query (refused, too large, not understood by the server) never counts here: one tenant's query
//! must not pause another's.

use std::time::Duration;

use crate::engine::observation::FaultKind;
use crate::engine::units::Timestamp;

/// Failures in a row, each begun after the one before was known, that open the breaker.
const FAILURES_MAX: u32 = 5;

/// No pause is longer, whatever a server says and wherever the clock jumps.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest pause of our own making; the shortest is a second.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Credentials do not become right by asking again at once.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of a datasource between queries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    failures: u32,
    cause: Option<FaultKind>,
    not_before: Timestamp,
    probing: bool,
}

/// Leave to ask; give it back with the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    failures: u32,
    probe: bool,
}

/// No leave to ask: why, and whether the breaker is open beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paused {
    /// The failure that led to it.
    pub(crate) cause: FaultKind,
    /// The breaker is open.
    pub(crate) open: bool,
}

impl Health {
    /// Leave to ask at `now`.
    ///
    /// # Errors
    /// While a pause lasts, or while the one probe of an open breaker is under way.
    pub(crate) fn leave(&mut self, now: Timestamp) -> Result<Leave, Paused> {
        let open = self.failures >= FAILURES_MAX;
        let cause = self.cause.unwrap_or(FaultKind::CircuitOpen);
        // A pause that would be longer than any we make is a clock that jumped back.
        let waiting = now < self.not_before && self.not_before.since(now) <= PAUSE_MAX;
        if waiting || (open && self.probing) {
            return Err(Paused { cause, open });
        }
        self.probing = open;
        Ok(Leave { failures: self.failures, probe: open })
    }

    /// How long from `now` there is no leave; zero when there is, or while a probe is under way.
    #[must_use]
    pub(crate) fn pause(&self, now: Timestamp) -> Duration {
        Some(self.not_before.since(now)).filter(|pause| *pause <= PAUSE_MAX).unwrap_or_default()
    }

    /// The datasource answered, whatever it answered.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// The probe was given up without an outcome.
    pub(crate) fn abandoned(&mut self, leave: Leave) {
        if leave.probe {
            self.probing = false;
        }
    }

    /// A query failed for a reason that is the datasource's. `told` is what it said of waiting,
    /// `chance` a number in 0..1.
    pub(crate) fn failed(
        &mut self,
        leave: Leave,
        now: Timestamp,
        failure: (FaultKind, Option<Duration>),
        chance: f64,
    ) {
        let (kind, told) = failure;
        self.abandoned(leave);
        self.cause = Some(kind);
        // Queries that were under way together fail together: that is one failure.
        if leave.failures == self.failures {
            self.failures = self.failures.saturating_add(1);
        }
        let pause = match (told, kind) {
            (Some(told), _) => told.min(PAUSE_MAX),
            (None, FaultKind::Forbidden) => FORBIDDEN_PAUSE,
            (None, kind) if self.failures > 1 || unreachable(kind) => self.backoff(chance),
            // One slow or garbled answer may be about its query: others may still ask.
            (None, _) => Duration::ZERO,
        };
        self.not_before = self.not_before.max(now.plus(pause));
    }

    /// Whether the last query that reached a verdict succeeded.
    #[must_use]
    pub(crate) const fn up(&self) -> bool {
        self.failures == 0
    }

    /// Full jitter: anything up to 2^n seconds, at most 30, so that many replicas that lost one
    /// server do not come back at once.
    fn backoff(&self, chance: f64) -> Duration {
        let ceiling = Duration::from_secs(1 << self.failures.min(5)).min(BACKOFF_MAX);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }
}

const fn unreachable(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Dns | FaultKind::ConnectRefused | FaultKind::ConnectTimeout | FaultKind::Tls
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Health, Paused};
    use crate::engine::observation::FaultKind;
    use crate::engine::units::Timestamp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + seconds * 1000)
    }

    fn fail(health: &mut Health, now: Timestamp, kind: FaultKind, told: Option<u64>) {
        let leave = health.leave(now).expect("asked when there is leave");
        health.failed(leave, now, (kind, told.map(Duration::from_secs)), 0.0);
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker_for_one_probe() {
        let mut health = Health::default();
        for second in 0..5 {
            fail(&mut health, at(second * 15), FaultKind::ConnectRefused, None);
        }
        let probe = health.leave(at(75)).expect("half open");
        let expected = Paused { cause: FaultKind::ConnectRefused, open: true };
        assert_eq!(health.leave(at(75)), Err(expected), "a second probe");
        health.failed(probe, at(75), (FaultKind::ConnectRefused, None), 1.0);
        assert_eq!(health.leave(at(76)), Err(expected), "paused again");
        let probe = health.leave(at(110)).expect("the next probe");
        assert!(!health.up());
        health.answered();
        assert!(health.up());
        health.abandoned(probe);
        assert!(health.leave(at(110)).is_ok());
    }

    #[test]
    fn an_abandoned_probe_leaves_room_for_another() {
        let mut health = Health::default();
        for second in 0..5 {
            fail(&mut health, at(second), FaultKind::Timeout, None);
        }
        let probe = health.leave(at(10)).expect("half open");
        health.abandoned(probe);
        assert!(health.leave(at(10)).is_ok());
    }

    #[test]
    fn queries_that_fail_together_count_once() {
        let mut health = Health::default();
        let leaves: Vec<_> = (0..8).map(|_| health.leave(at(0)).expect("leave")).collect();
        for leave in leaves {
            health.failed(leave, at(1), (FaultKind::Timeout, None), 0.0);
        }
        assert!(health.leave(at(2)).is_ok_and(|leave| !leave.probe));
    }

    #[test]
    fn pauses_are_as_told_but_never_longer_than_a_minute() {
        let rows = [
            (FaultKind::Overloaded, Some(7), 6, 7),
            (FaultKind::Overloaded, Some(86_400), 59, 60),
            (FaultKind::Forbidden, None, 29, 30),
            (FaultKind::ServerError, None, 0, 0),
        ];
        for (kind, told, held, free) in rows {
            let mut health = Health::default();
            fail(&mut health, at(0), kind, told);
            if held > 0 {
                assert!(health.leave(at(held)).is_err(), "{kind:?} {told:?} at {held}");
            }
            assert!(health.leave(at(free)).is_ok(), "{kind:?} {told:?} at {free}");
        }
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_pause_for_its_jump() {
        let mut health = Health::default();
        fail(&mut health, at(0), FaultKind::Forbidden, None);
        assert!(health.leave(at(-3600)).is_ok());
    }
}
