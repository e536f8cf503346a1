//! A series on a fixed step, with its gaps.
//!
//! Given values of which each belongs to the step that begins at its instant, it promises coarser
//! steps and shorter series of the same kind. A gap is `None`, never a number.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::units::Timestamp;

/// A day, the shortest season.
pub const DAY: Duration = Duration::from_hours(24);

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// When the first step begins.
    pub begins: Timestamp,
    /// Length of a step, above zero, whole milliseconds.
    pub step: Duration,
    /// The value of each step, finite and not negative; `None` is a gap.
    pub values: Vec<Option<f64>>,
}

/// `part` in whole steps of `step`, rounded; a half rounds up.
#[must_use]
pub fn steps(part: Duration, step: Duration) -> usize {
    let (part, step) = (part.as_millis(), step.as_millis().max(1));
    usize::try_from((part + step / 2) / step).unwrap_or(usize::MAX)
}

impl Series {
    /// When step `idx` begins.
    #[must_use]
    pub fn at(&self, idx: usize) -> Timestamp {
        self.begins.plus(self.step.saturating_mul(count(idx)))
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.step.saturating_mul(count(self.values.len()))
    }

    /// The first `length` of it.
    #[must_use]
    pub fn cut(mut self, length: Duration) -> Self {
        self.values.truncate(steps(length, self.step));
        self
    }

    /// The same on steps of `step`, which begin at its multiples since the epoch: each the mean of
    /// what is known in it, and a gap where more than half is missing. `None` where `step` is not a
    /// multiple of the present one.
    #[must_use]
    pub fn resampled(&self, step: Duration) -> Option<Self> {
        let (fine, coarse) = (self.step.as_millis(), step.as_millis());
        if fine == 0 || coarse < fine || !coarse.is_multiple_of(fine) {
            return None;
        }
        let parts = count(usize::try_from(coarse / fine).ok()?);
        let coarse = i64::try_from(coarse).ok()?;
        let bucket = |idx: usize| self.at(idx).unix_ms().div_euclid(coarse);
        let first = bucket(0);
        let mut sums: Vec<(f64, u32)> = Vec::new();
        for (idx, value) in self.values.iter().enumerate() {
            let place = usize::try_from(bucket(idx) - first).ok()?;
            if sums.len() <= place {
                sums.resize(place + 1, (0.0, 0));
            }
            if let Some(value) = value {
                sums[place].0 += value;
                sums[place].1 += 1;
            }
        }
        let mean = |(sum, known): (f64, u32)| {
            (known > 0 && known * 2 >= parts).then(|| sum / f64::from(known))
        };
        let begins = Timestamp::from_unix_ms(first.saturating_mul(coarse));
        Some(Self { begins, step, values: sums.into_iter().map(mean).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Series, steps};
    use crate::engine::units::Timestamp;

    fn series(begins: i64, values: &[Option<f64>]) -> Series {
        let begins = Timestamp::from_unix_ms(begins * 1000);
        Series { begins, step: Duration::from_mins(1), values: values.to_vec() }
    }

    #[test]
    fn spans_are_rounded_to_steps() {
        let rows = [(59, 60, 1), (29, 60, 0), (30, 60, 1), (300, 90, 3), (86_400, 60, 1440)];
        for (part, step, expected) in rows {
            let spans = (Duration::from_secs(part), Duration::from_secs(step));
            assert_eq!(steps(spans.0, spans.1), expected, "{part} s in {step} s");
        }
    }

    #[test]
    fn a_coarse_step_is_the_mean_of_what_is_known_and_a_gap_where_most_is_missing() {
        // Begins a minute into a step of two.
        let some = |value: f64| Some(value);
        let fine = series(60, &[some(3.0), some(1.0), some(2.0), None, None, some(7.0), None]);
        let coarse = fine.resampled(Duration::from_mins(2)).unwrap();
        assert_eq!(coarse.begins, Timestamp::default());
        assert_eq!(coarse.values, [some(3.0), some(1.5), None, some(7.0)]);
        let four = fine.resampled(Duration::from_mins(4)).unwrap();
        assert_eq!(four.values, [some(2.0), None]);
    }

    #[test]
    fn only_multiples_of_the_step_are_coarser() {
        let fine = series(0, &[Some(1.0); 6]);
        for (seconds, works) in [(60, true), (90, false), (30, false), (180, true)] {
            let coarse = fine.resampled(Duration::from_secs(seconds));
            assert_eq!(coarse.is_some(), works, "{seconds} s");
        }
    }

    #[test]
    fn a_cut_keeps_the_beginning() {
        let cut = series(0, &[Some(1.0); 6]).cut(Duration::from_mins(4));
        assert_eq!((cut.values.len(), cut.length()), (4, Duration::from_mins(4)));
    }
}
