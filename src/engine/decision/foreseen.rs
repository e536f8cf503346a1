//! What a forecast said and whether it was believed, as data: part of a decision.
//!
//! Who forecasts is [`crate::engine::forecast`]; what of it counts is left to
//! [`crate::engine::decide`].

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far a forecaster has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Too little was seen: no forecast should be acted upon.
    Cold,
    /// An hour or more was seen; the days are unknown.
    Started,
    /// A day or more was seen: times of day have a meaning.
    Day,
    /// Eight days or more were seen: days of the week have one.
    Week,
}

impl Stage {
    /// How much must have been seen for it.
    #[must_use]
    pub const fn begins_after(self) -> Duration {
        match self {
            Self::Cold => Duration::ZERO,
            Self::Started => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
            Self::Week => Duration::from_hours(24 * 8),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Started => "started",
            Self::Day => "day",
            Self::Week => "week",
        })
    }
}

/// Which of the others a forecast is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rival {
    /// Last value + conformal.
    Naive,
    /// The reactive decision.
    Reactive,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Naive => "last value + conformal",
            Self::Reactive => "the reactive decision",
        })
    }
}

/// Whether to act upon the forecast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Trust {
    /// Too little is in the account.
    Young {
        /// How much longer, if nothing is missed.
        remaining: Duration,
    },
    /// It lost no more than its better rival.
    Trusted {
        /// Its loss over the rival's.
        ratio: f64,
        /// The better of the others.
        rival: Rival,
    },
    /// It lost more.
    Demoted {
        /// Its loss over the rival's.
        ratio: f64,
        /// The better of the others.
        rival: Rival,
    },
}

impl Trust {
    /// Whether it may count.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::Trusted { .. })
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Young { remaining } => {
                write!(f, "not judged yet, {} min to go", remaining.as_secs().div_ceil(60))
            }
            Self::Trusted { ratio, rival } => {
                write!(f, "trusted: lost {ratio:.2} of what {rival} lost in the last day")
            }
            Self::Demoted { ratio, rival } => {
                write!(f, "demoted: lost {ratio:.2} times what {rival} lost in the last day")
            }
        }
    }
}

/// What gave way so that a trusted forecast adds little to the bill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// The usable share of a replica, 0..=1, while the forecast is trusted.
    pub headroom: f64,
    /// How much of what the forecast asks for beyond demand counts, 0..=1.
    #[serde(default = "whole")]
    pub share: f64,
    /// What the forecast would add to the bill of the last day if nothing gave way, as a share of what
    /// demand alone costs.
    pub adds: f64,
}

impl Margin {
    /// What counts of the replicas that a forecast wants: those that demand needs, and a share of the rest.
    #[must_use]
    pub fn counted(&self, needed: f64, wanted: f64) -> f64 {
        if wanted > needed { (wanted - needed).mul_add(self.share, needed) } else { wanted }
    }
}

const fn whole() -> f64 {
    1.0
}

/// What was foreseen for the lead time ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    /// Probability that the demand stays below, 0.5..=0.99.
    pub quantile: f64,
    /// The largest demand until then.
    pub horizon: Duration,
    /// That demand in replicas at the headroom in force; `None` while nobody knows what a replica
    /// carries, or nothing was forecast yet.
    pub equivalents: Option<f64>,
    /// The same in whole replicas.
    pub replicas: Option<u32>,
    /// Whether it took part in the decision.
    pub counts: bool,
    /// What demand as it is now needs, in replicas.
    pub reactive: u32,
    /// The usable share of a replica that was in force.
    pub headroom: f64,
    /// What gave way for it; `None` where that is fixed, or nothing is known yet.
    pub margin: Option<Margin>,
    /// What its account says.
    pub trust: Trust,
    /// How far it has come.
    pub stage: Stage,
    /// Time until the next stage, if nothing is missed.
    pub next_stage: Option<Duration>,
    /// From a decision to a ready pod.
    pub lead: Duration,
}
