//! A point forecast with a band made of its own residuals: rolling split conformal prediction.
//!
//! The forecast at a level is the point plus that quantile of the last day's residuals of this very
//! horizon and target, and not below zero. Of a window's maximum the residual is maximum minus point.

use std::collections::VecDeque;

use crate::engine::forecast::{Horizon, Setup};
use crate::engine::score::baselines::points::Point;
use crate::engine::score::baselines::residuals::Residuals;
use crate::engine::score::model::Model;
use crate::engine::score::series::{DAY, steps};
use crate::engine::score::targets::{Recent, ahead};
use crate::engine::units::Timestamp;

/// A point forecast with bands.
#[derive(Debug)]
pub(crate) struct Conformal<P> {
    point: P,
    recent: Recent,
    lanes: Vec<Lane>,
}

/// One horizon.
#[derive(Debug)]
struct Lane {
    horizon: Horizon,
    /// Points whose target has not come, oldest first.
    open: VecDeque<Option<f64>>,
    residuals: Residuals,
}

impl<P: Point> Conformal<P> {
    /// `point` for the horizons of `setup`.
    pub(crate) fn new(point: P, setup: &Setup) -> Self {
        let day = steps(DAY, setup.step);
        let lane = |horizon: &Horizon| Lane {
            horizon: *horizon,
            open: VecDeque::new(),
            residuals: Residuals::of(day),
        };
        let lanes = setup.horizons.iter().map(lane).collect();
        Self { point, recent: Recent::of(&setup.horizons), lanes }
    }
}

impl<P: Point> Model for Conformal<P> {
    fn observe(&mut self, _at: Timestamp, value: Option<f64>) {
        self.recent.push(value);
        self.point.observe(value);
        for lane in &mut self.lanes {
            if lane.open.len() == ahead(lane.horizon) {
                let made = lane.open.pop_front().flatten();
                if let (Some(point), Some(target)) = (made, self.recent.target(lane.horizon)) {
                    lane.residuals.push(target - point);
                }
            }
            lane.open.push_back(self.point.point(lane.horizon));
        }
    }

    fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        let lane = self.lanes.get(horizon)?;
        let point = (*lane.open.back()?)?;
        Some((point + lane.residuals.quantile(level)?).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::Conformal;
    use crate::engine::forecast::{Horizon, Setup, Target};
    use crate::engine::score::baselines::points::Last;
    use crate::engine::score::model::Model;
    use crate::engine::units::Timestamp;

    /// What last+conformal says at 0.5 and 0.9 after `values`.
    fn check(values: &[Option<f64>], steps: u32, target: Target, expected: [Option<f64>; 2]) {
        let setup = Setup {
            step: Duration::from_mins(1),
            horizons: vec![Horizon { steps, target }],
            timezone: chrono_tz::UTC,
            holidays: BTreeSet::new(),
        };
        let mut model = Conformal::new(Last::default(), &setup);
        for value in values {
            model.observe(Timestamp::default(), *value);
        }
        let found = [0.5, 0.9].map(|level| model.quantile(0, level));
        assert_eq!(found, expected, "{values:?} {steps} {target:?}");
    }

    #[test]
    fn a_forecast_is_the_point_and_a_quantile_of_what_it_missed() {
        let values = [4.0, 6.0, 5.0, 9.0].map(Some);
        // Residuals 2, -1, 4: the second of three is 2, ceil(4 x 0.9) is limited to the third.
        check(&values, 1, Target::At, [Some(11.0), Some(13.0)]);
        // Two ahead: 5 - 4 and 9 - 6.
        check(&values, 2, Target::At, [Some(12.0), Some(12.0)]);
        // The largest of two ahead: 6 - 4 and 9 - 6.
        check(&values, 2, Target::WindowMax, [Some(12.0), Some(12.0)]);
        check(&values[..2], 2, Target::At, [None, None]);
    }

    #[test]
    fn a_gap_is_no_residual_and_no_demand_is_the_least() {
        // 3 - 7 is the only residual: the gap has none, and from the gap on 7 was the last value.
        check(&[Some(7.0), None, Some(3.0)], 1, Target::At, [Some(0.0), Some(0.0)]);
        check(&[Some(7.0), None, None], 1, Target::At, [None, None]);
    }
}
