//! Spans of time as people read them: two units at most.

/// `45 s`, `7 min`, `3 h 20 min`, `6 d 2 h`; below two minutes in seconds.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round();
    if whole < 120.0 {
        return format!("{whole:.0} s");
    }
    let minutes = (whole / 60.0).round();
    let pair = |value: f64, per: f64, units: [&str; 2]| {
        let (high, low) = ((value / per).floor(), value % per);
        let rest = if low >= 1.0 { format!(" {low:.0} {}", units[1]) } else { String::new() };
        format!("{high:.0} {}{rest}", units[0])
    };
    if minutes < 60.0 {
        return format!("{minutes:.0} min");
    }
    if minutes < 24.0 * 60.0 {
        return pair(minutes, 60.0, ["h", "min"]);
    }
    pair((minutes / 60.0).round(), 24.0, ["d", "h"])
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_span_has_two_units_at_most() {
        let rows = [
            (0.0, "0 s"),
            (90.0, "90 s"),
            (420.0, "7 min"),
            (3600.0, "1 h"),
            (12_000.0, "3 h 20 min"),
            (86_399.0, "1 d"),
            (525_600.0, "6 d 2 h"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(span(seconds), expected, "{seconds}");
        }
    }
}
