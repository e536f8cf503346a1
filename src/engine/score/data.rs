//! What a score is made of: figures of one model at one horizon, of a series, of all series.

use std::time::Duration;

/// Hours of a day.
pub const HOURS: usize = 24;

/// Levels of the reliability curve.
pub const FINE_LEVELS: [f64; 10] = [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99];

/// One model's forecasts of one horizon and target, against what came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Targets that were scored.
    pub n: u32,
    /// 2 x mean pinball loss / mean demand, the mean over the levels; `None` without demand.
    pub wql: Option<f64>,
    /// Share of the targets at or below the forecast, by level.
    pub coverage: Vec<Option<f64>>,
    /// The same by local hour of the target, by level.
    pub coverage_by_hour: Vec<[Option<f64>; HOURS]>,
    /// Mean distance of the forecast from the one at 0.5, relative to mean demand, by level.
    pub width: Vec<Option<f64>>,
    /// Mean absolute error of the forecast at 0.5 over that of the naive forecast.
    pub mase: Option<f64>,
    /// Share at or below the forecast at [`FINE_LEVELS`]; empty where it was not asked for.
    pub reliability: Vec<Option<f64>>,
    /// The same loss over the later origins alone; `None` where nobody asked for it.
    pub wql_late: Option<f64>,
}

/// Both targets of one horizon.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// The value of the step.
    pub at: Figures,
    /// The largest of all steps up to it.
    pub window_max: Figures,
}

/// How far a forecast looks ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// As it was asked for.
    pub asked: Duration,
    /// In whole steps of the series.
    pub span: Duration,
}

/// One model on one series.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScore {
    /// Its name.
    pub name: &'static str,
    /// Microseconds for one step: to see it and to tell all forecasts; depends on the machine.
    pub micros_per_update: f64,
    /// By horizon.
    pub cells: Vec<Cell>,
    /// The same on the series as it was before it was disturbed; empty where it was not.
    pub undisturbed: Vec<Cell>,
}

/// What was disturbed, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Words: `12h hole`.
    pub what: String,
    /// From the series' beginning to the disturbance's.
    pub begins: Duration,
    /// From there to its end; zero for what is over at once or stays.
    pub lasts: Duration,
}

/// One series, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The file.
    pub file: String,
    /// The value of the column by which its series are told apart.
    pub group: Option<String>,
    /// Length of a step.
    pub step: Duration,
    /// Steps, gaps included.
    pub n: u32,
    /// Steps without a value.
    pub gaps: u32,
    /// Steps before the first origin.
    pub warmup: u32,
    /// Origins from which something was scored.
    pub origins: u32,
    /// Origins left out because a model had no forecast yet.
    pub skipped: u32,
    /// What was disturbed.
    pub disturbed: Option<Place>,
    /// The horizons, ascending.
    pub horizons: Vec<Ahead>,
    /// The models, in the order in which they were asked for.
    pub models: Vec<ModelScore>,
}

impl Scored {
    /// File and group, as one name.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.group {
            None => self.file.clone(),
            Some(group) => format!("{} {group}", self.file),
        }
    }

    /// The model of this name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&ModelScore> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// Everything that was scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// The levels, ascending.
    pub levels: Vec<f64>,
    /// The horizons as they were asked for, ascending.
    pub horizons: Vec<Duration>,
    /// Names of the models.
    pub models: Vec<&'static str>,
    /// Warm-up as it was asked for.
    pub warmup: Duration,
    /// The local time of the hours.
    pub timezone: String,
    /// The series, in the order of the files.
    pub series: Vec<Scored>,
}
