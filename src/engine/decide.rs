//! From demand and knowledge to a decision: the safety states, and the count each of them wants.
//!
//! Given a tick in numbers, its need and the memory; promises a decision with reasons for every
//! state, and that missing, poisoned or partial data never lowers it.

mod ahead;
mod case;
mod down;
mod facts;
mod floors;
mod need;
mod table;
mod tell;
mod timings;

use crate::engine::decision::{Block, Decision, Limit, Reason, State, Verdict};
use crate::engine::demand::{Input, activation};
use crate::engine::memory::Memory;
use crate::engine::units::Replicas;

pub use ahead::{Plan, headroom};
pub use case::Case;
pub use facts::Facts;
pub use floors::Floors;
pub use need::Need;
pub use table::state;
pub use tell::max_replicas;
pub use timings::Timings;

/// Decides, and notes in `memory` what the next tick has to know.
#[must_use]
pub fn decide(case: &Case<'_>, facts: &Facts, memory: &mut Memory) -> Decision {
    let state = table::state(facts);
    let mut reasons = Facts::reasons(case.signals, case.observation, case.setup, case.timings);
    let want = wanted(case, state, facts, memory, &mut reasons);
    let want = want.map(|want| want.max(facts.floors.replicas()));
    reasons.extend(facts.floors.reasons());
    reasons.extend(case.plan.reason(case.need.up));
    let allowed = tell::max_replicas(case.setup, case.observation) > 0;
    reasons.extend(facts.asked.filter(|_| allowed).map(|age| Reason::Asked { age }));
    let current = case.signals.supply.current;
    let unmasked = match want {
        Some(want) => {
            let (want, limit) = tell::limited(case.setup, case.observation, want);
            reasons.extend(limit.filter(|_| !matches!(state, State::Asleep | State::AsleepBlind)));
            memory.last = Some(want);
            let (verdict, tolerance) = tell::scale(case.setup, case.observation, want, current);
            reasons.extend(tolerance);
            verdict
        }
        None => refused(case, state, facts, &mut reasons),
    };
    memory.served = serves(facts, memory) && memory.last != Some(0);
    let (verdict, shadow) = tell::masked(case.setup, &unmasked);
    reasons.extend(shadow);
    Decision {
        at: case.observation.at,
        state,
        verdict,
        unmasked,
        terms: case.need.terms.clone(),
        reasons,
        data_age: facts.age,
        current: current.map(Replicas::new),
        ready: case.signals.supply.ready.map(Replicas::new),
        serving: memory.served,
        foreseen: case.plan.foreseen,
    }
}

/// The count that a state wants, before limits; `None` when no number can be given.
fn wanted(
    case: &Case<'_>,
    state: State,
    facts: &Facts,
    memory: &mut Memory,
    reasons: &mut Vec<Reason>,
) -> Option<u32> {
    match state {
        State::Fresh => {
            reasons.push(Reason::Need { replicas: case.need.up });
            let (want, why) = down::follow(case, facts.floors.replicas(), memory);
            reasons.extend(why);
            Some(want)
        }
        State::Partial | State::Hold => {
            if let Some(age) = facts.age.filter(|age| *age > facts.fresh_limit) {
                reasons.push(Reason::Stale { age });
            }
            held(case, facts, memory, reasons)
        }
        State::Waking => Some(woken(case, facts, memory, reasons)),
        State::Asleep | State::AsleepBlind => {
            reasons.push(asleep(state, case, facts, memory));
            reasons.extend((!facts.sees_zero).then_some(Reason::NoWakePath));
            Some(0)
        }
        State::Cold if facts.at_zero => {
            reasons.push(Reason::NoWakePath);
            Some(0)
        }
        State::Cold => floored(case, facts, memory, reasons),
        State::Blind => None,
    }
}

/// Where there never was data a floor is a number, once somebody counts the replicas who knows of all
/// of them: it must not lower what is there.
fn floored(
    case: &Case<'_>,
    facts: &Facts,
    memory: &Memory,
    reasons: &mut Vec<Reason>,
) -> Option<u32> {
    let (supply, wanted) = (&case.signals.supply, facts.floors.replicas());
    let all = !supply.by_pods && !supply.by_address && wanted > 0;
    let current = supply.current.filter(|_| all)?;
    let kept = current.max(supply.ready_pods()).max(memory.last.unwrap_or(0));
    let block = Block::Incomplete;
    reasons.extend((kept > wanted).then_some(Reason::Kept { wanted, kept, block }));
    Some(kept)
}

/// The last good decision, or more where what can be read needs more. With partial data the high
/// reading goes into the down-window, so that the way down knows of it once data is complete.
/// `None` where there is neither: of how many replicas there are nothing is known.
fn held(
    case: &Case<'_>,
    facts: &Facts,
    memory: &mut Memory,
    reasons: &mut Vec<Reason>,
) -> Option<u32> {
    let current = case.signals.supply.current;
    let last = memory.last.or(current)?;
    let need = case.need.up;
    // Pods that answer outweigh a count of zero, except where zero was wanted: those are leaving.
    let answering = case.signals.supply.read > 0 && memory.last != Some(0);
    let someone = u32::from(current != Some(0) || answering || facts.asked.is_some());
    let want = last.max(need).max(someone);
    reasons.push(Reason::Held { replicas: last });
    if need > last {
        reasons.push(Reason::Need { replicas: need });
    }
    let now = case.signals.fresh.now;
    if !memory.window.begins(now, case.setup.tick) && case.signals.newest.is_some() {
        let down = case.need.down.max(last);
        memory.window.note(now, down, case.timings.window);
        memory.unrest.note(now, (need, down), case.timings.soon);
    }
    Some(want)
}

/// At least one until a pod serves; never less than before while pods are on their way.
fn woken(case: &Case<'_>, facts: &Facts, memory: &Memory, reasons: &mut Vec<Reason>) -> u32 {
    let now = case.signals.fresh.now;
    let (demand, activation) = (case.signals.outside.activation, case.setup.activation);
    if demand > activation {
        reasons.push(Reason::Wake { demand, activation });
    }
    if let Some(remaining) = memory.wake.remaining(now) {
        reasons.push(Reason::Lease { remaining });
    }
    let current = case.signals.supply.current.unwrap_or(0);
    let before = memory.last.unwrap_or(if facts.at_zero { 0 } else { current });
    before.max(case.need.up).max(1)
}

fn asleep(state: State, case: &Case<'_>, facts: &Facts, memory: &Memory) -> Reason {
    let wanted = case.need.up.max(1);
    let asked = case.signals.outside.activation > case.setup.activation || facts.asked.is_some();
    if asked && tell::max_replicas(case.setup, case.observation) == 0 {
        return Reason::Limited { limit: Limit::ScheduledMax, wanted, allowed: 0 };
    }
    match memory.wake.retry_in(case.signals.fresh.now) {
        Some(retry) => Reason::WakeExpired { retry },
        None if state == State::AsleepBlind => Reason::ActivationUnreadable,
        None => Reason::NoDemand,
    }
}

fn refused(case: &Case<'_>, state: State, facts: &Facts, reasons: &mut Vec<Reason>) -> Verdict {
    if let Some(age) = facts.age {
        reasons.push(Reason::Stale { age });
    }
    let current = case.signals.supply.current;
    let (demand, activation) = (case.signals.outside.activation, case.setup.activation);
    let allowed = tell::max_replicas(case.setup, case.observation) > 0;
    if demand > activation && allowed {
        // No number, but active: KEDA wakes from zero on that, and keeps any other count.
        reasons.push(Reason::Wake { demand, activation });
    }
    let least = facts.floors.replicas();
    if let Some((verdict, reason)) = tell::on_no_data(case.setup, case.observation, current, least)
    {
        reasons.push(reason);
        return verdict;
    }
    reasons.push(Reason::NoNumber);
    Verdict::Refuse(tell::refusal(state, facts.age, case.observation))
}

/// Whether pods have served in this active period.
fn serves(facts: &Facts, memory: &Memory) -> bool {
    (facts.serving && facts.read && !facts.at_zero) || (memory.served && !facts.at_zero)
}

/// Demand of a tick: the low reading, with what is held while there are no pods, and the high one.
#[must_use]
pub fn need(input: &Input<'_>, trim: f64) -> Need {
    let low = Input { bound: crate::engine::signals::Bound::Low, ..*input };
    let high = Input { bound: crate::engine::signals::Bound::High, ..*input };
    let mut terms = crate::engine::demand::terms(&low, trim);
    // Only where it is known that nothing serves: the gateway may count what is in flight.
    let supply = &input.signals.supply;
    if supply.ready_pods() == 0 && (supply.current == Some(0) || supply.ready == Some(0)) {
        terms.extend(activation(&low));
        terms.sort_by(|a, b| b.replicas.total_cmp(&a.replicas));
    }
    Need::of(input.headroom, terms, &crate::engine::demand::terms(&high, trim))
}
