//! The only reader of time. Everything else is given a [`Clock`] or an instant.
//!
//! The system clock for serving; a scaled one for the demo, which is also what tests use: it counts
//! on tokio's clock, so a paused runtime pauses it. Both promise a second reading that never jumps,
//! [`Clock::elapsed`]; which of the two an age is measured by is left to the caller.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::units::Timestamp;

/// A source of time and of timers that agree with it.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    System,
    Scaled { origin: Timestamp, speed: f64 },
}

impl Clock {
    /// The wall clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads time")]
    pub fn system() -> Self {
        Self { kind: Kind::System, started: Instant::now() }
    }

    /// A clock that starts at `origin` now and runs `speed` times as fast; a speed that is not a
    /// number above zero counts as 1.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads time")]
    pub fn scaled(origin: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { kind: Kind::Scaled { origin, speed }, started: Instant::now() }
    }

    /// Now, by the wall: it may jump, also backwards, when the machine's clock is set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads time")]
    pub fn now(&self) -> Timestamp {
        match self.kind {
            Kind::System => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Kind::Scaled { origin, .. } => origin.plus(self.elapsed()),
        }
    }

    /// Time since this clock was made; never jumps, but may stand still while the machine sleeps.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self.kind {
            Kind::System => self.started.elapsed(),
            Kind::Scaled { speed, .. } => self.started.elapsed().mul_f64(speed),
        }
    }

    /// How long `span` of this clock's time takes in real time.
    #[must_use]
    pub fn real(&self, span: Duration) -> Duration {
        match self.kind {
            Kind::System => span,
            Kind::Scaled { speed, .. } => span.div_f64(speed),
        }
    }

    /// Sleeps for `span` of this clock's time.
    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(self.real(span)).await;
    }

    /// Sleeps until `instant`; returns at once if it has passed.
    pub async fn sleep_until(&self, instant: Timestamp) {
        self.sleep(instant.since(self.now())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;
    use crate::engine::units::Timestamp;

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_sleeps_a_share_and_reads_the_whole() {
        let clock = Clock::scaled(Timestamp::from_unix_ms(1_000), 60.0);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.elapsed().as_secs(), 3600);
        assert_eq!(clock.now().unix_ms(), 3_601_000);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeping_until_the_past_returns_at_once() {
        let clock = Clock::scaled(Timestamp::from_unix_ms(10_000), 1.0);
        clock.sleep_until(Timestamp::from_unix_ms(5_000)).await;
        assert_eq!(clock.now().unix_ms(), 10_000);
    }
}
