//! A score as plain text for a terminal.
//!
//! Given a width, promises lines no wider than it where names and figures fit in 80 columns, and no
//! colour or cursor movement: the same bytes go to a terminal, a pipe and a file.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::engine::score::data::Scores;
use crate::engine::score::models::{PRESCALE, REFERENCE};
use crate::engine::score::summary::{Row, Standing, Summary, relative, summary};
use crate::report::backtest::words::measured;
use crate::report::line::one_line;
use crate::report::score::words::{
    facts, level, pair, points, ratio, sentence, short, span, worse,
};

/// Narrower than this, sentences become unreadable; such terminals wrap by themselves.
const WIDTH_MIN: u16 = 40;

/// Wider lines of prose are hard to follow.
const PROSE_WIDTH_MAX: u16 = 110;

/// Characters of a series' name.
const NAME_MAX: usize = 34;

/// What the columns mean.
const LEGEND: [(&str, &str); 5] = [
    ("WQL", "weighted quantile loss relative to last+conformal's, geometric mean over series"),
    ("worse", "series in which it is larger than last+conformal's"),
    ("p90", "distance of coverage from 90 % in percentage points, mean/worst over series"),
    ("largest", "of the steps up to the horizon: what capacity must carry until then"),
    ("us", "microseconds for one step, all forecasts of it included; depends on the machine"),
];

/// The same where series were disturbed.
const DISTURBED: (&str, &str) = (
    "x",
    "WQL over that on the undisturbed series, geometric mean/worst over series; a day on: over origins a \
     day or more after the disturbance",
);

/// The whole report for a terminal `width` columns wide.
#[must_use]
pub fn table(scores: &Scores, width: u16) -> String {
    let width = width.max(WIDTH_MIN);
    let summaries = summary(scores);
    let mut text = prose(&facts(scores), width);
    if let Some(sentence) = sentence(&summaries) {
        let _ = write!(text, "\n{}", prose(&[("result", sentence)], width));
    }
    for summary in summaries.iter().filter(|summary| summary.series > 0) {
        let _ = write!(text, "\n{}", horizon(scores, summary));
    }
    let _ = write!(text, "\n{}", each(scores));
    let _ = write!(text, "\n{}", costs(scores));
    let disturbed = scores.series.iter().any(|scored| scored.disturbed.is_some());
    let legend = LEGEND.iter().chain([&DISTURBED].into_iter().filter(|_| disturbed));
    let legend: Vec<_> = legend.map(|(word, meaning)| (*word, (*meaning).to_owned())).collect();
    let _ = write!(text, "\n{}", prose(&legend, width));
    text
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Without the spaces that fill up lines.
fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn prose(rows: &[(&str, String)], width: u16) -> String {
    let mut table = plain();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.min(PROSE_WIDTH_MAX));
    for (label, text) in rows {
        table.add_row([*label, &one_line(text)]);
    }
    lines(&table)
}

/// Figures stand under each other by their last digit.
fn right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// All models at one horizon: the value, then the largest up to it, then what a disturbance did.
fn horizon(scores: &Scores, summary: &Summary) -> String {
    let title = span(summary.asked);
    let value = models(scores, summary, &format!("in {title}"), |row| &row.at);
    let largest = format!("largest of {title}");
    let largest = models(scores, summary, &largest, |row| &row.window_max);
    format!("{value}\n{largest}{}", harms(summary))
}

fn models(scores: &Scores, summary: &Summary, title: &str, pick: fn(&Row) -> &Standing) -> String {
    let mut table = plain();
    let levels = scores.levels.iter().map(|it| level(*it));
    table.set_header([title, "WQL", "worse"].map(str::to_owned).into_iter().chain(levels));
    for row in &summary.rows {
        let standing = pick(row);
        let cells = [row.name.to_owned(), ratio(standing.relative), worse(standing)].into_iter();
        table.add_row(cells.chain(standing.coverage_error.iter().map(|error| points(*error))));
    }
    right(&mut table);
    lines(&table)
}

/// Losses relative to those on the undisturbed series; nothing where none was disturbed.
fn harms(summary: &Summary) -> String {
    if summary.rows.iter().all(|row| row.at.harm.is_none()) {
        return String::new();
    }
    let mut table = plain();
    let title = format!("x undisturbed, {}", span(summary.asked));
    table.set_header([title.as_str(), "value", "a day on", "largest", "a day on"]);
    for Row { name, at, window_max } in &summary.rows {
        let told = [at.harm, at.harm_late, window_max.harm, window_max.harm_late].map(pair);
        table.add_row([(*name).to_owned()].into_iter().chain(told));
    }
    right(&mut table);
    format!("\n{}", lines(&table))
}

/// The forecaster on each series, or the first model where it does not run.
fn each(scores: &Scores) -> String {
    let other = scores.models.iter().find(|name| **name != REFERENCE);
    let name = if scores.models.contains(&PRESCALE) { Some(&PRESCALE) } else { other };
    let Some(name) = name else { return String::new() };
    let told = |title: &str, window: bool| {
        let mut table = plain();
        let heads = scores.horizons.iter().map(|asked| span(*asked));
        table.set_header([format!("{name}, {title}")].into_iter().chain(heads));
        for scored in &scores.series {
            let cell = |asked: &Duration| {
                let [value, largest] = relative(scored, name, *asked);
                ratio(if window { largest } else { value })
            };
            let cells = scores.horizons.iter().map(cell);
            table.add_row([short(scored, NAME_MAX)].into_iter().chain(cells));
        }
        right(&mut table);
        lines(&table)
    };
    format!("{}\n{}", told("WQL by series", false), told("largest, by series", true))
}

/// What a step costs, the mean over series.
fn costs(scores: &Scores) -> String {
    let mut table = plain();
    table.set_header(["a step takes", "us"]);
    for name in &scores.models {
        let models = || scores.series.iter().filter_map(|scored| scored.model(name));
        let sum: f64 = models().map(|model| model.micros_per_update).sum();
        let all: f64 = models().map(|_| 1.0).sum();
        table.add_row([(*name).to_owned(), measured(sum / all)]);
    }
    right(&mut table);
    lines(&table)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::table;
    use crate::engine::score::data::{Ahead, Cell, Figures, ModelScore, Place, Scored, Scores};
    use crate::engine::score::models::MODELS;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Two series with figures as wide as any, one with a name that is too long.
    fn scores(asked: &[Duration]) -> Scores {
        let figures = |wql: f64, off: f64| Figures {
            wql: Some(wql),
            coverage: vec![Some(0.1 + off); 4],
            wql_late: Some(wql),
            ..Figures::default()
        };
        let cell = |wql, off| Cell { at: figures(wql, off), window_max: figures(wql, off) };
        let series = |file: &str, off: f64| Scored {
            file: file.to_owned(),
            group: Some("tenant-4711".to_owned()),
            step: MINUTE,
            n: 20_160,
            gaps: 0,
            warmup: 4320,
            origins: 15_840,
            skipped: 0,
            disturbed: Some(Place { what: "a hole".to_owned(), begins: MINUTE, lasts: MINUTE }),
            horizons: asked.iter().map(|asked| Ahead { asked: *asked, span: *asked }).collect(),
            models: MODELS
                .iter()
                .map(|kind| ModelScore {
                    name: kind.name,
                    micros_per_update: 2.5,
                    cells: vec![
                        cell(if kind.name == "holt" { 25.0 } else { 1.0 }, off);
                        asked.len()
                    ],
                    undisturbed: vec![cell(0.5, off); asked.len()],
                })
                .collect(),
        };
        Scores {
            levels: vec![0.5, 0.9, 0.95, 0.99],
            horizons: asked.to_vec(),
            models: MODELS.iter().map(|kind| kind.name).collect(),
            warmup: Duration::from_hours(72),
            timezone: "America/Argentina/ComodRivadavia".to_owned(),
            series: vec![
                series("/a/very/long/path/to/arrivals_of_all_tenants_1min.csv.gz", 0.0),
                series("b", 0.3),
            ],
        }
    }

    #[test]
    fn it_fits_a_terminal_of_80_columns() {
        let asked = [1, 5, 10, 20].map(|minutes| minutes * MINUTE);
        let text = table(&scores(&asked), 80);
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(
            text.contains("…") && text.contains("tenant-4711") && !text.contains("/a/"),
            "{text}"
        );
        assert!(text.contains("x undisturbed, 10 min") && text.contains("25.000"), "{text}");
    }
}
