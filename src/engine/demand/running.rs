//! `D_run`: while G is unknown, running requests over the most that a replica ran without a queue.
//!
//! That number is censored: a replica that was never busy has shown nothing. So the term keeps what
//! is there and never asks for more than is ready; growth is left to the KV term and to a lasting
//! queue.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::observation::Role;

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
    let most = input.capacity.running_without_queue?;
    let term = Term::ratio(TermKind::Running, input.level(Role::Running)?, most)?;
    Some(term.at_most(input.ready()?))
}
