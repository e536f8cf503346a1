//! Last value + conformal: what a forecast must beat to be believed, and is until it has.
//!
//! The quantile of a level is the newest value plus the order statistic `ceil((n + 1) * level)` of
//! about a day's errors of doing so: split conformal prediction (Vovk et al. 2005; Lei et al. 2018) over
//! a rolling window. The window holds 120 errors; once full it takes every second, fourth, eighth, so
//! that it spans a day in a twelfth of the memory. Errors are in demand, not in its root.

use serde::{Deserialize, Serialize};

use crate::engine::forecast::quantiles::TAUS;
use crate::engine::rough::Rough;

/// Errors kept.
const KEPT: usize = 120;

/// Errors of the last day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Naive {
    /// In the order in which they came, a ring.
    errors: Vec<Rough>,
    next: usize,
    /// One of so many errors is taken.
    stride: usize,
    /// So many errors make a day.
    day: usize,
    margins: [f32; 4],
}

impl Naive {
    pub(super) const fn new(day: usize) -> Self {
        Self { errors: Vec::new(), next: 0, stride: 1, day, margins: [0.0; 4] }
    }

    /// Whether it takes the error of this step, counted from the epoch: what it would not take need not be
    /// worked out.
    pub(super) const fn is_due(&self, step: u64) -> bool {
        step.is_multiple_of(self.stride as u64)
    }

    /// Takes an error that was due: what came less the value that was the newest.
    pub(super) fn learn(&mut self, error: f32) {
        if self.errors.len() == KEPT && self.stride * KEPT < self.day {
            self.thin();
        }
        if self.errors.len() < KEPT {
            if self.errors.is_empty() {
                self.errors.reserve_exact(KEPT);
            }
            self.errors.push(Rough::of(error));
        } else {
            self.errors[self.next] = Rough::of(error);
            self.next = (self.next + 1) % KEPT;
        }
        self.margins = order_statistics(&self.errors);
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
        self.stride *= 2;
    }

    /// What to add to the newest value for each of [`TAUS`]; 0 before the first error.
    pub(super) const fn margins(&self) -> [f32; 4] {
        self.margins
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        self.errors.iter_mut().for_each(|error| *error = Rough::of(error.get() * factor));
        self.margins.iter_mut().for_each(|margin| *margin *= factor);
    }
}

/// The highest level first: what is above an order statistic need not be looked at for a lower one.
fn order_statistics(errors: &[Rough]) -> [f32; 4] {
    let mut copy = [0; KEPT];
    let count = errors.len().min(KEPT);
    copy.iter_mut().zip(errors).for_each(|(own, error)| *own = error.rank());
    let mut rest = &mut copy[..count];
    let mut statistics = [0.0; 4];
    for (statistic, tau) in statistics.iter_mut().zip(TAUS).rev() {
        let rank = rank(count, tau).min(rest.len());
        let (_, found, _) = rest.select_nth_unstable(rank - 1);
        *statistic = Rough::of_rank(*found).get();
        rest = &mut rest[..rank];
    }
    statistics
}

/// `ceil((count + 1) * tau)`, at least 1 and at most `count`, which must not be 0.
fn rank(count: usize, tau: f32) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "at most 120")]
    let rank = ((count + 1) as f32 * tau).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 121")]
    let rank = rank as usize;
    rank.clamp(1, count)
}

#[cfg(test)]
mod tests {
    use super::Naive;

    fn learn(naive: &mut Naive, step: u64, error: f32) {
        if naive.is_due(step) {
            naive.learn(error);
        }
    }

    fn check(naive: &Naive, expected: [f32; 4]) {
        assert_eq!(naive.margins().map(f32::to_bits), expected.map(f32::to_bits));
    }

    #[test]
    fn margins_are_order_statistics() {
        let mut naive = Naive::new(1440);
        check(&naive, [0.0; 4]);
        for (step, error) in (0..).zip([3.0, 1.0, 2.0]) {
            learn(&mut naive, step, error);
        }
        check(&naive, [2.0, 3.0, 3.0, 3.0]);
        for error in 4_u8..=99 {
            learn(&mut naive, error.into(), error.into());
        }
        check(&naive, [50.0, 90.0, 95.0, 99.0]);
    }

    #[test]
    fn the_window_spans_a_day_and_no_more() {
        let mut naive = Naive::new(1440);
        for step in 0..5000 {
            learn(&mut naive, step, if step < 3000 { 100.0 } else { 1.0 });
        }
        assert_eq!((naive.stride, naive.errors.len()), (16, 120));
        check(&naive, [1.0; 4]);
    }
}
