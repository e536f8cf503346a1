//! What KEDA's operator does with activity: zero to one, and back to zero after the cooldown.
//!
//! Between one and the maximum the HPA decides; here is only the door. Pure. Source:
//! `pkg/scaling/executor/scale_scaledobjects.go`, for one trigger, `minReplicaCount: 0`, no idle
//! count and no fallback.

use std::time::Duration;

use crate::engine::units::Timestamp;

/// A ScaledObject, as far as its activity matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KedaRules {
    /// `cooldownPeriod`.
    pub cooldown: Duration,
    /// `initialCooldownPeriod`, counted from the first observation.
    pub initial_cooldown: Duration,
    /// `minReplicaCount`.
    pub min: u32,
    /// `maxReplicaCount`.
    pub max: u32,
    /// `idleReplicaCount`; KEDA accepts 0 only, below `min`.
    pub idle: Option<u32>,
}

impl KedaRules {
    /// `minReplicaCount: 0`, the other fields as KEDA defaults them.
    #[must_use]
    pub const fn sleeping(cooldown: Duration, max: u32) -> Self {
        Self { cooldown, initial_cooldown: Duration::ZERO, min: 0, max, idle: None }
    }
}

/// The operator's memory of one ScaledObject.
#[derive(Debug, Clone)]
pub struct Executor {
    rules: KedaRules,
    created: Option<Timestamp>,
    last_active: Option<Timestamp>,
}

impl Executor {
    /// An operator that never saw the object active.
    #[must_use]
    pub const fn new(rules: KedaRules) -> Self {
        Self { rules, created: None, last_active: None }
    }

    /// Any trigger was seen active (polled or pushed), none was at `now`, or they answered errors
    /// (`None`): the replicas to set, if any.
    pub fn observe(&mut self, active: Option<bool>, replicas: u32, now: Timestamp) -> Option<u32> {
        let created = *self.created.get_or_insert(now);
        let KedaRules { cooldown, initial_cooldown, min, idle, .. } = self.rules;
        match active {
            Some(true) => {
                self.last_active = Some(now);
                let asleep = replicas == 0 || (idle.is_some() && replicas < min);
                asleep.then_some(min.max(1))
            }
            Some(false) if idle.is_some() || min == 0 => {
                let floor = idle.unwrap_or(0);
                let over = match self.last_active {
                    Some(at) => now.since(at) > cooldown,
                    None => now.since(created) >= initial_cooldown,
                };
                (replicas > floor && over).then_some(floor)
            }
            Some(false) => (replicas < min).then_some(min),
            // An error holds: nothing is set, and the time of the last activity stands.
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Executor, KedaRules};
    use crate::engine::units::Timestamp;

    /// Rows in sequence on one executor: seconds, what was seen, replicas, what is set.
    fn check(rows: &[(u64, Option<bool>, u32, Option<u32>)]) {
        let mut executor = Executor::new(KedaRules::sleeping(Duration::from_secs(60), 12));
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
