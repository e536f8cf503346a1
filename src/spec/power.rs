//! Power targets as users write them: `600W`, or a ratio of the limit that the exporter reports.

use crate::engine::setup::PowerTarget;
use crate::spec::fault::Problem;
use crate::spec::{number, share};

/// Largest wattage accepted: several times what one accelerator draws.
const WATTS_MAX: f64 = 10_000.0;

/// A power target from `600W`, `85%` or `0.85`.
pub(crate) fn parse(text: &str) -> Result<PowerTarget, Problem> {
    if let Some(watts) = text.strip_suffix(['W', 'w']) {
        return number::parse(watts.trim_end())
            .filter(|watts| (1.0..=WATTS_MAX).contains(watts))
            .map(PowerTarget::Watts)
            .ok_or_else(|| Problem::new("must be from 1W to 10000W"));
    }
    if number::parse(text).is_some_and(|bare| bare > 1.0) {
        return Err(Problem::new("has no unit: write watts as 600W, or a ratio as 85% or 0.85"));
    }
    share::ratio(text)
        .map(PowerTarget::OfLimit)
        .map_err(|_| Problem::new("must be watts as 600W, or a ratio as 85% or 0.85"))
}

/// A power target as it would be written.
pub(crate) fn show(target: PowerTarget) -> String {
    match target {
        PowerTarget::Watts(watts) => format!("{watts}W"),
        PowerTarget::OfLimit(ratio) => ratio.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn watts_and_ratios_are_read_and_round_trip() {
        let rows = [("600W", "600W"), ("350.5w", "350.5W"), ("85%", "0.85"), ("0.9", "0.9")];
        for (text, written) in rows {
            let target = parse(text).unwrap();
            assert_eq!(show(target), written);
            assert_eq!(parse(&show(target)).unwrap(), target, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["600", "W", "0W", "99999W", "600 kW", "-5W", "120%", "lots", "0"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
