//! The words of which presets are made: rows that a table can hold and a reader can check.
//!
//! A preset is data. [`crate::source::assemble`] applies it to series, [`crate::source::plan`] turns
//! it into queries; nothing here reads anything.

use crate::engine::observation::{Combine, Latency, Role};

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

/// One role of a preset. A role may have several rows; the first row found in a pod counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// What it means.
    pub role: Role,
    /// Names it ever had, best first; the first found per pod counts.
    pub names: &'static [&'static str],
    /// Families that are added to the one found: the parts of a total.
    pub also: &'static [&'static str],
    /// How several series of one pod become one.
    pub combine: Combine,
    /// How the value is taken.
    pub value: Value,
    /// Labels the series must carry.
    pub labels: &'static [Label],
    /// The engine creates it with the first request: absent on a page read successfully is zero.
    pub lazy: bool,
}

impl Family {
    /// A family read as it is, with one series per pod or several that add up.
    #[must_use]
    pub const fn sum(role: Role, names: &'static [&'static str]) -> Self {
        Self {
            role,
            names,
            also: &[],
            combine: Combine::Sum,
            value: Value::Scaled(1.0),
            labels: &[],
            lazy: false,
        }
    }

    /// A ratio or another quantity whose series are averaged.
    #[must_use]
    pub const fn mean(role: Role, names: &'static [&'static str]) -> Self {
        Self { combine: Combine::Mean, ..Self::sum(role, names) }
    }

    /// The same family, created with the first request.
    #[must_use]
    pub const fn lazily(self) -> Self {
        Self { lazy: true, ..self }
    }

    /// The same family with labels that its series must carry.
    #[must_use]
    pub const fn with(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The same family with values times `factor`.
    #[must_use]
    pub const fn times(self, factor: f64) -> Self {
        Self { value: Value::Scaled(factor), ..self }
    }

    /// Every name that the row reads.
    pub fn every_name(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().chain(self.also).copied()
    }
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

impl Histogram {
    /// A histogram in seconds.
    #[must_use]
    pub const fn seconds(latency: Latency, names: &'static [&'static str]) -> Self {
        Self { latency, names, scale: 1.0 }
    }
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
    /// Whether the model's name is compared without regard to case.
    pub model_any_case: bool,
    /// Labels that make two series of one family two facts. Series equal in all of them are
    /// readings of one truth (process ids, tensor-parallel ranks, two scrape jobs): the largest
    /// counts.
    pub identity: &'static [&'static str],
    /// Families beside which an absent lazy one is known zero; where there are none, any role found.
    pub alive: &'static [&'static str],
}

impl Preset {
    /// No metrics at all.
    pub const NONE: Self = Self {
        families: &[],
        histograms: &[],
        model_label: None,
        model_any_case: false,
        identity: &[],
        alive: &[],
    };

    /// Every family name, in the order of the rows, each once; last those that show life.
    #[must_use]
    pub fn family_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        let rows = self.families.iter().flat_map(Family::every_name);
        for name in rows.chain(self.alive.iter().copied()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Whether a role is a share, 0..1 after scaling.
#[must_use]
pub const fn is_ratio(role: Role) -> bool {
    matches!(role, Role::KvUsage | Role::GpuUtilization | Role::GpuMemoryBandwidth | Role::Awake)
}
