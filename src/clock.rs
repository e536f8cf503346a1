//! The only reader of time. Everything else is given a [`Clock`] or an instant.
//!
//! The system clock for serving; a scaled one for the demo, which is also what tests use: it counts
//! on tokio's clock, so a paused runtime pauses it.

use std::time::Duration;

use crate::engine::units::Timestamp;

/// A source of time and of timers that agree with it.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    System,
    Scaled { origin: Timestamp, started: tokio::time::Instant, speed: f64 },
}

impl Clock {
    /// The wall clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { kind: Kind::System }
    }

    /// A clock that starts at `origin` now and runs `speed` times as fast; `speed` above zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads time")]
    pub fn scaled(origin: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { kind: Kind::Scaled { origin, started: tokio::time::Instant::now(), speed } }
    }

    /// Now.
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
            Kind::Scaled { origin, started, speed } => {
                origin.plus(started.elapsed().mul_f64(speed))
            }
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
