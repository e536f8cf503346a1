//! Last value + conformal: what a forecast must beat to be believed, and is until it has.
//!
//! The quantile of a level is the newest value plus the order statistic `ceil((n + 1) * level)` of
//! about a day's errors of doing so: split conformal prediction (Vovk et al. 2005; Lei et al. 2018) over
//! a rolling window. The window holds 120 errors; once full it takes every second, fourth, eighth, so
//! that it spans a day in a twelfth of the memory. Errors are in demand, not in its root.

use serde::{Deserialize, Serialize};

/// Errors kept.
const KEPT: usize = 120;

/// Errors of the last day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Naive {
    /// In the order in which they came, a ring.
    errors: Vec<f32>,
    sorted: Vec<f32>,
    next: usize,
    /// One of so many errors is taken.
    stride: usize,
    skipped: usize,
    /// So many errors make a day.
    day: usize,
}

impl Naive {
    pub(super) const fn new(day: usize) -> Self {
        Self { errors: Vec::new(), sorted: Vec::new(), next: 0, stride: 1, skipped: 0, day }
    }

    /// Takes an error: what came less the value then newest.
    pub(super) fn learn(&mut self, error: f32) {
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.errors.len() == KEPT && self.stride * KEPT < self.day {
            self.thin();
        }
        if self.errors.len() < KEPT {
            self.errors.push(error);
        } else {
            let oldest = std::mem::replace(&mut self.errors[self.next], error);
            self.next = (self.next + 1) % KEPT;
            let place = self.sorted.partition_point(|kept| kept.total_cmp(&oldest).is_lt());
            self.sorted.remove(place);
        }
        let place = self.sorted.partition_point(|kept| kept.total_cmp(&error).is_lt());
        self.sorted.insert(place, error);
    }

    /// Keeps every second error, and takes every second from now on.
    fn thin(&mut self) {
        self.errors.rotate_left(self.next);
        self.next = 0;
        let mut place = 0;
        self.errors.retain(|_| {
            place += 1;
            place % 2 == 0
        });
        self.sorted.clone_from(&self.errors);
        self.sorted.sort_by(f32::total_cmp);
        self.stride *= 2;
    }

    /// What to add to the newest value for each of `taus`; 0 before the first error.
    pub(super) fn margins(&self, taus: [f32; 4]) -> [f32; 4] {
        taus.map(|tau| {
            #[expect(clippy::cast_precision_loss, reason = "at most 120")]
            let rank = ((self.sorted.len() + 1) as f32 * tau).ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 121"
            )]
            let place = (rank as usize).clamp(1, self.sorted.len().max(1)) - 1;
            self.sorted.get(place).copied().unwrap_or(0.0)
        })
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        self.errors.iter_mut().chain(&mut self.sorted).for_each(|error| *error *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::Naive;

    fn check(naive: &Naive, taus: [f32; 4], expected: [f32; 4]) {
        let bits = |values: [f32; 4]| values.map(f32::to_bits);
        assert_eq!(bits(naive.margins(taus)), bits(expected), "{taus:?}");
    }

    #[test]
    fn margins_are_order_statistics() {
        let mut naive = Naive::new(1440);
        for error in [3.0, 1.0, 2.0] {
            naive.learn(error);
        }
        check(&naive, [0.5, 0.9, 0.25, 0.99], [2.0, 3.0, 1.0, 3.0]);
    }

    #[test]
    fn the_window_spans_a_day_and_no_more() {
        let mut naive = Naive::new(1440);
        for _ in 0..3000 {
            naive.learn(100.0);
        }
        for _ in 0..2000 {
            naive.learn(1.0);
        }
        assert_eq!(naive.stride, 16);
        assert_eq!((naive.errors.len(), naive.sorted.len()), (120, 120));
        check(&naive, [0.5, 0.9, 0.95, 0.99], [1.0; 4]);
    }
}
