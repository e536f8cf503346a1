//! Plain numbers: demand per replica, thresholds, replica counts.

use crate::spec::fault::Problem;

/// Largest number accepted anywhere: far above any queue or rate, far below where `f64` loses units.
const LARGEST: f64 = 1e9;

/// A finite number from 0 to 1e9.
pub(crate) fn not_negative(text: &str) -> Result<f64, Problem> {
    parse(text).filter(|number| (0.0..=LARGEST).contains(number)).ok_or_else(|| {
        Problem::new(format!("must be a number from 0 to 1000000000{}", unit_hint(text)))
    })
}

/// A finite number above 0, at most 1e9.
pub(crate) fn positive(text: &str) -> Result<f64, Problem> {
    parse(text).filter(|number| *number >= 1e-9 && *number <= LARGEST).ok_or_else(|| {
        Problem::new(format!("must be a number above 0, at most 1000000000{}", unit_hint(text)))
    })
}

/// A whole number in `from..=to`.
pub(crate) fn count(text: &str, from: u32, to: u32) -> Result<u32, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|count| (from..=to).contains(count))
        .ok_or_else(|| Problem::new(format!("must be a whole number from {from} to {to}")))
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new("must be true or false")),
    }
}

/// A decimal number as people write it: no `inf`, no `nan`, no hexadecimal.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-'))
        && text.bytes().any(|b| b.is_ascii_digit());
    if !plain || text.len() > 32 {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

const fn unit_hint(text: &str) -> &'static str {
    if matches!(text.as_bytes(), [.., b'%']) { ", not a percentage" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::{boolean, count, not_negative, positive};

    #[test]
    fn numbers_are_finite_decimal_and_in_range() {
        let rows = [
            ("0", Some(0.0), None),
            ("5", Some(5.0), Some(5.0)),
            ("0.5", Some(0.5), Some(0.5)),
            ("1e3", Some(1000.0), Some(1000.0)),
            ("1e9", Some(1e9), Some(1e9)),
            ("2e9", None, None),
            ("-1", None, None),
            ("1e400", None, None),
            ("inf", None, None),
            ("NaN", None, None),
            ("0x10", None, None),
            ("5k", None, None),
            ("70%", None, None),
            ("e", None, None),
            ("", None, None),
        ];
        for (text, zero_allowed, above_zero) in rows {
            assert_eq!(not_negative(text).ok(), zero_allowed, "{text}");
            assert_eq!(positive(text).ok(), above_zero, "{text}");
        }
    }

    #[test]
    fn counts_are_whole_and_in_range() {
        let rows = [
            ("1", Some(1)),
            ("10", Some(10)),
            ("0", None),
            ("11", None),
            ("1.0", None),
            ("+1", None),
        ];
        for (text, expected) in rows {
            assert_eq!(count(text, 1, 10).ok(), expected, "{text}");
        }
        assert!(count("99999999999999999999", 0, u32::MAX).is_err());
    }

    #[test]
    fn booleans_are_spelled_out() {
        assert_eq!(boolean("true"), Ok(true));
        assert_eq!(boolean("false"), Ok(false));
        assert!(boolean("yes").is_err());
    }
}
