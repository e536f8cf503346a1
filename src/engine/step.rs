//! One tick as a short list of named lines.

use crate::engine::arrived::Minute;
use crate::engine::decide::{Case, Facts, Plan, Timings, decide, headroom, need};
use crate::engine::decision::{Decision, Reason, State};
use crate::engine::demand::{Input, latency_ratio, trim_wanted};
use crate::engine::foresight::{Carries, measured};
use crate::engine::observation::Observation;
use crate::engine::setup::{Family, Setup};
use crate::engine::signals::{Bound, Signals};

pub use crate::engine::memory::Memory;

/// A decision, and the memory for the next tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to tell and why.
    pub decision: Decision,
    /// What to remember.
    pub memory: Memory,
    /// What arrived in the minute that ended since the last tick, for who keeps history.
    pub minute: Option<Minute>,
}

/// Decides. Total, deterministic, no I/O; `observation.at` is now.
#[must_use]
pub fn step(setup: &Setup, observation: &Observation, mut memory: Memory) -> Step {
    memory.capacity.seed(&setup.capacity);
    let timings = Timings::of(setup, &memory);
    let sized = memory.capacity.request_rate().is_some();
    let signals = Signals::read(setup, observation, &mut memory.pods, timings.stuck_after, sized);
    memory.pressure.note(&signals, &memory.capacity, timings.cold_start);
    let latency = latency(setup, observation, &signals, &memory);
    let ahead = memory.foresight.ahead(setup, observation.at, timings.lead);
    let input = Input {
        setup,
        signals: &signals,
        bound: Bound::Low,
        capacity: &memory.capacity,
        pressure: &memory.pressure,
        headroom: headroom(setup, ahead.as_ref()),
        cold_start: timings.cold_start,
        slow: latency.is_some_and(|ratio| ratio > 1.0),
    };
    let need = need(&input, memory.trim.value);
    let carries = Carries::of(&memory.capacity).beside(observation.workload.hpa_min);
    let minute = memory.foresight.note(setup, observation.at, measured(&input), carries);
    let plan = Plan::of(&input, ahead.as_ref(), &need, (&timings, &memory.foresight));
    let facts = Facts::gather(setup, &signals, &timings, &plan, &mut memory);
    memory.note_idle(setup, &signals, &facts);
    let (signals, need, timings) = (&signals, &need, &timings);
    let case = Case { setup, observation, signals, need, plan: &plan, timings };
    let mut decision = decide(&case, &facts, &mut memory);
    memory.learn(&case, decision.state, latency);
    decision.reasons.extend(known(setup, &memory, &decision));
    Step { decision, memory, minute }
}

fn latency(
    setup: &Setup,
    observation: &Observation,
    signals: &Signals,
    memory: &Memory,
) -> Option<f64> {
    let lasting = memory.pressure.lasting();
    latency_ratio(setup, observation, &signals.outside, lasting)
}

/// What of the learning a reader has to know to understand the decision.
fn known(setup: &Setup, memory: &Memory, decision: &Decision) -> Vec<Reason> {
    let driven = matches!(decision.state, State::Fresh | State::Partial);
    let unknown = setup.family == Family::Llm && memory.capacity.request_rate().is_none();
    let trim = memory.trim.value;
    let at_bound = trim_wanted(setup) && memory.trim.at_bound();
    [
        (driven && unknown).then_some(Reason::CapacityUnknown),
        at_bound.then_some(Reason::TrimAtBound { trim }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Memory {
    /// Positive evidence of idleness, of demand, or neither.
    fn note_idle(&mut self, setup: &Setup, signals: &Signals, facts: &Facts) {
        let fresh = crate::engine::decide::state(facts) == State::Fresh;
        let idle = signals
            .all_demand(setup)
            .filter(|_| fresh)
            .map(|demand| demand <= 0.0 && signals.supply.loading == 0);
        // Whoever asked for a pod will use it: it stays for a whole idle window from then on.
        let idle = if facts.asked.is_some() { Some(false) } else { idle };
        self.idle.note(idle, signals.fresh.now, setup.tick);
    }

    /// Learns from a tick that was decided: only what is complete teaches.
    fn learn(&mut self, case: &Case<'_>, state: State, latency: Option<f64>) {
        let Case { setup, observation, signals, .. } = case;
        self.cold_starts.learn(observation, &mut self.pods, &mut self.cold_start_stages);
        let complete = state == State::Fresh;
        if complete && setup.family == Family::Llm {
            self.capacity.learn(signals, latency.is_some_and(|ratio| ratio > 1.0));
        }
        let ratio = latency.filter(|_| complete && signals.supply.loading == 0);
        self.trim.follow(ratio, trim_wanted(setup), observation.at);
    }
}
