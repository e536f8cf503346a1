//! What is said of the work ahead, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::decision::{Margin, Stage, Trust};
use crate::engine::setup::Strategy;

/// What the series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests per second: tokens are not counted, or not yet.
    Requests,
    /// Output tokens per second ([`Minute::work`]).
    Work,
    /// Replicas.
    Replicas,
}

/// A quantile of the work ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ahead {
    /// In this unit, per second.
    pub unit: Unit,
    /// The probability that it suffices.
    pub quantile: f64,
    /// The largest until then.
    pub horizon: Duration,
    /// How much; `None` before the first forecast.
    pub work: Option<f64>,
    /// What gave way so that it adds little to the bill; `None` where that is fixed, or not known yet.
    #[serde(default)]
    pub margin: Option<Margin>,
    /// What its account says.
    pub trust: Trust,
    /// How far it has come.
    pub stage: Stage,
    /// Time until the next stage.
    pub next_stage: Option<Duration>,
}

impl Ahead {
    /// Whether the forecast may act under `strategy`.
    #[must_use]
    pub fn counts(&self, strategy: Strategy) -> bool {
        let usable = self.stage >= Stage::Started && self.work.is_some();
        match strategy {
            Strategy::Reactive | Strategy::Observer => false,
            Strategy::Auto | Strategy::Shadow => usable && self.trust.is_trusted(),
            Strategy::Proactive => usable,
        }
    }
}
