//! What forecasts are asked for: which steps of a series, in whose local time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

/// What of the steps ahead is forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The value of the step that is so many ahead.
    At,
    /// The largest of the steps up to it.
    WindowMax,
}

/// How far ahead, and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// Steps, at least 1.
    pub steps: u32,
    /// What is forecast.
    pub target: Target,
}

/// What a model is made for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Length of a step.
    pub step: Duration,
    /// What is forecast.
    pub horizons: Vec<Horizon>,
    /// Local time of day and week.
    pub timezone: Tz,
    /// Dates that are like Sundays.
    pub holidays: BTreeSet<NaiveDate>,
}
