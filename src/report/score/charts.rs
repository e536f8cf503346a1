//! What the page draws: loss by horizon, reliability, coverage by hour of day.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::score::data::{FINE_LEVELS, HOURS, Scores};
use crate::engine::score::models::{PRESCALE, REFERENCE};
use crate::engine::score::summary::{Standing, Summary, by_hour, reliability};
use crate::report::backtest::words::number;
use crate::report::score::plot::{Axis, Line, key, svg};
use crate::report::score::words::{level, span};

/// Colours of the models in their order, so that no two near each other are alike.
const COLOURS: [usize; 7] = [0, 7, 2, 3, 4, 1, 5];

/// Where an axis of ratios may be marked.
const RATIOS: [f64; 12] = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0];

/// Ratios beyond these are drawn at the edge: what is ten times as bad needs no scale.
const RATIO_RANGE: (f64, f64) = (0.1, 10.0);

/// A drawing with its heading.
fn figure(heading: &str, drawing: &str) -> String {
    format!("<div><h3>{heading}</h3>\n{drawing}</div>\n")
}

/// Relative loss by horizon of every model: of the value and of the largest.
pub(super) fn losses(summaries: &[Summary]) -> String {
    let told: Vec<&Summary> = summaries.iter().filter(|summary| summary.series > 0).collect();
    let value = models(&told, |summary, idx| summary.rows.get(idx).map(|row| &row.at));
    let largest = models(&told, |summary, idx| summary.rows.get(idx).map(|row| &row.window_max));
    let drawing = |title: &str, lines: &[Line]| svg(title, &horizons(&told), &ratios(lines), lines);
    format!(
        "<div class=\"plots\">{}{}</div>{}",
        figure("The value at the horizon", &drawing("relative WQL by horizon", &value)),
        figure("The largest up to it", &drawing("relative WQL of the largest", &largest)),
        key(&value)
    )
}

/// One line per model.
fn models(told: &[&Summary], pick: impl Fn(&Summary, usize) -> Option<&Standing>) -> Vec<Line> {
    let names =
        told.first().map_or_else(Vec::new, |it| it.rows.iter().map(|row| row.name).collect());
    let line = |(idx, name): (usize, &'static str)| {
        let at = |summary: &&Summary| {
            let ratio = pick(summary, idx).and_then(|standing| standing.relative);
            (summary.asked.as_secs_f64(), ratio)
        };
        let colour = (name != REFERENCE).then(|| COLOURS.get(idx).copied().unwrap_or(idx));
        Line { name: name.to_owned(), colour, points: told.iter().map(at).collect() }
    };
    names.into_iter().enumerate().map(line).collect()
}

fn horizons(told: &[&Summary]) -> Axis {
    let ticks: Vec<(f64, String)> =
        told.iter().map(|it| (it.asked.as_secs_f64(), span(it.asked))).collect();
    let (low, high) = ends(&ticks.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    Axis { title: "horizon".to_owned(), range: (low / 1.15, high * 1.15), ticks, log: true }
}

fn ratios(lines: &[Line]) -> Axis {
    let values: Vec<f64> =
        lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value)).collect();
    let (low, high) = ends(&values);
    let range = (low.max(RATIO_RANGE.0) / 1.1, high.min(RATIO_RANGE.1).max(1.0) * 1.1);
    let inside = RATIOS.iter().filter(|tick| (range.0..=range.1).contains(*tick));
    let ticks = inside.map(|tick| (*tick, tick.to_string())).collect();
    Axis { title: String::new(), range, ticks, log: true }
}

/// Smallest and largest; 1 and 1 of none.
fn ends(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().reduce(f64::min).unwrap_or(1.0);
    (low, values.iter().copied().reduce(f64::max).unwrap_or(1.0))
}

/// How often what came was at or below the forecast, by level; empty where the forecaster did not
/// run.
pub(super) fn reliable(scores: &Scores, summaries: &[Summary]) -> String {
    if !scores.models.contains(&PRESCALE) {
        return String::new();
    }
    let lines = |target: usize| {
        let line = |(idx, summary): (usize, &Summary)| {
            let told = reliability(scores, summary.asked);
            let points = FINE_LEVELS.iter().copied().zip(told[target].clone());
            Line { name: span(summary.asked), colour: Some(idx), points: points.collect() }
        };
        let ideal = [0.5, 1.0].map(|at| (at, Some(at))).to_vec();
        let ideal = Line { name: "as promised".to_owned(), colour: None, points: ideal };
        let own = summaries.iter().filter(|it| it.series > 0).enumerate().map(line);
        [ideal].into_iter().chain(own).collect::<Vec<_>>()
    };
    let [value, largest] = [0, 1].map(lines);
    let lowest = |lines: &[Line]| {
        let values = lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, at)| *at));
        values.fold(0.5, f64::min)
    };
    let drawing = |title: &str, lines: &[Line]| {
        let y = shares("share at or below", lowest(lines).min(0.5));
        svg(title, &shares("level", 0.5), &y, lines)
    };
    format!(
        "<div class=\"plots\">{}{}</div>{}",
        figure("The value at the horizon", &drawing("reliability", &value)),
        figure("The largest up to it", &drawing("reliability of the largest", &largest)),
        key(&value)
    )
}

fn shares(title: &str, low: f64) -> Axis {
    // A hair below a tick is drawn on it.
    let low = (low * 10.0 + 0.2).floor() / 10.0;
    let ticks = (0..=10_u32).map(|tenth| f64::from(tenth) / 10.0).filter(|at| *at >= low - 1e-9);
    let ticks = ticks.map(|at| (at, number(at, 1))).collect();
    Axis { title: title.to_owned(), range: (low, 1.0), ticks, log: false }
}

/// Coverage minus level by local hour of the target, in percentage points, a drawing per horizon.
pub(super) fn hours(scores: &Scores, name: &str, summaries: &[Summary]) -> String {
    let told: Vec<(Duration, Vec<Line>)> = summaries
        .iter()
        .filter(|summary| summary.series > 0)
        .map(|summary| (summary.asked, levels(scores, name, summary.asked)))
        .collect();
    let values = told.iter().flat_map(|(_, lines)| lines.iter().flat_map(|it| it.points.iter()));
    let most = values.filter_map(|(_, value)| *value).fold(2.0, |most, it| it.abs().max(most));
    let step = if most > 12.0 {
        10.0
    } else if most > 5.0 {
        5.0
    } else {
        1.0
    };
    let most = (most / step).ceil() * step;
    let ticks = (-10..=10_i32).map(|idx| f64::from(idx) * step).filter(|at| at.abs() <= most);
    let ticks = ticks.map(|at| (at, number(at, 0))).collect();
    let y = Axis { title: String::new(), range: (-most, most), ticks, log: false };
    let hours = (0..=4_u32).map(|six| f64::from(six * 6));
    let ticks = hours.map(|hour| (hour, number(hour, 0))).collect();
    let title = format!("hour of day, {}", scores.timezone);
    let x = Axis { title, range: (0.0, 24.0), ticks, log: false };
    let drawings = told.iter().map(|(asked, lines)| {
        let title = format!("coverage by hour, {}", span(*asked));
        figure(&format!("In {}", span(*asked)), &svg(&title, &x, &y, lines))
    });
    let legend = told.first().map_or_else(String::new, |(_, lines)| key(lines));
    format!("<div class=\"plots\">{}</div>{legend}", drawings.collect::<String>())
}

fn levels(scores: &Scores, name: &str, asked: Duration) -> Vec<Line> {
    let told = by_hour(scores, name, asked);
    let line = |(idx, (nominal, hours)): (usize, (&f64, &[Option<f64>; HOURS]))| {
        let at = |(hour, share): (usize, &Option<f64>)| {
            let middle = f64::from(count(hour)) + 0.5;
            (middle, share.map(|share| (share - nominal) * 100.0))
        };
        let points = hours.iter().enumerate().map(at).collect();
        Line { name: level(*nominal), colour: Some(idx), points }
    };
    let ideal = [0.0, 24.0].map(|at| (at, Some(0.0))).to_vec();
    let ideal = Line { name: "as promised".to_owned(), colour: None, points: ideal };
    let own = scores.levels.iter().zip(&told).enumerate().map(line);
    [ideal].into_iter().chain(own).collect()
}
