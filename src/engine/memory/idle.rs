//! For how long there was positive evidence that nothing is wanted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::memory::window::is_gap;
use crate::engine::units::Timestamp;

/// An unbroken idle time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Idle {
    since: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Idle {
    /// Notes a tick: `Some(true)` idle, `Some(false)` not, `None` unknown. A gap in the evidence
    /// begins anew; unknown for a tick or two is no gap.
    pub fn note(&mut self, idle: Option<bool>, now: Timestamp, tick: Duration) {
        match idle {
            None => {}
            Some(false) => *self = Self::default(),
            Some(true) => {
                let broken = self.last.is_none_or(|last| is_gap(last, now, tick));
                self.since = if broken { Some(now) } else { self.since.or(Some(now)) };
                self.last = Some(now);
            }
        }
    }

    /// How long it has been idle, if the tick at `now` was.
    #[must_use]
    pub fn for_at(&self, now: Timestamp) -> Option<Duration> {
        self.last.filter(|last| *last == now)?;
        self.since.map(|since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Idle;
    use crate::engine::units::Timestamp;

    #[test]
    fn only_unbroken_evidence_counts() {
        let mut idle = Idle::default();
        let rows = [
            (0, Some(true), Some(0)),
            (15, Some(true), Some(15)),
            (30, None, None),
            (45, Some(true), Some(45)),
            (60, Some(false), None),
            (75, Some(true), Some(0)),
            // A gap of more than a minute.
            (150, Some(true), Some(0)),
        ];
        for (seconds, evidence, expected) in rows {
            let now = Timestamp::from_unix_ms(seconds * 1000);
            idle.note(evidence, now, Duration::from_secs(15));
            assert_eq!(idle.for_at(now).map(|span| span.as_secs()), expected, "at {seconds}");
        }
    }
}
