//! `prescale score`: flags to options, the terminal, and the files that are written.
//!
//! Standard output carries the figures and nothing else; progress and notes go to standard error. What
//! is scored, and how, is left to [`crate::score`].

mod parse;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::ValueEnum;
use console::Term;

use crate::cli::command::command;
use crate::cli::exit::Exit;
use crate::cli::output::print;
use crate::cli::page::Page;
use crate::cli::progress::Bar;
use crate::engine::score::inject::Fault;
use crate::report::score::{html, json, table};
use crate::score::options::Options;
use crate::score::{self as engine, Outcome};

/// Columns of a table that is not looked at in a terminal.
const WIDTH: u16 = 120;

/// How the figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What `score` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// CSV files, plain or gzip'd: a line per step with timestamp (seconds) and requests or value;
    /// a blank value, or a line that is missing, is a gap
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The column of the values [default: requests, else value]
    #[arg(long, value_name = "NAME", help_heading = "Series")]
    column: Option<String>,
    /// Split each file into one series per value of this column, such as client
    #[arg(long, value_name = "NAME", help_heading = "Series")]
    group_by: Option<String>,
    /// Aggregate to a coarser step, the mean of its values
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = parse::step, help_heading = "Series")]
    resample: Option<Duration>,
    /// Score what follows this time from each series' beginning; a series shorter than twice of it
    /// is scored on its second half
    #[arg(long, default_value = "3d", value_parser = parse::span)]
    #[arg(allow_hyphen_values = true, value_name = "DURATION", help_heading = "Series")]
    warmup: Duration,
    /// Read each series to this time from its beginning only
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = parse::span, help_heading = "Series")]
    until: Option<Duration>,
    /// Forecast only at steps that begin at multiples of this, UTC, such as 1h [default: each step]
    #[arg(long, allow_hyphen_values = true, value_name = "DURATION", value_parser = parse::step, help_heading = "Series")]
    origins: Option<Duration>,
    /// Disturb each series in the middle of what is scored, and compare with it undisturbed:
    /// gaps:0.01, hole:2h, shift:3, outlier:50 or clock:-1h
    #[arg(long, value_name = "FAULT", value_parser = parse::fault, help_heading = "Series")]
    inject: Option<Fault>,

    /// How far forecasts look ahead; those below a series' step are left out, others rounded to steps
    #[arg(long, default_value = "1m,5m,10m,20m", value_parser = parse::horizon)]
    #[arg(
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "DURATION,..",
        help_heading = "Forecasts"
    )]
    horizons: Vec<Duration>,
    /// Levels of the forecasts, from 0.5 to 0.99
    #[arg(long, default_value = "0.5,0.9,0.95,0.99", value_parser = parse::level)]
    #[arg(
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_name = "LEVEL,..",
        help_heading = "Forecasts"
    )]
    quantiles: Vec<f64>,
    /// Score this model, and last+conformal; may be repeated [default: all]
    #[arg(long, value_name = "NAME", value_parser = parse::models(), help_heading = "Forecasts")]
    model: Vec<String>,
    /// Local time of the profiles of day and week, and of coverage by hour
    #[arg(long, default_value = "UTC", value_parser = parse::timezone)]
    #[arg(value_name = "TZ", help_heading = "Forecasts")]
    timezone: Tz,
    /// Dates that are like Sundays, such as 2026-12-25,2027-01-01
    #[arg(long, default_value = "", hide_default_value = true, value_parser = parse::holidays)]
    #[arg(value_name = "DATE,..", help_heading = "Forecasts")]
    holidays: Dates,
    /// Series at the same time; changes no figure [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Forecasts")]
    threads: Option<NonZero<usize>>,

    /// How the figures are written
    #[arg(short = 'o', long, visible_alias = "output", value_enum, default_value = "table")]
    format: Format,
    /// Also write a page that opens offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// A set that is one value to the parser of flags.
type Dates = BTreeSet<NaiveDate>;

/// Examples, below the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  prescale score arrivals.csv.gz --html score.html
  prescale score traces/*.csv --horizons 5m,15m --timezone Europe/Berlin -o json
  prescale score tenants.csv --group-by client --horizons 10m,20m
  prescale score arrivals.csv --warmup 1h --until 12h
  prescale score arrivals.csv --resample 5m --origins 1h --horizons 5m,10m,20m
  prescale score arrivals.csv --inject hole:12h";

/// Runs what was asked for.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let page = args.html.as_deref().map(Page::at).transpose()?;
    let format = args.format;
    let bar = Bar::new(io::stderr().is_terminal(), "days");
    let outcome = engine::run(&options(args), &|progress| bar.show(progress));
    bar.end();
    let Outcome { scores, notes } = outcome?;
    for note in &notes {
        // Nobody is left to be told when standard error is closed.
        drop(writeln!(io::stderr(), "note: {}", crate::report::one_line(note)));
    }
    // The figures are told even where the page cannot be written.
    let command = command(std::env::args_os().skip(1));
    let written = page.map_or(Ok(()), |page| page.write(&html::html(&scores, &notes, &command)));
    let text = match format {
        Format::Table => table::table(&scores, width()),
        Format::Json => format!("{:#}\n", json::json(&scores, &notes)),
    };
    print(text.as_bytes())?;
    written?;
    Ok(Exit::Done)
}

fn options(args: Args) -> Options {
    let mut horizons = args.horizons;
    horizons.sort_unstable();
    horizons.dedup();
    let mut levels = args.quantiles;
    levels.sort_by(f64::total_cmp);
    levels.dedup_by(|a, b| a.total_cmp(b).is_eq());
    Options {
        files: args.files,
        column: args.column,
        group_by: args.group_by,
        horizons,
        levels,
        warmup: args.warmup,
        until: args.until,
        timezone: args.timezone,
        holidays: args.holidays,
        models: args.model,
        resample: args.resample,
        origins: args.origins,
        fault: args.inject,
        threads: args.threads.unwrap_or_else(cores),
    }
}

/// One where the machine does not say.
fn cores() -> NonZero<usize> {
    available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Columns of the terminal; a fixed number where there is none, so that equal runs give equal bytes.
fn width() -> u16 {
    Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns)
}
