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
use crate::engine::units::Replicas;

/// A rule of docs/safety.md.
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

/// Only fresh data lowers, and a maximum, by the calendar too; zero known to be zero is no lowering, nor
/// is giving up a wake. Where nothing was decided before, a floor in the cold is not below what is there.
fn not_lowered_blindly(setup: &Setup, before: &Memory, decision: &Decision, max: u32) -> bool {
    let Some((replicas, sent, _)) = number(&decision.unmasked) else { return true };
    let there = decision.current.filter(|_| decision.state == State::Cold).map(Replicas::get);
    let last = before.last.or(there).unwrap_or(0).min(max);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Invariant, number, violations};
    use crate::engine::calendar::Calendar;
    use crate::engine::decision::{Decision, Reason, State, Term, TermKind, Verdict};
    use crate::engine::memory::Memory;
    use crate::engine::observation::Observation;
    use crate::engine::setup::{
        CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives, OnNoData, Setup, Strategy,
        Targets,
    };
    use crate::engine::units::{Ratio, Replicas, Timestamp};

    fn setup() -> Setup {
        Setup {
            family: Family::Llm,
            has_kv: true,
            prefill_waits: false,
            targets: Targets::default(),
            gpu: GpuTargets::default(),
            objectives: Objectives::default(),
            own: Vec::new(),
            activation: 0.0,
            wake_path: false,
            idle_after: Duration::from_mins(5),
            activation_timeout: None,
            strategy: Strategy::Auto,
            lead: Lead::Learned,
            capacity: CapacitySeed::default(),
            min_replicas: None,
            max_replicas: Some(Replicas::new(8)),
            replicas_limit: Replicas::new(1000),
            calendar: Calendar::default(),
            headroom: Ratio::try_new(0.7).unwrap(),
            on_no_data: OnNoData::Hold,
            hpa_tolerance: None,
            forecast: Forecasting::default(),
            tick: Duration::from_secs(15),
        }
    }

    fn scale(replicas: u32, sent: u32, active: bool) -> Verdict {
        Verdict::Scale { replicas: Replicas::new(replicas), sent: Replicas::new(sent), active }
    }

    /// A decision in `state` after four replicas, with four there.
    fn broken(state: State, verdict: Verdict, change: impl Fn(&mut Decision)) -> Vec<Invariant> {
        let mut decision = Decision {
            at: Timestamp::from_unix_ms(0),
            state,
            unmasked: verdict.clone(),
            verdict,
            terms: Vec::new(),
            reasons: vec![Reason::NoDemand],
            data_age: None,
            current: Some(Replicas::new(4)),
            ready: Some(Replicas::new(4)),
            serving: true,
            foreseen: None,
        };
        change(&mut decision);
        let memory = Memory { last: Some(4), ..Memory::default() };
        violations(&setup(), &Observation::empty(decision.at), &memory, &decision)
    }

    #[test]
    fn every_broken_rule_is_named() {
        let none = |_: &mut Decision| {};
        assert_eq!(broken(State::Fresh, scale(2, 2, true), none), []);
        assert_eq!(broken(State::Hold, scale(4, 4, true), none), []);
        for state in [State::Hold, State::Partial, State::Waking, State::Asleep, State::Blind] {
            let rules = broken(state, scale(2, 2, true), none);
            assert_eq!(rules, [Invariant::NeverLoweredBlindly], "{state}");
        }
        let zero = broken(State::Fresh, scale(0, 0, false), none);
        assert_eq!(zero, [Invariant::SleepsOnEvidence]);
        let slept = broken(State::Fresh, scale(0, 0, false), |decision| {
            decision.reasons = vec![Reason::Sleep { idle: Duration::from_mins(5) }];
        });
        assert_eq!(slept, []);
        assert_eq!(broken(State::Fresh, scale(9, 9, true), none), [Invariant::InRange]);
        let active = broken(State::Fresh, scale(4, 4, false), none);
        assert!(active.contains(&Invariant::ActiveMeansReplicas));
        let masked = broken(State::Fresh, scale(4, 4, true), |decision| {
            decision.verdict = scale(0, 0, false);
        });
        assert_eq!(masked, [Invariant::MaskedOnlyInShadow]);
        let mute = broken(State::Fresh, scale(4, 4, true), |decision| decision.reasons.clear());
        assert_eq!(mute, [Invariant::HasReasons]);
        let wild = broken(State::Fresh, scale(4, 4, true), |decision| {
            decision.terms = vec![Term::flat(TermKind::Rate, f64::NAN, 4.0)];
        });
        assert_eq!(wild, [Invariant::InRange]);
        assert_eq!(number(&scale(1, 2, true)), Some((1, 2, true)));
    }
}
