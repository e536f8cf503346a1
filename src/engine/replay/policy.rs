//! The policies that can be compared: data, each with its source and what was simplified.
//!
//! Given a name, promises the policy; `entry` says what one is. A law reads only what it is shown,
//! except static-peak, keda-queue-cron and oracle, which know the trace.

mod cron;
mod entry;
mod fixed;
#[cfg(test)]
mod fixture;
mod oracle;
mod prescale;
mod query;
mod queue;
mod slo;
mod utilization;

use crate::engine::replay::policy::fixed::STATIC_PEAK;
use crate::engine::replay::policy::oracle::ORACLE;
use crate::engine::replay::policy::prescale::PRESCALE_REACTIVE;
use crate::engine::replay::policy::queue::{KEDA_MULTI, KEDA_QUEUE, KEDA_QUEUE_CRON};
use crate::engine::replay::policy::slo::SLO_AWARE;
use crate::engine::replay::policy::utilization::{HPA_GPU, HPA_KV, HPA_RUNNING};

pub use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};

/// All policies, in the order in which they are shown.
pub const POLICIES: &[Policy] = &[
    STATIC_PEAK,
    KEDA_QUEUE,
    KEDA_QUEUE_CRON,
    KEDA_MULTI,
    HPA_KV,
    HPA_RUNNING,
    HPA_GPU,
    SLO_AWARE,
    PRESCALE_REACTIVE,
    ORACLE,
];

/// The policy of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}
