//! Presets: which metric families of an engine carry which role, under all names they ever had.
//!
//! Names, units and traps: each table cites where it was read.

use crate::engine::observation::{Combine, Latency, Role};
use crate::spec::Engine;

/// How the value of a role is taken from a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// The sample's value times this factor (0.01 for percent).
    Scaled(f64),
    /// The product of two labels of an info metric, `num_gpu_blocks` x `block_size`.
    LabelProduct(&'static str, &'static str),
}

/// A label matcher of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The label is absent, empty or exactly this.
    Is(&'static str, &'static str),
}

/// One role of a preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// What it means.
    pub role: Role,
    /// Names it ever had, best first; the first found per pod counts.
    pub names: &'static [&'static str],
    /// How several series of one pod become one.
    pub combine: Combine,
    /// How the value is taken.
    pub value: Value,
    /// Labels the series must carry.
    pub labels: &'static [Label],
    /// The engine creates it with the first request: absent on a page read successfully is zero.
    pub lazy: bool,
}

/// One latency histogram of a preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    /// What it measures.
    pub latency: Latency,
    /// Family names without `_bucket`, best first.
    pub names: &'static [&'static str],
    /// Factor to seconds.
    pub scale: f64,
}

/// All that is known of one engine's metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// The families by role.
    pub families: &'static [Family],
    /// The latency histograms.
    pub histograms: &'static [Histogram],
    /// Label that carries the served model's name.
    pub model_label: Option<&'static str>,
}

const NONE: Preset = Preset { families: &[], histograms: &[], model_label: None };

/// The preset of `engine`.
#[must_use]
pub const fn preset(engine: Engine) -> Preset {
    let _ = engine;
    NONE
}
