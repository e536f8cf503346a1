//! A score as plain text for a terminal.
//!
//! Given a width, promises lines no wider than it where names and figures fit in 80 columns, and no
//! colour or cursor movement: the same bytes go to a terminal, a pipe and a file.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::engine::score::data::{Scored, Scores};
use crate::engine::score::models::{PRESCALE, REFERENCE};
use crate::engine::score::summary::{Row, Standing, Summary, relative, summary};
use crate::report::backtest::words::measured;
use crate::report::line::one_line;
use crate::report::score::words::{facts, level, pair, points, ratio, sentence, span, worse};

/// Narrower than this, sentences become unreadable; such terminals wrap by themselves.
const WIDTH_MIN: u16 = 40;

/// Wider lines of prose are hard to follow.
const PROSE_WIDTH_MAX: u16 = 110;

/// Characters of a series' name; the end of a path says more than its beginning.
const NAME_MAX: usize = 34;

/// What the columns mean.
const LEGEND: [(&str, &str); 5] = [
    ("WQL", "weighted quantile loss relative to last+conformal's, geometric mean over series"),
    ("worse", "series in which it is larger than last+conformal's"),
    ("p90", "distance of coverage from 90 % in percentage points, mean/worst over series"),
    ("largest", "of the steps up to the horizon: what capacity must carry until then"),
    ("us", "microseconds for one step, all forecasts of it included; depends on the machine"),
];

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
    let legend: Vec<_> = LEGEND.map(|(word, meaning)| (word, meaning.to_owned())).into();
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

/// All models at one horizon: the value, then the largest up to it.
fn horizon(scores: &Scores, summary: &Summary) -> String {
    let disturbed = summary.rows.iter().any(|row| row.at.harm.is_some());
    let title = span(summary.asked);
    let value = models(scores, summary, &format!("in {title}"), (|row| &row.at, disturbed));
    let title = format!("largest of {title}");
    let largest = models(scores, summary, &title, (|row| &row.window_max, disturbed));
    format!("{value}\n{largest}")
}

/// Which of the two targets, and whether the series were disturbed.
type View = (fn(&Row) -> &Standing, bool);

fn models(scores: &Scores, summary: &Summary, title: &str, (pick, disturbed): View) -> String {
    let mut table = plain();
    let levels = scores.levels.iter().map(|it| level(*it));
    let harms = ["x undisturbed", "after a day"].into_iter().filter(|_| disturbed);
    let heads = [title, "WQL", "worse"].map(str::to_owned).into_iter();
    table.set_header(heads.chain(levels).chain(harms.map(str::to_owned)));
    for row in &summary.rows {
        let standing = pick(row);
        let cells = [row.name.to_owned(), ratio(standing.relative), worse(standing)].into_iter();
        let errors = standing.coverage_error.iter().map(|error| points(*error));
        let harms = [standing.harm, standing.harm_late].map(pair).into_iter();
        table.add_row(cells.chain(errors).chain(harms.filter(|_| disturbed)));
    }
    right(&mut table);
    lines(&table)
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
            table.add_row([short(scored)].into_iter().chain(cells));
        }
        right(&mut table);
        lines(&table)
    };
    format!("{}\n{}", told("WQL by series", false), told("largest, by series", true))
}

/// A series' name, shortened at its beginning.
fn short(scored: &Scored) -> String {
    let name = one_line(&scored.name());
    let file = name.rsplit('/').next().unwrap_or(&name);
    let length = file.chars().count();
    if length <= NAME_MAX {
        return file.to_owned();
    }
    ['…'].into_iter().chain(file.chars().skip(length + 1 - NAME_MAX)).collect()
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
