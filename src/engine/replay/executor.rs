//! What KEDA's operator does with activity: zero to one, and back to zero after the cooldown.
//!
//! Between the minimum and the maximum the HPA decides; here is only the door. Pure. Source:
//! `pkg/scaling/executor/scale_scaledobjects.go` of KEDA 2.20, without `fallback` and without the
//! annotations that pause or force.

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
    /// `maxReplicaCount`; the HPA's business, the operator never looks at it.
    pub max: u32,
    /// `idleReplicaCount`, below `min`; the HPA understands 0 only.
    pub idle: Option<u32>,
}

impl KedaRules {
    /// `minReplicaCount: 0`, the other fields as KEDA defaults them.
    #[must_use]
    pub const fn sleeping(cooldown: Duration, max: u32) -> Self {
        Self { cooldown, initial_cooldown: Duration::ZERO, min: 0, max, idle: None }
    }

    /// `minReplicas` and `maxReplicas` of the HPA that KEDA makes.
    #[must_use]
    pub fn hpa_limits(&self) -> (u32, u32) {
        (self.min.max(1), self.max)
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

    /// All triggers together, polled or pushed at `now`: any active, none, or none and an error
    /// among them (`None`). The replicas to set, if any.
    pub fn observe(&mut self, active: Option<bool>, replicas: u32, now: Timestamp) -> Option<u32> {
        let created = *self.created.get_or_insert(now);
        match active {
            Some(true) => {
                self.last_active = Some(now);
                self.opened(replicas)
            }
            Some(false) => self.closed(replicas, created, now),
            // An error holds: nothing is set, and the time of the last activity stands.
            None => None,
        }
    }

    /// Some trigger is active, another answered an error: as if active, but where nothing had to be
    /// opened the time of the last activity stands.
    pub fn observe_partial(&mut self, replicas: u32, now: Timestamp) -> Option<u32> {
        self.created.get_or_insert(now);
        let opened = self.opened(replicas);
        self.last_active = opened.map_or(self.last_active, |_| Some(now));
        opened
    }

    fn opened(&self, replicas: u32) -> Option<u32> {
        let KedaRules { min, idle, .. } = self.rules;
        let asleep = replicas == 0 || (idle.is_some() && replicas < min);
        asleep.then_some(min.max(1))
    }

    fn closed(&self, replicas: u32, created: Timestamp, now: Timestamp) -> Option<u32> {
        let KedaRules { cooldown, initial_cooldown, min, idle, .. } = self.rules;
        if idle.is_none() && replicas < min {
            return Some(min);
        }
        let below = idle.or((min == 0).then_some(0))?;
        let over = match self.last_active {
            Some(at) => now.since(at) > cooldown,
            // Created before it was first observed: at the end of the period it is over.
            None => now.since(created) >= initial_cooldown,
        };
        (replicas > below && over).then_some(below)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Executor, KedaRules};
    use crate::engine::units::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Rows in sequence on one executor: seconds, what was seen, replicas, what is set.
    fn check(rows: &[(u64, Option<bool>, u32, Option<u32>)]) {
        check_with(KedaRules::sleeping(MINUTE, 12), rows);
    }

    fn check_with(rules: KedaRules, rows: &[(u64, Option<bool>, u32, Option<u32>)]) {
        let mut executor = Executor::new(rules);
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

    #[test]
    fn an_active_trigger_beside_one_in_error_opens_but_does_not_refresh() {
        let mut executor = Executor::new(KedaRules::sleeping(MINUTE, 12));
        let at = |seconds| Timestamp::default().plus(Duration::from_secs(seconds));
        assert_eq!(executor.observe_partial(0, at(0)), Some(1));
        assert_eq!(executor.observe_partial(1, at(50)), None);
        assert_eq!(executor.observe(Some(false), 1, at(60)), None);
        assert_eq!(executor.observe(Some(false), 1, at(61)), Some(0));
    }

    #[test]
    fn a_new_object_is_left_alone_for_the_initial_cooldown() {
        let rules = KedaRules { initial_cooldown: 2 * MINUTE, ..KedaRules::sleeping(MINUTE, 12) };
        check_with(
            rules,
            &[
                (10, Some(false), 3, None),
                (129, Some(false), 3, None),
                (130, Some(false), 3, Some(0)),
                (200, Some(true), 0, Some(1)),
                (261, Some(false), 1, Some(0)), // afterwards the cooldown alone counts
            ],
        );
    }

    #[test]
    fn a_minimum_is_kept_and_never_slept_below() {
        let rules = KedaRules { min: 2, ..KedaRules::sleeping(MINUTE, 12) };
        assert_eq!(rules.hpa_limits(), (2, 12));
        check_with(
            rules,
            &[
                (0, Some(false), 5, None),
                (500, Some(false), 1, Some(2)),
                (505, Some(false), 0, Some(2)),
                (510, Some(true), 0, Some(2)),
                (515, Some(true), 1, None), // the HPA's business
            ],
        );
    }

    #[test]
    fn an_idle_count_is_left_for_the_minimum_at_once() {
        let rules = KedaRules { min: 3, idle: Some(0), ..KedaRules::sleeping(MINUTE, 12) };
        check_with(
            rules,
            &[
                (0, Some(true), 0, Some(3)),
                (5, Some(true), 2, Some(3)),
                (10, Some(true), 7, None),
                (40, Some(false), 7, None),
                (71, Some(false), 7, Some(0)),
                (76, Some(false), 0, None),
                (81, None, 0, None),
            ],
        );
    }
}
