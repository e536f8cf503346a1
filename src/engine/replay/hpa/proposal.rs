//! What each metric asks for: ratio, tolerance, rounding, and pods that say nothing.
//!
//! Given one sync's readings, it promises the replicas that `replica_calculator.go` of Kubernetes
//! 1.35 computes for each metric, and what `computeReplicasForMetrics` makes of several. Windows,
//! policies and limits are left to the siblings.

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
    let read: Vec<&Metric> = sync.metrics.iter().flatten().collect();
    let most = read.iter().map(|metric| replicas(sync, metric, tolerances)).max()?;
    (read.len() == sync.metrics.len() || most >= sync.spec).then_some(most)
}

fn replicas(sync: &Sync<'_>, metric: &Metric, tolerances: Tolerances) -> u32 {
    match metric {
        Metric::Average { value, target } => {
            let (value, target) = (milli(*value), milli(*target));
            let ratio = value / (target * f64::from(sync.status));
            if tolerances.swallow(ratio) { sync.status } else { ceil(value / target) }
        }
        Metric::Value { value, target } => {
            let ratio = milli(*value) / milli(*target);
            let same = tolerances.swallow(ratio);
            if same { sync.spec } else { ceil(ratio * f64::from(sync.ready)) }
        }
        Metric::Pods { .. } => sync.spec,
    }
}

/// Thousandths, as `%.3f` writes them and `MilliValue` reads them.
fn milli(value: f64) -> f64 {
    (value * 1000.0).round()
}

/// Rounded up, within `u32`.
fn ceil(replicas: f64) -> u32 {
    crate::engine::numeric::replicas_ceil(replicas)
}
