//! What goes into a replica and what comes out of it.

use std::time::Duration;

use crate::engine::replay::histogram::{Histogram, ITL_BOUNDS, REQUEST_BOUNDS, TTFT_BOUNDS};

/// A request as a replica gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// When it reached the gateway.
    pub arrived: Duration,
    /// When it reached this replica.
    pub queued: Duration,
    /// Tokens of the prompt; 0 counts as 1.
    pub prompt: u32,
    /// Those of them that the prefix cache answers: they cost no computing, and take room in the
    /// cache like any others (that sequences share such blocks is not modelled).
    pub cached: u32,
    /// Tokens to generate; 0 counts as 1.
    pub output: u32,
}

/// A request that just got its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstToken {
    /// When.
    pub at: Duration,
    /// Time since the request reached the gateway.
    pub ttft: Duration,
}

/// A request that was answered in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// When.
    pub at: Duration,
    /// From the gateway to the first token.
    pub ttft: Duration,
    /// From the gateway to the last token.
    pub e2e: Duration,
    /// Tokens generated.
    pub output: u32,
}

/// What happened while time passed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Events {
    /// First tokens sent.
    pub answered: Vec<FirstToken>,
    /// Requests finished.
    pub finished: Vec<Finished>,
    /// Clients that hung up before their first token.
    pub gave_up: u64,
}

impl Events {
    /// Forgets them, for the next span.
    pub fn clear(&mut self) {
        self.answered.clear();
        self.finished.clear();
        self.gave_up = 0;
    }
}

/// Totals since the replica began, as its page shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Prompt tokens of the requests that got a first token, cached ones included.
    pub prompt_tokens: u64,
    /// Those of them that the prefix cache answered.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub generation_tokens: u64,
    /// Requests finished.
    pub finished: u64,
    /// Sequences thrown out of a full KV cache.
    pub preemptions: u64,
    /// Requests refused because too many were in already, or because they can never fit.
    pub rejected: u64,
    /// Time spent in iterations: what a GPU's utilisation is made of.
    pub busy: Duration,
    /// Time to first token as the engine sees it, observed when the token is sent.
    pub ttft: Histogram,
    /// Time between tokens of a request.
    pub itl: Histogram,
    /// Time from the request's coming to its last token, observed then.
    pub e2e: Histogram,
    /// Time from the request's coming to its admission, observed when it finishes, as vLLM does.
    pub queue: Histogram,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            prompt_tokens: 0,
            cached_tokens: 0,
            generation_tokens: 0,
            finished: 0,
            preemptions: 0,
            rejected: 0,
            busy: Duration::ZERO,
            ttft: Histogram::new(&TTFT_BOUNDS),
            itl: Histogram::new(&ITL_BOUNDS),
            e2e: Histogram::new(&REQUEST_BOUNDS),
            queue: Histogram::new(&REQUEST_BOUNDS),
        }
    }
}
