//! How far one step may go: scaling policies, limits of the HPA, and those of the older mode.
//!
//! Given the replicas there are and what was changed lately, it promises the bounds of
//! `horizontal.go` of Kubernetes 1.35. What is asked for is left to the siblings.

use std::time::Duration;

use crate::engine::replay::hpa::behavior::{Rules, Select, Step};
use crate::engine::replay::hpa::history::History;
use crate::engine::units::Timestamp;

/// Changes made lately, as the policies count them.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Replicas added.
    pub(super) added: History,
    /// Replicas removed.
    pub(super) removed: History,
}

impl Changes {
    /// Replicas when the period that ends now began, had nobody else changed them.
    fn begin(&self, current: u32, period: Duration, now: Timestamp) -> i64 {
        let sum = |history: &History| history.within(period, now).map(i64::from).sum::<i64>();
        i64::from(current) - sum(&self.added) + sum(&self.removed)
    }
}

/// Most replicas that `rules` for scaling up allow; at least `current`.
#[must_use]
pub(super) fn highest(rules: &Rules, changes: &Changes, current: u32, now: Timestamp) -> u32 {
    let allowed = rules.policies.iter().map(|policy| {
        let begin = changes.begin(current, policy.period(), now);
        match *policy {
            Step::Pods { value, .. } => begin.saturating_add(i64::from(value)),
            Step::Percent { value, .. } => {
                whole((float(begin) * (1.0 + f64::from(value) / 100.0)).ceil())
            }
        }
    });
    let limit = match rules.select {
        Select::Max => allowed.max(),
        Select::Min => allowed.min(),
        Select::Disabled => None,
    };
    limit.map_or(current, |limit| clamp(limit).max(current))
}

/// Fewest replicas that `rules` for scaling down allow; at most `current`.
#[must_use]
pub(super) fn lowest(rules: &Rules, changes: &Changes, current: u32, now: Timestamp) -> u32 {
    let allowed = rules.policies.iter().map(|policy| {
        let begin = changes.begin(current, policy.period(), now);
        match *policy {
            Step::Pods { value, .. } => begin.saturating_sub(i64::from(value)),
            Step::Percent { value, .. } => {
                whole((float(begin) * (1.0 - f64::from(value) / 100.0)).trunc())
            }
        }
    });
    let limit = match rules.select {
        Select::Max => allowed.min(),
        Select::Min => allowed.max(),
        Select::Disabled => None,
    };
    limit.map_or(current, |limit| clamp(limit).min(current))
}

/// Most replicas in one step of the mode without behavior: double, and at least four.
#[must_use]
pub(super) fn doubled(current: u32) -> u32 {
    current.saturating_mul(2).max(4)
}

fn float(replicas: i64) -> f64 {
    f64::from(i32::try_from(replicas).unwrap_or(i32::MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and clamp follows")]
const fn whole(replicas: f64) -> i64 {
    replicas as i64
}

fn clamp(replicas: i64) -> u32 {
    u32::try_from(replicas.max(0)).unwrap_or(u32::MAX)
}
