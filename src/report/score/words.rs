//! Figures of a score as people read them, the same in the table and on the page.

use std::time::Duration;

use crate::engine::score::data::{Scored, Scores};
use crate::engine::score::models::{PRESCALE, REFERENCE};
use crate::engine::score::summary::{Standing, Summary};
use crate::report::backtest::words::{NONE, number, time};
use crate::report::line::one_line;

/// A ratio to the reference with three places.
pub(super) fn ratio(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| number(value, 3))
}

/// Distance of coverage from its level in percentage points: `0.2/0.9`, mean and worst.
pub(super) fn points(error: Option<(f64, f64)>) -> String {
    spread(error.map(|(mean, worst)| (mean * 100.0, worst * 100.0)), 1)
}

/// Two ratios, mean and worst: `1.02/1.20`.
pub(super) fn pair(told: Option<(f64, f64)>) -> String {
    spread(told, 2)
}

/// Mean and worst; once where there is one series and they are the same.
fn spread(told: Option<(f64, f64)>, decimals: usize) -> String {
    told.map_or(NONE.to_owned(), |(mean, worst)| {
        let [mean, worst] = [mean, worst].map(|value| number(value, decimals));
        if mean == worst { mean } else { format!("{mean}/{worst}") }
    })
}

/// Series that are worse than the reference: `1 of 10`.
pub(super) fn worse(standing: &Standing) -> String {
    format!("{} of {}", standing.worse, standing.series)
}

/// A series' name without folders, at most so many characters of its end, which tells more.
pub(super) fn short(scored: &Scored, most: usize) -> String {
    let file = scored.file.rsplit('/').next().unwrap_or(&scored.file);
    let whole = scored.group.as_ref().map_or_else(|| file.to_owned(), |of| format!("{file} {of}"));
    let name = one_line(&whole);
    let length = name.chars().count();
    if length <= most {
        return name;
    }
    ['…'].into_iter().chain(name.chars().skip(length + 1 - most)).collect()
}

/// A level as people say it: `p95`, `p97.5`.
pub(super) fn level(level: f64) -> String {
    let text = number(level * 100.0, 2);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A horizon: `90 s`, `10 min`, `2 h`.
pub(super) fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 3600 && seconds.is_multiple_of(3600) => {
            format!("{} h", seconds / 3600)
        }
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} s", number(span.as_secs_f64(), 1).trim_end_matches(".0")),
    }
}

/// Name and sentence of what was scored.
pub(super) fn facts(scores: &Scores) -> Vec<(&'static str, String)> {
    let Scores { levels, warmup, timezone, series, .. } = scores;
    let length = |scored: &Scored| scored.step.as_secs_f64() * f64::from(scored.n);
    let total: f64 = series.iter().map(length).sum();
    let origins: f64 = series.iter().map(|scored| f64::from(scored.origins)).sum();
    let levels: Vec<String> = levels.iter().map(|it| level(*it)).collect();
    let mut rows = vec![
        (
            "scored",
            format!(
                "{} series, {} in all, {} origins after a warm-up of {}",
                series.len(),
                time(total),
                number(origins, 0),
                time(warmup.as_secs_f64())
            ),
        ),
        ("levels", format!("{}, local time {timezone}", levels.join(", "))),
    ];
    if let Some(place) = series.iter().find_map(|scored| scored.disturbed.as_ref()) {
        rows.push(("disturbed", format!("{}; figures are from there on", place.what)));
    }
    rows
}

/// The first sentence: how much better the forecaster is.
pub(super) fn sentence(summaries: &[Summary]) -> Option<String> {
    let told: Vec<String> = summaries
        .iter()
        .filter_map(|summary| {
            let row = summary.rows.iter().find(|row| row.name == PRESCALE)?;
            Some(format!("{} at {}", ratio(Some(row.at.relative?)), span(summary.asked)))
        })
        .collect();
    (!told.is_empty())
        .then(|| format!("{PRESCALE}'s loss is that of {REFERENCE} times {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{level, pair, points, ratio, span};

    #[test]
    fn figures_are_written_for_people() {
        let rows = [
            (ratio(Some(0.8714)), "0.871"),
            (ratio(None), "-"),
            (points(Some((0.0016, 0.0123))), "0.2/1.2"),
            (pair(Some((1.0, 1.256))), "1.00/1.26"),
            (points(Some((0.002, 0.002))), "0.2"),
            (level(0.5), "p50"),
            (level(0.975), "p97.5"),
            (span(Duration::from_secs(60)), "1 min"),
            (span(Duration::from_secs(90)), "90 s"),
            (span(Duration::from_hours(2)), "2 h"),
        ];
        for (found, expected) in rows {
            assert_eq!(found, expected);
        }
    }
}
