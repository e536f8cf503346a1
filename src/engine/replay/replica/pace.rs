//! How long iterations take, in whole picoseconds: many in a row come to the same as one by one.
//!
//! Floats would make a sum depend on how it was split; then a day would pass differently when looked
//! at more often. 2^128 ps are more than the age of the universe.

use std::time::Duration;

use crate::engine::replay::profile::Profile;

/// Picoseconds in a nanosecond.
const NANOSECOND: u128 = 1000;

/// A time span in picoseconds.
pub(super) fn picoseconds(span: Duration) -> u128 {
    span.as_nanos() * NANOSECOND
}

/// A time span of so many picoseconds, rounded down to nanoseconds; at most 584 years.
pub(super) fn duration(picoseconds: u128) -> Duration {
    Duration::from_nanos(u64::try_from(picoseconds / NANOSECOND).unwrap_or(u64::MAX))
}

/// The cost of iterations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    base: u128,
    per_token: u128,
    per_kv_token: u128,
    per_sequence: u128,
}

impl Pace {
    /// That of a profile. No iteration takes less than a microsecond: time must pass.
    pub(super) fn new(profile: &Profile) -> Self {
        // A thousand times the seconds in nanoseconds are the seconds in picoseconds.
        let exact = |seconds: f64| {
            Duration::try_from_secs_f64(seconds * 1000.0).unwrap_or_default().as_nanos()
        };
        Self {
            base: exact(profile.base).max(1_000_000),
            per_token: exact(profile.per_token),
            per_kv_token: exact(profile.per_kv_token),
            per_sequence: exact(profile.per_sequence),
        }
    }

    /// Picoseconds of one iteration that computes `tokens` of prompts, reads `kv` tokens of the cache and has
    /// `sequences` in its batch.
    pub(super) fn iteration(&self, tokens: u64, kv: u64, sequences: u64) -> u128 {
        self.base
            + self.per_token * u128::from(tokens)
            + self.per_kv_token * u128::from(kv)
            + self.per_sequence * u128::from(sequences)
    }

    /// A row of iterations in each of which `sequences` get one token, with `kv` tokens in the cache
    /// before the first.
    pub(super) fn row(&self, sequences: u64, kv: u64) -> Row {
        let first = self.iteration(0, kv, sequences);
        Row { first, growth: self.per_kv_token * u128::from(sequences) }
    }
}

/// Iterations in a row of which each takes longer than the one before by the same span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Picoseconds of the first.
    pub(super) first: u128,
    /// Picoseconds by which the next is longer.
    pub(super) growth: u128,
}

impl Row {
    /// Picoseconds of the first `count` iterations: an arithmetic series.
    pub(super) fn elapsed(&self, count: u64) -> u128 {
        let count = u128::from(count);
        self.first * count + self.growth * (count * count.saturating_sub(1) / 2)
    }

    /// The fewest iterations that take at least `span`, above `done` and at most `most`. The
    /// quadratic is solved by bisection: exact in whole numbers, some ten halvings.
    pub(super) fn count_in(&self, span: u128, done: u64, most: u64) -> u64 {
        if self.elapsed(most) <= span {
            return most;
        }
        let (mut low, mut high) = (done, most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.elapsed(middle) >= span {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Row};
    use crate::engine::replay::profile::Profile;

    #[test]
    fn a_row_is_the_sum_of_its_iterations() {
        let pace = Pace::new(&Profile::llama_3_8b_h100());
        let row = pace.row(7, 12_345);
        let mut sum = 0;
        for count in 0..500 {
            assert_eq!(row.elapsed(count), sum, "{count}");
            sum += pace.iteration(0, 12_345 + 7 * count, 7);
        }
    }

    #[test]
    fn the_count_in_a_span_is_the_first_that_reaches_it() {
        let row = Row { first: 100, growth: 3 };
        for span in 1..2000 {
            let count = row.count_in(span, 0, 1000);
            assert!(row.elapsed(count) >= span && row.elapsed(count - 1) < span, "{span}");
        }
        assert_eq!(row.count_in(u128::MAX, 0, 9), 9);
    }
}
