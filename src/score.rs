//! `prescale score`: how well the forecaster predicts series from files, beside baselines.
//!
//! Given options, [`run`] reads the files, runs every model over every series on all cores, and
//! promises one [`Scores`]: the same for the same options whatever the number of threads, but for the
//! time that an update takes. Words, figures and the terminal are left to others.

pub mod error;
pub mod options;

mod read;
mod stage;

use crate::backtest::progress::{Listener, Progress};
use crate::backtest::queue;
use crate::clock::Clock;
use crate::engine::numeric::count;
use crate::engine::score::data::Scores;
use crate::engine::score::models::chosen;
use crate::engine::score::series::{DAY, steps};
use crate::score::error::Error;
use crate::score::options::Options;
use crate::score::stage::Stage;

/// What a score came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The figures.
    pub scores: Scores,
    /// What was skipped or assumed, as sentences.
    pub notes: Vec<String>,
}

/// Scores what `options` ask for and tells `listener` how far it is, in days of series.
///
/// # Errors
/// A file that cannot be read, or has no series that can be scored.
pub fn run(options: &Options, listener: Listener<'_>) -> Result<Outcome, Error> {
    listener(Progress::Phase("reading"));
    let mut notes = Vec::new();
    let mut series = Vec::new();
    for file in &options.files {
        series.extend(read::read(file, options, &mut notes)?);
    }
    let kinds = chosen(&options.models);
    let passes = if options.fault.is_some() { 2 } else { 1 };
    let days = |named: &read::Named| named.series.values.len().div_ceil(day_steps(named));
    let days: usize = series.iter().map(days).sum();
    listener(Progress::Planned(passes * u64::from(count(days))));
    listener(Progress::Phase("scoring"));
    let clock = Clock::system();
    let stage = Stage { options, kinds: &kinds, clock: &clock, listener };
    let scored = queue::all(&series, options.threads, |named| stage.score(named));
    let mut told = Vec::new();
    for (scored, own) in scored {
        notes.extend(own);
        told.push(scored);
    }
    let scores = Scores {
        levels: options.levels.clone(),
        horizons: options.horizons.clone(),
        models: kinds.iter().map(|kind| kind.name).collect(),
        warmup: options.warmup,
        timezone: options.timezone.name().to_owned(),
        series: told,
    };
    Ok(Outcome { scores, notes })
}

fn day_steps(named: &read::Named) -> usize {
    steps(DAY, named.series.step).max(1)
}
