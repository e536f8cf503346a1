//! Quantiles of classic histograms, by the rule of Prometheus.
//!
//! Given cumulative counts by upper bound, whoever summed them (a server, direct scrape, the world
//! of a replay), it promises what `histogram_quantile` would say, and tells too few observations and
//! the open last bucket apart from a number. Where the counts come from is left to the callers.

use crate::engine::observation::LatencyReading;

/// Below this many observations a high quantile is one request's luck: with 20 the 95th percentile
/// is the largest but one.
pub const OBSERVATIONS_MIN: f64 = 20.0;

/// Nothing could be read.
pub const UNREADABLE: LatencyReading =
    LatencyReading { seconds: None, clamped: false, observations: None };

/// Counts never fall from one bound to the next: replicas with different bounds are summed by bound,
/// and servers round.
pub fn never_falling(buckets: &mut [(f64, f64)]) {
    let mut highest = 0.0_f64;
    for (_, count) in buckets {
        highest = highest.max(*count);
        *count = highest;
    }
}

/// The `quantile` (0..=1) of `buckets`: upper bounds in seconds, ascending, the last one infinite,
/// with cumulative counts that never fall; `per` turns a count into observations (a window in
/// seconds, where counts are rates). Nothing at all is read without an infinite bound.
#[must_use]
pub fn reading(buckets: &[(f64, f64)], per: f64, quantile: f64) -> LatencyReading {
    let Some((_, total)) = buckets.last().filter(|(bound, _)| *bound == f64::INFINITY) else {
        return UNREADABLE;
    };
    let observations = Some(total * per);
    let counted = LatencyReading { observations, ..UNREADABLE };
    if total * per < OBSERVATIONS_MIN {
        return counted;
    }
    let found = interpolated(quantile.clamp(0.0, 1.0), buckets);
    LatencyReading {
        seconds: found.map(|(value, _)| value),
        clamped: found.is_some_and(|(_, clamped)| clamped),
        observations,
    }
}

/// Linear inside the bucket, from zero in the first one if its bound is positive; in the infinite
/// bucket the highest finite bound, and true to say so.
fn interpolated(quantile: f64, buckets: &[(f64, f64)]) -> Option<(f64, bool)> {
    let (_, total) = buckets.last()?;
    let rank = quantile * total;
    let idx = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (end, count) = *buckets.get(idx)?;
    let (start, below) = match idx.checked_sub(1).and_then(|before| buckets.get(before)) {
        Some((start, below)) => (*start, *below),
        // One infinite bucket alone says nothing.
        None if end == f64::INFINITY => return None,
        None if end <= 0.0 => return Some((end, false)),
        None => (0.0, 0.0),
    };
    if end == f64::INFINITY {
        return Some((start, true));
    }
    let share = if count > below { (rank - below) / (count - below) } else { 1.0 };
    Some((start + (end - start) * share, false))
}

#[cfg(test)]
mod tests {
    use super::{never_falling, reading};

    const INF: f64 = f64::INFINITY;

    fn check(buckets: &[(f64, f64)], quantile: f64, expected: (Option<f64>, bool, Option<f64>)) {
        let mut buckets = buckets.to_vec();
        never_falling(&mut buckets);
        let found = reading(&buckets, 100.0, quantile);
        assert_eq!(
            (found.seconds, found.clamped, found.observations),
            expected,
            "{buckets:?} at {quantile}"
        );
    }

    #[test]
    fn quantiles_are_interpolated_clamped_or_absent() {
        let rows = [(0.5, 0.5), (1.0, 1.0), (INF, 1.0)];
        check(&rows, 0.25, (Some(0.25), false, Some(100.0)));
        check(&rows, 0.75, (Some(0.75), false, Some(100.0)));
        check(&rows, 7.0, (Some(1.0), false, Some(100.0)));
        check(&[(1.0, 0.5), (INF, 1.0)], 0.95, (Some(1.0), true, Some(100.0)));
        check(&[(1.0, 0.1), (INF, 0.19)], 0.5, (None, false, Some(19.0)));
        check(&[(INF, 1.0)], 0.5, (None, false, Some(100.0)));
        check(&[(1.0, 1.0)], 0.5, (None, false, None));
        check(&[], 0.5, (None, false, None));
    }

    #[test]
    fn a_count_below_the_one_before_is_that_one() {
        check(&[(1.0, 0.5), (2.0, 0.25), (INF, 1.0)], 0.5, (Some(1.0), false, Some(100.0)));
    }
}
