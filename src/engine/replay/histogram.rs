//! Histograms as an inference server exposes them: fixed upper bounds, a count and a sum.
//!
//! Given values in seconds, it promises the bucket counts of vLLM's own families; the same values in
//! any grouping give the same histogram, bit by bit. Quantiles are left to whoever reads them.

use std::fmt;
use std::ops::Range;
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

/// Picoseconds in a nanosecond.
const NANOSECOND: u128 = 1000;

/// A bound in picoseconds: a thousand times the seconds in nanoseconds.
fn picoseconds(seconds: f64) -> u128 {
    Duration::try_from_secs_f64(seconds * 1000.0).unwrap_or(Duration::MAX).as_nanos()
}

/// The sum of `first + idx x growth` over `range`.
fn series(first: u128, growth: u128, range: Range<u64>) -> u128 {
    let below = |end: u64| u128::from(end) * u128::from(end.saturating_sub(1)) / 2;
    let count = u128::from(range.end - range.start);
    first * count + growth * (below(range.end) - below(range.start))
}

/// Counts of values per bucket.
#[derive(Clone, Copy, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Not cumulative; the one after the last bound is for all above it.
    counts: [u64; BOUNDS_MAX + 1],
    count: u64,
    /// In picoseconds: whole numbers add up the same in any order.
    sum: u128,
}

impl Histogram {
    /// Nothing observed yet; `bounds` ascend, at most 22 of them (more are ignored).
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let bounds = bounds.get(..BOUNDS_MAX).unwrap_or(bounds);
        Self { bounds, counts: [0; BOUNDS_MAX + 1], count: 0, sum: 0 }
    }

    /// Counts `value` as often as `times` says.
    pub fn observe(&mut self, value: Duration, times: u64) {
        self.ramp(value.as_nanos() * NANOSECOND, 0, 0..1, times);
    }

    /// Counts values that grow evenly: `first + idx x growth` picoseconds for each `idx` of `range`,
    /// each as often as `times` says. The work is in buckets, not in values.
    pub fn ramp(&mut self, first: u128, growth: u128, range: Range<u64>, times: u64) {
        let mut from = range.start;
        let mut bucket = self.bucket(first + growth * u128::from(from));
        while from < range.end {
            let to = self.bounds.get(bucket).map_or(range.end, |bound| {
                let room = (picoseconds(*bound) - first).checked_div(growth);
                let last = room.and_then(|room| u64::try_from(room).ok()).unwrap_or(u64::MAX);
                last.saturating_add(1).min(range.end)
            });
            let (count, sum) = (to - from, series(first, growth, from..to));
            if let Some(slot) = self.counts.get_mut(bucket) {
                *slot += count * times;
            }
            self.count += count * times;
            self.sum += sum * u128::from(times);
            from = to;
            bucket = self.bucket(first + growth * u128::from(from)).max(bucket + 1);
        }
    }

    fn bucket(&self, value: u128) -> usize {
        self.bounds.partition_point(|bound| picoseconds(*bound) < value)
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
        let nanoseconds = u64::try_from(self.sum / NANOSECOND).unwrap_or(u64::MAX);
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

    #[test]
    fn an_even_growth_is_counted_as_its_values_would_be() {
        for (first, growth, end) in [(1_000_000_000, 300_000_000, 400), (7, 0, 9), (0, 1, 50)] {
            let (mut whole, mut parts, mut single) = (
                Histogram::new(&TTFT_BOUNDS),
                Histogram::new(&TTFT_BOUNDS),
                Histogram::new(&TTFT_BOUNDS),
            );
            whole.ramp(first, growth, 0..end, 3);
            parts.ramp(first, growth, 0..end / 3, 3);
            parts.ramp(first, growth, end / 3..end, 3);
            (0..end).for_each(|idx| single.ramp(first + growth * u128::from(idx), 0, 0..1, 3));
            assert!(whole == parts && whole == single, "{whole:?} {parts:?} {single:?}");
        }
    }
}
