//! What each metric asks for: ratio, tolerance, rounding, and pods that say nothing.
//!
//! Given one sync's readings, it promises the replicas that `replica_calculator.go` of Kubernetes
//! 1.35 computes for each metric, and what `computeReplicasForMetrics` makes of several. Windows,
//! policies and limits are left to the siblings.
//!
//! Thousandths arrive as they do in a cluster: external metrics by way of KEDA, metrics of pods by
//! way of the Prometheus adapter.

use crate::engine::numeric::count;
use crate::engine::replay::law::Metric;

/// What one sync reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sync<'a> {
    /// Replicas of the target's specification.
    pub spec: u32,
    /// Replicas of its status: pods that are there and not leaving.
    pub status: u32,
    /// Of those, the ones that run and are ready.
    pub ready: u32,
    /// Of those, the ones in phase `Pending`: without a node, or pulling an image. The rest runs
    /// and is not ready.
    pub pending: u32,
    /// One per metric of the HPA; `None`: it could not be read.
    pub metrics: &'a [Option<Metric>],
}

/// Deviations of a ratio from 1 that are ignored, bounds included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerances {
    /// Above 1.
    pub(super) up: f64,
    /// Below 1.
    pub(super) down: f64,
}

impl Tolerances {
    fn swallow(self, ratio: f64) -> bool {
        // Written as the controller writes it: the bounds belong to the band.
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What the metrics ask for together: the most that one asks. `None`: no metric could be read, or
/// the rest would scale down while one could not.
#[must_use]
pub(super) fn propose(sync: &Sync<'_>, tolerances: Tolerances) -> Option<u32> {
    let asked = sync.metrics.iter().map(|metric| replicas(sync, metric.as_ref()?, tolerances));
    let asked: Vec<Option<u32>> = asked.collect();
    let most = asked.iter().copied().flatten().max()?;
    (asked.iter().all(Option::is_some) || most >= sync.spec).then_some(most)
}

/// What one metric asks for; `None`: it cannot be told.
fn replicas(sync: &Sync<'_>, metric: &Metric, tolerances: Tolerances) -> Option<u32> {
    match metric {
        Metric::Average { value, target } => {
            let (usage, target) = (float(written(*value)), float(written(*target)));
            let ratio = usage / (target * f64::from(sync.status));
            Some(if tolerances.swallow(ratio) { sync.status } else { ceil(usage / target) })
        }
        Metric::Value { value, target } => {
            let ratio = float(written(*value)) / float(written(*target));
            if tolerances.swallow(ratio) {
                return Some(sync.spec);
            }
            // Without any pod the controller has nothing to multiply with, and says so.
            (sync.status > 0).then(|| ceil(ratio * f64::from(sync.ready)))
        }
        Metric::Pods { values, target } => {
            let values: Vec<i64> = values.iter().map(|value| cut(*value)).collect();
            of_pods(sync, &values, written(*target), tolerances)
        }
    }
}

/// `calcPlainMetricReplicas`: pods that say nothing are assumed to be where they dampen the change.
fn of_pods(sync: &Sync<'_>, values: &[i64], target: i64, tolerances: Tolerances) -> Option<u32> {
    let known = count(values.len());
    let missing = sync.status.saturating_sub(sync.pending).saturating_sub(known);
    let usage: i64 = values.iter().sum();
    let ratio = mean_ratio(usage, known, target)?;
    let pending = if ratio > 1.0 { sync.pending } else { 0 };
    if pending == 0 && missing == 0 {
        let same = tolerances.swallow(ratio);
        return Some(if same { sync.spec } else { ceil(ratio * f64::from(known)) });
    }
    // Downwards the missing are at the target, upwards at nothing; at exactly 1 they are left out.
    let (assumed, others) = if ratio < 1.0 {
        (target.saturating_mul(i64::from(missing)), missing)
    } else if ratio > 1.0 {
        (0, missing + pending)
    } else {
        (0, 0)
    };
    let counted = known + others;
    let damped = mean_ratio(usage.saturating_add(assumed), counted, target)?;
    let turned = (ratio < 1.0 && damped > 1.0) || (ratio > 1.0 && damped < 1.0);
    if turned || tolerances.swallow(damped) {
        return Some(sync.spec);
    }
    let asked = ceil(damped * f64::from(counted));
    let against = (damped < 1.0 && asked > sync.spec) || (damped > 1.0 && asked < sync.spec);
    Some(if against { sync.spec } else { asked })
}

/// Mean over target; the mean is cut to whole thousandths, as the controller's division does.
fn mean_ratio(usage: i64, pods: u32, target: i64) -> Option<f64> {
    Some(float(usage.checked_div(i64::from(pods))?) / float(target))
}

/// Thousandths as KEDA hands them on: written with three decimals, and 0 for what is below zero or
/// not a number.
fn written(value: f64) -> i64 {
    if !value.is_finite() || value < 0.0 {
        return 0;
    }
    format!("{value:.3}").replace('.', "").parse().unwrap_or(i64::MAX)
}

/// Thousandths as the Prometheus adapter hands them on: the rest is cut off.
#[expect(clippy::cast_possible_truncation, reason = "meant, and saturating")]
const fn cut(value: f64) -> i64 {
    (value * 1000.0) as i64
}

#[expect(clippy::cast_precision_loss, reason = "the controller computes with the same loss")]
const fn float(thousandths: i64) -> f64 {
    thousandths as f64
}

/// Rounded up, within what an `int32` holds from zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range once clamped; what is not a number becomes zero"
)]
fn ceil(replicas: f64) -> u32 {
    replicas.ceil().clamp(0.0, f64::from(i32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::{Sync, Tolerances, propose};
    use crate::engine::replay::law::Metric;

    const TENTH: Tolerances = Tolerances { up: 0.1, down: 0.1 };

    /// Four replicas, all ready, and these metrics.
    fn ask(metrics: &[Option<Metric>]) -> Option<u32> {
        propose(&Sync { spec: 4, status: 4, ready: 4, pending: 0, metrics }, TENTH)
    }

    fn average(value: f64) -> Option<Metric> {
        Some(Metric::Average { value, target: 1.0 })
    }

    #[test]
    fn the_metric_that_asks_most_is_heard_and_one_that_fails_forbids_less() {
        let rows = [
            (vec![average(3.0), average(7.0)], Some(7)),
            (vec![average(7.0), None], Some(7)),
            (vec![average(4.0), None], Some(4)),
            (vec![average(3.0), None], None),
            (vec![average(3.0), average(2.0)], Some(3)),
            (vec![None, None], None),
            (vec![], None),
        ];
        for (metrics, expected) in rows {
            assert_eq!(ask(&metrics), expected, "{metrics:?}");
        }
    }

    #[test]
    fn what_is_not_a_count_is_nothing() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, 0.000_4] {
            assert_eq!(ask(&[average(value)]), Some(0), "{value}");
        }
        assert_eq!(ask(&[average(1e300)]), Some(i32::MAX.unsigned_abs()));
    }

    #[test]
    fn pods_that_say_nothing_dampen() {
        // Ready pods' values, pods pending, what four replicas become at a target of 1 per pod.
        let rows = [
            (vec![3.0; 4], 0, Some(12)),
            (vec![3.0; 3], 1, Some(9)), // pending: at nothing, 9 over 4 pods
            (vec![3.0; 3], 0, Some(9)), // missing: the same
            (vec![2.0; 2], 0, Some(4)), // within tolerance of what there is
            (vec![1.5; 2], 0, Some(4)), // would turn: 3 over 4 pods
            (vec![0.5; 2], 0, Some(3)), // downwards the missing are at the target
            (vec![0.5; 2], 2, Some(1)), // downwards the pending are left out
            (vec![0.5; 4], 0, Some(2)),
            (vec![1.0; 3], 0, Some(4)),
            (vec![], 0, None),
        ];
        for (values, pending, expected) in rows {
            let metrics = [Some(Metric::Pods { values: values.clone(), target: 1.0 })];
            let ready = 4 - pending;
            let sync = Sync { spec: 4, status: 4, ready, pending, metrics: &metrics };
            assert_eq!(propose(&sync, TENTH), expected, "{values:?}, {pending} pending");
        }
    }

    #[test]
    fn without_pods_there_is_no_ratio() {
        let value = [Some(Metric::Value { value: 9.0, target: 1.0 })];
        let sync = Sync { spec: 1, status: 0, ready: 0, pending: 0, metrics: &value };
        assert_eq!(propose(&sync, TENTH), None);
        let metrics = [average(9.0)];
        assert_eq!(propose(&Sync { metrics: &metrics, ..sync }, TENTH), Some(9));
    }
}
