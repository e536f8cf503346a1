//! kedastral-like: Kedastral's forecaster and external scaler with what they ship.
//!
//! Every 30 s the baseline model foresees the next half an hour from the last one; each minute's
//! replicas are its rate over what one carries, times the headroom, at most twice and at least half
//! of those before. The largest of the lead time is told to KEDA. What the model does is left to
//! [`model`].

mod model;

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::numeric::replicas_ceil;
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::kedastral::model::{Baseline, Row, STEP};
use crate::engine::replay::policy::query;
use crate::engine::units::Timestamp;

/// `--interval`.
const INTERVAL: Duration = Duration::from_secs(30);
/// `--window`, and `--horizon` likewise.
const WINDOW: Duration = Duration::from_mins(30);
/// `--lead-time` of the scaler.
const LEAD: Duration = Duration::from_mins(5);
/// The rate of the example queries.
const RATE: Duration = Duration::from_mins(1);
/// From nothing `--up-max-factor` 2 allows two; up and down it is twice and half.
const FROM_NOTHING: u32 = 2;

/// Replicas foreseen.
pub(super) const KEDASTRAL_LIKE: Policy = Policy {
    name: "kedastral-like",
    about: "Requests per second of the last half an hour continued by slope and acceleration, blended with the mean of the \
            hour, times a headroom, over what a replica carries; the largest of the lead time.",
    source: "kedastral/kedastral v0.1.7 (abce64fc, 2026-06-24), pkg/models/baseline.go, pkg/capacity/planner.go and \
             cmd/scaler/scaler.go with their defaults: model baseline, window and horizon 30 min, step 1 min, every 30 s, \
             headroom 1.2, at most doubled and at most halved per step, lead time 5 min; the ScaledObject that its operator \
             writes, with KEDA's pollingInterval 30 and cooldownPeriod 300 and the HPA's defaults",
    simplifications: &[
        "its only trigger, as the operator writes it; the documents advise a reactive trigger beside it, which only ever adds \
         replicas",
        "targetPerPod, which its user measures, is what a load test of this very mix says a replica carries",
        "the lead time is the mean cold start of the run where that is longer than the default; the chart says 15 min, and \
         the leadTime of a ForecastPolicy is read by nothing",
        "means by minute of the hour need an hour of history: in the window of 30 minutes they never form, and are left out",
        "quantiles are off as shipped (quantileLevel 0), and so are ARIMA, SARIMA and models over HTTP",
        "the query is the rate of requests over a minute, counted as they finish where nothing counts them as they arrive, so \
         a fleet that is full shows less than comes",
        "it learns as the run goes, and a restart forgets what it learned; the hours of the day are UTC, as they are there",
        "never below one replica, its default minimum: asleep, engines show nothing that it could foresee from, and it would \
         not wake; so that it is inactive without a forecast of the last two lead times changes nothing here",
    ],
    knob: Some(Knob {
        name: "headroom: times what is foreseen",
        default: 1.2,
        values: &[1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5],
    }),
    every: INTERVAL,
    quantile: None,
    scrape: None,
    actuator: |context| {
        let min = context.limits.0.max(1);
        Actuator::Keda(Keda { min, ..Keda::polled(context, 30, 300) })
    },
    law: |context, headroom| Box::new(Kedastral::new(context, headroom)),
};

/// What the scaler last read from the forecaster.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    at: Timestamp,
    replicas: u32,
}

#[derive(Debug)]
struct Kedastral {
    planner: Planner,
    lead: Duration,
    /// Prometheus' own, which outlives a restart.
    history: VecDeque<Row>,
    model: Baseline,
    /// Replicas of the first step of the last forecast: the planner begins with them.
    current: u32,
    snapshot: Option<Snapshot>,
}

impl Kedastral {
    fn new(context: &Context, headroom: f64) -> Self {
        Self {
            planner: Planner::new(context, headroom),
            lead: context.cold_start.max(LEAD),
            history: VecDeque::new(),
            model: Baseline::default(),
            current: context.limits.0,
            snapshot: None,
        }
    }

    /// What a range query in steps of a minute that ends at `now` answers: looks are half of one apart.
    fn rows(&self, now: Timestamp) -> Vec<Row> {
        let is_step = |row: &&Row| now.since(row.at).as_millis().is_multiple_of(STEP.as_millis());
        self.history.iter().filter(is_step).copied().collect()
    }

    /// Steps after the first that the lead time and the horizon have.
    fn steps(&self) -> usize {
        let steps = |span: Duration| span.as_secs() / STEP.as_secs();
        let steps = steps(self.lead).min(steps(WINDOW) - 1);
        usize::try_from(steps).unwrap_or(usize::MAX)
    }

    fn forecast(&mut self, now: Timestamp) -> Option<Snapshot> {
        let rows = self.rows(now);
        self.model.train(&rows);
        let ahead = self.model.predict(&rows, self.steps() + 1)?;
        let replicas = self.planner.replicas(self.current, &ahead);
        self.current = replicas.first().copied().unwrap_or(self.current);
        Some(Snapshot { at: now, replicas: replicas.into_iter().max()? })
    }
}

impl Law for Kedastral {
    fn look(&mut self, view: &View<'_>) -> Answer {
        if let Some(value) = query::arrivals(view.observation, RATE) {
            self.history.push_back(Row { at: view.at, value });
        }
        while self.history.front().is_some_and(|row| view.at.since(row.at) > WINDOW) {
            self.history.pop_front();
        }
        // What cannot be foreseen now leaves the last forecast as it is.
        self.snapshot = self.forecast(view.at).or(self.snapshot);
        let told = |snapshot: Snapshot| f64::from(snapshot.replicas);
        let metric = self.snapshot.map(|found| Metric::Average { value: told(found), target: 1.0 });
        let is_fresh = |found: Snapshot| view.at.since(found.at) <= self.lead * 2;
        let active = self.snapshot.is_some_and(is_fresh);
        Answer { metrics: vec![metric], active: Some(active), ..Answer::default() }
    }

    fn restart(&mut self) {
        self.model = Baseline::default();
        self.current = self.planner.context.limits.0;
        self.snapshot = None;
    }
}

/// Rates to replicas.
#[derive(Debug)]
struct Planner {
    context: Context,
    /// Not below one.
    headroom: f64,
}

impl Planner {
    fn new(context: &Context, headroom: f64) -> Self {
        Self { context: context.clone(), headroom: headroom.max(1.0) }
    }

    /// Of each step ahead, beginning with `before`.
    fn replicas(&self, before: u32, ahead: &[f64]) -> Vec<u32> {
        let mut before = self.context.within(before);
        let step = |rate: &f64| {
            let wanted = replicas_ceil(rate.max(0.0) * self.headroom / self.context.knee);
            let allowed = match before {
                0 => self.context.within(wanted).min(FROM_NOTHING),
                _ => self.context.within(wanted).clamp(before / 2, before.saturating_mul(2)),
            };
            before = self.context.within(allowed);
            before
        };
        ahead.iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{KEDASTRAL_LIKE, Planner};
    use crate::engine::replay::law::{Law, Metric};
    use crate::engine::replay::policy::entry::Actuator;
    use crate::engine::replay::policy::fixture::{Sight, context};

    /// The planner with a `targetPerPod` of 50.
    fn plan(limits: (u32, u32), headroom: f64, before: u32, ahead: &[f64], expected: &[u32]) {
        let mut context = context(limits);
        context.knee = 50.0;
        assert_eq!(Planner::new(&context, headroom).replicas(before, ahead), expected, "{ahead:?}");
    }

    #[test]
    fn the_planner_rounds_up_and_keeps_bounds_and_steps() {
        // The first row is TestToReplicas_Basic of the source.
        plan((1, 100), 1.2, 2, &[120.0, 130.0, 125.0, 140.0, 100.0], &[3, 4, 3, 4, 3]);
        // Below 1 it is 1; negative rates and none are 0.
        plan((0, 100), 0.5, 2, &[100.0, -5.0, f64::NAN, 0.0], &[2, 1, 0, 0]);
        plan((0, 100), 1.0, 0, &[5000.0, 5000.0, 5000.0, 0.0, 0.0], &[2, 4, 8, 4, 2]);
        plan((3, 5), 1.0, 0, &[0.0, 5000.0, 0.0], &[3, 5, 3]);
    }

    /// Shows it a rate at a second; what it tells KEDA, and whether it is active.
    fn look(law: &mut dyn Law, second: u64, rate: Option<f64>) -> (Option<f64>, Option<bool>) {
        let sight = Sight::new(2, 2).later(second);
        let sight = match rate {
            Some(rate) => sight.gateway(0.0, rate),
            None => sight,
        };
        let answer = law.look(&sight.view());
        let told = match &answer.metrics[..] {
            [Some(Metric::Average { value, target })] if (target - 1.0).abs() < 1e-9 => {
                Some(*value)
            }
            [None] => None,
            metrics => panic!("{metrics:?}"),
        };
        (told, answer.active)
    }

    /// One replica carries 1/s; a rise of 0.1/s per minute to 2.95/s.
    fn rise(cold_start: u64, expected: f64) {
        let mut context = context((1, 20));
        context.cold_start = Duration::from_mins(cold_start);
        let mut law = (KEDASTRAL_LIKE.law)(&context, 1.2);
        let mut told = (None, None);
        for idx in 0..20_u32 {
            let rate = 2.0 + 0.05 * f64::from(idx);
            told = look(law.as_mut(), u64::from(30 * idx), Some(rate));
        }
        assert_eq!(told, (Some(expected), Some(true)), "{cold_start}");
    }

    #[test]
    fn the_largest_of_the_lead_time_is_told() {
        // The slope gives 3.55/s after the sixth minute, the hour's mean is 2.5/s:
        // 1.2 (0.4 x 3.55 + 0.6 x 2.5) = 3.5.
        rise(1, 4.0);
        // 5.05/s after 21 minutes: 1.2 (0.4 x 5.05 + 0.6 x 2.5) = 4.2.
        rise(20, 5.0);
    }

    #[test]
    fn without_a_forecast_it_is_inactive_and_an_old_one_is_still_told() {
        let mut law = (KEDASTRAL_LIKE.law)(&context((0, 8)), 1.2);
        let rows = [
            (0, None, (None, Some(false))),
            (30, Some(3.0), (Some(4.0), Some(true))),
            // The next whole minutes are those of 30 s; at 60 s nothing new can be foreseen.
            (60, None, (Some(4.0), Some(true))),
            (30 + 1830, None, (Some(4.0), Some(false))),
        ];
        for (second, rate, expected) in rows {
            assert_eq!(look(law.as_mut(), second, rate), expected, "{second}");
        }
        law.restart();
        assert_eq!(look(law.as_mut(), 1890, None), (None, Some(false)));
    }

    #[test]
    fn keda_polls_it_and_the_hpa_is_at_its_defaults() {
        let Actuator::Keda(keda) = (KEDASTRAL_LIKE.actuator)(&context((0, 8))) else { panic!() };
        let times = (keda.polling.as_secs(), keda.cooldown.as_secs());
        assert_eq!((keda.push, keda.min, times, keda.hpa.rules), (false, 1, (30, 300), None));
    }
}
