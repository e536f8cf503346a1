//! ahpa-like: Alibaba Cloud's AHPA as its documents describe it, the larger of a forecast and the present.
//!
//! The forecast is the 95th percentile of what arrived around the same time of day on the last days,
//! the largest of the minutes until a pod that is created now would be ready. Until a day is known
//! there is none, and the present alone decides.

use std::time::Duration;

use crate::engine::numeric::order_statistic;
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::query;
use crate::engine::time_of_day::TimeOfDay;
use crate::engine::units::Timestamp;

/// `prediction.quantile`: 90 to 99 are seen, 95 most.
const QUANTILE: f64 = 0.95;
/// AHPA plans pods minute by minute.
const MINUTE: Duration = Duration::from_mins(1);
const MINUTE_MS: i64 = 60_000;
const MINUTES_A_DAY: usize = 24 * 60;

/// The larger of a forecast and the present.
pub(super) const AHPA_LIKE: Policy = Policy {
    name: "ahpa-like",
    about: "Requests per second over a target per replica: the larger of the present (reactive) and of the P95 of the \
            same time of day on the last days (proactive), looked at as far ahead as a pod needs to be ready.",
    source: "Alibaba Cloud's documents of AHPA (alibabacloud.com/help: \"Deploy AHPA\" of 2025-12-25 and 2026-03-26, \"AHPA \
             overview\" of 2026-03-25): proactive, reactive and bounds decide together, pods are planned by the minute from \
             seven days of Prometheus history, through an HPA or a Deployment; quantile 95 as in most manifests that \
             are public",
    simplifications: &[
        "its code is not public: the forecast is how \"a quantile of historic data\" reads, the order statistic of all minutes \
         within five of the same time (UTC) of up to seven days, as in `prescale score`; Alibaba's finds periods and \
         decomposes (RobustPeriod, RobustSTL), so it can tell a weekend from a weekday, and this cannot",
        "a backtest begins without history: the first day is reactive, and from then on it forecasts by the days seen so far; \
         Alibaba asks for seven before it is used",
        "scaleUpForward is the mean cold start of the run, as if its user had measured it (the examples say 180); it brings \
         increases forward and never a decrease",
        "the target is a share of what a load test of this very mix says a replica carries; the documents leave it to their \
         user (10 to 60 % of CPU in examples), and 70 % is keda-multi's",
        "requests are counted as they finish where nothing counts them as they arrive, so a fleet that is full shows less \
         than comes, now and in the history",
        "one metric; without instanceBounds, which are the user's own calendar; looks every 15 s; the HPA at its defaults, whose \
         300 s before a decrease are those of the manifests",
        "never below one replica: the manifests that go to zero do so with Knative",
    ],
    knob: Some(Knob {
        name: "target: share of what a replica carries",
        default: 0.7,
        values: &[1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3],
    }),
    every: Duration::from_secs(15),
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda::hpa_only(context)),
    law: |context, share| Box::new(Ahpa::new(context, share)),
};

/// Its history is Prometheus': a restart of the controller loses nothing.
#[derive(Debug)]
struct Ahpa {
    /// Requests per second for one replica.
    target: f64,
    /// Minutes until a pod that is created now is ready.
    forward: usize,
    /// Requests per second, minute by minute.
    days: TimeOfDay,
    /// The minute of the newest, since the epoch.
    newest: Option<i64>,
    /// Requests per second to be ready for; `None`: not known yet.
    planned: Option<f64>,
}

impl Ahpa {
    fn new(context: &Context, share: f64) -> Self {
        let forward = context.cold_start.as_secs().div_ceil(MINUTE.as_secs());
        Self {
            target: share * context.knee,
            // A day ahead is as far as it plans.
            forward: usize::try_from(forward).unwrap_or(usize::MAX).min(MINUTES_A_DAY),
            days: TimeOfDay::new(MINUTES_A_DAY),
            newest: None,
            planned: None,
        }
    }

    /// Remembers what arrived in the minute that ends `at`, and plans anew.
    fn note(&mut self, at: Timestamp, rate: Option<f64>) {
        let minute = at.unix_ms().div_euclid(MINUTE_MS);
        let missed = self.newest.map_or(0, |newest| minute - newest - 1);
        if missed < 0 {
            return;
        }
        // More than a week of gaps is as good as a week.
        for _ in 0..usize::try_from(missed).unwrap_or(0).min(8 * MINUTES_A_DAY) {
            self.days.push(None);
        }
        self.days.push(rate);
        self.newest = Some(minute);
        self.planned = self.plan();
    }

    /// The most of the present minute and of those until a pod would be ready.
    fn plan(&self) -> Option<f64> {
        let mut pool = Vec::with_capacity(TimeOfDay::MOST);
        let minutes = (1..=self.forward + 1).filter_map(|ahead| {
            self.days.around(ahead, &mut pool);
            order_statistic(&pool, QUANTILE)
        });
        minutes.reduce(f64::max)
    }
}

impl Law for Ahpa {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let rate = query::arrivals(view.observation, MINUTE);
        self.note(view.at, rate);
        let metric = |value| Metric::Average { value, target: self.target };
        // The HPA takes the larger, and where the present is unknown it does not go down.
        let mut metrics = vec![rate.map(metric)];
        metrics.extend(self.planned.map(metric).map(Some));
        Answer { metrics, active: Some(true), ..Answer::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::AHPA_LIKE;
    use crate::engine::replay::law::{Law, Metric};
    use crate::engine::replay::policy::entry::{Actuator, Context};
    use crate::engine::replay::policy::fixture::{Sight, context, hours};

    const MINUTE: u64 = 60;

    /// Shows it `rate` at a second; what it asks for now and ahead, in requests per second.
    fn look(law: &mut dyn Law, second: u64, rate: Option<f64>) -> Vec<Option<f64>> {
        let sight = Sight::new(2, 2).later(second);
        let sight = match rate {
            Some(rate) => sight.gateway(0.0, rate),
            None => sight,
        };
        let value = |metric: &Option<Metric>| match metric {
            Some(Metric::Average { value, target }) => {
                assert!((target - 0.7).abs() < 1e-9, "{target}");
                Some(*value)
            }
            None => None,
            other => panic!("{other:?}"),
        };
        law.look(&sight.view()).metrics.iter().map(value).collect()
    }

    /// One request per second, and `peak` from 9:00 to 9:29, for `days` days.
    fn after_days(context: &Context, days: u64, peak: f64) -> Box<dyn Law> {
        let mut law = (AHPA_LIKE.law)(context, 0.7);
        for minute in 0..days * 24 * 60 {
            let is_busy = (9 * 60..9 * 60 + 30).contains(&(minute % (24 * 60)));
            look(law.as_mut(), minute * MINUTE, Some(if is_busy { peak } else { 1.0 }));
        }
        law
    }

    #[test]
    fn the_first_day_is_reactive() {
        let mut law = (AHPA_LIKE.law)(&context((1, 8)), 0.7);
        for (second, rate) in [(0, Some(2.0)), (15, None), (hours(12), Some(3.0))] {
            assert_eq!(look(law.as_mut(), second, rate), [rate], "{second}");
        }
    }

    #[test]
    fn what_came_yesterday_is_ready_before_it_comes_and_the_present_counts_as_well() {
        let mut law = after_days(&context((1, 8)), 1, 6.0);
        let rows = [
            // Until 9:00 it is more than the two minutes of the cold start and the five around.
            (8 * 60 + 51, Some(1.0), vec![Some(1.0), Some(1.0)]),
            // 9:00 is five minutes from the last of 8:53 to 8:55: its P95 of eleven is the largest.
            (8 * 60 + 52, Some(1.0), vec![Some(1.0), Some(6.0)]),
            (9 * 60, Some(8.0), vec![Some(8.0), Some(6.0)]),
            (9 * 60 + 10, None, vec![None, Some(6.0)]),
            (9 * 60 + 34, Some(1.0), vec![Some(1.0), Some(1.0)]),
        ];
        for (minute, rate, expected) in rows {
            let second = hours(24) + minute * MINUTE;
            assert_eq!(look(law.as_mut(), second, rate), expected, "minute {minute}");
        }
    }

    #[test]
    fn looks_within_a_minute_and_a_restart_change_nothing_of_what_is_known() {
        let mut law = after_days(&context((1, 8)), 2, 6.0);
        law.restart();
        let nine = hours(48 + 9);
        for second in [nine, nine + 15, nine + 30] {
            assert_eq!(look(law.as_mut(), second, Some(0.0)), [Some(0.0), Some(6.0)]);
        }
    }

    #[test]
    fn the_hpa_acts_on_it_and_never_below_one() {
        let Actuator::Keda(keda) = (AHPA_LIKE.actuator)(&context((0, 8))) else { panic!() };
        assert_eq!((keda.push, keda.min, keda.hpa.rules), (false, 1, None));
    }
}
