//! Why a backtest was not run.

use std::io;

use crate::backtest::input::InputError;
use crate::spec::Faults;

/// Why a backtest was not run. Except for [`Error::Runtime`] it is for the user to mend: a flag, a
/// file, or a server that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The history cannot be had.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The end of the range has not come.
    #[error("--until {0} lies in the future: nothing is known of it")]
    Ahead(String),
    /// Fewest above most.
    #[error("--min-replicas {min} is above --max-replicas {max}: no number of replicas is allowed")]
    MinAboveMax {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Beginning outside of the limits.
    #[error("--initial-replicas {initial} is outside of the limits {min} to {max}")]
    InitialOutside {
        /// At the beginning.
        initial: u32,
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Nothing to replay.
    #[error("{0} has no request: nothing can be compared")]
    NoArrivals(String),
    /// The hardware carries none of these requests.
    #[error(
        "profile \"{profile}\" serves none of the requests of {history}: they do not fit into its KV \
         cache; take a larger profile or smaller --prompt-tokens and --output-tokens"
    )]
    NoKnee {
        /// The profile.
        profile: String,
        /// What was to be replayed.
        history: String,
    },
    /// A key of the trigger that means nothing here.
    #[error(
        "--metadata {key} does not act in a backtest; those that do: {known}; limits, objectives \
         and headroom are flags (--min-replicas, --ttft, --knob prescale-reactive=0.8)"
    )]
    InertKey {
        /// The key.
        key: String,
        /// Those that act.
        known: String,
    },
    /// The trigger's metadata is wrong.
    #[error("--metadata: {0}")]
    Metadata(Faults),
    /// The runtime that asks a Prometheus cannot be had.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// Whether it is for the user to mend.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Runtime(_))
    }
}
