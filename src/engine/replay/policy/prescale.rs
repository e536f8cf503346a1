//! prescale-reactive: the engine that `prescale serve` runs, tick by tick, without a forecast.

use std::time::Duration;

use crate::engine::decision::{Decision, Verdict};
use crate::engine::foresight::Foresight;
use crate::engine::invariants::violations;
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::setup::{Setup, Strategy, Thrift};
use crate::engine::step::{Memory, step};
use crate::engine::units::{Ratio, Replicas};

/// What is shipped.
pub(super) const PRESCALE_REACTIVE: Policy = Policy {
    name: "prescale-reactive",
    about: "prescale without a forecast: demand in replica-equivalents from queue, KV cache and arrivals against what a \
            replica was seen to carry, never down before lower need has lasted for the median cold start.",
    source: "this repository, the code that serves; KEDA external-push at pollingInterval 5, cooldownPeriod 60, with the HPA \
             behaviour it ships",
    simplifications: &[
        "what it learned is not stored: each run begins with nothing learned",
        "the default tick of 15 s",
    ],
    knob: Some(Knob {
        name: "headroom: usable share of what a replica carries",
        default: 0.7,
        values: &[0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5],
    }),
    every: Duration::from_secs(15),
    quantile: None,
    scrape: None,
    actuator,
    law: |context, headroom| Box::new(Reactive::new(context, headroom)),
};

/// With the forecast while it is trusted.
pub(super) const PRESCALE_AUTO: Policy = Policy {
    name: "prescale-auto",
    about: "prescale as it comes (scaleStrategy: auto): the larger of prescale-reactive and the forecast of the lead time \
            ahead, as long as the forecast loses less than last value + conformal and the reactive decision; then with more \
            of each replica in use.",
    source: "this repository, the code that serves; KEDA external-push at pollingInterval 5, cooldownPeriod 60, with the HPA \
             behaviour it ships",
    simplifications: &[
        "it learns from the run alone: no history before its first minute",
        "at the knob's default it is as it comes, and margin gives way as the bill asks; at any other setting what is set holds",
        "the default tick of 15 s",
    ],
    knob: Some(HEADROOM),
    law: |context, headroom| Box::new(Reactive::foreseeing(context, headroom, Strategy::Auto)),
    ..PRESCALE_REACTIVE
};

/// With the forecast whether it is trusted or not.
pub(super) const PRESCALE_PROACTIVE: Policy = Policy {
    name: "prescale-proactive",
    about: "prescale with scaleStrategy: proactive: as prescale-auto, but the forecast counts from its first hour on and when it \
            has been demoted.",
    knob: Some(HEADROOM),
    law: |context, headroom| Box::new(Reactive::foreseeing(context, headroom, Strategy::Proactive)),
    ..PRESCALE_AUTO
};

const HEADROOM: Knob = Knob {
    name: "headroom, and with it headroomTrusted (the same) and quantile (from 0.99 to 0.6)",
    default: 0.7,
    values: &[0.95, 0.9, 0.875, 0.85, 0.825, 0.8, 0.75, 0.7, 0.675, 0.65],
};

/// A quantile for each headroom: with less margin against surprise less of it against what is foreseen.
const QUANTILES: [(f64, f64); 12] = [
    (0.5, 0.99),
    (0.6, 0.98),
    (0.65, 0.97),
    (0.675, 0.96),
    (0.7, 0.95),
    (0.75, 0.9),
    (0.8, 0.85),
    (0.825, 0.825),
    (0.85, 0.8),
    (0.875, 0.75),
    (0.9, 0.7),
    (0.95, 0.6),
];

/// The quantile of the first headroom that is not less; the least beyond the last one.
fn quantile_at(headroom: f64) -> f64 {
    let place = QUANTILES.iter().find(|(at, _)| headroom <= at + 1e-9);
    place.map_or(0.5, |(_, quantile)| *quantile)
}

fn actuator(context: &Context) -> Actuator {
    Actuator::Keda(Keda::recommended(context.limits))
}

/// The trigger's setup within the limits.
fn setup(context: &Context, strategy: Strategy) -> Setup {
    let Context { setup, limits: (min, max), .. } = context;
    Setup {
        strategy,
        min_replicas: Some(setup.min_replicas.unwrap_or(Replicas::new(*min))),
        max_replicas: Some(setup.max_replicas.unwrap_or(Replicas::new(*max))),
        ..setup.clone()
    }
}

/// The engine as a law.
#[derive(Debug)]
pub struct Reactive {
    setup: Setup,
    memory: Memory,
}

impl Reactive {
    /// Nothing seen yet and no forecast, at a headroom of 0..=1; another changes nothing.
    #[must_use]
    pub fn new(context: &Context, headroom: f64) -> Self {
        let mut setup = setup(context, Strategy::Reactive);
        setup.headroom = Ratio::try_new(headroom).unwrap_or(setup.headroom);
        Self { setup, memory: Memory::default() }
    }

    /// With a forecast. At the default headroom everything is as the trigger says; at another of 0..=1
    /// margin and quantile move together.
    #[must_use]
    pub fn foreseeing(context: &Context, headroom: f64, strategy: Strategy) -> Self {
        let mut setup = setup(context, strategy);
        let is_turned = (headroom - HEADROOM.default).abs() > 1e-9;
        if let Some(headroom) = Ratio::try_new(headroom).ok().filter(|_| is_turned) {
            setup.headroom = headroom;
            setup.forecast.headroom_trusted = headroom;
            setup.forecast.thrift = Thrift::None;
            setup.forecast.quantile = quantile_at(headroom.get());
        }
        Self { setup, memory: Memory::default() }
    }

    /// Requests per second that it believes one replica to carry; `None`: it does not know yet.
    #[must_use]
    pub fn request_rate(&self) -> Option<f64> {
        self.memory.capacity.request_rate()
    }

    /// What it foresees.
    #[must_use]
    pub const fn foresight(&self) -> &Foresight {
        &self.memory.foresight
    }
}

impl Law for Reactive {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let before = self.memory.clone();
        let stepped = step(&self.setup, view.observation, std::mem::take(&mut self.memory));
        self.memory = stepped.memory;
        let decision = stepped.decision;
        let broken = violations(&self.setup, view.observation, &before, &decision);
        let broken = broken.into_iter().map(|rule| rule.name().to_owned()).collect();
        let metrics = vec![metric(&decision)];
        Answer { metrics, active: decision.active(), broken, ..Answer::default() }
    }

    fn restart(&mut self) {
        self.memory = Memory::default();
    }
}

/// What `GetMetrics` sends: a number, or an error.
fn metric(decision: &Decision) -> Option<Metric> {
    match &decision.verdict {
        Verdict::Scale { sent, .. } => {
            Some(Metric::Average { value: f64::from(sent.get()), target: 1.0 })
        }
        Verdict::Refuse(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::PRESCALE_REACTIVE;
    use crate::engine::observation::Role;
    use crate::engine::replay::law::{Law, Metric, View};
    use crate::engine::replay::policy::entry::Actuator;
    use crate::engine::replay::policy::fixture::{Sight, context};

    /// Two ready pods that together use `kv` of a cache, 10 running each, none waiting.
    fn sight(seconds: u64, kv: f64) -> Sight {
        Sight::new(2, 2).later(seconds).pods(&[
            (Role::Waiting, &[0.0, 0.0]),
            (Role::Running, &[10.0, 10.0]),
            (Role::KvUsage, &[kv / 2.0, kv / 2.0]),
            (Role::KvTokens, &[400_000.0, 400_000.0]),
        ])
    }

    fn look(law: &mut dyn Law, view: &View<'_>) -> Option<f64> {
        let answer = law.look(view);
        assert_eq!(answer.broken, Vec::<String>::new());
        match answer.metrics.as_slice() {
            [Some(Metric::Average { value, target })] if *target > 0.0 => Some(value / target),
            [None] => None,
            metrics => panic!("{metrics:?}"),
        }
    }

    #[test]
    fn the_engine_decides_within_the_limits() {
        // 1.9 caches at 0.7 a replica: 2.7.
        for (limits, expected) in [((0, 8), 3.0), ((0, 2), 2.0), ((5, 8), 5.0)] {
            let mut law = (PRESCALE_REACTIVE.law)(&context(limits), 0.7);
            assert_eq!(look(law.as_mut(), &sight(0, 1.9).view()), Some(expected), "{limits:?}");
        }
    }

    #[test]
    fn missing_data_is_an_error_at_first_and_held_later() {
        let mut law = (PRESCALE_REACTIVE.law)(&context((0, 8)), 0.7);
        assert_eq!(look(law.as_mut(), &Sight::new(2, 2).view()), None);
        assert_eq!(look(law.as_mut(), &sight(15, 1.9).view()), Some(3.0));
        assert_eq!(look(law.as_mut(), &Sight::new(2, 2).later(120).view()), Some(3.0));
        // A restart forgets what was decided.
        law.restart();
        assert_eq!(look(law.as_mut(), &Sight::new(2, 2).later(135).view()), None);
    }

    #[test]
    fn poison_is_survived_and_a_headroom_that_is_none_is_the_default() {
        for headroom in [0.5, f64::NAN, 7.0] {
            let mut law = (PRESCALE_REACTIVE.law)(&context((0, 8)), headroom);
            let poison = sight(0, f64::NAN).gateway(f64::NAN, f64::INFINITY);
            look(law.as_mut(), &poison.view());
        }
    }

    #[test]
    fn keda_is_pushed_and_the_hpa_behaves_as_shipped() {
        let Actuator::Keda(keda) = (PRESCALE_REACTIVE.actuator)(&context((0, 8))) else { panic!() };
        assert_eq!((keda.push, keda.min, keda.cooldown.as_secs()), (true, 0, 60));
        let (up, down) = keda.hpa.rules.unwrap();
        assert!(up.stabilization.is_zero() && down.stabilization.is_zero());
    }
}
