//! What KEDA's operator does with activity: zero to one, and back to zero after the cooldown.
//!
//! Between one and the maximum the HPA decides; here is only the door. Pure. Source:
//! `pkg/scaling/executor/scale_scaledobjects.go`, for one trigger, `minReplicaCount: 0`, no idle
//! count and no fallback.

use std::time::Duration;

use crate::engine::units::Timestamp;

/// The operator's memory of one ScaledObject.
#[derive(Debug, Clone)]
pub struct Executor {
    cooldown: Duration,
    last_active: Option<Timestamp>,
}

impl Executor {
    /// An operator that never saw the object active; `initialCooldownPeriod` is zero.
    pub const fn new(cooldown: Duration) -> Self {
        Self { cooldown, last_active: None }
    }

    /// The trigger was seen active (polled or pushed) or inactive at `now`, or it answered an error
    /// (`None`): the replicas to set, if any.
    pub fn observe(&mut self, active: Option<bool>, replicas: u32, now: Timestamp) -> Option<u32> {
        match active {
            Some(true) => {
                self.last_active = Some(now);
                (replicas == 0).then_some(1)
            }
            Some(false) => {
                let over = self.last_active.is_none_or(|at| now.since(at) > self.cooldown);
                (replicas > 0 && over).then_some(0)
            }
            // An error holds: nothing is set, and the time of the last activity stands.
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Executor;
    use crate::engine::units::Timestamp;

    /// Rows in sequence on one executor: seconds, what was seen, replicas, what is set.
    fn check(rows: &[(u64, Option<bool>, u32, Option<u32>)]) {
        let mut executor = Executor::new(Duration::from_secs(60));
        for (seconds, active, replicas, expected) in rows {
            let now = Timestamp::default().plus(Duration::from_secs(*seconds));
            assert_eq!(executor.observe(*active, *replicas, now), *expected, "{seconds} s");
        }
    }

    #[test]
    fn an_active_trigger_opens_the_door_once() {
        check(&[(0, Some(true), 0, Some(1)), (5, Some(true), 1, None), (10, Some(true), 7, None)]);
    }

    #[test]
    fn an_inactive_one_closes_it_after_the_cooldown_from_any_number() {
        check(&[
            (0, Some(true), 3, None),
            (5, Some(false), 3, None),
            (60, Some(false), 3, None),
            (61, Some(false), 3, Some(0)),
            (66, Some(false), 0, None),
        ]);
    }

    #[test]
    fn an_object_never_seen_active_goes_to_zero_at_once() {
        check(&[(0, Some(false), 5, Some(0))]);
    }

    #[test]
    fn errors_hold_and_do_not_refresh_the_activity() {
        check(&[
            (0, Some(true), 3, None),
            (30, None, 3, None),
            (500, None, 3, None),
            (505, Some(false), 3, Some(0)),
        ]);
    }
}
