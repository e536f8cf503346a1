//! Quantiles of what came at the same time of day on the last seven days, five steps more or less.
//!
//! This is how the documents of Alibaba's AHPA are read (a "quantile of historic data"); its code is
//! not public. In the first day nothing is known of that time, and it says the last value.

use crate::engine::forecast::{Horizon, Setup};
use crate::engine::numeric::order_statistic;
use crate::engine::score::model::Model;
use crate::engine::score::series::{DAY, steps};
use crate::engine::score::targets::{Recent, ahead};
use crate::engine::time_of_day::TimeOfDay;
use crate::engine::units::Timestamp;

/// The model.
#[derive(Debug)]
pub(crate) struct SameTime {
    recent: Recent,
    lanes: Vec<Lane>,
    last: Option<f64>,
}

/// One horizon.
#[derive(Debug)]
struct Lane {
    horizon: Horizon,
    /// What came, by the step in which it ended.
    days: TimeOfDay,
    /// Sorted, what came at the time of the target.
    pool: Vec<f64>,
}

impl SameTime {
    /// For the horizons of `setup`.
    pub(crate) fn new(setup: &Setup) -> Self {
        let lane = |horizon: &Horizon| Lane {
            horizon: *horizon,
            days: TimeOfDay::new(steps(DAY, setup.step)),
            pool: Vec::with_capacity(TimeOfDay::MOST),
        };
        Self {
            recent: Recent::of(&setup.horizons),
            lanes: setup.horizons.iter().map(lane).collect(),
            last: None,
        }
    }
}

impl Model for SameTime {
    fn observe(&mut self, _at: Timestamp, value: Option<f64>) {
        self.recent.push(value);
        self.last = value.or(self.last);
        for lane in &mut self.lanes {
            lane.days.push(self.recent.target(lane.horizon));
            lane.days.around(ahead(lane.horizon), &mut lane.pool);
        }
    }

    fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        order_statistic(&self.lanes.get(horizon)?.pool, level).or(self.last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::SameTime;
    use crate::engine::forecast::{Horizon, Setup, Target};
    use crate::engine::score::model::Model;
    use crate::engine::units::Timestamp;

    fn check(hours: u32, steps: u32, target: Target, expected: [f64; 2]) {
        let setup = Setup {
            step: Duration::from_hours(1),
            horizons: vec![Horizon { steps, target }],
            timezone: chrono_tz::UTC,
            holidays: BTreeSet::new(),
        };
        let mut model = SameTime::new(&setup);
        for hour in 0..hours {
            model.observe(Timestamp::default(), Some(f64::from(hour)));
        }
        let found = [0.01, 0.5].map(|level| model.quantile(0, level));
        assert_eq!(found, expected.map(Some), "{hours} {steps} {target:?}");
    }

    #[test]
    fn the_pool_is_what_came_around_the_same_time_of_day() {
        // Hour 30 is the newest, 32 the target: 8 a day before, 3 to 13 around it, 8 the middle.
        check(31, 2, Target::At, [3.0, 8.0]);
        // Two days: 3 to 13 and 27 to 37; the twelfth of 22.
        check(55, 2, Target::At, [3.0, 27.0]);
        // The largest of hours that rise is the last of them.
        check(31, 2, Target::WindowMax, [3.0, 8.0]);
    }

    #[test]
    fn the_first_day_knows_the_last_value_only() {
        check(10, 2, Target::At, [9.0, 9.0]);
    }
}
