//! The policies that can be compared: data, each with its source and what was simplified.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::hpa::Behavior;
use crate::engine::replay::law::Law;
use crate::engine::replay::profile::Profile;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::score::Objectives;
use crate::engine::setup::Setup;
use crate::engine::units::Timestamp;

/// What a policy may know before the run.
#[derive(Debug, Clone)]
pub struct Context {
    /// What a request must meet.
    pub objectives: Objectives,
    /// Fewest and most replicas.
    pub limits: (u32, u32),
    /// The hardware.
    pub profile: Profile,
    /// Requests per second of the trace's mix that one replica carries at saturation, measured.
    pub knee: f64,
    /// Mean cold start.
    pub cold_start: Duration,
    /// What prescale's trigger says.
    pub setup: Setup,
    /// The requests: for the clairvoyant, and for what an operator would set after a look at history.
    pub arrivals: Arc<[Arrival]>,
    /// Length of the run.
    pub length: Duration,
    /// The instant at which it begins.
    pub origin: Timestamp,
}

/// The one number of a policy that is swept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knob {
    /// What it is, in the policy's own words.
    pub name: &'static str,
    /// What its source ships or recommends.
    pub default: f64,
    /// What a sweep tries.
    pub values: &'static [f64],
}

/// Who acts on a law's answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Actuator {
    /// Its own controller: [`Answer::replicas`](crate::engine::replay::law::Answer) is set at once.
    Direct,
    /// KEDA and the HPA.
    Keda(Keda),
}

/// A ScaledObject, as far as it matters for timing.
#[derive(Debug, Clone, PartialEq)]
pub struct Keda {
    /// `pollingInterval`.
    pub polling: Duration,
    /// `cooldownPeriod`.
    pub cooldown: Duration,
    /// Whether `true` is pushed as soon as the law says it (`external-push`).
    pub push: bool,
    /// The HPA's behaviour.
    pub hpa: Behavior,
}

/// One policy.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for a table's legend.
    pub about: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// How it differs from the original here.
    pub simplifications: &'static [&'static str],
    /// What is swept; `None`: nothing to turn.
    pub knob: Option<Knob>,
    /// How often it looks.
    pub every: Duration,
    /// Who acts.
    pub actuator: fn(&Context) -> Actuator,
    /// The law at a setting of the knob.
    pub law: fn(&Context, f64) -> Box<dyn Law>,
}
