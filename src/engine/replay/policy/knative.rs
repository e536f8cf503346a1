//! knative-kpa: Knative's pod autoscaler on concurrency, with its panic mode.
//!
//! `ceil(mean concurrency / target)` over 60 s and over 6 s, both within `[floor(ready / 2),
//! ceil(1000 ready)]`; panic while the short one asks for twice what is ready, and then the largest
//! number asked for stands until a stable window has passed without.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::numeric::{count, replicas_ceil};
use crate::engine::observation::Role;
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Knob, Policy};
use crate::engine::replay::policy::query;
use crate::engine::units::Timestamp;

/// `stable-window`.
const STABLE: Duration = Duration::from_mins(1);
/// `panic-window-percentage` 10 of it.
const PANIC: Duration = Duration::from_secs(6);
/// `panic-threshold-percentage` 200.
const PANIC_AT: f64 = 2.0;
/// `max-scale-up-rate`.
const UP_RATE: f64 = 1000.0;
/// `max-scale-down-rate`.
const DOWN_RATE: f64 = 2.0;
/// `scale-to-zero-grace-period`.
const GRACE: Duration = Duration::from_secs(30);
/// `tick-interval`.
const TICK: Duration = Duration::from_secs(2);

/// Concurrency over a target.
pub(super) const KNATIVE_KPA: Policy = Policy {
    name: "knative-kpa",
    about: "Requests in flight and held over a target per replica, as means over 60 s, and over 6 s in panic.",
    source: "knative/serving 98e5ef90, pkg/autoscaler/scaling/autoscaler.go with its defaults: \
             container-concurrency-target-default 100 at 70 %, stable window 60 s, panic 10 % and 200 %, every 2 s; its own \
             controller sets the replicas",
    simplifications: &[
        "concurrency is what engines and gateway show, read every 2 s as its own scraper reads the queue proxies, not \
         averaged by them in between",
        "to zero 30 s after the stable window is empty; without the activator's probes on the way",
        "no containerConcurrency: a limit would hold requests back that the engine's own batch takes",
    ],
    knob: Some(Knob {
        name: "concurrency per replica",
        default: 70.0,
        values: &[200.0, 140.0, 100.0, 70.0, 50.0, 35.0, 25.0, 18.0, 12.0, 8.0],
    }),
    every: TICK,
    quantile: None,
    scrape: Some(TICK),
    actuator: |_| Actuator::Direct,
    law: |context, target| {
        Box::new(Kpa {
            context: context.clone(),
            target,
            seen: VecDeque::new(),
            panic: None,
            zero_since: None,
        })
    },
};

/// Panic: since it was last seen, and the most it asked for.
#[derive(Debug, Clone, Copy)]
struct Panic {
    at: Timestamp,
    most: u32,
}

#[derive(Debug)]
struct Kpa {
    context: Context,
    target: f64,
    seen: VecDeque<(Timestamp, f64)>,
    panic: Option<Panic>,
    zero_since: Option<Timestamp>,
}

impl Law for Kpa {
    fn look(&mut self, view: &View<'_>) -> Answer {
        if let Some(concurrency) = concurrency(view) {
            self.seen.push_back((view.at, concurrency));
        }
        while self.seen.front().is_some_and(|(at, _)| view.at.since(*at) >= STABLE) {
            self.seen.pop_front();
        }
        // Without data in a window the autoscaler gives no advice, and the replicas stay.
        let windows = self.mean(STABLE, view.at).zip(self.mean(PANIC, view.at));
        let replicas = windows.map(|(stable, panic)| {
            let wanted = self.wanted(stable, panic, view);
            let graced = self.graced(wanted, view);
            self.context.within(graced)
        });
        Answer { replicas, ..Answer::default() }
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.panic = None;
        self.zero_since = None;
    }
}

impl Kpa {
    fn mean(&self, window: Duration, now: Timestamp) -> Option<f64> {
        let recent = self.seen.iter().filter(|(at, _)| now.since(*at) < window);
        let values: Vec<f64> = recent.map(|(_, concurrency)| *concurrency).collect();
        let sum = values.iter().sum::<f64>();
        (!values.is_empty()).then(|| sum / f64::from(count(values.len())))
    }

    fn wanted(&mut self, stable: f64, panic: f64, view: &View<'_>) -> u32 {
        let ready = f64::from(view.ready.max(1));
        let bounds =
            |pods: f64| pods.max((ready / DOWN_RATE).floor()).min((UP_RATE * ready).ceil());
        let asked = (panic / self.target).ceil();
        let calm = replicas_ceil(bounds((stable / self.target).ceil()));
        let hasty = replicas_ceil(bounds(asked));
        if asked / ready >= PANIC_AT {
            let most = self.panic.map_or(0, |panic| panic.most);
            self.panic = Some(Panic { at: view.at, most });
        } else if self.panic.is_some_and(|panic| view.at.since(panic.at) > STABLE) {
            self.panic = None;
        }
        let Some(panic) = self.panic.as_mut() else { return calm };
        panic.most = panic.most.max(calm).max(hasty);
        panic.most
    }

    /// Zero only once it was wanted for the grace period.
    fn graced(&mut self, wanted: u32, view: &View<'_>) -> u32 {
        if wanted > 0 || view.spec == 0 {
            self.zero_since = None;
            return wanted;
        }
        let since = *self.zero_since.get_or_insert(view.at);
        u32::from(view.at.since(since) < GRACE)
    }
}

/// In flight in the engines and held at the activator; `None` when neither says anything.
fn concurrency(view: &View<'_>) -> Option<f64> {
    let read = |role| query::sum(view.observation, role);
    let parts = [read(Role::Running), read(Role::Waiting), query::held(view.observation)];
    query::finite(parts.into_iter().flatten().reduce(|sum, part| sum + part))
}

#[cfg(test)]
mod tests {
    use super::KNATIVE_KPA;
    use crate::engine::observation::Role;
    use crate::engine::replay::law::Law;
    use crate::engine::replay::policy::fixture::{Sight, context};

    /// Rows in sequence on one autoscaler with a target of 10: second, ready, in flight, replicas.
    fn check(limits: (u32, u32), rows: &[(u64, u32, f64, Option<u32>)]) {
        let mut law = (KNATIVE_KPA.law)(&context(limits), 10.0);
        for (second, ready, in_flight, expected) in rows {
            let sight = Sight::new(*ready, *ready)
                .later(*second)
                .pods(&[(Role::Running, &[*in_flight]), (Role::Waiting, &[0.0])]);
            assert_eq!(law.look(&sight.view()).replicas, *expected, "{second} s");
        }
    }

    #[test]
    fn the_stable_window_is_a_mean_over_a_minute() {
        check(
            (1, 50),
            &[
                (0, 2, 20.0, Some(2)),
                (30, 2, 30.0, Some(3)), // mean 25; the panic window alone asks for 3 / 2 = 1.5
                (60, 3, 30.0, Some(3)), // the first is a minute old
                (62, 3, 0.0, Some(2)),  // (30 + 30 + 0) / 3 = 20
            ],
        );
    }

    #[test]
    fn twice_what_is_ready_is_panic_and_its_maximum_stands_for_a_minute() {
        check(
            (0, 50),
            &[
                (0, 2, 10.0, Some(1)),
                (20, 2, 60.0, Some(6)), // 6 / 2 = 3: panic, on the short window
                (30, 2, 20.0, Some(6)), // only 2 / 2: but the maximum stands
                (40, 2, 90.0, Some(9)),
                (50, 9, 10.0, Some(9)),
                (100, 9, 10.0, Some(9)), // 60 s after the last: not yet more
                (101, 9, 10.0, Some(4)), // floor(9 / 2) is as fast as it goes down
            ],
        );
    }

    #[test]
    fn limits_and_rates_bound_it() {
        check((1, 8), &[(0, 1, 5000.0, Some(8))]);
        check((3, 8), &[(0, 3, 0.0, Some(3))]);
    }

    #[test]
    fn zero_waits_for_its_grace_and_held_requests_end_it() {
        check((0, 8), &[(0, 1, 0.0, Some(1)), (28, 1, 0.0, Some(1)), (30, 1, 0.0, Some(0))]);
        let mut law = (KNATIVE_KPA.law)(&context((0, 8)), 10.0);
        // Means of what was seen so far: 12.5 held, and with the poisoned look left out the same.
        for (held, expected) in [(0.0, Some(0)), (25.0, Some(2)), (f64::NAN, Some(2))] {
            let sight = Sight::new(0, 0).gateway(held, 0.0);
            assert_eq!(law.look(&sight.view()).replicas, expected, "{held}");
        }
    }

    #[test]
    fn without_data_there_is_no_advice() {
        let look = |law: &mut dyn Law, sight: Sight| law.look(&sight.view()).replicas;
        let mut law = (KNATIVE_KPA.law)(&context((1, 8)), 10.0);
        assert_eq!(look(law.as_mut(), Sight::new(4, 4)), None);
        let poison = Sight::new(4, 4).pods(&[(Role::Running, &[f64::NAN, f64::INFINITY])]);
        assert_eq!(look(law.as_mut(), poison), None);
        let busy = || Sight::new(4, 4).pods(&[(Role::Running, &[40.0])]);
        assert_eq!(look(law.as_mut(), busy()), Some(4));
        law.restart();
        assert_eq!(look(law.as_mut(), Sight::new(4, 4).later(2)), None);
    }
}
