//! Small numeric pieces: conversions with their rounding in the name, quantiles, medians, fading.
//!
//! Given plain finite numbers; promises finite numbers or `None`. What they mean is left to callers.

use std::time::Duration;

/// Replica-equivalents rounded up to whole replicas, forgiving 1e-9 of floating-point dust.
///
/// `demand` below zero or not a number counts as zero; above `u32::MAX` it saturates.
#[must_use]
pub fn replicas_ceil(demand: f64) -> u32 {
    let whole = (demand - 1e-9).ceil();
    if whole >= f64::from(u32::MAX) {
        u32::MAX
    } else if whole > 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole is a positive integer below u32::MAX"
        )]
        let count = whole as u32;
        count
    } else {
        0
    }
}

/// How many there are, saturating: no collection of ours comes near `u32::MAX`.
#[must_use]
pub fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// The `q`-quantile (0..=1) by nearest rank: always one of the values, so never below what
/// happened in a `q` share of the cases. `None` for no values.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = replicas_ceil(q.clamp(0.0, 1.0) * f64::from(count(sorted.len()))).max(1);
    sorted.get(usize::try_from(rank).ok()?.saturating_sub(1)).copied()
}

/// The lower median: always one of the values. `None` for no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Of `sorted`, the order statistic `ceil((n + 1) x level)`, limited to 1..=n: split conformal
/// prediction's (Vovk, Gammerman and Shafer, 2005). `None` for no values.
#[must_use]
pub fn order_statistic(sorted: &[f64], level: f64) -> Option<f64> {
    let rank = replicas_ceil((f64::from(count(sorted.len())) + 1.0) * level);
    let rank = usize::try_from(rank).ok()?.clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied()
}

/// What is left of 1 after `elapsed`, when half is left after `half_life`; 1 for no half-life.
#[must_use]
pub fn fade(elapsed: Duration, half_life: Duration) -> f64 {
    if half_life.is_zero() {
        return 1.0;
    }
    (-elapsed.as_secs_f64() / half_life.as_secs_f64()).exp2()
}

/// `numerator / denominator` where that is a finite number that is not negative.
#[must_use]
pub fn share(numerator: f64, denominator: f64) -> Option<f64> {
    let quotient = numerator / denominator;
    (denominator > 0.0 && quotient.is_finite() && quotient >= 0.0).then_some(quotient)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{fade, median, order_statistic, quantile, replicas_ceil, share};

    #[test]
    fn rounding_up_forgives_dust_and_poison() {
        let rows = [
            (0.0, 0),
            (1.0, 1),
            (1.000_000_000_1, 1),
            (1.01, 2),
            (-3.0, 0),
            (f64::NAN, 0),
            (f64::INFINITY, u32::MAX),
        ];
        for (demand, expected) in rows {
            assert_eq!(replicas_ceil(demand), expected, "{demand}");
        }
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let rows: [(&[f64], f64, Option<f64>); 6] = [
            (&[], 0.9, None),
            (&[180.0, 180.0, 180.0], 0.9, Some(180.0)),
            (&[3.0, 1.0, 2.0], 0.5, Some(2.0)),
            (&[1.0, 2.0], 0.5, Some(1.0)),
            (&[1.0, 2.0], 0.9, Some(2.0)),
            (&[1.0, 2.0], 0.0, Some(1.0)),
        ];
        for (values, q, expected) in rows {
            assert_eq!(quantile(values, q), expected, "{values:?} at {q}");
        }
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
    }

    #[test]
    fn an_order_statistic_counts_one_value_more_than_there_are() {
        // ceil(5 x level): 3, 5 (limited to 4), 1.
        for (level, expected) in [(0.5, Some(2.0)), (0.9, Some(4.0)), (0.1, Some(-1.0))] {
            assert_eq!(order_statistic(&[-1.0, 1.0, 2.0, 4.0], level), expected, "{level}");
        }
        assert_eq!(order_statistic(&[], 0.9), None);
    }

    #[test]
    fn a_half_life_halves() {
        let hour = Duration::from_hours(1);
        // One part in a billion: exp2 is not exact on every platform.
        assert!((fade(hour, hour) - 0.5).abs() < 1e-9);
        assert!((fade(Duration::ZERO, hour) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!(share(1.0, 0.0), None);
        assert_eq!(share(0.0, 2.0), Some(0.0));
        assert_eq!(share(f64::MAX, 1e-300), None);
    }
}
