//! Demand in whole replicas: what is certainly needed, and what the way down must leave.

use crate::engine::decision::Term;
use crate::engine::demand::largest;
use crate::engine::numeric::replicas_ceil;
use crate::engine::units::Ratio;

/// Demand in whole replicas and the terms behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// The terms of the low reading, the largest first.
    pub terms: Vec<Term>,
    /// Replicas that are certainly needed: up follows this.
    pub up: u32,
    /// Replicas below which the survivors might not stay under target: down follows this.
    pub down: u32,
}

/// The survivors of a step down keep this much of `headroom` free: a dead band of three points,
/// because a wider one costs a whole replica in small fleets.
const DEAD_BAND: f64 = 0.03;

impl Need {
    /// From the low and the high reading at the headroom in force.
    #[must_use]
    pub fn of(headroom: Ratio, low: Vec<Term>, high: &[Term]) -> Self {
        let headroom = headroom.get();
        let room = headroom / (headroom - DEAD_BAND).max(headroom / 2.0).max(f64::MIN_POSITIVE);
        let up = replicas_ceil(largest(&low));
        let down = replicas_ceil(largest(high) * room.clamp(1.0, 2.0)).max(up);
        Self { terms: low, up, down }
    }
}
