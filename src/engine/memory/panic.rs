//! Panic: a need of twice what is ready holds its running maximum for one window.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// Replicas needed over replicas ready from which on the running maximum is held (Knative's value).
const FACTOR: u32 = 2;

/// The running maximum and how long it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Panic {
    held: Option<(Timestamp, u32)>,
}

impl Panic {
    /// Notes the need of a tick with `ready` replicas.
    pub fn note(&mut self, need: u32, ready: Option<u32>, now: Timestamp, window: Duration) {
        // No longer than from now on: clocks are set back.
        self.held = self.held.map(|(until, peak)| (until.min(now.plus(window)), peak));
        let peak = self.peak(now).unwrap_or(0);
        let triggered =
            ready.is_some_and(|ready| ready > 0 && need >= ready.saturating_mul(FACTOR));
        if triggered {
            self.held = Some((now.plus(window), need.max(peak)));
        } else {
            let until = self.held.map(|(until, _)| until).filter(|until| now < *until);
            self.held = until.map(|until| (until, need.max(peak)));
        }
    }

    /// The replicas held, while they are.
    #[must_use]
    pub fn peak(&self, now: Timestamp) -> Option<u32> {
        self.held.filter(|(until, _)| now < *until).map(|(_, peak)| peak)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Panic;
    use crate::engine::units::Timestamp;

    #[test]
    fn the_running_maximum_is_held_for_one_window() {
        let mut panic = Panic::default();
        let rows = [
            (0, 3, Some(2), None),
            (15, 4, Some(2), Some(4)),
            (30, 9, Some(2), Some(9)),
            (45, 1, Some(2), Some(9)),
            (89, 1, Some(9), Some(9)),
            (90, 1, Some(9), None),
            (105, 50, None, None),
            (120, 50, Some(0), None),
        ];
        for (seconds, need, ready, expected) in rows {
            let now = Timestamp::from_unix_ms(seconds * 1000);
            panic.note(need, ready, now, Duration::from_mins(1));
            assert_eq!(panic.peak(now), expected, "at {seconds}");
        }
    }
}
