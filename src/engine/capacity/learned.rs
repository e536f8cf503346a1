//! One learned capacity from censored observations: throughput below saturation is a lower bound.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::fade;
use crate::engine::units::Timestamp;

/// A bound seen once is half forgotten after a day: hardware, model and traffic change.
const HALF_LIFE: Duration = Duration::from_hours(24);
/// Saturated windows before a value is believed; one may be a single long prompt.
const SATURATED_MIN: u32 = 2;
/// Weight of a saturated observation: three of them make two thirds of the value.
const WEIGHT: f64 = 0.3;

/// A capacity of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// The value, once seeded or seen at saturation.
    value: Option<f64>,
    /// It was seen at saturation, not only seeded.
    observed: bool,
    /// The most seen without saturation, fading.
    bound: f64,
    /// Saturated windows in a row.
    saturated: u32,
    /// When it was last learned from.
    at: Option<Timestamp>,
}

impl Learned {
    /// The capacity, when it is known; at least what was ever seen lately.
    #[must_use]
    pub fn known(&self) -> Option<f64> {
        self.value.map(|value| value.max(self.bound))
    }

    /// The same, once it was seen at saturation.
    #[must_use]
    pub fn observed(&self) -> Option<f64> {
        self.known().filter(|_| self.observed)
    }

    /// The most seen without saturation lately: it is no less.
    #[must_use]
    pub fn least(&self) -> Option<f64> {
        (self.bound > 0.0).then_some(self.bound)
    }

    /// When it was last learned from; `None` while it is a bare seed.
    #[must_use]
    pub const fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// Starts from a profile's value where nothing is known yet.
    pub fn seed(&mut self, seed: Option<f64>) {
        if self.value.is_none() {
            self.value = seed.filter(|seed| seed.is_finite() && *seed > 0.0);
        }
    }

    /// Learns from a window in which a replica did `observed`.
    pub fn learn(&mut self, observed: f64, saturated: bool, now: Timestamp) {
        if !observed.is_finite() || observed <= 0.0 {
            return;
        }
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        self.bound = (self.bound * fade(elapsed, HALF_LIFE)).max(observed);
        self.at = Some(now);
        self.saturated = if saturated { self.saturated.saturating_add(1) } else { 0 };
        if self.saturated >= SATURATED_MIN {
            let towards = |before: f64| WEIGHT.mul_add(observed - before, before);
            self.value = Some(self.value.filter(|_| self.observed).map_or(observed, towards));
            self.bound = towards(self.bound);
            self.observed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Learned;
    use crate::engine::units::Timestamp;

    /// Windows as (observed, saturated), a minute apart.
    fn check(seed: Option<f64>, windows: &[(f64, bool)], expected: Option<f64>) {
        let mut learned = Learned::default();
        learned.seed(seed);
        for (idx, (observed, saturated)) in windows.iter().enumerate() {
            let minutes = Duration::from_mins(u64::try_from(idx).unwrap());
            learned.learn(*observed, *saturated, Timestamp::default().plus(minutes));
        }
        let near = match (learned.known(), expected) {
            // A thousandth: the bound fades a little within minutes.
            (Some(known), Some(expected)) => (known - expected).abs() < expected / 1000.0,
            (known, expected) => known == expected,
        };
        assert!(near, "{seed:?} {windows:?}: {learned:?} is not {expected:?}");
    }

    #[test]
    fn throughput_below_saturation_is_only_a_lower_bound() {
        check(None, &[], None);
        check(None, &[(10.0, false), (20.0, false)], None);
        check(Some(100.0), &[(10.0, false)], Some(100.0));
        check(Some(100.0), &[(150.0, false)], Some(150.0));
        check(Some(-1.0), &[], None);
    }

    #[test]
    fn two_saturated_windows_make_it_known() {
        check(None, &[(10.0, true)], None);
        check(None, &[(10.0, true), (12.0, true)], Some(12.0));
        check(None, &[(10.0, true), (12.0, false), (12.0, true)], None);
        // A seed is a guess about other requests: what was seen replaces it.
        check(Some(100.0), &[(50.0, true), (50.0, true)], Some(50.0));
        check(None, &[(f64::NAN, true), (f64::NAN, true)], None);
    }

    #[test]
    fn one_poor_window_at_saturation_does_not_undo_what_was_delivered() {
        let good = [(100.0, true); 4];
        let row = |more: &[(f64, bool)]| [&good[..], more].concat();
        check(None, &row(&[(50.0, true)]), Some(85.0));
        check(None, &row(&[(50.0, true), (100.0, false)]), Some(100.0));
        // But lasting ones do: 50 + 50 x 0.7^8.
        check(None, &row(&[(50.0, true); 8]), Some(52.88));
    }
}
