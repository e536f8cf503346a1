//! What a policy is, as data: its words, its one number, who acts on it, and what it may know.
//!
//! The policies themselves are its siblings; the table of them is left to the parent.

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

impl Context {
    /// `replicas` within the limits; the upper one wins where they contradict.
    #[must_use]
    pub fn within(&self, replicas: u32) -> u32 {
        replicas.max(self.limits.0).min(self.limits.1)
    }

    /// Whether the workload may have no replica at all.
    #[must_use]
    pub const fn may_sleep(&self) -> bool {
        self.limits.0 == 0
    }

    /// An HPA without `behavior` and with these limits: what Kubernetes and KEDA leave it at unless
    /// told. An HPA has one replica at least.
    #[must_use]
    pub fn plain_hpa(&self) -> Behavior {
        let min = self.limits.0.max(1);
        Behavior::plain(min, self.limits.1.max(min))
    }
}

/// The one number of a policy that is swept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knob {
    /// What it is, in the policy's own words.
    pub name: &'static str,
    /// What its source ships or recommends.
    pub default: f64,
    /// What a sweep tries, from cheap to safe.
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
    /// `minReplicaCount`; 0 lets KEDA put the workload to sleep, and only then activity matters.
    pub min: u32,
    /// The HPA's behaviour.
    pub hpa: Behavior,
}

impl Keda {
    /// A ScaledObject that polls, with an HPA that nobody told how to behave; seconds.
    #[must_use]
    pub fn polled(context: &Context, polling: u64, cooldown: u64) -> Self {
        Self {
            polling: Duration::from_secs(polling),
            cooldown: Duration::from_secs(cooldown),
            push: false,
            min: context.limits.0,
            hpa: context.plain_hpa(),
        }
    }

    /// No KEDA: nothing ever sleeps, and the HPA reads at each of its own syncs.
    #[must_use]
    pub fn hpa_only(context: &Context) -> Self {
        let keda = Self::polled(context, 30, 300);
        Self { min: keda.hpa.min, ..keda }
    }

    /// The ScaledObject that the README recommends for prescale's own trigger (`external-push`), with
    /// the fewest and most replicas in `limits`.
    #[must_use]
    pub fn recommended((min, max): (u32, u32)) -> Self {
        let floor = min.max(1);
        Self {
            polling: Duration::from_secs(5),
            cooldown: Duration::from_mins(1),
            push: true,
            min,
            hpa: Behavior::shipped(floor, max.max(floor)),
        }
    }
}

/// One policy.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub about: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// How it differs from the original here.
    pub simplifications: &'static [&'static str],
    /// What is swept; `None`: nothing to turn.
    pub knob: Option<Knob>,
    /// How often it looks.
    pub every: Duration,
    /// The latency quantile it reads, 0..1; `None`: it reads none, or is content with the run's.
    pub quantile: Option<f64>,
    /// Time between scrapes where it has a metrics pipeline of its own; `None`: Prometheus'.
    pub scrape: Option<Duration>,
    /// Who acts.
    pub actuator: fn(&Context) -> Actuator,
    /// The law at a setting of the knob.
    pub law: fn(&Context, f64) -> Box<dyn Law>,
}
