//! Why something is wanted ahead of demand, one line each.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::decision::term::Short;

/// What is wanted ahead of demand, and why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Early {
    /// More than is needed now, for what is forecast.
    Forecast {
        /// Replicas.
        replicas: u32,
        /// Probability that they suffice.
        quantile: f64,
        /// For the largest demand until then.
        horizon: Duration,
    },
    /// This time of the day usually brings demand: wakes before it.
    WakesAhead {
        /// Replicas.
        replicas: u32,
        /// How likely, 0..=1.
        chance: f64,
        /// Within this time.
        within: Duration,
    },
    /// Idle, but usually not for long enough to be worth a cold start.
    StaysAwake {
        /// How long it usually stays idle.
        idle: Duration,
        /// Idle time that a cold start is worth.
        cost: Duration,
    },
    /// Idle, and not known again since a restart whether demand usually comes now.
    Relearns,
}

impl fmt::Display for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forecast { replicas, quantile, horizon } => {
                let (percent, minutes) = (Short(quantile * 100.0), horizon.as_secs() / 60);
                write!(f, "forecast needs {replicas}: p{percent} within {minutes} min")
            }
            Self::WakesAhead { replicas, chance, within } => {
                let (percent, seconds) = (Short((chance * 100.0).round()), within.as_secs());
                let likely = format_args!("demand within {seconds} s is {percent} % likely");
                write!(f, "wakes {replicas} ahead: {likely}")
            }
            Self::StaysAwake { idle, cost } => {
                let (idle, cost) = (idle.as_secs(), cost.as_secs());
                write!(f, "stays awake: usually idle {idle} s more, a cold start is worth {cost} s")
            }
            Self::Relearns => f.write_str(
                "stays awake: what usually comes is being learned again after a restart",
            ),
        }
    }
}
