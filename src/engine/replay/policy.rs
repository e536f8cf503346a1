//! The policies that can be compared: data, each with its source and what was simplified.
//!
//! Given a name, promises the policy; `entry` says what one is. A law reads only what it is shown,
//! except static-peak, keda-queue-cron, nowcast and oracle, which know the trace, and slo-aware,
//! whose predictor knows what a replica carries of it.

mod ahpa;
mod cron;
mod entry;
mod fixed;
#[cfg(test)]
mod fixture;
mod kedastral;
mod knative;
mod nowcast;
mod oracle;
mod prescale;
mod query;
mod queue;
mod retention;
mod slo;
mod utilization;
mod wva_v1;
mod wva_v2;

use crate::engine::replay::policy::ahpa::AHPA_LIKE;
use crate::engine::replay::policy::fixed::STATIC_PEAK;
use crate::engine::replay::policy::kedastral::KEDASTRAL_LIKE;
use crate::engine::replay::policy::knative::KNATIVE_KPA;
use crate::engine::replay::policy::nowcast::NOWCAST;
use crate::engine::replay::policy::oracle::ORACLE;
use crate::engine::replay::policy::prescale::{
    PRESCALE_AUTO, PRESCALE_PROACTIVE, PRESCALE_REACTIVE,
};
use crate::engine::replay::policy::queue::{KEDA_MULTI, KEDA_QUEUE, KEDA_QUEUE_CRON};
use crate::engine::replay::policy::slo::SLO_AWARE;
use crate::engine::replay::policy::utilization::{HPA_GPU, HPA_KV, HPA_RUNNING};
use crate::engine::replay::policy::wva_v1::WVA_V1;
use crate::engine::replay::policy::wva_v2::WVA_V2;

pub use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
pub use crate::engine::replay::policy::prescale::Reactive;

/// All policies, in the order in which they are shown.
pub const POLICIES: &[Policy] = &[
    STATIC_PEAK,
    KEDA_QUEUE,
    KEDA_QUEUE_CRON,
    KEDA_MULTI,
    HPA_KV,
    HPA_RUNNING,
    HPA_GPU,
    WVA_V1,
    WVA_V2,
    SLO_AWARE,
    KNATIVE_KPA,
    AHPA_LIKE,
    KEDASTRAL_LIKE,
    PRESCALE_REACTIVE,
    PRESCALE_AUTO,
    PRESCALE_PROACTIVE,
    NOWCAST,
    ORACLE,
];

/// The policy of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{POLICIES, Policy, find};
    use crate::engine::observation::Role;
    use crate::engine::replay::law::{Answer, Metric};
    use crate::engine::replay::policy::fixture::{Sight, context};

    #[test]
    fn names_are_found_and_unique() {
        let names: BTreeSet<&str> = POLICIES.iter().map(|policy| policy.name).collect();
        assert_eq!(names.len(), 18);
        for policy in POLICIES {
            assert_eq!(find(policy.name).map(|found| found.about), Some(policy.about));
        }
        assert!(find("keda").is_none());
    }

    #[test]
    fn every_knob_is_swept_from_cheap_to_safe_over_its_default() {
        for Policy { name, knob, .. } in POLICIES {
            let Some(knob) = knob else { continue };
            assert!((6..=10).contains(&knob.values.len()), "{name}");
            let same = |value: &f64| (value - knob.default).abs() < 1e-9;
            assert!(knob.values.iter().any(same), "{name}: {:?}", knob.default);
            let falls = knob.values.is_sorted_by(|a, b| a > b);
            assert!(falls || knob.values.is_sorted_by(|a, b| a < b), "{name}");
        }
    }

    /// Numbers that an HPA or a Deployment can take.
    fn sane(answer: &Answer, name: &str) {
        for metric in answer.metrics.iter().flatten() {
            let numbers = match metric {
                Metric::Average { value, target } | Metric::Value { value, target } => {
                    vec![*value, *target]
                }
                Metric::Pods { values, target } => [&values[..], &[*target]].concat(),
            };
            assert!(numbers.iter().all(|n| n.is_finite() && *n >= 0.0), "{name}: {numbers:?}");
        }
        assert!(answer.broken.is_empty(), "{name}: {:?}", answer.broken);
    }

    #[test]
    fn poison_makes_no_policy_panic_or_answer_nonsense() {
        let poisons = [f64::NAN, f64::INFINITY, -1.0, 1e308, 0.0];
        let roles = [
            Role::Waiting,
            Role::Running,
            Role::KvUsage,
            Role::KvTokens,
            Role::GpuUtilization,
            Role::Finished,
            Role::PromptTokens,
            Role::GenerationTokens,
        ];
        for policy in POLICIES {
            for limits in [(0, 8), (1, 1), (0, 0)] {
                let mut law = (policy.law)(&context(limits), policy.knob.unwrap().default);
                for (idx, poison) in (0..).zip(poisons) {
                    let both = [poison, poison];
                    let gauges = roles.map(|role| (role, &both[..]));
                    let sight = Sight::new(2, 1)
                        .later(15 * idx)
                        .pods(&gauges)
                        .gateway(poison, poison)
                        .latency(Some(poison), Some(poison));
                    sane(&law.look(&sight.view()), policy.name);
                    sane(&law.look(&Sight::new(0, 0).later(15 * idx + 2).view()), policy.name);
                }
                law.restart();
            }
        }
    }

    #[test]
    fn what_sets_replicas_itself_keeps_the_limits() {
        for policy in POLICIES {
            for limits in [(0, 3), (2, 3)] {
                let mut law = (policy.law)(&context(limits), policy.knob.unwrap().default);
                for (second, load) in [(0, 0.0), (15, 1.0), (30, 900.0)] {
                    let loads = [load, load];
                    let gauges = [Role::Waiting, Role::Running].map(|role| (role, &loads[..]));
                    let sight = Sight::new(2, 2).later(second).pods(&gauges);
                    let answer = law.look(&sight.view());
                    let within = |replicas| (limits.0..=limits.1).contains(&replicas);
                    assert!(answer.replicas.is_none_or(within), "{}: {answer:?}", policy.name);
                }
            }
        }
    }
}
