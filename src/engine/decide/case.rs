//! Everything one decision is made from, gathered.

use crate::engine::decide::ahead::Plan;
use crate::engine::decide::need::Need;
use crate::engine::decide::timings::Timings;
use crate::engine::observation::Observation;
use crate::engine::setup::Setup;
use crate::engine::signals::Signals;

/// What a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the user asked for.
    pub setup: &'a Setup,
    /// What was read.
    pub observation: &'a Observation,
    /// The tick in numbers.
    pub signals: &'a Signals,
    /// Demand.
    pub need: &'a Need,
    /// What is wanted ahead of demand.
    pub plan: &'a Plan,
    /// The workload's timings.
    pub timings: &'a Timings,
}
