//! What a lasting queue asks for, as a term.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::demand::pressure::Cause;
use crate::engine::observation::Role;

/// The term; absent while no queue lasts, or something else sizes it.
#[must_use]
pub(super) fn term(input: &Input<'_>) -> Option<Term> {
    let asked = input.pressure.asked?;
    let replicas = f64::from(asked.replicas);
    Some(match asked.cause {
        Cause::Unknown => {
            Term::flat(TermKind::Queue, input.level(Role::Waiting).unwrap_or(0.0), replicas)
        }
        Cause::Degraded(ratio) => Term::flat(TermKind::Degradation, ratio, replicas),
    })
}
