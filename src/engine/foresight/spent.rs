//! What acting upon the forecast has added to the bill in the last weeks, and how much that leaves.

use crate::engine::numeric::share;

/// What acting upon it may add in weeks. Real clusters start and stop a little later than minutes tell: in
/// replays (docs/pre-scaling.md) this keeps within two percent.
pub(super) const MOST: f64 = 0.01;
/// From here on less of it counts.
const NEAR: f64 = 0.75 * MOST;

/// What acting has added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spent {
    alone: f64,
    acted: f64,
    /// How much of the time that is remembered has been seen, 0..=1.
    seen: f64,
}

impl Spent {
    pub(super) const NOTHING: Self = Self { alone: 0.0, acted: 0.0, seen: 0.0 };

    /// As a share of what demand alone costs in all the time that is remembered: a first burst is weighed
    /// against weeks, not against the hours before it.
    pub(super) fn adds(&self) -> f64 {
        share(self.acted, self.alone).map_or(0.0, |ratio| (ratio - 1.0) * self.seen)
    }

    pub(super) fn enter(&mut self, kept: f64, alone: f64, acted: f64) {
        self.alone = self.alone.mul_add(kept, alone);
        self.acted = self.acted.mul_add(kept, acted);
        self.seen = self.seen.mul_add(kept, 1.0 - kept);
    }

    pub(super) fn weigh(&mut self, factor: f64) {
        self.alone *= factor;
        self.acted *= factor;
    }

    /// How much of the forecast counts, 0..=1: all of it until much was added, none at the bound.
    pub(super) fn leaves(&self) -> f64 {
        ((MOST - self.adds()) / (MOST - NEAR)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Spent};

    fn after(steps: u32, acted: f64) -> Spent {
        let mut spent = Spent::NOTHING;
        (0..steps).for_each(|_| spent.enter(0.999, 10.0, acted));
        spent
    }

    #[test]
    fn near_the_bound_less_of_the_forecast_counts() {
        let leaves = |acted| after(99_999, acted).leaves();
        assert!(leaves(9.0) >= 1.0 && leaves(10.0) >= 1.0 && leaves(10.0 + 5.0 * MOST) >= 1.0);
        assert!((leaves(10.0 + 8.75 * MOST) - 0.5).abs() < 1e-6);
        assert!(leaves(10.0 + 11.0 * MOST) <= 0.0 && leaves(99.0) <= 0.0);
    }

    #[test]
    fn a_burst_is_weighed_against_weeks_however_early() {
        assert!(after(1, 20.0).adds() < 0.0011 && after(0, 0.0).leaves() >= 1.0);
        assert!(after(99_999, 20.0).adds() > 0.99);
    }
}
