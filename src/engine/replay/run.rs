//! The loop: the world lives, pods are scraped, the law looks, KEDA and the HPA act.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::law::Law;
use crate::engine::replay::policy::Actuator;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::score::{Objectives, Trial};
use crate::engine::replay::scrape::Pipeline;
use crate::engine::units::Timestamp;

/// Everything of a run but the policy.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What arrives.
    pub arrivals: Arc<[Arrival]>,
    /// How long it lasts; requests still inside then are followed for at most ten minutes more.
    pub length: Duration,
    /// The instant at which it begins.
    pub origin: Timestamp,
    /// What a request must meet.
    pub objectives: Objectives,
    /// Replicas that serve at the beginning.
    pub initial: u32,
    /// Draws cold starts and phases.
    pub seed: u64,
    /// What the law sees.
    pub pipeline: Pipeline,
}

/// Runs `law`, looked at every `every`, with `actuator`, through `scene`.
#[must_use]
pub fn run(_scene: &Scene, _law: &mut dyn Law, _every: Duration, _actuator: &Actuator) -> Trial {
    Trial::default()
}
