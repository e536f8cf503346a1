//! What arrived in one minute: the record that history, store and forecast have in common.
//!
//! Raw counts, not replicas: what a replica carries is learned anew, and history must not be wrong
//! because capacity was. What was not counted is `None`, never zero.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;

/// Prompt tokens that cost a replica as much as one output token. Engines prefill about ten times as
/// many tokens per second as they generate with full batches.
pub const PROMPT_PER_OUTPUT: f64 = 10.0;

/// What arrived in one minute, per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// When the minute began: a multiple of [`Minute::LENGTH`] since the epoch.
    pub at: Timestamp,
    /// Requests per second.
    pub requests: Option<f64>,
    /// Their work per second in output tokens: output, and uncached prompt tokens over
    /// [`PROMPT_PER_OUTPUT`].
    pub work: Option<f64>,
    /// Where neither is what counts (GPU targets, own signals): demand in replicas, its mean.
    pub replicas: Option<f64>,
}

impl Minute {
    /// A minute.
    pub const LENGTH: Duration = Duration::from_mins(1);

    /// A minute of which nothing is known.
    #[must_use]
    pub const fn unknown(at: Timestamp) -> Self {
        Self { at, requests: None, work: None, replicas: None }
    }

    /// Whether anything is known of it.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.requests.is_some() || self.work.is_some() || self.replicas.is_some()
    }

    /// Work per second, in output tokens, of `output` and `uncached` prompt tokens per second.
    #[must_use]
    pub fn work_of(output: f64, uncached: f64) -> f64 {
        output + uncached / PROMPT_PER_OUTPUT
    }
}
