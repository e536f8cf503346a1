//! Ratios as users write them: `0.85` or `85%`.
//!
//! A bare `85` is refused with both spellings: guessing percent from size turns a typo into a
//! hundredfold error.

use std::fmt;
use std::str::FromStr;

use crate::engine::units::Ratio;
use crate::spec::fault::Problem;
use crate::spec::number;

/// A ratio above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(pub(crate) Ratio);

/// From here a bare number may be meant in percent; below it is a ratio that is too large.
const BARE_PERCENT_MIN: f64 = 2.0;

impl FromStr for Share {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let value = match text.strip_suffix('%') {
            Some(percent) => number::parse(percent.trim_end()).map(|percent| percent / 100.0),
            None => number::parse(text),
        };
        let Some(value) = value else {
            return Err(Problem::new("must be a ratio such as 0.85 or 85%"));
        };
        if (BARE_PERCENT_MIN..=100.0).contains(&value) && !text.ends_with('%') {
            let share = value / 100.0;
            return Err(Problem::new(format!("is ambiguous: write {text}% or {share}")));
        }
        Ratio::try_new(value)
            .ok()
            .filter(|ratio| ratio.get() > 0.0)
            .map(Self)
            .ok_or_else(|| Problem::new("must be above 0% and at most 100%"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A ratio in `0.0..=1.0` above zero.
pub(crate) fn ratio(text: &str) -> Result<Ratio, Problem> {
    text.parse::<Share>().map(|share| share.0)
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn both_spellings_are_read_and_round_trip() {
        let rows = [("0.85", 0.85), ("85%", 0.85), ("100%", 1.0), ("1", 1.0), ("0.5%", 0.005)];
        for (text, expected) in rows {
            let share: Share = text.parse().unwrap();
            assert!((share.0.get() - expected).abs() < 1e-15, "{text}");
            assert_eq!(share.to_string().parse::<Share>().unwrap(), share, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        let rows = [
            ("85", "is ambiguous: write 85% or 0.85"),
            ("2", "is ambiguous: write 2% or 0.02"),
            ("1.2", "must be above 0% and at most 100%"),
            ("0", "must be above 0% and at most 100%"),
            ("101%", "must be above 0% and at most 100%"),
            ("-0.5", "must be above 0% and at most 100%"),
            ("800", "must be above 0% and at most 100%"),
            ("high", "must be a ratio such as 0.85 or 85%"),
            ("%", "must be a ratio such as 0.85 or 85%"),
            ("nan", "must be a ratio such as 0.85 or 85%"),
        ];
        for (text, problem) in rows {
            assert_eq!(text.parse::<Share>().unwrap_err().0, problem, "{text}");
        }
    }
}
