//! keda-queue, keda-queue-cron and keda-multi: ScaledObjects of `prometheus` and `cron` triggers.
//!
//! KEDA's `prometheus` trigger answers 0 for an empty result and for NaN (`ignoreNullValues`, true
//! unless told otherwise), and that is copied here: it is how a dead metric reads as no demand.

use std::time::Duration;

use crate::engine::observation::{Observation, Role};
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::cron::Hours;
use crate::engine::replay::policy::entry::{Actuator, Keda, Knob, Policy};
use crate::engine::replay::policy::query;

const MINUTE: Duration = Duration::from_mins(1);
/// KEDA's default `pollingInterval` and the HPA's sync.
const LOOKS: Duration = Duration::from_secs(15);

const QUEUE: &str = "vLLM production-stack, helm chart and tutorial 20 (vllm-project/production-stack, as of \
                     August 2026): vllm:num_requests_waiting / 5, pollingInterval 15, cooldownPeriod 360, \
                     keep-alive trigger on vllm:num_incoming_requests_total[1m]";
const QUEUE_KNOB: Knob = Knob {
    name: "waiting requests per replica",
    default: 5.0,
    values: &[40.0, 20.0, 10.0, 8.0, 5.0, 3.0, 2.0, 1.0],
};
const QUEUE_SUMMED: &str = "the query is summed over pods; the tutorial's has no sum, which KEDA refuses once \
                            there are two pods";
const KEEP_ALIVE: &str = "the keep-alive trigger reads arrivals as the gateway counts them, over the run's rate \
                          window where that is not one minute; at zero, before a gateway that counts only what it \
                          holds, whether it holds any";

/// The queue over a threshold.
pub(super) const KEDA_QUEUE: Policy = Policy {
    name: "keda-queue",
    about: "One replica per five waiting requests, by KEDA's prometheus trigger, and a keep-alive trigger while \
            requests arrive.",
    source: QUEUE,
    simplifications: &[QUEUE_SUMMED, KEEP_ALIVE],
    knob: Some(QUEUE_KNOB),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda::polled(context, 15, 360)),
    law: |_, threshold| Box::new(Queue { threshold, hours: None }),
};

/// The queue over a threshold, and fixed hours.
pub(super) const KEDA_QUEUE_CRON: Policy = Policy {
    name: "keda-queue-cron",
    about: "keda-queue, and a cron trigger for the busy hours: those (UTC, weekdays and weekends apart) whose usual \
            demand is above half of the usual peak, at the replicas their mean demand needs at 85 % of what one \
            carries.",
    source: "production-stack's triggers (see keda-queue) and KEDA's cron scaler (kedacore/keda 8b4f083c)",
    simplifications: &[
        QUEUE_SUMMED,
        KEEP_ALIVE,
        "the hours are set from the trace itself, not from the weeks before it: hindsight that flatters",
        "outside of its hours the trigger wants one replica and is inactive, as KEDA's does",
    ],
    knob: Some(QUEUE_KNOB),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda::polled(context, 15, 360)),
    law: |context, threshold| Box::new(Queue { threshold, hours: Some(Hours::of(context)) }),
};

/// Several triggers at once.
pub(super) const KEDA_MULTI: Policy = Policy {
    name: "keda-multi",
    about: "Three prometheus triggers in one ScaledObject, the largest wins: 5 waiting requests, 70 % of a KV cache \
            and 70 % of the request rate of a load test, per replica.",
    source: "queue: production-stack; KV cache 0.7: kornsour/keda-inference-scaler 510b8891; several triggers and their \
             maximum: KEDA 2.20 (8b4f083c), pollingInterval 30 and cooldownPeriod 300, its defaults",
    simplifications: &[
        "the KV trigger is a sum over pods; kornsour's ratio, sent as a sum, could never ask for more than two",
        "the request rate that one replica carries is given, as if measured in a load test of this very mix",
        "one number stretches all three thresholds",
        "at zero, before a gateway that counts only what it holds, the rate is above 0 while it holds any",
    ],
    knob: Some(Knob {
        name: "times all thresholds",
        default: 1.0,
        values: &[2.0, 1.6, 1.3, 1.15, 1.0, 0.85, 0.7, 0.5],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda::polled(context, 30, 300)),
    law: |context, times| Box::new(Multi { times, knee: context.knee }),
};

#[derive(Debug)]
struct Queue {
    threshold: f64,
    hours: Option<Hours>,
}

impl Law for Queue {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let waiting = query::sum(view.observation, Role::Waiting).unwrap_or(0.0);
        let arriving = is_arriving(view.observation, MINUTE);
        let now = self.hours.as_ref().map(|hours| hours.at(view.at));
        let mut metrics = vec![
            Some(Metric::Average { value: waiting, target: self.threshold }),
            Some(Metric::Average { value: f64::from(u8::from(arriving)), target: 1.0 }),
        ];
        metrics.extend(now.map(|hour| {
            Some(Metric::Average { value: f64::from(hour.unwrap_or(1)), target: 1.0 })
        }));
        let active = waiting > 0.0 || arriving || now.flatten().is_some();
        Answer { metrics, active: Some(active), ..Answer::default() }
    }
}

/// Whether requests arrive: what counts them says so; where nothing does, since no engine is there to
/// be asked, those that the gateway holds have.
fn is_arriving(observation: &Observation, window: Duration) -> bool {
    let counted = query::arrivals(observation, window);
    counted.or_else(|| query::held(observation)).is_some_and(|value| value > 0.0)
}

/// Waiting requests, KV caches and share of the knee, per replica.
const MULTI: [f64; 3] = [5.0, 0.7, 0.7];

#[derive(Debug)]
struct Multi {
    times: f64,
    knee: f64,
}

impl Law for Multi {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let [queue, kv, share] = MULTI.map(|threshold| threshold * self.times);
        let read = [
            (query::sum(view.observation, Role::Waiting), queue),
            (query::sum(view.observation, Role::KvUsage), kv),
            (query::arrivals(view.observation, 2 * MINUTE), share * self.knee),
        ];
        let values = read.map(|(value, target)| (value.unwrap_or(0.0), target));
        let active = values.iter().any(|(value, _)| *value > 0.0)
            || is_arriving(view.observation, 2 * MINUTE);
        let metric = |(value, target)| Some(Metric::Average { value, target });
        Answer { metrics: values.map(metric).to_vec(), active: Some(active), ..Answer::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEDA_MULTI, KEDA_QUEUE, KEDA_QUEUE_CRON};
    use crate::engine::observation::Role;
    use crate::engine::replay::law::Metric;
    use crate::engine::replay::policy::entry::{Actuator, Policy};
    use crate::engine::replay::policy::fixture::{Sight, context, evenly, hours};

    fn average((value, target): (f64, f64)) -> Option<Metric> {
        Some(Metric::Average { value, target })
    }

    fn check(policy: &Policy, knob: f64, sight: Sight, expected: (&[(f64, f64)], bool)) {
        let mut law = (policy.law)(&context((0, 8)), knob);
        let answer = law.look(&sight.view());
        let metrics: Vec<_> = expected.0.iter().copied().map(average).collect();
        assert_eq!(answer.metrics, metrics, "{}", policy.name);
        assert_eq!(answer.active, Some(expected.1), "{}", policy.name);
        assert_eq!(answer.replicas, None);
    }

    #[test]
    fn the_queue_is_summed_and_the_keep_alive_is_zero_or_one() {
        let queue = [(Role::Waiting, &[7.0, 0.0, 4.0][..])];
        let rows = [
            (Sight::new(3, 3).pods(&queue), 5.0, [(11.0, 5.0), (0.0, 1.0)], true),
            (Sight::new(3, 3).pods(&queue).gateway(0.0, 0.3), 2.0, [(11.0, 2.0), (1.0, 1.0)], true),
            // Empty and poisoned results are 0: KEDA goes to sleep on a dead metric.
            (Sight::new(2, 2), 5.0, [(0.0, 5.0), (0.0, 1.0)], false),
            (Sight::new(2, 2).gateway(f64::NAN, f64::NAN), 5.0, [(0.0, 5.0), (0.0, 1.0)], false),
            (
                Sight::new(2, 2).pods(&[(Role::Waiting, &[f64::NAN, 3.0])]),
                5.0,
                [(3.0, 5.0), (0.0, 1.0)],
                true,
            ),
            // Six minutes old: beyond the lookback of an instant query.
            (Sight::new(3, 3).aged(360).pods(&queue), 5.0, [(0.0, 5.0), (0.0, 1.0)], false),
            (Sight::new(3, 3).aged(299).pods(&queue), 5.0, [(11.0, 5.0), (0.0, 1.0)], true),
            // At zero the router's counter is all that is left; where the gateway only says what it
            // holds, that is.
            (Sight::new(0, 0).holding(2.0), 5.0, [(0.0, 5.0), (1.0, 1.0)], true),
            (Sight::new(0, 0).holding(0.0), 5.0, [(0.0, 5.0), (0.0, 1.0)], false),
            (Sight::new(0, 0).gateway(2.0, 0.1), 5.0, [(0.0, 5.0), (1.0, 1.0)], true),
        ];
        for (sight, knob, metrics, active) in rows {
            check(&KEDA_QUEUE, knob, sight, (&metrics, active));
        }
    }

    #[test]
    fn several_triggers_are_several_metrics() {
        // One replica carries 1 request/s in the fixture; 0.7 of it, times the knob.
        let busy = Sight::new(2, 2)
            .pods(&[(Role::Waiting, &[1.0, 2.0]), (Role::KvUsage, &[0.5, 0.75])])
            .gateway(0.0, 1.5);
        check(&KEDA_MULTI, 1.0, busy, (&[(3.0, 5.0), (1.25, 0.7), (1.5, 0.7)], true));
        let asleep = [(0.0, 5.0), (0.0, 0.7), (0.0, 0.7)];
        check(&KEDA_MULTI, 1.0, Sight::new(0, 0).holding(1.0), (&asleep, true));
        check(&KEDA_MULTI, 1.0, Sight::new(0, 0).holding(0.0), (&asleep, false));
        check(&KEDA_MULTI, 2.0, Sight::new(2, 2), (&[(0.0, 10.0), (0.0, 1.4), (0.0, 1.4)], false));
    }

    #[test]
    fn the_cron_trigger_holds_its_hours_and_one_replica_outside() {
        // One day from midnight: 5 requests/s from 8 to 16 h, 0.5 otherwise, 1 carried by a replica:
        // 5 / 0.85 = 5.9.
        let mut context = context((0, 8));
        context.arrivals = evenly(&[(hours(8), 0.5), (hours(8), 5.0), (hours(8), 0.5)]);
        context.length = std::time::Duration::from_hours(24);
        let mut law = (KEDA_QUEUE_CRON.law)(&context, 5.0);
        let rows = [(0, 1.0, false), (8, 6.0, true), (15, 6.0, true), (16, 1.0, false)];
        for (hour, expected, active) in rows {
            let answer = law.look(&Sight::new(1, 1).later(hours(hour)).view());
            assert_eq!(answer.metrics.last(), Some(&average((expected, 1.0))), "{hour} h");
            assert_eq!((answer.metrics.len(), answer.active), (3, Some(active)), "{hour} h");
        }
    }

    #[test]
    fn the_scaled_objects_poll_as_their_sources_do() {
        for (policy, polling, cooldown) in [(KEDA_QUEUE, 15, 360), (KEDA_MULTI, 30, 300)] {
            let Actuator::Keda(keda) = (policy.actuator)(&context((0, 8))) else { panic!() };
            assert_eq!((keda.polling.as_secs(), keda.cooldown.as_secs()), (polling, cooldown));
            assert_eq!((keda.push, keda.min, keda.hpa.min, keda.hpa.max), (false, 0, 1, 8));
            assert!(keda.hpa.rules.is_none());
        }
    }
}
