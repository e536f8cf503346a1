//! Requests held while there are no pods, in replicas: what a wake asks for.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;

/// Held requests over what one replica should carry; the first that is known: `concurrency`,
/// `queueDepth`, what it serves while the next one starts. `None` when nothing is: then one replica is
/// asked for, and its own signals say the rest. The most a replica ran without a queue is no divisor
/// here: a quiet past would turn one burst into a fleet.
#[must_use]
pub fn term(input: &Input<'_>) -> Option<Term> {
    let targets = &input.setup.targets;
    let served = || Some(input.capacity.request_rate()? * input.drain_seconds());
    let per_replica = targets.concurrency.or(targets.queue_depth).or_else(served)?;
    Term::ratio(TermKind::Activation, input.signals.outside.held?, per_replica)
}
