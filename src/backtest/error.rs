//! Why a backtest was not run.

use std::io;

use crate::spec::Faults;

/// Why a backtest was not run. Except for [`Error::Runtime`] it is for the user to mend: a flag, a
/// file, or a server that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A policy that is not in the table.
    #[error("policy \"{name}\" is unknown: {meant}one of {known}")]
    UnknownPolicy {
        /// As given.
        name: String,
        /// A did-you-mean with a trailing space, or nothing.
        meant: String,
        /// All that there are.
        known: String,
    },
    /// One that needs a forecast.
    #[error("policy \"{0}\" comes with the forecast, which is not part of this version")]
    Forecasting(String),
    /// Fewest above most.
    #[error("--min-replicas {min} is above {what} {max}: no number of replicas is allowed")]
    MinAboveMax {
        /// The fewest.
        min: u32,
        /// Whose most it is: a flag, or what it defaults to.
        what: &'static str,
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
    /// More than can be replayed.
    #[error(
        "{name} has {requests} requests after --rate-scale, at most {most} can be replayed: \
         lower --rate-scale, or give a shorter part"
    )]
    TooMany {
        /// The history.
        name: String,
        /// How many.
        requests: usize,
        /// How many are possible.
        most: usize,
    },
    /// The hardware carries none of these requests.
    #[error(
        "profile \"{profile}\" meets ttft {ttft:?} and tpot {tpot:?} for no rate of these requests \
         ({prompt:.0} prompt and {output:.0} output tokens in the mean): loosen the objectives or \
         take a faster profile"
    )]
    NoKnee {
        /// The profile.
        profile: String,
        /// Objective.
        ttft: std::time::Duration,
        /// Objective.
        tpot: std::time::Duration,
        /// Mean prompt tokens.
        prompt: f64,
        /// Mean output tokens.
        output: f64,
    },
    /// A key of the trigger that means nothing here.
    #[error("--metadata {key} does not act in a backtest: use one of {known}")]
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
