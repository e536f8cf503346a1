//! Small numeric pieces: conversions with their rounding in the name, quantiles, medians.

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

#[cfg(test)]
mod tests {
    use super::replicas_ceil;

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
}
