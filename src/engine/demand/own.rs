//! The user's own signals of role demand.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::setup::OwnRole;

/// One term per signal with a usable value: `value / target` for a total, `x ready` for a mean per
/// ready replica (which says nothing while no replica is ready).
#[must_use]
pub(super) fn terms(input: &Input<'_>) -> Vec<Term> {
    let signals = input.setup.own.iter().zip(&input.signals.outside.own);
    signals
        .filter(|(signal, _)| signal.role == OwnRole::Demand)
        .filter_map(|(signal, value)| {
            let scale = if signal.total { 1.0 } else { input.ready()? };
            let kind = TermKind::Own(signal.name.clone());
            Term::ratio(kind, (*value)? * scale, signal.target)
        })
        .collect()
}
