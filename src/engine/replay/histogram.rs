//! Histograms as an inference server exposes them: fixed upper bounds, a count and a sum.
//!
//! Given values in seconds, it promises the bucket counts of vLLM's own families; the same values in
//! any grouping give the same histogram, bit by bit. Quantiles are left to whoever reads them.

use std::fmt;
use std::time::Duration;

/// Upper bounds of vLLM's time to first token, in seconds, as they stand in `le` (v0.33, V1 engine).
pub const TTFT_BOUNDS: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];

/// Upper bounds of its inter-token latency.
pub const ITL_BOUNDS: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];

/// Upper bounds of its end-to-end latency and of its queue time, which share them.
pub const REQUEST_BOUNDS: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
];

/// The longest of the lists above.
const BOUNDS_MAX: usize = 22;

/// Counts of values per bucket.
#[derive(Clone, Copy, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Not cumulative; what is above the last bound is in `count` alone.
    counts: [u64; BOUNDS_MAX],
    count: u64,
    /// In nanoseconds: whole numbers add up the same in any order.
    sum: u128,
}

impl Histogram {
    /// Nothing observed yet; `bounds` ascend, at most 22 of them (more are ignored).
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let bounds = bounds.get(..BOUNDS_MAX).unwrap_or(bounds);
        Self { bounds, counts: [0; BOUNDS_MAX], count: 0, sum: 0 }
    }

    /// Counts `value` as often as `times` says.
    pub fn observe(&mut self, value: Duration, times: u64) {
        let seconds = value.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.add(bucket, times, value.as_nanos() * u128::from(times));
    }

    /// Counts `times` values of the bucket at index `bucket`, whose sum is `nanoseconds`.
    pub fn add(&mut self, bucket: usize, times: u64, nanoseconds: u128) {
        if bucket < self.bounds.len()
            && let Some(count) = self.counts.get_mut(bucket)
        {
            *count += times;
        }
        self.count += times;
        self.sum += nanoseconds;
    }

    /// The bounds, ascending, `+Inf` not among them.
    #[must_use]
    pub const fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Each bound with the count of the values at or below it, as `le` buckets stand on a page.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        })
    }

    /// Values observed; the bucket of `+Inf`.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        let nanoseconds = u64::try_from(self.sum).unwrap_or(u64::MAX);
        Duration::from_nanos(nanoseconds).as_secs_f64()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({} values, sum {})", self.count, self.sum())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Histogram, TTFT_BOUNDS};

    #[test]
    fn a_value_on_a_bound_is_at_or_below_it() {
        let mut histogram = Histogram::new(&TTFT_BOUNDS);
        histogram.observe(Duration::from_millis(10), 2);
        histogram.observe(Duration::from_millis(11), 3);
        histogram.observe(Duration::from_secs(9999), 1);
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts[..5], [0, 0, 2, 5, 5]);
        assert_eq!((counts.last(), histogram.count()), (Some(&5), 6));
        assert!((histogram.sum() - 9999.053).abs() < 1e-9, "{}", histogram.sum());
    }
}
