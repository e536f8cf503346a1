//! What must hold of every decision, whatever was read: counted in production, fatal in tests.
//!
//! Given the inputs of a step and its result, apart from the code that decides; promises to name
//! each rule that is broken.

use serde::{Deserialize, Serialize};

use crate::engine::decide::max_replicas;
use crate::engine::decision::{Decision, Reason, State, Verdict};
use crate::engine::memory::Memory;
use crate::engine::observation::Observation;
use crate::engine::setup::{OnNoData, Setup, Strategy};

/// A rule of DESIGN 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// Every number is finite and not negative, every count within [0, maxReplicas].
    InRange,
    /// Missing, poisoned or partial data never lowers the decision.
    NeverLoweredBlindly,
    /// A serving workload is made inactive only fresh, complete and idle for the idle window.
    SleepsOnEvidence,
    /// Active exactly when more than zero replicas are wanted.
    ActiveMeansReplicas,
    /// Shadow sends 0 and inactive, everything else sends what was decided.
    MaskedOnlyInShadow,
    /// Every decision carries its reasons.
    HasReasons,
}

impl Invariant {
    /// All of them, for metrics.
    pub const ALL: [Self; 6] = [
        Self::InRange,
        Self::NeverLoweredBlindly,
        Self::SleepsOnEvidence,
        Self::ActiveMeansReplicas,
        Self::MaskedOnlyInShadow,
        Self::HasReasons,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InRange => "in_range",
            Self::NeverLoweredBlindly => "never_lowered_blindly",
            Self::SleepsOnEvidence => "sleeps_on_evidence",
            Self::ActiveMeansReplicas => "active_means_replicas",
            Self::MaskedOnlyInShadow => "masked_only_in_shadow",
            Self::HasReasons => "has_reasons",
        }
    }
}

/// The rules that `decision` breaks, given what it was made from; empty when all is well.
#[must_use]
pub fn violations(
    setup: &Setup,
    observation: &Observation,
    before: &Memory,
    decision: &Decision,
) -> Vec<Invariant> {
    let max = max_replicas(setup, observation);
    let rules = [
        (in_range(decision, max), Invariant::InRange),
        (not_lowered_blindly(setup, before, decision, max), Invariant::NeverLoweredBlindly),
        (sleeps_on_evidence(setup, before, decision, max), Invariant::SleepsOnEvidence),
        (active_means_replicas(decision), Invariant::ActiveMeansReplicas),
        (masked_only_in_shadow(setup, decision), Invariant::MaskedOnlyInShadow),
        (!decision.reasons.is_empty(), Invariant::HasReasons),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| rule).collect()
}

/// (replicas, sent, active) of a number.
const fn number(verdict: &Verdict) -> Option<(u32, u32, bool)> {
    match verdict {
        Verdict::Scale { replicas, sent, active } => Some((replicas.get(), sent.get(), *active)),
        Verdict::Refuse(_) => None,
    }
}

fn in_range(decision: &Decision, max: u32) -> bool {
    let within = |verdict: &Verdict| {
        number(verdict).is_none_or(|(replicas, sent, _)| replicas <= max && sent <= max)
    };
    let sane = |value: f64| value.is_finite() && value >= 0.0;
    let terms = decision.terms.iter().all(|term| {
        sane(term.replicas)
            && sane(term.value)
            && sane(term.backlog)
            && sane(term.trim)
            && term.per_replica.is_none_or(sane)
    });
    within(&decision.verdict) && within(&decision.unmasked) && terms
}

/// Only fresh data lowers; zero known to be zero is no lowering, nor is giving up a wake.
fn not_lowered_blindly(setup: &Setup, before: &Memory, decision: &Decision, max: u32) -> bool {
    let Some((replicas, sent, _)) = number(&decision.unmasked) else { return true };
    let last = before.last.unwrap_or(0).min(max);
    let excused = match decision.state {
        State::Fresh => true,
        State::Asleep | State::AsleepBlind => at_zero(before, decision) || gave_up(decision),
        State::Cold | State::Blind => {
            setup.on_no_data != OnNoData::Hold || at_zero(before, decision)
        }
        State::Hold | State::Waking | State::Partial => false,
    };
    sent >= replicas && (excused || replicas >= last)
}

fn sleeps_on_evidence(setup: &Setup, before: &Memory, decision: &Decision, max: u32) -> bool {
    let Some((_, _, active)) = number(&decision.unmasked) else { return true };
    let idle = decision
        .reasons
        .iter()
        .any(|reason| matches!(reason, Reason::Sleep { idle } if *idle >= setup.idle_after));
    let loading = decision.reasons.iter().any(|reason| matches!(reason, Reason::Loading { .. }));
    let no_data =
        matches!(decision.state, State::Cold | State::Blind) && setup.on_no_data != OnNoData::Hold;
    let evidence = decision.state == State::Fresh && idle && !loading;
    active || evidence || at_zero(before, decision) || gave_up(decision) || no_data || max == 0
}

fn at_zero(before: &Memory, decision: &Decision) -> bool {
    decision.current.map_or(before.last == Some(0), |current| current.get() == 0)
}

fn gave_up(decision: &Decision) -> bool {
    decision.reasons.iter().any(|reason| matches!(reason, Reason::WakeExpired { .. }))
}

fn active_means_replicas(decision: &Decision) -> bool {
    [&decision.verdict, &decision.unmasked]
        .into_iter()
        .filter_map(number)
        .all(|(replicas, _, active)| active == (replicas > 0))
}

fn masked_only_in_shadow(setup: &Setup, decision: &Decision) -> bool {
    if setup.strategy == Strategy::Shadow {
        number(&decision.verdict) == Some((0, 0, false))
    } else {
        decision.verdict == decision.unmasked
    }
}
