//! A score as one page that opens without a network.
//!
//! Given scores, notes and the command that gives them again, promises a file below 1 MB with up to
//! 1000 series, in which every string is escaped and a policy forbids every request and every script.
//! The same input gives the same bytes.

use std::fmt::Write;

use crate::engine::score::data::{Scored, Scores};
use crate::engine::score::models::{MODELS, PRESCALE, REFERENCE};
use crate::engine::score::summary::{Row, Standing, Summary, relative, summary};
use crate::report::backtest::words::{measured, number};
use crate::report::line::{escape, one_line};
use crate::report::page::{fill, grid, policy};
use crate::report::score::charts::{hours, losses, reliable};
use crate::report::score::words::{
    facts, level, pair, points, ratio, sentence, short, span, worse,
};

const TEMPLATE: &str = include_str!("assets/page.html");
const STYLE: &str =
    concat!(include_str!("../backtest/assets/page.css"), include_str!("assets/page.css"));

/// Series listed; a page of more is no longer read.
const SERIES_MAX: usize = 1000;

/// The page.
#[must_use]
pub fn html(scores: &Scores, notes: &[String], command: &str) -> String {
    let summaries = summary(scores);
    let subject = subject(scores);
    let slot = |name: &str| match name {
        "policy" => policy(&[], STYLE),
        "style" => STYLE.to_owned(),
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        "title" => escape(&one_line(&title(scores))),
        "cards" => cards(subject, &summaries),
        "facts" => listed(&facts(scores)),
        "losses" => losses(&summaries),
        "tables" => tables(scores, &summaries),
        "reliability" => calibration(scores, &summaries),
        "subject" => escape(subject),
        "hours" => hours(scores, subject, &summaries),
        "series" => each(scores, subject),
        "models" => models(scores),
        "notes" => noted(notes),
        "reproduce" => reproduce(command),
        // A test fills the template and looks for this.
        unknown => format!("[no slot {unknown}]"),
    };
    fill(TEMPLATE, slot)
}

/// Whom the page is about: the forecaster, or the first that is compared.
fn subject(scores: &Scores) -> &'static str {
    let first = scores.models.iter().find(|name| **name != REFERENCE).copied();
    if scores.models.contains(&PRESCALE) { PRESCALE } else { first.unwrap_or(REFERENCE) }
}

fn title(scores: &Scores) -> String {
    match scores.series.as_slice() {
        [only] => short(only, usize::MAX),
        series => format!("{} series", series.len()),
    }
}

fn cards(subject: &str, summaries: &[Summary]) -> String {
    let mut text = String::from("<ul class=\"cards\">\n");
    for summary in summaries {
        let row = summary.rows.iter().find(|row| row.name == subject);
        let Some((row, ratio)) = row.and_then(|row| Some((row, row.at.relative?))) else {
            continue;
        };
        let class = if ratio < 1.0 { "good" } else { "bad" };
        let _ = writeln!(
            text,
            "<li class=\"{class}\"><b>{}</b> <span>times the loss of {REFERENCE} in {}; worse on {} \
             series</span></li>",
            number(ratio, 3),
            span(summary.asked),
            worse(&row.at)
        );
    }
    let sentence =
        sentence(summaries).map_or_else(String::new, |it| format!("<p>{}.</p>", escape(&it)));
    format!("{text}</ul>\n{sentence}")
}

fn listed(rows: &[(&str, String)]) -> String {
    let row = |(label, text): &(&str, String)| {
        format!("<dt>{}</dt><dd>{}</dd>\n", escape(label), escape(&one_line(text)))
    };
    format!("<dl class=\"facts\">\n{}</dl>", rows.iter().map(row).collect::<String>())
}

/// Every horizon and target as a table.
fn tables(scores: &Scores, summaries: &[Summary]) -> String {
    let told = |summary: &&Summary| summary.series > 0;
    let both = summaries.iter().filter(told).map(|summary| {
        let asked = span(summary.asked);
        let value = standings(scores, summary, &format!("In {asked}"), |row| &row.at);
        let largest =
            standings(scores, summary, &format!("The largest of {asked}"), |row| &row.window_max);
        format!("<div class=\"pair\">{value}{largest}</div>")
    });
    both.collect()
}

fn standings(
    scores: &Scores,
    summary: &Summary,
    caption: &str,
    pick: fn(&Row) -> &Standing,
) -> String {
    let disturbed = summary.rows.iter().any(|row| row.at.harm.is_some());
    let levels: Vec<String> =
        scores.levels.iter().map(|it| format!("{} off", level(*it))).collect();
    let harms = ["× undisturbed", "after a day"].into_iter().filter(|_| disturbed);
    let heads = ["model", "WQL", "worse"].into_iter();
    let heads = heads.chain(levels.iter().map(String::as_str)).chain(harms);
    let rows = summary.rows.iter().map(|row| {
        let standing = pick(row);
        let cells = [ratio(standing.relative), worse(standing)].into_iter();
        let errors = standing.coverage_error.iter().map(|error| points(*error));
        let harms = [standing.harm, standing.harm_late].map(pair).into_iter();
        let cells = cells.chain(errors).chain(harms.filter(|_| disturbed)).collect();
        (row.name.to_owned(), cells, false)
    });
    grid(caption, heads, rows)
}

fn calibration(scores: &Scores, summaries: &[Summary]) -> String {
    let drawings = reliable(scores, summaries);
    if drawings.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"reliability\"><h2>Reliability of {PRESCALE}</h2>\n<p class=\"note\">How often \
         what came was at or below the forecast, against the level it was asked for; the mean over \
         series. On the dashed line the promise is kept; above it capacity is wasted, below it \
         missing.</p>\n{drawings}</section>"
    )
}

/// The subject on each series.
fn each(scores: &Scores, subject: &str) -> String {
    let asked: Vec<String> = scores.horizons.iter().map(|asked| span(*asked)).collect();
    let largest: Vec<String> = asked.iter().map(|asked| format!("largest {asked}")).collect();
    let heads = ["series", "step", "days", "gaps", "µs"].into_iter();
    let heads = heads.chain(asked.iter().chain(&largest).map(String::as_str));
    let rows = scores.series.iter().take(SERIES_MAX).map(|scored| {
        let ratios = scores.horizons.iter().map(|asked| relative(scored, subject, *asked));
        let [value, largest] = [0, 1].map(|of| ratios.clone().map(move |both| ratio(both[of])));
        let cells = described(scored, subject).into_iter().chain(value).chain(largest).collect();
        (short(scored, usize::MAX), cells, false)
    });
    let rest = scores.series.len().saturating_sub(SERIES_MAX);
    let more =
        if rest > 0 { format!("<p class=\"note\">And {rest} more.</p>") } else { String::new() };
    format!("{}{more}", grid("WQL relative to last+conformal", heads, rows))
}

fn described(scored: &Scored, subject: &str) -> [String; 4] {
    let days = scored.step.as_secs_f64() * f64::from(scored.n) / 86_400.0;
    let micros = scored.model(subject).map_or(f64::NAN, |model| model.micros_per_update);
    [span(scored.step), number(days, 1), number(f64::from(scored.gaps), 0), measured(micros)]
}

/// Names of the models with what they are.
fn models(scores: &Scores) -> String {
    let shown = MODELS.iter().filter(|kind| scores.models.contains(&kind.name));
    listed(&shown.map(|kind| (kind.name, kind.about.to_owned())).collect::<Vec<_>>())
}

fn noted(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let item = |note: &String| format!("<li>{}</li>\n", escape(&one_line(note)));
    let items: String = notes.iter().take(SERIES_MAX).map(item).collect();
    format!("<details><summary>Notes ({})</summary><ul>\n{items}</ul></details>", notes.len())
}

fn reproduce(command: &str) -> String {
    format!("<section><h2>Again</h2><pre>{}</pre></section>", escape(&one_line(command)))
}

#[cfg(test)]
mod tests {
    use super::{STYLE, TEMPLATE, html};
    use crate::engine::score::data::Scores;

    #[test]
    fn a_page_of_nothing_has_no_hole() {
        let scores = Scores {
            levels: vec![0.9],
            horizons: vec![std::time::Duration::from_mins(1)],
            models: vec!["last+conformal"],
            warmup: std::time::Duration::from_mins(1),
            timezone: "UTC".to_owned(),
            series: Vec::new(),
        };
        let page = html(&scores, &["<b>".to_owned()], "prescale score a");
        assert!(!page.contains("[no slot") && !page.contains("<b></b>"), "{page}");
        assert!(page.contains("&lt;b&gt;") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn the_style_stands_in_its_element_as_it_is() {
        assert!(!STYLE.contains('\r') && !STYLE.contains("</"));
        assert!(!TEMPLATE.contains("style=\""), "the policy forbids styles of single elements");
    }
}
