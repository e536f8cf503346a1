//! Numbers as people read them, the same in the table and on the page.
//!
//! Given any number, promises short text without control characters. Units are left to headers
//! where a column has one.

use crate::report::backtest::figures::Spread;

/// Where a figure is missing.
pub(crate) const NONE: &str = "-";

/// Days of the month that money is extrapolated to.
pub(super) const MONTH_DAYS: f64 = 30.0;

/// Seconds of a day.
pub(super) const DAY: f64 = 86_400.0;

/// With separators of thousands and `decimals` places; [`NONE`] where it is not finite.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let is_zero = plain.chars().all(|c| matches!(c, '0' | '.'));
    let mut text = String::from(if value < 0.0 && !is_zero { "-" } else { "" });
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// With about three significant places: `0.042`, `5.93`, `345.6`, `12,345`.
pub(crate) fn measured(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 || size <= f64::EPSILON => 2,
        _ => 3,
    };
    number(value, decimals)
}

/// A setting of a knob, as one would type it: `0.7`, `12`.
pub(super) fn setting(value: f64) -> String {
    let text = measured(value);
    if text.contains('.') { trimmed(&text).to_owned() } else { text }
}

/// Without zeros that say nothing.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

/// A mean of counts: `7`, or `7.3` where the seeds differ.
pub(super) fn counted(value: f64) -> String {
    let whole = (value - value.round()).abs() < 1e-9;
    number(value, if whole || value >= 100.0 { 0 } else { 1 })
}

/// A share in percent with two places. Never 100 % where anything was missed.
pub(super) fn percent(share: f64) -> String {
    let text = number(share * 100.0, 2);
    if text == "100.00" && share < 1.0 { ">99.99".to_owned() } else { text }
}

/// A share as written in a sentence: `99%`, `99.5%`; no space, at which a line could break.
pub(crate) fn share(value: f64) -> String {
    let text = percent(value);
    format!("{}%", trimmed(&text))
}

/// The spread of a figure, written as its mean is: ` ±0.12`; nothing with one seed.
pub(super) fn with_sd(spread: Spread, write: fn(f64) -> String) -> String {
    let sd = spread.sd.map(|sd| format!(" ±{}", write(sd))).unwrap_or_default();
    format!("{}{sd}", write(spread.mean))
}

/// Length of time in its largest fitting unit: `100 ms`, `3 s`, `15 min`, `8 h`, `14 d`.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1.0 => (s * 1_000.0, "ms"),
        s if s < 600.0 => (s, "s"),
        s if s < 2.0 * 3_600.0 => (s / 60.0, "min"),
        s if s < 2.0 * DAY => (s / 3_600.0, "h"),
        s => (s / DAY, "d"),
    };
    let text = number(value, 1);
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::{counted, measured, number, percent, setting, share, time};

    #[test]
    fn numbers_are_written_for_people() {
        let rows = [
            (number(1_234_567.891, 1), "1,234,567.9"),
            (number(-1_000.0, 0), "-1,000"),
            (number(-0.001, 2), "0.00"),
            (number(999.0, 0), "999"),
            (measured(0.0), "0.00"),
            (measured(0.0424), "0.042"),
            (measured(345.64), "345.6"),
            (measured(f64::NAN), "-"),
            (setting(0.7), "0.7"),
            (setting(0.0), "0"),
            (setting(1_200.0), "1,200"),
            (counted(7.0), "7"),
            (counted(7.25), "7.2"),
            (counted(1_234.5), "1,234"),
            (percent(0.958), "95.80"),
            (percent(0.999_999), ">99.99"),
            (percent(1.0), "100.00"),
            (share(0.99), "99%"),
            (share(0.995), "99.5%"),
            (share(1.0), "100%"),
            (time(0.1), "100 ms"),
            (time(3.0), "3 s"),
            (time(5_400.0), "90 min"),
            (time(86_400.0), "24 h"),
            (time(1_209_600.0), "14 d"),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }
}
