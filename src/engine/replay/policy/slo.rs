//! slo-aware: latency over objective as saturation, from llm-d's guide of that name.
//!
//! `s_raw = max(P90 TTFT / objective, P90 TPOT / objective)`, at most 2, averaged over 45 s; above
//! 0.55 `n + ceil(n (s c / 0.55 - 1))` replicas with the credit `c = ready / n` for pods on their
//! way, below 0.40 `n - floor(n (1 - s / 0.40))`, else `n`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::numeric::{count, quantile, replicas_ceil};
use crate::engine::observation::{PodObservation, Role};
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

/// P90.
const QUANTILE: f64 = 0.9;
/// The endpoint picker is scraped this often.
const SCRAPE: Duration = Duration::from_secs(5);
/// Scrapes in the minute over which rates of buckets are taken.
const INSTANTS: u32 = 12;
/// Latency over objective.
pub(super) const SLO_AWARE: Policy = Policy {
    name: "slo-aware",
    about: "Saturation is the worse of P90 TTFT and P90 TPOT over their objectives, smoothed over 45 s; replicas grow \
            in proportion above 0.55 and shrink below 0.40.",
    source: "llm-d/llm-d guides/workload-autoscaling, slo-aware (August 2026): PromQL through KEDA, recording rules every \
             15 s; HPA up by the larger of 100 % and 4 pods a minute after 30 s, down one pod in 120 s after 180 s",
    simplifications: &[
        "the predictor (a sidecar of the endpoint picker, trained online) is one that has learned: a request's first token \
         comes after its prompt's computing and the queue at what a replica carries, its further ones at the pace of those \
         that run",
        "it foresees every 5 s, the guide's scrape interval, for the pod with the fewest requests, not at each request; the \
         P90 is that of the last minute's values, not interpolated in buckets",
        "where nothing runs or waits, saturation is 0, as in the guide",
        "latencies that cannot be foreseen otherwise are an error of the trigger and replicas stay: the guide reads 0",
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
    quantile: None,
    scrape: Some(SCRAPE),
    actuator,
    law: |context, high| {
        let context = context.clone();
        let prefill = prefill(&context);
        Box::new(Saturation { context, high, prefill, recorded: VecDeque::new() })
    },
};

/// Seconds that the mean prompt of the trace takes in an otherwise idle replica.
fn prefill(context: &Context) -> f64 {
    let prompts = context.arrivals.iter().map(|arrival| f64::from(arrival.prompt - arrival.cached));
    let mean = prompts.sum::<f64>() / f64::from(count(context.arrivals.len()).max(1));
    context.profile.overhead + context.profile.base + context.profile.per_token * mean
}

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

/// Seconds, for a request that comes now, in the pod that it would go to: the one with the fewest.
#[derive(Debug, Clone, Copy)]
struct Foreseen {
    /// To its first token.
    first: f64,
    /// Per further token; `None`: nothing runs there.
    further: Option<f64>,
}

#[derive(Debug)]
struct Saturation {
    context: Context,
    high: f64,
    /// Seconds that the mean prompt of the trace takes.
    prefill: f64,
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
        let replicas = self.replicas(smoothed, view.spec, view.ready);
        let replicas = self.context.within(replicas);
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
        if !is_busy(view) && known_idle(view) {
            return Some(0.0);
        }
        let instants = (0..INSTANTS).map(|idx| view.at.minus(SCRAPE.saturating_mul(idx)));
        let foreseen: Vec<Foreseen> = instants.filter_map(|at| self.foreseen(view, at)).collect();
        let first: Vec<f64> = foreseen.iter().map(|one| one.first).collect();
        let further: Vec<f64> = foreseen.iter().filter_map(|one| one.further).collect();
        let objectives = self.context.objectives;
        let over = |seconds: &[f64], objective: Duration| {
            Some(quantile(seconds, QUANTILE)? / objective.as_secs_f64())
        };
        let both = [over(&first, objectives.ttft), over(&further, objectives.tpot)];
        both.into_iter().flatten().reduce(f64::max)
    }

    /// What the predictor would have foreseen at `at`.
    fn foreseen(&self, view: &View<'_>, at: Timestamp) -> Option<Foreseen> {
        let requests = |pod: &PodObservation| {
            let of = |role| query::of_pod(pod, role, at);
            Some((of(Role::Waiting)?, of(Role::Running)?))
        };
        let pods = view.observation.pods.values();
        let pods = pods.filter_map(|pod| Some((pod, requests(pod)?)));
        let fewest = |(waiting, running): (f64, f64)| waiting + running;
        let (pod, (waiting, _)) = pods.min_by(|a, b| fewest(a.1).total_cmp(&fewest(b.1)))?;
        let queue = if waiting > 0.0 { (waiting + 1.0) / self.context.knee } else { 0.0 };
        let first = query::finite(Some(self.prefill + queue))?;
        Some(Foreseen { first, further: pace(pod, at) })
    }

    fn smoothed(&self) -> Option<f64> {
        let sum = self.recorded.iter().map(|(_, saturation)| saturation).sum::<f64>();
        (!self.recorded.is_empty()).then(|| sum / f64::from(count(self.recorded.len())))
    }

    fn replicas(&self, saturation: f64, spec: u32, ready: u32) -> u32 {
        let n = f64::from(spec);
        let low = self.high * LOW;
        if saturation > self.high {
            let credit = if (1..spec).contains(&ready) { f64::from(ready) / n } else { 1.0 };
            spec + replicas_ceil(n * (saturation * credit / self.high - 1.0))
        } else if saturation < low {
            // n - floor(x) is n - x rounded up.
            replicas_ceil(n - n * (1.0 - saturation / low))
        } else {
            spec
        }
    }
}

/// Seconds per token of those that ran in `pod` between two scrapes before `at` and then: their
/// number over their tokens per second, stalls by prompts included.
fn pace(pod: &PodObservation, at: Timestamp) -> Option<f64> {
    let (before, middle) = (at.minus(SCRAPE.saturating_mul(2)), at.minus(SCRAPE));
    let tokens = |at| query::of_pod(pod, Role::GenerationTokens, at);
    let batch = query::of_pod(pod, Role::Running, middle)?;
    let seconds = at.since(before).as_secs_f64();
    query::finite(Some(batch * seconds / (tokens(at)? - tokens(before)?)))
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
    use std::collections::VecDeque;

    use super::{SLO_AWARE, Saturation};
    use crate::engine::observation::Role;
    use crate::engine::replay::hpa::Step;
    use crate::engine::replay::law::Metric;
    use crate::engine::replay::policy::entry::Actuator;
    use crate::engine::replay::policy::fixture::{Sight, context};

    #[test]
    fn replicas_follow_the_guides_formula() {
        let law = |high| {
            let context = context((1, 20));
            Saturation { context, high, prefill: 0.0, recorded: VecDeque::new() }
        };
        // Saturation, replicas, ready ones, expected.
        let rows = [
            // In the dead band, at its edges.
            (0.5, 4, 4, 4),
            (0.55, 4, 4, 4),
            (0.401, 4, 4, 4),
            // 4 (1.2 - 1) = 0.8, up one; doubled; 3 (2 / 0.55 - 1) = 7.9.
            (0.66, 4, 4, 5),
            (1.1, 4, 4, 8),
            (2.0, 3, 3, 11),
            // Credit: 4 (1.1 x 0.75 / 0.55 - 1) = 2; with half ready nothing is left to add.
            (1.1, 4, 3, 6),
            (0.66, 8, 4, 8),
            // None ready is no credit.
            (1.1, 4, 0, 8),
            // 8 (1 - 0.75) = 2 down; 8 (1 - 0.9) = 0.8, none.
            (0.3, 8, 8, 6),
            (0.36, 8, 8, 8),
            (0.0, 2, 2, 0),
            (2.0, 0, 0, 0),
        ];
        for (saturation, spec, ready, expected) in rows {
            let found = law(0.55).replicas(saturation, spec, ready);
            assert_eq!(found, expected, "{saturation} {spec} {ready}");
        }
    }

    /// One look at four ready replicas, of which one carries 1 request/s, against 3 s and 100 ms.
    fn check(sight: Sight, expected: Option<f64>) {
        let mut law = (SLO_AWARE.law)(&context((1, 20)), 0.55);
        let metric = expected.map(|value| Metric::Average { value, target: 1.0 });
        let answer = law.look(&sight.view());
        assert_eq!(answer.metrics, [metric], "{:?}", sight.view().observation.pods);
        assert_eq!(answer.active.is_none(), expected.is_none());
    }

    #[test]
    fn the_queue_of_the_emptiest_pod_foresees_the_first_token() {
        let queues = |waiting: &[f64]| {
            let running = vec![9.0; waiting.len()];
            Sight::new(4, 4).pods(&[(Role::Running, &running), (Role::Waiting, waiting)])
        };
        // 22.5 ms without a queue.
        check(queues(&[0.0]), Some(1.0));
        // (1 + 1) / 1 + 0.02 s over 3 s is 0.674: 4 x 0.23.
        check(queues(&[1.0]), Some(5.0));
        check(queues(&[1.0, 50.0, 90.0]), Some(5.0));
        // Clamped at 2: 4 x 2.6.
        check(queues(&[500.0]), Some(15.0));
        check(queues(&[f64::NAN]), None);
        check(Sight::new(4, 4), None);
    }

    #[test]
    fn the_pace_of_those_that_run_foresees_the_further_tokens() {
        let sight = |tokens: f64| {
            Sight::new(4, 4)
                .shown(0, Role::Waiting, &[(10, 0.0), (5, 0.0), (0, 0.0)])
                .shown(0, Role::Running, &[(10, 30.0), (5, 33.0), (0, 30.0)])
                .shown(0, Role::GenerationTokens, &[(10, 1000.0), (5, 1000.0), (0, tokens)])
        };
        // 33 for 10 s in 5000 tokens: 66 ms, 0.66: 4 x 0.2.
        check(sight(6000.0), Some(5.0));
        // 45 ms is in the dead band, 30 ms below it: 4 (1 - 0.75) = 1.
        check(sight(8333.0), Some(4.0));
        check(sight(12_000.0), Some(3.0));
        // No token since, and a counter that began anew: nothing is known of it.
        check(sight(1000.0), Some(1.0));
        check(sight(10.0), Some(1.0));
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
        // Waiting; the mean of the last three, (waiting + 1.02) / 3 each or 0.01; 4 replicas.
        let rows = [
            (0, 0.0, 1.0),
            (15, 1.0, 4.0),   // (0.007 + 0.674) / 2 = 0.34: 4 (1 - 0.85) = 0.6, none
            (30, 90.0, 7.0),  // (0.007 + 0.674 + 2) / 3 = 0.89: 4 x 0.63
            (45, 90.0, 12.0), // (0.674 + 2 + 2) / 3 = 1.56: 4 x 1.8; the first is 45 s old
            (60, 0.0, 10.0),  // 1.336: 4 x 1.4
        ];
        for (seconds, waiting, expected) in rows {
            let queue: &[f64] = &[waiting];
            let sight = Sight::new(4, 4).later(seconds);
            let sight = sight.pods(&[(Role::Running, &[5.0]), (Role::Waiting, queue)]);
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
