//! `prescale backtest`: a history replayed under each policy, in a world measured before any claim.
//!
//! Given options, [`run`] reads the history, measures what a replica carries of its mix, runs every
//! policy on every seed over all cores, and promises one [`Backtest`]: the same for the same options,
//! whatever the number of threads. Words, files and the terminal are left to the command line.

pub mod choose;
pub mod error;
pub mod input;
pub mod options;
pub mod progress;

mod advice;
mod compare;
mod history;
pub(crate) mod queue;
mod read;
mod search;
mod stage;
mod trigger;

use crate::backtest::compare::{Found, Plan, compare};
use crate::backtest::error::Error;
use crate::backtest::options::Options;
use crate::backtest::progress::{Listener, Progress};
use crate::backtest::stage::{History, Stage};
use crate::engine::replay::shapes::BEGINS;
use crate::engine::units::Timestamp;
use crate::report::backtest::{self, Backtest, World};

pub use stage::REPLICAS_MAX;

/// What a backtest came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// All that is told of it.
    pub backtest: Backtest,
    /// What was skipped or assumed while the history was read, in words.
    pub notes: Vec<String>,
    /// Invariants of the engine that broke, in words: a fault of ours, and none is known.
    pub broken: Vec<String>,
}

/// Runs what `options` ask for and tells `listener` how far it is.
///
/// # Errors
/// Options that do not fit together, a history that cannot be read or has nothing to replay.
pub fn run(options: &Options, listener: Listener<'_>) -> Result<Outcome, Error> {
    stage::agree(options.replicas)?;
    let settings = stage::settings(options);
    let recorded = read::read(options, &settings, listener)?;
    let arrivals = recorded.arrivals(options.seeds.first, options.rate_scale)?;
    #[expect(clippy::expect_used, reason = "what is refused does not depend on the seed")]
    let draw = |seed| recorded.arrivals(seed, options.rate_scale).expect("one seed was drawn");
    let (name, length) = (recorded.name.as_str(), recorded.length);
    // One that hides its date begins on some Monday at midnight.
    let origin = recorded.begins.unwrap_or(BEGINS);
    let history = History { name, origin, length, draw: &draw };
    listener(Progress::Phase("measuring what a replica carries"));
    let stage = Stage::set(options, settings, history, &arrivals)?;
    let begins = recorded.begins.map_or(0, Timestamp::unix_ms);
    let trace = history::told(name, begins, length, &arrivals);
    drop(arrivals);
    let plan = Plan {
        policies: &options.policies,
        knobs: &options.knobs,
        seeds: options.seeds,
        sweep: options.sweep,
        slo_target: options.slo_target,
        threads: options.threads,
    };
    listener(Progress::Phase("replaying"));
    let Found { entries, sweep, broken } = compare(plan, &|job| stage.trial(job), listener);
    let mut backtest = Backtest {
        trace,
        world: world(options, &stage),
        policies: entries,
        sweep,
        advice: Vec::new(),
        command: String::new(),
    };
    backtest.advice = backtest::advice::advice(&backtest);
    backtest.advice.extend(advice::advice(&backtest));
    Ok(Outcome { backtest, notes: recorded.notes.clone(), broken })
}

fn world(options: &Options, stage: &Stage<'_>) -> World {
    World {
        profile: options.profile.name.clone(),
        gpus: options.profile.gpus,
        knee: stage.knee,
        cold_start: options.cold_start.total().as_secs_f64(),
        ttft: options.objectives.ttft.as_secs_f64(),
        tpot: options.objectives.tpot.as_secs_f64(),
        slo_target: options.slo_target,
        limits: stage.limits,
        seeds: options.seeds.count.get(),
        gpu_price: options.gpu_price,
    }
}
