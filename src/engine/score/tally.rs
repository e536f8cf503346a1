//! Sums over forecasts and what came of them, and the figures they make.

use crate::engine::numeric::{count, share};
use crate::engine::score::data::{Figures, HOURS};

/// What is asked of every forecast.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    /// Those asked for, ascending, then 0.5 where it is not among them.
    pub(super) all: Vec<f64>,
    /// How many of them were asked for.
    pub(super) asked: usize,
    /// Where 0.5 is.
    pub(super) median: usize,
}

impl Levels {
    pub(super) fn of(asked: &[f64]) -> Self {
        let mut all = asked.to_vec();
        let is_half = |level: &f64| (level - 0.5).abs() < 1e-12;
        let median = all.iter().position(is_half).unwrap_or_else(|| {
            all.push(0.5);
            all.len() - 1
        });
        Self { all, asked: asked.len(), median }
    }
}

/// What came, for all models alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Came {
    /// The target.
    pub(super) value: f64,
    /// What the naive forecast had said.
    pub(super) naive: Option<f64>,
    /// Local hour of the target, below 24.
    pub(super) hour: usize,
    /// Whether its origin is among the later ones.
    pub(super) late: bool,
}

/// Sums of one model, horizon and target.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    n: u32,
    demand: f64,
    loss: f64,
    late: (f64, f64),
    levels: Vec<Level>,
    missed: f64,
    missed_naive: f64,
    fine: Vec<u32>,
}

/// Sums of one level.
#[derive(Debug, Clone, Default)]
struct Level {
    covered: u32,
    by_hour: [(u32, u32); HOURS],
    distance: f64,
}

/// The pinball loss of a forecast at a level.
pub(super) fn pinball(level: f64, forecast: f64, value: f64) -> f64 {
    let missed = value - forecast;
    if missed >= 0.0 { level * missed } else { (level - 1.0) * missed }
}

impl Tally {
    /// For so many levels that were asked for, and so many fine ones.
    pub(super) fn of(levels: usize, fine: usize) -> Self {
        Self {
            n: 0,
            demand: 0.0,
            loss: 0.0,
            late: (0.0, 0.0),
            levels: vec![Level::default(); levels],
            missed: 0.0,
            missed_naive: 0.0,
            fine: vec![0; fine],
        }
    }

    /// One target and the forecasts of it, in the order of `levels.all`.
    pub(super) fn add(&mut self, came: Came, levels: &Levels, forecasts: &[f64]) {
        let Some(median) = forecasts.get(levels.median).copied() else { return };
        self.n += 1;
        self.demand += came.value;
        let mut loss = 0.0;
        for ((sums, level), forecast) in self.levels.iter_mut().zip(&levels.all).zip(forecasts) {
            loss += pinball(*level, *forecast, came.value);
            let covered = u32::from(came.value <= *forecast);
            sums.covered += covered;
            sums.distance += forecast - median;
            if let Some((hits, all)) = sums.by_hour.get_mut(came.hour) {
                *hits += covered;
                *all += 1;
            }
        }
        self.loss += loss;
        if came.late {
            self.late.0 += loss;
            self.late.1 += came.value;
        }
        if let Some(naive) = came.naive {
            self.missed += (came.value - median).abs();
            self.missed_naive += (came.value - naive).abs();
        }
    }

    /// Forecasts of the same target at the fine levels.
    pub(super) fn add_fine(&mut self, value: f64, forecasts: &[f64]) {
        for (covered, forecast) in self.fine.iter_mut().zip(forecasts) {
            *covered += u32::from(value <= *forecast);
        }
    }

    /// The figures.
    pub(super) fn figures(&self) -> Figures {
        let n = f64::from(self.n);
        let levels = f64::from(count(self.levels.len()));
        let wql = |loss: f64, demand: f64| share(2.0 * loss / levels, demand);
        let covered = |hits: u32, all: f64| share(f64::from(hits), all);
        let hours = |level: &Level| level.by_hour.map(|(hits, all)| covered(hits, f64::from(all)));
        let width = |level: &Level| (self.demand > 0.0).then(|| level.distance / self.demand);
        Figures {
            n: self.n,
            wql: wql(self.loss, self.demand),
            coverage: self.levels.iter().map(|level| covered(level.covered, n)).collect(),
            coverage_by_hour: self.levels.iter().map(hours).collect(),
            width: self.levels.iter().map(width).collect(),
            mase: share(self.missed, self.missed_naive),
            reliability: self.fine.iter().map(|hits| covered(*hits, n)).collect(),
            wql_late: wql(self.late.0, self.late.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Came, Levels, Tally, pinball};

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        // Sums of a few products.
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn pinball_weighs_what_is_above_by_the_level() {
        for (level, forecast, value, expected) in
            [(0.9, 10.0, 14.0, 3.6), (0.9, 10.0, 6.0, 0.4), (0.5, 1.0, 1.0, 0.0)]
        {
            near(Some(pinball(level, forecast, value)), expected);
        }
    }

    #[test]
    fn the_figures_are_those_computed_by_hand() {
        let levels = Levels::of(&[0.5, 0.9]);
        assert_eq!((levels.all.len(), levels.asked, levels.median), (2, 2, 0));
        let mut tally = Tally::of(2, 1);
        let came = |value, late| Came { value, naive: Some(value - 2.0), hour: 7, late };
        // Losses 0.5 x 2 + 0.1 x 2 and 0.5 x 4 + 0.9 x 1.
        tally.add(came(10.0, false), &levels, &[8.0, 12.0]);
        tally.add(came(14.0, true), &levels, &[10.0, 13.0]);
        tally.add_fine(14.0, &[14.0]);
        let figures = tally.figures();
        assert_eq!(figures.n, 2);
        // 2 x (1.2 + 2.9) / 2 levels / 24.
        near(figures.wql, 4.1 / 24.0);
        near(figures.wql_late, 2.9 / 14.0);
        near(figures.coverage[0], 0.0);
        near(figures.coverage[1], 0.5);
        near(figures.width[1], 7.0 / 24.0);
        near(figures.mase, 6.0 / 4.0);
        near(figures.coverage_by_hour[1][7], 0.5);
        assert_eq!(figures.coverage_by_hour[1][8], None);
        near(figures.reliability[0], 0.5);
    }

    #[test]
    fn nothing_scored_is_no_figure() {
        let figures = Tally::of(1, 0).figures();
        assert_eq!((figures.wql, figures.mase, figures.coverage[0]), (None, None, None));
        assert_eq!(figures.width[0], None);
    }

    #[test]
    fn the_middle_is_asked_for_even_where_nobody_else_does() {
        let levels = Levels::of(&[0.9]);
        assert_eq!((levels.all.clone(), levels.asked, levels.median), (vec![0.9, 0.5], 1, 1));
        let mut tally = Tally::of(levels.asked, 0);
        let came = Came { value: 5.0, naive: Some(4.0), hour: 0, late: false };
        tally.add(came, &levels, &[5.0, 3.0]);
        near(tally.figures().wql, 0.0);
        near(tally.figures().mase, 2.0);
    }
}
