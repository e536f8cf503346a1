//! The arithmetic of the HorizontalPodAutoscaler.
//!
//! Given what it reads at a sync, it promises the replicas that the controller of Kubernetes 1.35
//! would set: what the metrics ask for, stabilization windows, scaling policies, limits, in that
//! order. Pure; who reads and who acts is left to others. Source: `pkg/controller/podautoscaler`,
//! `replica_calculator.go` and `horizontal.go`; `tests/hpa.rs` holds it against their own code.

mod behavior;
mod history;
mod limits;
mod proposal;

use std::time::Duration;

use crate::engine::replay::hpa::history::{History, longest};
use crate::engine::replay::hpa::limits::{Changes, doubled, highest, lowest};
use crate::engine::replay::hpa::proposal::{Tolerances, propose};
use crate::engine::units::Timestamp;

pub use crate::engine::replay::hpa::behavior::{Behavior, Rules, Select, Step};
pub use crate::engine::replay::hpa::proposal::Sync;

/// Time between syncs: `--horizontal-pod-autoscaler-sync-period`, as shipped.
pub const SYNC_PERIOD: Duration = Duration::from_secs(15);

/// The controller's memory of one HPA.
#[derive(Debug, Clone)]
pub struct Hpa {
    behavior: Behavior,
    recommendations: History,
    changes: Changes,
}

impl Hpa {
    /// An HPA that has seen nothing.
    #[must_use]
    pub fn new(behavior: Behavior) -> Self {
        Self { behavior, recommendations: History::default(), changes: Changes::default() }
    }

    /// One sync: the replicas to set. At zero replicas the controller does not act; it keeps what
    /// there is when the metrics do not allow an answer.
    pub fn sync(&mut self, sync: &Sync<'_>, now: Timestamp) -> u32 {
        if self.recommendations.is_empty() {
            self.recommendations.record(sync.spec, Duration::ZERO, now);
        }
        let Behavior { min, max, .. } = self.behavior;
        if sync.spec == 0 {
            return 0;
        }
        let wanted = if (min..=max).contains(&sync.spec) {
            match propose(sync, self.tolerances()) {
                Some(proposal) => self.normalize(proposal, sync.spec, now),
                None => sync.spec,
            }
        } else {
            // Outside the limits the metrics are not even read.
            sync.spec.min(max).max(min)
        };
        self.record(sync.spec, wanted, now);
        wanted
    }

    fn tolerances(&self) -> Tolerances {
        let Behavior { tolerance, rules, .. } = &self.behavior;
        let of = |rules: &Rules| rules.tolerance.unwrap_or(*tolerance);
        let (up, down) =
            rules.as_ref().map_or((*tolerance, *tolerance), |(up, down)| (of(up), of(down)));
        Tolerances { up, down }
    }

    fn normalize(&mut self, proposal: u32, current: u32, now: Timestamp) -> u32 {
        let Behavior { min, max, stabilization, .. } = self.behavior;
        let Some((up, down)) = self.behavior.rules.as_ref() else {
            // Here, and only here, the window includes its far end.
            let held = self.recommendations.since(stabilization, now).fold(proposal, u32::max);
            self.recommendations.record(proposal, stabilization, now);
            return held.min(max.min(doubled(current))).max(min);
        };
        // Up no further than the lowest, down no further than the highest of its window.
        let recent = |rules: &Rules| self.recommendations.within(rules.stabilization, now);
        let floor = recent(up).fold(proposal, u32::min);
        let ceiling = recent(down).fold(proposal, u32::max);
        let stable = current.max(floor).min(ceiling);
        let keep = up.stabilization.max(down.stabilization);
        self.recommendations.record(proposal, keep, now);
        if stable > current {
            stable.min(max.min(highest(up, &self.changes, current, now)))
        } else if stable < current {
            stable.max(min.max(lowest(down, &self.changes, current, now)))
        } else {
            current
        }
    }

    /// Changes are counted only where there are policies.
    fn record(&mut self, from: u32, to: u32, now: Timestamp) {
        let Some((up, down)) = self.behavior.rules.as_ref() else { return };
        if to > from {
            self.changes.added.record(to - from, longest(up), now);
        } else if to < from {
            self.changes.removed.record(from - to, longest(down), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Behavior, Hpa, Rules, Step, Sync};
    use crate::engine::replay::law::Metric;
    use crate::engine::units::Timestamp;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000).plus(Duration::from_secs(seconds))
    }

    /// One sync of an external metric with `AverageValue: 1`.
    fn sync(hpa: &mut Hpa, (spec, status): (u32, u32), value: f64, seconds: u64) -> u32 {
        let metrics = [Some(Metric::Average { value, target: 1.0 })];
        let sync = Sync { spec, status, ready: status, pending: 0, metrics: &metrics };
        hpa.sync(&sync, at(seconds))
    }

    fn shipped() -> Behavior {
        Behavior::shipped(1, 12)
    }

    /// The behaviour shipped, changed.
    fn altered(alter: impl Fn(&mut Rules, &mut Rules)) -> Behavior {
        let mut behavior = shipped();
        if let Some((up, down)) = &mut behavior.rules {
            alter(up, down);
        }
        behavior
    }

    fn tolerance(ratio: f64) -> Behavior {
        let mut behavior = altered(|up, down| {
            for rules in [up, down] {
                rules.tolerance = Some(ratio);
                let period = Duration::from_secs(15);
                rules.policies = vec![Step::Pods { value: 1000, period }];
            }
        });
        behavior.max = 1000;
        behavior
    }

    #[test]
    fn the_default_tolerance_swallows_small_steps_of_large_fleets() {
        // Replicas; smallest step up and down that is acted on; smallest step down when the value
        // sent is 0.999 below the number wanted. One row each of the table in KEDA's facts.
        let rows = [
            (9, 1, 1, 1),
            (10, 2, 2, 1),
            (19, 2, 2, 1),
            (20, 3, 3, 2),
            (30, 4, 4, 3),
            (50, 6, 6, 5),
            (100, 11, 11, 10),
        ];
        for (current, up, down, down_less) in rows {
            let sync =
                |value: f64| sync(&mut Hpa::new(tolerance(0.1)), (current, current), value, 0);
            let n = f64::from(current);
            let smallest = |value: &dyn Fn(f64) -> f64| {
                (1..current).find(|step| sync(value(f64::from(*step))) != current)
            };
            assert_eq!(smallest(&|step| n + step), Some(up), "up from {current}");
            assert_eq!(smallest(&|step| n - step), Some(down), "down from {current}");
            assert_eq!(smallest(&|step| n - step - 0.999), Some(down_less), "less from {current}");
        }
    }

    #[test]
    fn without_tolerance_the_value_is_what_happens() {
        let rows = [
            (1, 5.0, 5),
            (5, 5.0, 5),
            (9, 10.0, 10),
            (11, 12.0, 12),
            (3, 40.0, 12),   // maxReplicas
            (1, 0.0, 1),     // never below minReplicas
            (0, 5.0, 0),     // at zero the controller does not act
            (3, 3.000_4, 3), // thousandths: 3.000
            (3, 3.000_6, 4), // thousandths: 3.001
        ];
        for (current, value, expected) in rows {
            let found = sync(&mut Hpa::new(shipped()), (current, current), value, 0);
            assert_eq!(found, expected, "{current} at {value}");
        }
    }

    #[test]
    fn half_of_the_pods_go_away_in_a_minute() {
        let mut hpa = Hpa::new(shipped());
        let mut current = 12;
        let mut path = Vec::new();
        for round in 0..9 {
            current = sync(&mut hpa, (current, current), 2.0, 15 * round);
            path.push(current);
        }
        assert_eq!(path, [6, 6, 6, 6, 3, 3, 3, 3, 2]);
    }

    #[test]
    fn a_policy_counts_pods_removed_and_added_again() {
        let period = Duration::from_secs(60);
        let two = || vec![Step::Pods { value: 2, period }];
        let mut hpa = Hpa::new(altered(|up, _| up.policies = two()));
        assert_eq!(sync(&mut hpa, (4, 4), 10.0, 0), 6);
        assert_eq!(sync(&mut hpa, (6, 6), 10.0, 15), 6);
        assert_eq!(sync(&mut hpa, (6, 6), 10.0, 60), 8);
    }

    #[test]
    fn a_stabilization_window_holds_the_highest_recommendation_down_and_the_lowest_up() {
        let window = Duration::from_secs(60);
        let mut hpa = Hpa::new(altered(|up, down| {
            up.stabilization = window;
            down.stabilization = window;
            down.policies = up.policies.clone();
        }));
        let rows = [
            (0, 5, 5.0, 5),
            (15, 5, 2.0, 5), // 5 is still in the window
            (45, 5, 9.0, 5), // so is 2, upwards
            (59, 5, 2.0, 5),
            (75, 5, 9.0, 5),
            (200, 5, 2.0, 2), // nothing else in the window
        ];
        for (seconds, current, value, expected) in rows {
            let found = sync(&mut hpa, (current, current), value, seconds);
            assert_eq!(found, expected, "{seconds} s");
        }
    }

    #[test]
    fn surged_replicas_are_adopted_within_the_tolerance() {
        let surged = |ratio| sync(&mut Hpa::new(tolerance(ratio)), (10, 11), 10.0, 0);
        assert_eq!(surged(0.1), 11);
        assert_eq!(surged(0.0), 10);
    }
}
