//! hpa-kv, hpa-running and hpa-gpu: a HorizontalPodAutoscaler on one engine or GPU metric, without KEDA.
//!
//! A metric that an adapter does not have is an error to the HPA, which then keeps what there is.

use std::time::Duration;

use crate::engine::observation::{Phase, Role};
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::query;

const LOOKS: Duration = Duration::from_secs(15);
const NO_SLEEP: &str = "never below one replica: scaling to zero is an alpha feature of the HPA";

/// The KV caches in use.
pub(super) const HPA_KV: Policy = Policy {
    name: "hpa-kv",
    about: "The HPA on the sum of vllm:kv_cache_usage_perc, 70 % of a cache per replica.",
    source: "sum of KV caches as in llm-d's token-aware guide, at the 0.7 of kornsour/keda-inference-scaler 510b8891 \
             (external metric, AverageValue), with the HPA's default behaviour (Kubernetes 1.35)",
    simplifications: &[NO_SLEEP],
    knob: Some(Knob {
        name: "KV cache per replica",
        default: 0.7,
        values: &[0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: hpa_only,
    law: |_, target| Box::new(Summed { role: Role::KvUsage, target }),
};

/// The requests in batches.
pub(super) const HPA_RUNNING: Policy = Policy {
    name: "hpa-running",
    about: "The HPA on the sum of vllm:num_requests_running, 16 per replica.",
    source: "llm-d's workload-autoscaling guides (running / 16), with the HPA's default behaviour (Kubernetes 1.35)",
    simplifications: &[
        NO_SLEEP,
        "without the guide's queue trigger and pool saturation",
        "16 is the guide's and fits no engine in particular; the sweep covers what a load test would find",
    ],
    knob: Some(Knob {
        name: "running requests per replica",
        default: 16.0,
        values: &[192.0, 128.0, 96.0, 64.0, 48.0, 32.0, 24.0, 16.0, 8.0],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: hpa_only,
    law: |_, target| Box::new(Summed { role: Role::Running, target }),
};

/// The GPUs' busy time.
pub(super) const HPA_GPU: Policy = Policy {
    name: "hpa-gpu",
    about: "The HPA on the mean DCGM_FI_DEV_GPU_UTIL of the pods, 80 %.",
    source: "the GPU recipe of cloud manuals (dcgm-exporter, prometheus-adapter, Pods metric, AverageValue), with the \
             HPA's default behaviour (Kubernetes 1.35)",
    simplifications: &[
        NO_SLEEP,
        "80 % is the usual figure, not one source's; manuals leave it to the reader",
        "utilisation is the share of time in which any kernel ran, as the exporter's is: near 100 % with one request",
    ],
    knob: Some(Knob {
        name: "GPU utilisation, percent",
        default: 80.0,
        values: &[98.0, 95.0, 90.0, 85.0, 80.0, 70.0, 60.0, 50.0],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: hpa_only,
    law: |_, target| Box::new(Gpu { target }),
};

fn hpa_only(context: &Context) -> Actuator {
    Actuator::Keda(Keda::hpa_only(context))
}

fn one(metric: Option<Metric>) -> Answer {
    Answer { metrics: vec![metric], active: Some(true), ..Answer::default() }
}

#[derive(Debug)]
struct Summed {
    role: Role,
    target: f64,
}

impl Law for Summed {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let value = query::sum(view.observation, self.role);
        one(value.map(|value| Metric::Average { value, target: self.target }))
    }
}

#[derive(Debug)]
struct Gpu {
    target: f64,
}

impl Law for Gpu {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let serving = |phase| matches!(phase, Phase::Ready | Phase::Unknown);
        let pods = view.observation.pods.values().filter(|pod| serving(pod.phase));
        let values: Vec<f64> = pods
            .filter_map(|pod| query::of_pod(pod, Role::GpuUtilization, view.at))
            .filter_map(|share| query::finite(Some(share * 100.0)))
            .collect();
        one((!values.is_empty()).then_some(Metric::Pods { values, target: self.target }))
    }
}

#[cfg(test)]
mod tests {
    use super::{HPA_GPU, HPA_KV, HPA_RUNNING};
    use crate::engine::observation::{Phase, Role};
    use crate::engine::replay::law::Metric;
    use crate::engine::replay::policy::entry::{Actuator, Policy};
    use crate::engine::replay::policy::fixture::{Sight, context};

    fn check(policy: &Policy, sight: Sight, expected: Option<Metric>) {
        let knob = policy.knob.unwrap().default;
        let answer = (policy.law)(&context((0, 8)), knob).look(&sight.view());
        assert_eq!(answer.metrics, [expected], "{}", policy.name);
        // The door of KEDA stays open.
        assert_eq!(answer.active, Some(true), "{}", policy.name);
    }

    fn average(value: f64, target: f64) -> Option<Metric> {
        Some(Metric::Average { value, target })
    }

    #[test]
    fn sums_go_to_the_hpa_with_their_targets() {
        let kv = [(Role::KvUsage, &[0.5, 0.25][..])];
        check(&HPA_KV, Sight::new(2, 2).pods(&kv), average(0.75, 0.7));
        let running = [(Role::Running, &[30.0, 12.0, 0.0][..])];
        check(&HPA_RUNNING, Sight::new(3, 3).pods(&running), average(42.0, 16.0));
    }

    #[test]
    fn a_metric_that_is_not_there_is_an_error_and_holds() {
        for policy in [HPA_KV, HPA_RUNNING, HPA_GPU] {
            check(&policy, Sight::new(2, 2), None);
            let roles = [(Role::KvUsage, &[f64::NAN][..]), (Role::Running, &[f64::INFINITY])];
            check(&policy, Sight::new(2, 2).pods(&roles), None);
        }
    }

    #[test]
    fn gpu_utilisation_goes_pod_by_pod_in_percent_loading_pods_left_out() {
        let gpu = [(Role::GpuUtilization, &[0.5, 1.0, 0.25][..])];
        let expected =
            |values: &[f64]| Some(Metric::Pods { values: values.to_vec(), target: 80.0 });
        check(&HPA_GPU, Sight::new(3, 3).pods(&gpu), expected(&[50.0, 100.0, 25.0]));
        let loading = Sight::new(3, 2).pods(&gpu).phase(2, Phase::Loading);
        check(&HPA_GPU, loading, expected(&[50.0, 100.0]));
    }

    #[test]
    fn no_hpa_goes_below_one() {
        for policy in [HPA_KV, HPA_RUNNING, HPA_GPU] {
            let Actuator::Keda(keda) = (policy.actuator)(&context((0, 8))) else { panic!() };
            assert_eq!((keda.min, keda.hpa.min, keda.hpa.max), (1, 1, 8));
        }
    }
}
