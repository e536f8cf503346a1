//! Point forecasts: the last value, a smoothed level, the same time of an earlier day or week.

use std::collections::VecDeque;

use crate::engine::forecast::{Horizon, Setup, Target};
use crate::engine::score::series::{DAY, steps};
use crate::engine::score::targets::ahead;

/// Weight of the newest value in the level: the one of the prototype's table.
const WEIGHT: f64 = 0.15;

/// Days of a week.
const WEEK: usize = 7;

/// One number for each horizon.
pub(crate) trait Point {
    /// The next step; `None` is a gap.
    fn observe(&mut self, value: Option<f64>);

    /// The forecast made at the newest step.
    fn point(&self, horizon: Horizon) -> Option<f64>;
}

/// The last value that was known, at every horizon.
#[derive(Debug, Default)]
pub(crate) struct Last(Option<f64>);

impl Point for Last {
    fn observe(&mut self, value: Option<f64>) {
        self.0 = value.or(self.0);
    }

    fn point(&self, _horizon: Horizon) -> Option<f64> {
        self.0
    }
}

/// A level that moves 0.15 of the way to each value.
#[derive(Debug, Default)]
pub(crate) struct Ewma(Option<f64>);

impl Point for Ewma {
    fn observe(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        self.0 = Some(self.0.map_or(value, |level| level + WEIGHT * (value - level)));
    }

    fn point(&self, _horizon: Horizon) -> Option<f64> {
        self.0
    }
}

/// The value at the same time some days ago; where that is not known, a day ago; else the last value.
///
/// Of a window's maximum it is the largest value known of the same window.
#[derive(Debug)]
pub(crate) struct Seasonal {
    values: VecDeque<Option<f64>>,
    /// Seasons in steps, the longest first.
    seasons: Vec<usize>,
    most: usize,
    last: Last,
}

impl Seasonal {
    /// The same time yesterday.
    pub(crate) fn day(setup: &Setup) -> Self {
        Self::of(vec![steps(DAY, setup.step)])
    }

    /// The same time a week ago.
    pub(crate) fn week(setup: &Setup) -> Self {
        let day = steps(DAY, setup.step);
        Self::of(vec![WEEK * day, day])
    }

    fn of(seasons: Vec<usize>) -> Self {
        let most = seasons.iter().copied().max().unwrap_or(0);
        Self { values: VecDeque::new(), seasons, most, last: Last::default() }
    }

    /// A season before the step `ahead` of the newest; the newest itself is 0 steps back.
    fn before(&self, season: usize, ahead: usize) -> Option<f64> {
        let back = season.checked_sub(ahead)?;
        let idx = self.values.len().checked_sub(back + 1)?;
        self.values.get(idx).copied().flatten()
    }

    fn seasonal(&self, season: usize, horizon: Horizon) -> Option<f64> {
        let last = ahead(horizon);
        match horizon.target {
            Target::At => self.before(season, last),
            Target::WindowMax => {
                (1..=last).filter_map(|ahead| self.before(season, ahead)).reduce(f64::max)
            }
        }
    }
}

impl Point for Seasonal {
    fn observe(&mut self, value: Option<f64>) {
        self.last.observe(value);
        if self.values.len() > self.most {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    fn point(&self, horizon: Horizon) -> Option<f64> {
        let known = self.seasons.iter().find_map(|season| self.seasonal(*season, horizon));
        known.or_else(|| self.last.point(horizon))
    }
}

#[cfg(test)]
mod tests {
    use super::{Ewma, Last, Point, Seasonal};
    use crate::engine::forecast::{Horizon, Target};

    const AT: Horizon = Horizon { steps: 2, target: Target::At };

    fn check(mut model: impl Point, values: &[Option<f64>], horizon: Horizon, expected: f64) {
        values.iter().for_each(|value| model.observe(*value));
        let found = model.point(horizon).unwrap();
        // Sums of a few products.
        assert!((found - expected).abs() < 1e-12, "{values:?}: {found}");
    }

    #[test]
    fn levels_carry_over_a_gap() {
        check(Last::default(), &[Some(4.0), Some(9.0), None], AT, 9.0);
        check(Ewma::default(), &[Some(4.0), None, Some(9.0)], AT, 4.75);
    }

    #[test]
    fn a_season_is_read_at_the_time_of_the_target() {
        // A "day" of four steps and a "week" of eight: two ahead of the newest (index 8) is index 10.
        let values: Vec<_> = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0].map(Some).into();
        check(Seasonal::of(vec![4]), &values, AT, 6.0);
        check(Seasonal::of(vec![8, 4]), &values, AT, 2.0);
        let window = Horizon { steps: 3, target: Target::WindowMax };
        check(Seasonal::of(vec![4]), &values, window, 7.0);
    }

    #[test]
    fn what_a_season_does_not_know_a_shorter_one_or_the_last_value_tells() {
        let mut values: Vec<_> = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0].map(Some).into();
        values[2] = None;
        check(Seasonal::of(vec![8, 4]), &values, AT, 6.0);
        values[6] = None;
        check(Seasonal::of(vec![8, 4]), &values, AT, 8.0);
        check(Seasonal::of(vec![8, 4]), &values[..2], AT, 1.0);
    }
}
