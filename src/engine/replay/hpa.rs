//! The arithmetic of the HorizontalPodAutoscaler for one external metric with an AverageValue target.
//!
//! Given what it reads at a sync, it promises the replicas that the controller of Kubernetes 1.35
//! would set: ratio and tolerance, stabilization windows, scaling policies, limits, in that order.
//! Pure; who reads and who acts is left to others. Source: `pkg/controller/podautoscaler`,
//! `replica_calculator.go` and `horizontal.go`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::units::Timestamp;

/// How fast one direction may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// A change is only made when all of this window asked for it.
    pub stabilization: Duration,
    /// Deviation of the ratio from 1 that is ignored, bounds included.
    pub tolerance: f64,
    /// Replicas that may be added or removed in one period.
    pub pods: u32,
    /// That period.
    pub period: Duration,
}

/// `behavior` and limits of one HPA.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behavior {
    /// Scaling up.
    pub up: Rules,
    /// Scaling down.
    pub down: Rules,
    /// `minReplicas`; KEDA sets 1 for a ScaledObject that may sleep.
    pub min: u32,
    /// `maxReplicas`.
    pub max: u32,
}

/// What prescale ships: no tolerance, no windows (prescale holds the down-window itself), up as far
/// as asked, down one pod a minute.
pub const SHIPPED: Behavior = Behavior {
    up: Rules {
        stabilization: Duration::ZERO,
        tolerance: 0.0,
        pods: 100,
        period: Duration::from_secs(15),
    },
    down: Rules {
        stabilization: Duration::ZERO,
        tolerance: 0.0,
        pods: 1,
        period: Duration::from_secs(60),
    },
    min: 1,
    max: 12,
};

/// What one sync reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Replicas in the target's specification.
    pub spec: u32,
    /// Replicas in its status.
    pub status: u32,
    /// The metric's value.
    pub value: f64,
    /// The metric's target per replica, above zero.
    pub target: f64,
}

/// One change of the replicas.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: Timestamp,
    pods: u32,
}

/// The controller's memory of one HPA.
#[derive(Debug, Clone)]
pub struct Hpa {
    behavior: Behavior,
    recommendations: VecDeque<(Timestamp, u32)>,
    added: VecDeque<Change>,
    removed: VecDeque<Change>,
}

impl Hpa {
    /// An HPA that has seen nothing.
    pub const fn new(behavior: Behavior) -> Self {
        Self {
            behavior,
            recommendations: VecDeque::new(),
            added: VecDeque::new(),
            removed: VecDeque::new(),
        }
    }

    /// One sync: the replicas to set. At zero replicas the controller does not act.
    pub fn sync(&mut self, reading: Reading, now: Timestamp) -> u32 {
        if reading.spec == 0 {
            return 0;
        }
        let desired = self.stabilize(proposal(&self.behavior, reading), reading.spec, now);
        let allowed = self.limit(desired, reading.spec, now);
        self.record(reading.spec, allowed, now);
        allowed
    }

    /// Up no further than the lowest, down no further than the highest recommendation of the
    /// direction's window.
    fn stabilize(&mut self, desired: u32, current: u32, now: Timestamp) -> u32 {
        let Behavior { up, down, .. } = self.behavior;
        let longest = up.stabilization.max(down.stabilization);
        while self.recommendations.front().is_some_and(|(at, _)| now.since(*at) >= longest) {
            self.recommendations.pop_front();
        }
        let within = |window: Duration| {
            let recent = self.recommendations.iter();
            recent.filter(move |(at, _)| now.since(*at) < window).map(|(_, replicas)| *replicas)
        };
        let floor = within(up.stabilization).fold(desired, u32::min);
        let ceiling = within(down.stabilization).fold(desired, u32::max);
        self.recommendations.push_back((now, desired));
        current.max(floor).min(ceiling)
    }

    /// Policies and limits.
    fn limit(&self, desired: u32, current: u32, now: Timestamp) -> u32 {
        let Behavior { up, down, min, max } = self.behavior;
        let highest = || {
            let added = sum(&self.added, up.period, now);
            let removed = sum(&self.removed, up.period, now);
            (current + removed).saturating_sub(added) + up.pods
        };
        let lowest = || {
            let added = sum(&self.added, down.period, now);
            let removed = sum(&self.removed, down.period, now);
            (current + removed).saturating_sub(added + down.pods)
        };
        let allowed = if desired > current {
            // A limit below the present replicas means: no more for now, never fewer.
            desired.min(highest().max(current))
        } else if desired < current {
            desired.max(lowest().min(current))
        } else {
            current
        };
        allowed.clamp(min, max)
    }

    fn record(&mut self, from: u32, to: u32, now: Timestamp) {
        let keep = self.behavior.up.period.max(self.behavior.down.period);
        for changes in [&mut self.added, &mut self.removed] {
            while changes.front().is_some_and(|change| now.since(change.at) >= keep) {
                changes.pop_front();
            }
        }
        if to > from {
            self.added.push_back(Change { at: now, pods: to - from });
        }
        if to < from {
            self.removed.push_back(Change { at: now, pods: from - to });
        }
    }
}

/// Pods changed within the last `period`.
fn sum(changes: &VecDeque<Change>, period: Duration, now: Timestamp) -> u32 {
    let recent = changes.iter().filter(|change| now.since(change.at) < period);
    recent.map(|change| change.pods).sum()
}

/// `GetExternalPerPodMetricReplicas`: the value over the target per replica, unless that is within
/// tolerance of the replicas there are. Values arrive as milli-quantities.
fn proposal(behavior: &Behavior, reading: Reading) -> u32 {
    let value = milli(reading.value);
    let target = milli(reading.target);
    let ratio = value / (target * f64::from(reading.status));
    // Written as the controller writes it: the bounds belong to the band.
    let band = (1.0 - behavior.down.tolerance)..=(1.0 + behavior.up.tolerance);
    if band.contains(&ratio) {
        return reading.status;
    }
    crate::engine::numeric::replicas_ceil(value / target)
}

/// Thousandths, as `%.3f` writes them and `MilliValue` reads them.
fn milli(value: f64) -> f64 {
    (value * 1000.0).round()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Behavior, Hpa, Reading, Rules, SHIPPED};
    use crate::engine::units::Timestamp;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn reading(replicas: u32, value: f64) -> Reading {
        Reading { spec: replicas, status: replicas, value, target: 1.0 }
    }

    fn tolerance(ratio: f64) -> Behavior {
        let rules = |rules: Rules| Rules { tolerance: ratio, pods: 1000, ..rules };
        Behavior { up: rules(SHIPPED.up), down: rules(SHIPPED.down), max: 1000, ..SHIPPED }
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
            let sync = |value: f64| Hpa::new(tolerance(0.1)).sync(reading(current, value), at(0));
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
            let found = Hpa::new(SHIPPED).sync(reading(current, value), at(0));
            assert_eq!(found, expected, "{current} at {value}");
        }
    }

    #[test]
    fn one_pod_a_minute_goes_away() {
        let mut hpa = Hpa::new(SHIPPED);
        let mut current = 8;
        let mut path = Vec::new();
        for sync in 0..9 {
            current = hpa.sync(reading(current, 2.0), at(15 * sync));
            path.push(current);
        }
        assert_eq!(path, [7, 7, 7, 7, 6, 6, 6, 6, 5]);
    }

    #[test]
    fn a_policy_counts_pods_removed_and_added_again() {
        let up = Rules { pods: 2, period: Duration::from_secs(60), ..SHIPPED.up };
        let mut hpa = Hpa::new(Behavior { up, ..SHIPPED });
        assert_eq!(hpa.sync(reading(4, 10.0), at(0)), 6);
        assert_eq!(hpa.sync(reading(6, 10.0), at(15)), 6);
        assert_eq!(hpa.sync(reading(6, 10.0), at(60)), 8);
    }

    #[test]
    fn a_stabilization_window_holds_the_highest_recommendation_down_and_the_lowest_up() {
        let window = Duration::from_secs(60);
        let up = Rules { stabilization: window, ..SHIPPED.up };
        let down = Rules { stabilization: window, pods: 100, ..SHIPPED.down };
        let mut hpa = Hpa::new(Behavior { up, down, ..SHIPPED });
        let rows = [
            (0, 5, 5.0, 5),
            (15, 5, 2.0, 5), // 5 is still in the window
            (45, 5, 9.0, 5), // so is 2, upwards
            (59, 5, 2.0, 5),
            (75, 5, 9.0, 5),
            (200, 5, 2.0, 2), // nothing else in the window
        ];
        for (seconds, current, value, expected) in rows {
            assert_eq!(hpa.sync(reading(current, value), at(seconds)), expected, "{seconds} s");
        }
    }

    #[test]
    fn surged_replicas_are_adopted_within_the_tolerance() {
        let reading = Reading { spec: 10, status: 11, value: 10.0, target: 1.0 };
        assert_eq!(Hpa::new(tolerance(0.1)).sync(reading, at(0)), 11);
        assert_eq!(Hpa::new(tolerance(0.0)).sync(reading, at(0)), 10);
    }
}
