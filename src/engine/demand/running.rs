//! `D_run`: while G is unknown, running requests over the most that a replica ran without a queue.
//!
//! That number is censored: a replica that was never busy has shown nothing. So the term keeps what
//! is there and never asks for more than is ready; growth is left to the KV term and to a lasting
//! queue.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::observation::Role;

/// Every engine with a preset batches at least this many requests by default (llama.cpp's four slots
/// are the fewest); a fleet that was never busier must not be pinned to its size by a quiet past.
const BATCH_MIN: f64 = 4.0;

/// The term; absent once G is known, or while nothing ran without a queue.
#[must_use]
pub(super) fn term(input: &Input<'_>) -> Option<Term> {
    if input.capacity.request_rate().is_some() {
        return None;
    }
    need(input)
}

/// The same, whether G is known or not.
#[must_use]
pub(super) fn need(input: &Input<'_>) -> Option<Term> {
    let most = input.capacity.running_without_queue?.max(BATCH_MIN);
    let term = Term::ratio(TermKind::Running, input.level(Role::Running)?, most)?;
    Some(term.at_most(input.ready()?))
}
