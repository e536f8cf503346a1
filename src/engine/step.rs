//! One tick as a short list of named lines.

use serde::{Deserialize, Serialize};

use crate::engine::decision::{Decision, Refusal, State, Verdict};
use crate::engine::observation::Observation;
use crate::engine::setup::Setup;

/// What the engine remembers of a workload between ticks: down-window, capacity, wakes.
///
/// Serialisable, so that it can be inherited by an edited setup and stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {}

/// A decision, and the memory for the next tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to tell and why.
    pub decision: Decision,
    /// What to remember.
    pub memory: Memory,
}

/// Decides. Total, deterministic, no I/O; `observation.at` is now.
#[must_use]
pub fn step(setup: &Setup, observation: &Observation, memory: Memory) -> Step {
    let _ = setup;
    let refusal = Verdict::Refuse(Refusal::NoData { text: "engine not built yet".to_owned() });
    let decision = Decision {
        at: observation.at,
        state: State::Cold,
        verdict: refusal.clone(),
        unmasked: refusal,
        terms: Vec::new(),
        reasons: Vec::new(),
        data_age: None,
        current: None,
        ready: None,
        serving: false,
    };
    Step { decision, memory }
}
