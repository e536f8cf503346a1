//! Time spans as users write them: `30s`, `5m`, `1h30m`, `7d`, `50ms`, or a bare number of seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::spec::fault::Problem;
use crate::spec::number;

/// A time span of whole milliseconds, at most 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// Units, largest first, with their length in milliseconds.
const UNITS: [(&str, u32); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl FromStr for Span {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        milliseconds(text)
            .map(|total| total.round() / 1000.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|span| *span <= LONGEST)
            .map(Self)
            .ok_or_else(|| Problem::new("must be a duration such as 30s, 5m, 7d, or seconds"))
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    if let Some(seconds) = number::parse(text) {
        return (seconds >= 0.0).then_some(seconds * 1000.0);
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (amount, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number::parse(amount)? * f64::from(*length);
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            let length = u128::from(length);
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// A span in `from..=to`, both included.
pub(crate) fn within(text: &str, from: Duration, to: Duration) -> Result<Duration, Problem> {
    let span: Span = text.parse()?;
    if (from..=to).contains(&span.0) {
        return Ok(span.0);
    }
    Err(Problem::new(format!("must be a duration from {} to {}", Span(from), Span(to))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Span, within};

    #[test]
    fn spans_are_read_and_round_trip() {
        let rows = [
            ("30s", 30_000),
            ("5m", 300_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("50ms", 50),
            ("90", 90_000),
            ("0.05", 50),
            ("1.5s", 1500),
            ("0", 0),
            ("366d", 366 * 86_400_000),
        ];
        for (text, milliseconds) in rows {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "5 m", "5x", "-5s", "-5", "5m3", "1e400", "400d", "inf", "5µs", "..s"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_named_in_the_refusal() {
        let bounds = (Duration::from_secs(5), Duration::from_secs(60));
        assert_eq!(within("15s", bounds.0, bounds.1), Ok(Duration::from_secs(15)));
        let refusal = within("90", bounds.0, bounds.1).unwrap_err();
        assert_eq!(refusal.0, "must be a duration from 5s to 1m");
    }
}
