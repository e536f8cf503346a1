//! A request before it reaches a replica.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One request as it reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When, since the beginning of the run.
    pub at: Duration,
    /// Tokens of the prompt, at least 1.
    pub prompt: u32,
    /// Prompt tokens that a warm prefix cache answers; fewer than `prompt`.
    pub cached: u32,
    /// Tokens it will generate, at least 1.
    pub output: u32,
}
