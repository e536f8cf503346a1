//! slo-aware: latency over objective as saturation, from llm-d's guide of that name.
//!
//! `s_raw = max(P90 TTFT / objective, P90 TPOT / objective)`, at most 2, averaged over 45 s; above
//! 0.55 `n + ceil(n (s c / 0.55 - 1))` replicas with the credit `c = ready / n` for pods on their
//! way, below 0.40 `n - floor(n (1 - s / 0.40))`, else `n`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::numeric::{count, replicas_ceil};
use crate::engine::observation::{Latency, Role};
use crate::engine::replay::hpa::{Behavior, Rules, Select, Step};
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::query;
use crate::engine::units::Timestamp;

/// Saturation above which replicas are added.
const HIGH: f64 = 0.55;
/// Saturation below which they are removed, as a share of the one above: 0.40.
const LOW: f64 = 0.40 / HIGH;
/// The worst saturation that counts.
const CLAMP: f64 = 2.0;
/// `avg_over_time`.
const SMOOTHING: Duration = Duration::from_secs(45);

/// Latency over objective.
pub(super) const SLO_AWARE: Policy = Policy {
    name: "slo-aware",
    about: "Saturation is the worse of P90 TTFT and P90 TPOT over their objectives, smoothed over 45 s; replicas grow \
            in proportion above 0.55 and shrink below 0.40.",
    source: "llm-d/llm-d guides/workload-autoscaling, slo-aware (August 2026): PromQL through KEDA, recording rules every \
             15 s; HPA up by the larger of 100 % and 4 pods a minute after 30 s, down one pod in 120 s after 180 s",
    simplifications: &[
        "actual P90 latencies, not those that the guide's predictor (a sidecar of the endpoint picker) foresees",
        "where nothing runs or waits, saturation is 0: a predictor would say that an idle replica is fast",
        "latencies that cannot be read otherwise are an error of the trigger: replicas stay",
        "the credit for pods on their way never turns an increase into a decrease",
        "the scale-down threshold follows the scale-up one in the sweep, at the guide's ratio 0.40 / 0.55",
        "KEDA at its default pollingInterval and cooldownPeriod; asleep, requests held at the gateway wake it",
    ],
    knob: Some(Knob {
        name: "saturation that adds replicas",
        default: HIGH,
        values: &[1.0, 0.85, 0.7, 0.6, 0.55, 0.45, 0.35, 0.25, 0.15],
    }),
    every: Duration::from_secs(15),
    quantile: Some(0.9),
    scrape: None,
    actuator,
    law: |context, high| {
        let context = context.clone();
        Box::new(Saturation { context, high, recorded: VecDeque::new() })
    },
};

fn actuator(context: &Context) -> Actuator {
    let keda = Keda::polled(context, 30, 300);
    let rules = |stabilization, policies| Rules {
        stabilization: Duration::from_secs(stabilization),
        tolerance: None,
        select: Select::Max,
        policies,
    };
    let minute = Duration::from_mins(1);
    let fast =
        [Step::Percent { value: 100, period: minute }, Step::Pods { value: 4, period: minute }];
    let slow = Step::Pods { value: 1, period: Duration::from_secs(120) };
    let rules = Some((rules(30, fast.to_vec()), rules(180, vec![slow])));
    let hpa = Behavior { rules, ..context.plain_hpa() };
    Actuator::Keda(Keda { hpa, ..keda })
}

#[derive(Debug)]
struct Saturation {
    context: Context,
    high: f64,
    /// What the recording rule wrote.
    recorded: VecDeque<(Timestamp, f64)>,
}

impl Law for Saturation {
    fn look(&mut self, view: &View<'_>) -> Answer {
        self.record(view);
        let held = query::held(view.observation).unwrap_or(0.0);
        let active = Some(held > 0.0 || is_busy(view));
        let Some(smoothed) = self.smoothed() else {
            // Unknown is not zero: the guide itself warns of mistaking one for the other.
            return Answer { metrics: vec![None], active: None, ..Answer::default() };
        };
        let replicas = self.context.within(self.replicas(smoothed, view));
        let metric = Metric::Average { value: f64::from(replicas), target: 1.0 };
        Answer { metrics: vec![Some(metric)], active, ..Answer::default() }
    }

    fn restart(&mut self) {
        // Prometheus keeps what was recorded; the law itself remembers nothing.
    }
}

impl Saturation {
    /// One evaluation of the recording rule.
    fn record(&mut self, view: &View<'_>) {
        if let Some(raw) = self.raw(view) {
            self.recorded.push_back((view.at, raw.min(CLAMP)));
        }
        while self.recorded.front().is_some_and(|(at, _)| view.at.since(*at) >= SMOOTHING) {
            self.recorded.pop_front();
        }
    }

    fn raw(&self, view: &View<'_>) -> Option<f64> {
        let objectives = self.context.objectives;
        let over = |latency, objective: Duration| {
            let reading = view.observation.latency.get(&latency)?;
            query::finite(reading.seconds.map(|seconds| seconds / objective.as_secs_f64()))
        };
        let ttft = over(Latency::Ttft, objectives.ttft);
        let tpot = over(Latency::InterToken, objectives.tpot);
        let idle = !is_busy(view) && known_idle(view);
        ttft.into_iter().chain(tpot).reduce(f64::max).or(idle.then_some(0.0))
    }

    fn smoothed(&self) -> Option<f64> {
        let sum = self.recorded.iter().map(|(_, saturation)| saturation).sum::<f64>();
        (!self.recorded.is_empty()).then(|| sum / f64::from(count(self.recorded.len())))
    }

    fn replicas(&self, saturation: f64, view: &View<'_>) -> u32 {
        let n = f64::from(view.spec);
        let low = self.high * LOW;
        if saturation > self.high {
            let credit = if view.spec == 0 { 0.0 } else { f64::from(view.ready) / n };
            view.spec + replicas_ceil(n * (saturation * credit / self.high - 1.0))
        } else if saturation < low {
            // n - floor(x) is n - x rounded up.
            replicas_ceil(n - n * (1.0 - saturation / low))
        } else {
            view.spec
        }
    }
}

fn in_flight(view: &View<'_>) -> [Option<f64>; 2] {
    [Role::Waiting, Role::Running].map(|role| query::sum(view.observation, role))
}

fn is_busy(view: &View<'_>) -> bool {
    in_flight(view).into_iter().flatten().any(|requests| requests > 0.0)
}

/// Positive evidence that nothing is in flight, or that there is nobody to be in flight in.
fn known_idle(view: &View<'_>) -> bool {
    view.spec == 0 || in_flight(view).iter().all(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::SLO_AWARE;
    use crate::engine::observation::Role;
    use crate::engine::replay::hpa::Step;
    use crate::engine::replay::law::Metric;
    use crate::engine::replay::policy::entry::Actuator;
    use crate::engine::replay::policy::fixture::{Sight, context};

    /// One look: P90 TTFT and TPOT against 3 s and 100 ms.
    fn check(replicas: (u32, u32), ttft: Option<f64>, tpot: Option<f64>, expected: Option<f64>) {
        let mut law = (SLO_AWARE.law)(&context((1, 20)), 0.55);
        let sight = Sight::new(replicas.0, replicas.1)
            .pods(&[(Role::Running, &[3.0]), (Role::Waiting, &[0.0])])
            .latency(ttft, tpot);
        let metric = expected.map(|value| Metric::Average { value, target: 1.0 });
        assert_eq!(law.look(&sight.view()).metrics, [metric], "{ttft:?} {tpot:?} {replicas:?}");
    }

    #[test]
    fn replicas_follow_the_guides_formula() {
        // In the dead band, at its edges.
        check((4, 4), Some(1.5), Some(0.01), Some(4.0)); // s = 0.5
        check((4, 4), Some(1.65), Some(0.01), Some(4.0)); // s = 0.55
        check((4, 4), Some(0.0), Some(0.0401), Some(4.0)); // s = 0.401
        // s = 0.66: 4 (1.2 - 1) = 0.8, up one.
        check((4, 4), Some(1.98), Some(0.01), Some(5.0));
        // The worse of the two: s = 1.1, doubled.
        check((4, 4), Some(0.3), Some(0.11), Some(8.0));
        // Clamped at 2: 3 (2 / 0.55 - 1) = 7.9.
        check((3, 3), Some(90.0), Some(0.01), Some(11.0));
        // Credit: three of four ready, s = 1.1: 4 (1.1 x 0.75 / 0.55 - 1) = 2.
        check((4, 3), Some(3.3), Some(0.01), Some(6.0));
        // Half ready, s = 0.66: the credit leaves nothing to add.
        check((8, 4), Some(1.98), Some(0.01), Some(8.0));
        // s = 0.3: 8 (1 - 0.75) = 2 down; s = 0.36: 8 (1 - 0.9) = 0.8, none.
        check((8, 8), Some(0.9), Some(0.01), Some(6.0));
        check((8, 8), Some(1.08), Some(0.01), Some(8.0));
        // Limits.
        check((20, 20), Some(9.0), None, Some(20.0));
        check((2, 2), Some(0.0), Some(0.0), Some(1.0));
    }

    #[test]
    fn missing_and_poisoned_latencies_hold() {
        check((4, 4), None, None, None);
        check((4, 4), Some(f64::NAN), Some(f64::INFINITY), None);
        check((4, 4), Some(f64::NAN), Some(0.05), Some(4.0));
        let mut law = (SLO_AWARE.law)(&context((1, 20)), 0.55);
        let answer = law.look(&Sight::new(4, 4).view());
        assert_eq!((answer.metrics, answer.active), (vec![None], None));
    }

    #[test]
    fn nothing_in_flight_is_no_saturation_and_held_requests_wake() {
        let idle = || Sight::new(4, 4).pods(&[(Role::Running, &[0.0]), (Role::Waiting, &[0.0])]);
        let rows = [
            (idle(), 0.0, false),
            (Sight::new(0, 0).gateway(3.0, 0.1), 0.0, true),
            (Sight::new(0, 0).gateway(0.0, 0.0), 0.0, false),
        ];
        for (sight, replicas, active) in rows {
            let mut law = (SLO_AWARE.law)(&context((0, 20)), 0.55);
            let answer = law.look(&sight.view());
            let metric = Metric::Average { value: replicas, target: 1.0 };
            assert_eq!((answer.metrics, answer.active), (vec![Some(metric)], Some(active)));
        }
    }

    #[test]
    fn saturation_is_averaged_over_45_seconds() {
        let mut law = (SLO_AWARE.law)(&context((1, 20)), 0.55);
        // TTFT; the mean of the last three over 3 s; 4 replicas.
        let rows = [
            (0, 1.5, 4.0),   // 0.5
            (15, 6.0, 10.0), // (0.5 + 2) / 2 = 1.25: 4 x 1.27 = 5.1
            (30, 1.5, 8.0),  // 1.0: 3.3
            (45, 1.5, 8.0),  // (2 + 0.5 + 0.5) / 3 = 1.0; the first is 45 s old
            (60, 1.5, 4.0),  // 0.5
        ];
        for (seconds, ttft, expected) in rows {
            let sight = Sight::new(4, 4).later(seconds).latency(Some(ttft), None);
            let metric = Metric::Average { value: expected, target: 1.0 };
            assert_eq!(law.look(&sight.view()).metrics, [Some(metric)], "{seconds} s");
        }
    }

    #[test]
    fn the_hpa_behaves_as_the_guide_says() {
        let Actuator::Keda(keda) = (SLO_AWARE.actuator)(&context((3, 8))) else { panic!() };
        let (up, down) = keda.hpa.rules.unwrap();
        assert_eq!((up.stabilization.as_secs(), down.stabilization.as_secs()), (30, 180));
        let period = std::time::Duration::from_secs(120);
        assert_eq!(down.policies, [Step::Pods { value: 1, period }]);
        assert_eq!((keda.min, keda.hpa.min, keda.hpa.max), (3, 3, 8));
    }
}
