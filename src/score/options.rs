//! What a score is asked for, already valid one by one.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::engine::score::inject::Fault;

/// Everything that a score is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The files, at least one.
    pub files: Vec<PathBuf>,
    /// The column of the values; `None`: `requests`, else `value`.
    pub column: Option<String>,
    /// The column by whose values a file is split into series.
    pub group_by: Option<String>,
    /// How far forecasts look ahead, ascending, each once.
    pub horizons: Vec<Duration>,
    /// The levels, ascending, each once, between 0 and 1.
    pub levels: Vec<f64>,
    /// From the beginning to the first origin.
    pub warmup: Duration,
    /// From the beginning to the end, where a series is longer.
    pub until: Option<Duration>,
    /// The local time of profiles and hours.
    pub timezone: Tz,
    /// Dates that are like Sundays.
    pub holidays: BTreeSet<NaiveDate>,
    /// Names of models; all where there is none.
    pub models: Vec<String>,
    /// A coarser step.
    pub resample: Option<Duration>,
    /// Only steps that begin at multiples of this are origins.
    pub origins: Option<Duration>,
    /// What every series is disturbed by.
    pub fault: Option<Fault>,
    /// Series at the same time; it changes no figure.
    pub threads: NonZero<usize>,
}
