//! What a backtest is asked for, already valid one by one; what does not fit together is refused by
//! the run.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use crate::engine::replay::policy::Policy;
use crate::engine::replay::profile::{ColdStart, Profile, Routing};
use crate::engine::replay::score::Objectives;
use crate::engine::units::{Ratio, Timestamp};

/// Where the history comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A file of requests or of counts, plain or gzip'd.
    File(PathBuf),
    /// A query at a Prometheus-compatible server: arrivals per second.
    Prometheus {
        /// The server.
        url: String,
        /// The query.
        query: String,
        /// How far back.
        range: Duration,
        /// Where the range ends; `None`: now.
        until: Option<Timestamp>,
    },
    /// A generator.
    Generator {
        /// Its name.
        name: String,
        /// How many days of it; `None`: its own length.
        days: Option<f64>,
    },
}

/// How large requests are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tokens {
    /// Of a prompt, where the history does not say; `None`: the default of the history's kind.
    pub prompt: Option<u32>,
    /// Of an output; likewise.
    pub output: Option<u32>,
    /// Share of every prompt that a warm prefix cache answers.
    pub cached: Ratio,
}

/// Replicas at the beginning, and the fewest and most ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replicas {
    /// That serve at the beginning; `None`: the need of the first minute.
    pub initial: Option<u32>,
    /// The fewest; `None`: 1.
    pub min: Option<u32>,
    /// The most, at least 1; `None`: twice the need of the busiest minute.
    pub max: Option<u32>,
}

/// Which seeds are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: NonZero<u32>,
}

impl Seeds {
    /// Each of them, ascending.
    pub fn each(self) -> impl Iterator<Item = u64> {
        let Self { first, count } = self;
        (0..u64::from(count.get())).map(move |idx| first.saturating_add(idx))
    }
}

/// Everything that a backtest is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the history comes from.
    pub source: Source,
    /// How large its requests are.
    pub tokens: Tokens,
    /// What its rate is multiplied by, above 0.
    pub rate_scale: f64,
    /// The hardware.
    pub profile: Profile,
    /// From creation to serving.
    pub cold_start: ColdStart,
    /// Time between two scrapes where a policy's source says nothing else; whole milliseconds, above 0.
    pub scrape_interval: Duration,
    /// How requests are spread.
    pub routing: Routing,
    /// How long the gateway holds a request while no replica is ready; zero: refused at once.
    pub hold: Duration,
    /// What a request must meet.
    pub objectives: Objectives,
    /// Limits of the replicas.
    pub replicas: Replicas,
    /// Metadata of prescale's trigger beyond what follows from the rest, in order.
    pub metadata: Vec<(String, String)>,
    /// The policies, in the order of the table, at least one.
    pub policies: Vec<&'static Policy>,
    /// Settings of knobs in place of the policies' own defaults; the last of a policy counts.
    pub knobs: Vec<(&'static str, f64)>,
    /// The attainment aimed at, above 0, at most 1.
    pub slo_target: f64,
    /// Whether every setting of every knob is tried.
    pub sweep: bool,
    /// Which seeds are run.
    pub seeds: Seeds,
    /// Money per GPU-hour, above 0.
    pub gpu_price: Option<f64>,
    /// Runs at the same time; it changes no result.
    pub threads: NonZero<usize>,
}
