//! Quantiles as users write them: `95`, `p95` or `0.95`.

use std::fmt;
use std::str::FromStr;

use crate::spec::fault::Problem;
use crate::spec::number;

/// A probability, above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantile(f64);

impl Quantile {
    /// 0.95.
    pub const P95: Self = Self(0.95);

    /// The probability, above 0 and below 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Quantile {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let percent = text.strip_prefix(['p', 'P']);
        let value = number::parse(percent.unwrap_or(text))
            .map(|value| if percent.is_some() || value > 1.0 { of_percent(value) } else { value });
        value
            .filter(|value| *value > 0.0 && *value < 1.0)
            .map(Self)
            .ok_or_else(|| Problem::new("must be a quantile such as 95, p95 or 0.95"))
    }
}

/// Nine digits of it: 99.9 percent are 0.999, and not the next float above it.
fn of_percent(value: f64) -> f64 {
    (value * 1e7).round() / 1e9
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A quantile in `from..=to`.
pub(crate) fn within(text: &str, from: f64, to: f64) -> Result<Quantile, Problem> {
    let quantile: Quantile = text.parse()?;
    if (from..=to).contains(&quantile.0) {
        return Ok(quantile);
    }
    Err(Problem::new(format!("must be a quantile from {from} to {to}, as 95, p95 or 0.95")))
}

#[cfg(test)]
mod tests {
    use super::{Quantile, within};

    #[test]
    fn three_spellings_mean_the_same_and_round_trip() {
        let rows = [
            ("95", 0.95),
            ("p95", 0.95),
            ("0.95", 0.95),
            ("P99.9", 0.999),
            ("99.9", 0.999),
            ("50", 0.5),
        ];
        for (text, expected) in rows {
            let quantile: Quantile = text.parse().unwrap();
            assert!((quantile.get() - expected).abs() < 1e-12, "{text}");
            assert_eq!(quantile.to_string().parse::<Quantile>().unwrap(), quantile, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "p", "0", "1", "100", "p100", "-5", "ninety", "95%", "nan"] {
            assert!(text.parse::<Quantile>().is_err(), "{text}");
        }
        assert!(within("p10", 0.5, 0.99).is_err());
        assert_eq!(within("0.95", 0.5, 0.99), Ok(Quantile::P95));
    }
}
