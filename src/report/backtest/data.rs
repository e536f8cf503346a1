//! What a backtest found, as data that every output format is made from.
//!
//! Given by the command that ran it. Promises nothing about the numbers: a format leaves out what is
//! not finite. Strings may be hostile (names of files and queries): each format escapes its own.

use serde::{Deserialize, Serialize};

use crate::engine::replay::score::{Moment, Score};

/// The policy that never scales: what is saved is saved against it.
pub const ALWAYS_ON: &str = "static-peak";

/// The policy that knows the future.
pub const CLAIRVOYANT: &str = "oracle";

/// The policy that knows the present and nothing else.
const NOWCAST: &str = "nowcast";

/// Whether the policy of this name is a bound, never a choice.
pub fn is_bound(name: &str) -> bool {
    [CLAIRVOYANT, NOWCAST].contains(&name)
}

/// Everything that is told of a backtest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backtest {
    /// What was replayed.
    pub trace: Trace,
    /// In what world.
    pub world: World,
    /// One entry per policy, in the order asked for.
    pub policies: Vec<Entry>,
    /// Every setting of every knob, when a sweep was asked for.
    pub sweep: Vec<Point>,
    /// What to change, as sentences; may be empty.
    pub advice: Vec<String>,
    /// The command that gives the same report again; empty: not told.
    #[serde(default)]
    pub command: String,
}

/// What was replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Its name: file, query or generator.
    pub name: String,
    /// The instant at which it begins, ms since the epoch; 0 where the trace hides it.
    pub begins_unix_ms: i64,
    /// Length, seconds.
    pub seconds: f64,
    /// Requests, after scaling.
    pub requests: u64,
    /// Requests per second, mean.
    pub rate_mean: f64,
    /// Requests per second of the busiest minute.
    pub rate_peak: f64,
    /// Mean prompt tokens.
    pub prompt_mean: f64,
    /// Mean output tokens.
    pub output_mean: f64,
}

/// In what world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// The profile's name.
    pub profile: String,
    /// GPUs of one replica.
    pub gpus: u32,
    /// Requests per second of this trace's mix that one replica carries at saturation.
    pub knee: f64,
    /// Mean cold start, seconds.
    pub cold_start: f64,
    /// Objectives, seconds.
    pub ttft: f64,
    /// Seconds per output token.
    pub tpot: f64,
    /// The attainment aimed at, 0..1.
    pub slo_target: f64,
    /// Fewest and most replicas.
    pub limits: (u32, u32),
    /// Seeds that were run.
    pub seeds: u32,
    /// Money per GPU-hour, if given.
    pub gpu_price: Option<f64>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Where it is from.
    pub source: String,
    /// How it differs from the original here.
    pub simplifications: Vec<String>,
    /// Name and value of its knob in this run.
    pub knob: Option<(String, f64)>,
    /// One score per seed.
    pub scores: Vec<Score>,
    /// The course of the first seed.
    pub course: Vec<Moment>,
}

/// One setting of a knob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The policy.
    pub name: String,
    /// The knob's value.
    pub headroom: f64,
    /// Mean over the seeds, 0..1.
    pub slo_attainment: f64,
    /// Mean over the seeds.
    pub gpu_hours: f64,
}
