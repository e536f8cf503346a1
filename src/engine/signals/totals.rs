//! The workload's numbers: pods summed, never averaged, with what is missing kept apart.
//!
//! Given the readings of the serving pods; promises that every total knows on how many pods it is
//! known, so that a low and a high reading can be told apart.

use std::collections::BTreeMap;

use crate::engine::observation::Role;

/// How a total with missing pods is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Missing pods carry nothing: what is certainly there.
    Low,
    /// Missing pods carry as much as the fullest known one.
    High,
}

/// One signal over all ready pods.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Total {
    /// Sum over the pods where it is known.
    pub sum: f64,
    /// What of the sum is certain; less where it may count something twice.
    pub certain: f64,
    /// The largest of them.
    pub max: f64,
    /// Pods where it is known.
    pub known: u32,
    /// Ready pods where it is not.
    pub missing: u32,
}

impl Total {
    /// The total over `values`, of `ready` pods in all.
    #[must_use]
    pub fn over(values: &[f64], ready: u32) -> Self {
        let known = crate::engine::numeric::count(values.len());
        let sum = values.iter().sum();
        Self {
            sum,
            certain: sum,
            max: values.iter().copied().fold(0.0, f64::max),
            known,
            missing: ready.saturating_sub(known),
        }
    }

    /// The sum as `bound` reads it; `None` when no pod gave a value.
    #[must_use]
    pub fn read(&self, bound: Bound) -> Option<f64> {
        let value = match bound {
            Bound::Low => self.certain,
            Bound::High => self.sum + self.max * f64::from(self.missing),
        };
        (self.known > 0).then_some(value)
    }

    /// Known on all ready pods, of which there is at least one.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.known > 0 && self.missing == 0
    }
}

/// All signals over all ready pods, by role.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    /// Gauges, now.
    pub levels: BTreeMap<Role, Total>,
    /// Counters, per second.
    pub rates: BTreeMap<Role, Total>,
    /// KV cache in use, in full caches of one pod.
    pub kv_used: Total,
}

impl Totals {
    /// A gauge's total.
    #[must_use]
    pub fn level(&self, role: Role, bound: Bound) -> Option<f64> {
        self.levels.get(&role)?.read(bound)
    }

    /// A counter's total rate.
    #[must_use]
    pub fn rate(&self, role: Role, bound: Bound) -> Option<f64> {
        self.rates.get(&role)?.read(bound)
    }

    /// Whether a signal is known on all ready pods.
    #[must_use]
    pub fn complete(&self, role: Role) -> bool {
        self.of(role).is_some_and(Total::complete)
    }

    /// Ready pods where a signal is not known; all there can be, where it is known on none.
    #[must_use]
    pub fn missing(&self, role: Role) -> u32 {
        self.of(role).map_or(u32::MAX, |total| total.missing)
    }

    fn of(&self, role: Role) -> Option<&Total> {
        let values = if role.is_counter() { &self.rates } else { &self.levels };
        values.get(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Total};

    #[test]
    fn missing_pods_widen_a_total() {
        let rows = [
            (vec![], 2, None, None, false),
            (vec![3.0, 5.0], 2, Some(8.0), Some(8.0), true),
            (vec![3.0, 5.0], 4, Some(8.0), Some(18.0), false),
            (vec![0.0], 2, Some(0.0), Some(0.0), false),
        ];
        for (values, ready, low, high, complete) in rows {
            let total = Total::over(&values, ready);
            assert_eq!(total.read(Bound::Low), low);
            assert_eq!(total.read(Bound::High), high);
            assert_eq!(total.complete(), complete);
        }
    }
}
