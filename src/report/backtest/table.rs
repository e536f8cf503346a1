//! A backtest as plain text for a terminal.
//!
//! Given a width, promises lines no wider than it where a policy's name and three figures fit, and no
//! colour or cursor movement: the same bytes go to a terminal, a pipe and a file. The narrower, the
//! fewer columns; a legend explains those that are shown.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::report::backtest::columns::{COLUMNS, Column, LUXURY_MAX};
use crate::report::backtest::data::{Backtest, Trace, World};
use crate::report::backtest::figures::{Figures, Need, all, best, need, sweep_front};
use crate::report::backtest::money::Saving;
use crate::report::backtest::words::{measured, number, percent, setting, share, time};
use crate::report::line::one_line;

/// Narrower than this, sentences become unreadable; such terminals wrap by themselves.
const WIDTH_MIN: u16 = 40;

/// Wider lines of prose are hard to follow; the table itself may use them.
const PROSE_WIDTH_MAX: u16 = 110;

/// The whole report for a terminal `width` columns wide.
#[must_use]
pub fn table(backtest: &Backtest, width: u16) -> String {
    let width = width.max(WIDTH_MIN);
    let mut text = facts(&header(backtest), width);
    if let Some(saving) = Saving::of(backtest) {
        let sentence = one_line(&saving.sentence(backtest));
        let _ = write!(text, "\n{}", facts(&[("result", sentence)], width));
    }
    let _ = write!(text, "\n{}", policies(backtest, width));
    if !backtest.sweep.is_empty() {
        let _ = write!(text, "\n{}", sweep(backtest));
    }
    if !backtest.advice.is_empty() {
        let rows: Vec<(&str, String)> =
            backtest.advice.iter().map(|sentence| ("change", one_line(sentence))).collect();
        let _ = write!(text, "\n{}", facts(&rows, width));
    }
    text
}

/// Trace, world and objectives, each a name and a sentence; the page shows them too.
pub(super) fn header(backtest: &Backtest) -> Vec<(&'static str, String)> {
    let World { ttft, tpot, slo_target, seeds, gpu_price, .. } = &backtest.world;
    let price = gpu_price
        .map_or("no price given".to_owned(), |price| format!("{} per GPU-hour", number(price, 2)));
    let objective = format!(
        "first token within {} and {} per further token, for {} of the requests",
        time(*ttft),
        time(*tpot),
        share(*slo_target)
    );
    let plural = if *seeds == 1 { "" } else { "s" };
    vec![
        ("trace", traced(&backtest.trace)),
        ("world", placed(&backtest.world)),
        ("objective", objective),
        ("measured", format!("{seeds} seed{plural}, {price}")),
    ]
}

fn traced(trace: &Trace) -> String {
    let Trace { name, seconds, requests, rate_mean, rate_peak, prompt_mean, output_mean, .. } =
        trace;
    // Above 2^32 requests the text is that of the count itself, without separators.
    let requests = u32::try_from(*requests)
        .map_or_else(|_| requests.to_string(), |count| number(f64::from(count), 0));
    format!(
        "{}: {}, {requests} requests, {}/s (busiest minute {}/s), {} tokens in, {} out",
        one_line(name),
        time(*seconds),
        measured(*rate_mean),
        measured(*rate_peak),
        number(*prompt_mean, 0),
        number(*output_mean, 0),
    )
}

fn placed(world: &World) -> String {
    let World { profile, gpus, knee, cold_start, limits: (fewest, most), .. } = world;
    let plural = if *gpus == 1 { "" } else { "s" };
    format!(
        "{}: {gpus} GPU{plural} a replica, which carries {} requests/s; cold start {}; \
         {fewest} to {most} replicas",
        one_line(profile),
        measured(*knee),
        time(*cold_start),
    )
}

fn facts(rows: &[(&str, String)], width: u16) -> String {
    let mut table = plain();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.min(PROSE_WIDTH_MAX));
    for (label, text) in rows {
        table.add_row([*label, text]);
    }
    lines(&table)
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

/// The richest table that fits, and its legend.
fn policies(backtest: &Backtest, width: u16) -> String {
    let rows = all(backtest);
    let best = best(backtest);
    let has_spread = rows.iter().any(|row| row.slo_attainment.is_some_and(|it| it.sd.is_some()));
    let mut chosen = None;
    for (luxury, sd) in richest_first(has_spread) {
        let columns = shown(&rows, luxury);
        let text = rendered(backtest, (&rows, best), &columns, sd);
        let fits = text.lines().all(|line| line.chars().count() <= usize::from(width));
        chosen = Some((text, columns));
        if fits {
            break;
        }
    }
    let Some((text, columns)) = chosen else { return String::new() };
    let mut keys: Vec<(&str, String)> =
        columns.iter().map(|column| (column.title, column.meaning.to_owned())).collect();
    if best.is_some() {
        keys.push((
            "*",
            "best trade-off: the cheapest that attains the target, else the nearest".into(),
        ));
    }
    format!("{text}\n{}", facts(&keys, width))
}

/// At each choice of columns, spreads go first; then the dearest columns.
fn richest_first(has_spread: bool) -> impl Iterator<Item = (u8, bool)> {
    let narrowing = (0..=LUXURY_MAX).rev();
    narrowing.flat_map(move |luxury| {
        let spreads = if has_spread { vec![true, false] } else { vec![false] };
        spreads.into_iter().map(move |sd| (luxury, sd))
    })
}

/// Columns up to a luxury; those that no policy has a figure for are left out.
fn shown(rows: &[Figures], luxury: u8) -> Vec<&'static Column> {
    let has_cost = rows.iter().any(|row| row.cost.is_some());
    COLUMNS
        .iter()
        .filter(|column| column.luxury <= luxury && (has_cost || column.title != "cost"))
        .collect()
}

fn rendered(
    backtest: &Backtest,
    (rows, best): (&[Figures], Option<usize>),
    columns: &[&Column],
    sd: bool,
) -> String {
    let mut table = plain();
    let titles = columns.iter().map(|column| column.title);
    table.set_header(["policy"].into_iter().chain(titles));
    for (idx, (entry, figures)) in backtest.policies.iter().zip(rows).enumerate() {
        let mark = if best == Some(idx) { " *" } else { "" };
        let name = format!("{}{mark}", one_line(&entry.name));
        let cells = columns.iter().map(|column| (column.cell)(figures, sd));
        table.add_row([name].into_iter().chain(cells));
    }
    right(&mut table);
    lines(&table)
}

/// Figures stand under each other by their last digit.
fn right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn sweep(backtest: &Backtest) -> String {
    let mut table = plain();
    table.set_header(["sweep", "knob", "SLO %", "GPU-h", "front"]);
    for (point, on) in backtest.sweep.iter().zip(sweep_front(&backtest.sweep)) {
        let front = if on { "yes" } else { "" };
        table.add_row([
            one_line(&point.name),
            setting(point.headroom),
            percent(point.slo_attainment),
            measured(point.gpu_hours),
            front.to_owned(),
        ]);
    }
    right(&mut table);
    format!("{}\n{}", lines(&table), at_target(backtest))
}

/// Policies compared where they are equally good.
fn at_target(backtest: &Backtest) -> String {
    let mut table = plain();
    table.set_header([
        "at equal attainment".to_owned(),
        format!("GPU-h for {}", share(backtest.world.slo_target)),
    ]);
    for (name, need) in needs(backtest) {
        table.add_row([one_line(&name), need]);
    }
    right(&mut table);
    lines(&table)
}

/// Every swept policy and what it needs for the target, in the order of the sweep.
pub(super) fn needs(backtest: &Backtest) -> Vec<(String, String)> {
    let mut names: Vec<&str> = Vec::new();
    for point in &backtest.sweep {
        if !names.contains(&point.name.as_str()) {
            names.push(&point.name);
        }
    }
    let told = |need| match need {
        Some(Need::Interpolated(hours)) => measured(hours),
        Some(Need::AtMost(hours)) => format!("at most {}", measured(hours)),
        Some(Need::Never) => "never".to_owned(),
        None => "-".to_owned(),
    };
    names.into_iter().map(|name| (name.to_owned(), told(need(backtest, name)))).collect()
}
