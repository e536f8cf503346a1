//! wva-v1: llm-d's Workload Variant Autoscaler before 0.9, one replica at a time by spare capacity.
//!
//! A replica is saturated at 80 % of its KV cache or five waiting requests. Over the others: up by
//! one when the mean spare KV is below 0.10 or the mean spare queue below 3; down by one when at
//! least two are left and both spares would still hold with their load on one fewer.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::observation::Role;
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::query;
use crate::engine::replay::policy::retention::{Retention, from_zero};

/// A replica with so much of its KV cache in use is saturated.
const KV_FULL: f64 = 0.80;
/// A replica with so many waiting is saturated.
const QUEUE_FULL: f64 = 5.0;
/// Mean spare queue below which a replica is added.
const SPARE_QUEUE: f64 = 3.0;

/// One replica at a time.
pub(super) const WVA_V1: Policy = Policy {
    name: "wva-v1",
    about: "Adds one replica when those that are not saturated (80 % KV or 5 waiting) have too little to spare, removes one \
            when the rest could carry its load; waits for each step to be complete.",
    source: "llm-d/llm-d-workload-variant-autoscaler b08b1c77 (February 2026), internal/saturation: every 15 s; \
             wva_desired_replicas through KEDA, AverageValue 1, the HPA's default behaviour",
    simplifications: &[
        "one variant on one accelerator",
        "its samples leave the HPA's down-window at 0, 120 or 300 s; here the HPA's default of 300 s, the steadiest of them",
        "from zero it polls the endpoint picker every 100 ms; here every 15 s, then at once",
        "to zero after 10 minutes without a request, then KEDA's default cooldownPeriod",
        "asked and not followed (an HPA's tolerance above 9 replicas) it waits for ever, as its source does",
    ],
    knob: Some(Knob {
        name: "spare KV that adds a replica",
        default: 0.10,
        values: &[0.01, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50],
    }),
    every: Duration::from_secs(15),
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda { push: true, ..Keda::polled(context, 30, 300) }),
    law: |context, spare| {
        let context = context.clone();
        Box::new(SpareCapacity { context, spare, desired: None, retention: Retention::default() })
    },
};

#[derive(Debug)]
struct SpareCapacity {
    context: Context,
    spare: f64,
    desired: Option<u32>,
    retention: Retention,
}

impl Law for SpareCapacity {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let idle = self.retention.is_over(view);
        let desired = if view.spec == 0 {
            from_zero(view)
        } else if idle && self.context.may_sleep() {
            0
        } else {
            self.step(view).max(1)
        };
        let desired = self.context.within(desired);
        self.desired = Some(desired);
        let metric = Metric::Average { value: f64::from(desired), target: 1.0 };
        Answer { metrics: vec![Some(metric)], active: Some(desired > 0), ..Answer::default() }
    }

    fn restart(&mut self) {
        self.desired = None;
        self.retention = Retention::default();
    }
}

/// Load of one replica.
#[derive(Debug, Clone, Copy)]
struct Load {
    kv: f64,
    queue: f64,
}

impl SpareCapacity {
    fn step(&self, view: &View<'_>) -> u32 {
        let before = self.desired.filter(|desired| *desired > 0).unwrap_or(view.spec);
        let loads = loads(view);
        // No metrics at all, a step under way, or pods that do not answer yet: what was asked stands.
        if loads.is_empty() || before != view.spec || count(loads.len()) != view.spec {
            return before;
        }
        let free: Vec<Load> = loads.into_iter().flatten().collect();
        let count = f64::from(count(free.len()));
        let kv = free.iter().map(|load| load.kv).sum::<f64>() / count;
        let queue = free.iter().map(|load| load.queue).sum::<f64>() / count;
        let short =
            |kv: f64, queue: f64| KV_FULL - kv < self.spare || QUEUE_FULL - queue < SPARE_QUEUE;
        if free.is_empty() || short(kv, queue) {
            return view.spec.saturating_add(1);
        }
        let rest = count / (count - 1.0);
        if count >= 2.0 && !short(kv * rest, queue * rest) {
            return view.spec.saturating_sub(1);
        }
        view.spec
    }
}

/// Of each pod with metrics its load, `None` where it is saturated; one that lacks a metric is taken
/// to be.
fn loads(view: &View<'_>) -> Vec<Option<Load>> {
    let read = |pod| {
        let kv = query::of_pod(pod, Role::KvUsage, view.at);
        let queue = query::of_pod(pod, Role::Waiting, view.at);
        let load = kv.zip(queue).map(|(kv, queue)| Load { kv, queue });
        let free = load.filter(|load| load.kv < KV_FULL && load.queue < QUEUE_FULL);
        (kv.is_some() || queue.is_some()).then_some(free)
    };
    view.observation.pods.values().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::WVA_V1;
    use crate::engine::observation::Role;
    use crate::engine::replay::law::{Law, Metric};
    use crate::engine::replay::policy::fixture::{Sight, context};

    fn law(limits: (u32, u32)) -> Box<dyn Law> {
        (WVA_V1.law)(&context(limits), 0.10)
    }

    fn look(law: &mut dyn Law, sight: &Sight) -> (f64, bool) {
        let answer = law.look(&sight.view());
        match answer.metrics.as_slice() {
            [Some(Metric::Average { value, target: _ })] => (*value, answer.active.unwrap()),
            metrics => panic!("{metrics:?}"),
        }
    }

    /// So many replicas, all with metrics: KV and queue of each.
    fn sight(kv: &[f64], queue: &[f64]) -> Sight {
        let replicas = u32::try_from(kv.len()).unwrap();
        Sight::new(replicas, replicas).pods(&[(Role::KvUsage, kv), (Role::Waiting, queue)])
    }

    fn check(kv: &[f64], queue: &[f64], expected: f64) {
        let (desired, _) = look(law((1, 5)).as_mut(), &sight(kv, queue));
        assert!((desired - expected).abs() < 1e-9, "{kv:?} {queue:?}: {desired}");
    }

    #[test]
    fn one_up_when_spares_are_short_one_down_when_the_rest_could_carry_it() {
        // Spare KV 0.80 - 0.75 = 0.05.
        check(&[0.75, 0.75], &[0.0, 0.0], 3.0);
        // 0.15 to spare, but on two: 0.65 x 3 / 2 = 0.975.
        check(&[0.65, 0.65, 0.65], &[0.0, 0.0, 0.0], 3.0);
        // 0.4 x 3 / 2 = 0.6: 0.2 to spare.
        check(&[0.4, 0.4, 0.4], &[0.0, 0.0, 0.0], 2.0);
        // Spare queue 5 - 2.5; 5 - 2 holds, 5 - 2 x 3 / 2 = 2 does not after a step down.
        check(&[0.1, 0.1], &[2.5, 2.5], 3.0);
        check(&[0.1, 0.1, 0.1], &[2.0, 2.0, 2.0], 3.0);
        check(&[0.1, 0.1, 0.1], &[1.0, 1.0, 1.0], 2.0);
        // Saturated replicas do not count: one is free with 0.7 to spare, too few to remove one.
        check(&[0.1, 0.8], &[0.0, 0.0], 2.0);
        check(&[0.1, 0.1], &[0.0, 5.0], 2.0);
        // All saturated.
        check(&[0.9, 0.95], &[9.0, 9.0], 3.0);
        // Limits.
        check(&[0.9; 5], &[9.0; 5], 5.0);
        check(&[0.1], &[0.0], 1.0);
    }

    #[test]
    fn missing_metrics_count_as_saturated_and_none_at_all_hold() {
        check(&[0.75, 0.75], &[f64::NAN, f64::NAN], 3.0);
        check(&[f64::NAN, f64::NAN], &[f64::NAN, f64::NAN], 2.0);
        assert_eq!(look(law((1, 5)).as_mut(), &Sight::new(3, 3)), (3.0, true));
    }

    #[test]
    fn it_waits_for_each_step_to_be_complete() {
        let mut law = law((1, 8));
        let busy = [0.9, 0.9, 0.9];
        assert_eq!(look(law.as_mut(), &sight(&busy[..2], &busy[..2])), (3.0, true));
        // Asked for three: the scale is still at two, then the third pod loads.
        assert_eq!(look(law.as_mut(), &sight(&busy[..2], &busy[..2])), (3.0, true));
        let loading = Sight::new(3, 2).pods(&[(Role::KvUsage, &busy[..2])]);
        assert_eq!(look(law.as_mut(), &loading), (3.0, true));
        assert_eq!(look(law.as_mut(), &sight(&busy, &busy)), (4.0, true));
    }

    #[test]
    fn ten_minutes_without_a_request_put_it_to_sleep_and_a_held_one_wakes_it() {
        let mut law = law((0, 8));
        let idle = |seconds| {
            Sight::new(1, 1).later(seconds).gateway(0.0, 0.0).pods(&[
                (Role::KvUsage, &[0.0]),
                (Role::Waiting, &[0.0]),
                (Role::Running, &[0.0]),
            ])
        };
        for (seconds, expected) in [(0, 1.0), (300, 1.0), (599, 1.0), (600, 0.0)] {
            assert_eq!(look(law.as_mut(), &idle(seconds)), (expected, expected > 0.0));
        }
        for (held, expected) in [(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0)] {
            let asleep = Sight::new(0, 0).later(700).gateway(held, 0.0);
            assert_eq!(look(law.as_mut(), &asleep), (expected, expected > 0.0));
        }
    }
}
