//! The rolling origin: all models over one series, in step.
//!
//! Every model sees step after step, once. At each origin after the warm-up it is asked for every
//! horizon, target and level; what came is known to the race alone. A target that is a gap is not
//! scored. Where a model has no forecast, or one that is no finite number, the origin counts for
//! none of them, so that all figures are over the same targets of the same origins.

use std::time::Duration;

use chrono::{DateTime, Timelike};
use chrono_tz::Tz;

use crate::engine::forecast::{Horizon, Setup, Target};
use crate::engine::numeric::count;
use crate::engine::score::data::{Cell, FINE_LEVELS, Figures};
use crate::engine::score::model::Model;
use crate::engine::score::models::{Kind, PRESCALE};
use crate::engine::score::series::{DAY, Series, steps};
use crate::engine::score::tally::{Came, Levels, Tally};
use crate::engine::score::targets::{ahead, target};
use crate::engine::units::Timestamp;

/// One race.
#[derive(Debug)]
pub struct Course<'a> {
    /// The series as it was; its instants are those of origins and hours.
    pub series: &'a Series,
    /// What the models see.
    pub seen: &'a [(Timestamp, Option<f64>)],
    /// What they are held to.
    pub held_to: &'a [Option<f64>],
    /// For whom: step, horizons in pairs (the value, then the largest up to it), local time.
    pub setup: &'a Setup,
    /// The levels, ascending.
    pub levels: &'a [f64],
    /// The first origin.
    pub first: usize,
    /// Only steps that begin at a multiple of this since the epoch are origins; `None`: all are.
    pub origins: Option<Duration>,
    /// The first of the later origins.
    pub late: Option<usize>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// By model.
    pub runners: Vec<Run>,
    /// Origins from which something was scored.
    pub origins: u32,
    /// Origins left out because a model had no forecast yet.
    pub skipped: u32,
}

/// One model's.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// By horizon.
    pub cells: Vec<Cell>,
    /// Time for one step, by the stopwatch.
    pub per_update: Duration,
}

/// What the shell lends: a stopwatch, and an ear for each day that is done.
pub struct Aids<'a> {
    /// Reads a clock that never jumps.
    pub stopwatch: &'a mut dyn FnMut() -> Duration,
    /// Is told after each day of steps.
    pub day_done: &'a mut dyn FnMut(),
}

impl std::fmt::Debug for Aids<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aids")
    }
}

struct Runner {
    model: Box<dyn Model>,
    is_fine: bool,
    spent: Duration,
    tallies: Vec<Tally>,
    /// Forecasts of the present origin: by lane, by level; `None` where one is missing.
    told: Vec<Option<Vec<f64>>>,
}

impl Runner {
    fn of(kind: &Kind, setup: &Setup, levels: usize) -> Self {
        let is_fine = kind.name == PRESCALE;
        let fine = if is_fine { FINE_LEVELS.len() } else { 0 };
        let lanes = setup.horizons.len();
        Self {
            model: kind.make(setup),
            is_fine,
            spent: Duration::ZERO,
            tallies: vec![Tally::of(levels, fine); lanes],
            told: vec![None; lanes],
        }
    }

    /// Shows one step, and asks where it is an origin.
    fn step(&mut self, (at, value): (Timestamp, Option<f64>), asked: Option<&[f64]>) {
        self.model.observe(at, value);
        let Some(levels) = asked else { return };
        for (lane, told) in self.told.iter_mut().enumerate() {
            *told = forecasts(self.model.as_ref(), lane, levels);
        }
    }

    fn score(&mut self, lane: usize, came: Came, levels: &Levels) {
        let Some(Some(told)) = self.told.get(lane) else { return };
        let Some(tally) = self.tallies.get_mut(lane) else { return };
        tally.add(came, levels, told);
        if self.is_fine {
            let fine = forecasts(self.model.as_ref(), lane, &FINE_LEVELS);
            tally.add_fine(came.value, &fine.unwrap_or_default());
        }
    }
}

/// At every level; `None` where one is missing or no finite number.
fn forecasts(model: &dyn Model, lane: usize, levels: &[f64]) -> Option<Vec<f64>> {
    let finite = |level: &f64| model.quantile(lane, *level).filter(|told| told.is_finite());
    levels.iter().map(finite).collect()
}

/// Runs `kinds` over `course`.
#[must_use]
pub fn race(course: &Course<'_>, kinds: &[Kind], aids: &mut Aids<'_>) -> Finish {
    let levels = Levels::of(course.levels);
    let setup = course.setup;
    let runner = |kind: &Kind| Runner::of(kind, setup, levels.asked);
    let mut runners: Vec<Runner> = kinds.iter().map(runner).collect();
    let day = steps(DAY, course.series.step).max(1);
    let (mut origins, mut skipped) = (0, 0);
    for (idx, step) in course.seen.iter().enumerate() {
        let is_origin = course.is_origin(idx);
        let asked = is_origin.then_some(levels.all.as_slice());
        let mut before = (aids.stopwatch)();
        for runner in &mut runners {
            runner.step(*step, asked);
            let after = (aids.stopwatch)();
            runner.spent += after.saturating_sub(before);
            before = after;
        }
        if is_origin {
            let (scored, missed) = course.score(idx, &mut runners, &levels);
            origins += u32::from(scored);
            skipped += u32::from(missed);
        }
        if (idx + 1).is_multiple_of(day) || idx + 1 == course.seen.len() {
            (aids.day_done)();
        }
    }
    let updates = count(course.seen.len()).max(1);
    let finished =
        |runner: Runner| Run { per_update: runner.spent / updates, cells: cells(&runner.tallies) };
    Finish { runners: runners.into_iter().map(finished).collect(), origins, skipped }
}

/// Lanes in pairs.
fn cells(tallies: &[Tally]) -> Vec<Cell> {
    let figures = |tally: Option<&Tally>| tally.map_or_else(Figures::default, Tally::figures);
    let cell =
        |pair: &[Tally]| Cell { at: figures(pair.first()), window_max: figures(pair.get(1)) };
    tallies.chunks(2).map(cell).collect()
}

impl Course<'_> {
    fn is_origin(&self, idx: usize) -> bool {
        let is_due = |every: Duration| {
            let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
            self.series.at(idx).unix_ms().rem_euclid(every) == 0
        };
        idx >= self.first && self.origins.is_none_or(is_due)
    }

    /// Scores what came of origin `idx`: whether anything was, and whether a model had no forecast.
    fn score(&self, idx: usize, runners: &mut [Runner], levels: &Levels) -> (bool, bool) {
        let (mut scored, mut missed) = (false, false);
        for (lane, horizon) in self.setup.horizons.iter().enumerate() {
            let Some(value) = target(self.held_to, idx, *horizon) else { continue };
            if runners.iter().any(|runner| runner.told.get(lane).is_none_or(Option::is_none)) {
                missed = true;
                continue;
            }
            scored = true;
            let came = self.came(idx, *horizon, value);
            runners.iter_mut().for_each(|runner| runner.score(lane, came, levels));
        }
        (scored, missed)
    }

    fn came(&self, origin: usize, horizon: Horizon, value: f64) -> Came {
        let at = origin + ahead(horizon);
        let hour = hour(self.series.at(at), self.setup.timezone);
        let naive = match horizon.target {
            Target::At => self.naive(at),
            Target::WindowMax => None,
        };
        Came { value, naive, hour, late: self.late.is_some_and(|late| origin >= late) }
    }

    /// A day before; a step before where the series is shorter than two days.
    fn naive(&self, at: usize) -> Option<f64> {
        let day = steps(DAY, self.series.step);
        let season = if self.held_to.len() < 2 * day { 1 } else { day };
        self.held_to.get(at.checked_sub(season)?).copied().flatten()
    }
}

/// The local hour of an instant.
fn hour(at: Timestamp, zone: Tz) -> usize {
    let utc = DateTime::from_timestamp_millis(at.unix_ms()).unwrap_or_default();
    usize::try_from(utc.with_timezone(&zone).hour()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Aids, Course, Finish, hour, race};
    use crate::engine::forecast::{Horizon, Setup, Target};
    use crate::engine::score::models::chosen;
    use crate::engine::score::series::Series;
    use crate::engine::units::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);

    fn run(values: &[Option<f64>], first: usize, origins: Option<Duration>) -> Finish {
        let (begins, values) = (Timestamp::default(), values.to_vec());
        let series = Series { begins, step: MINUTE, values: values.clone() };
        let seen: Vec<_> = (0..values.len()).map(|idx| (series.at(idx), values[idx])).collect();
        let lane = |target| Horizon { steps: 2, target };
        let setup = Setup {
            step: MINUTE,
            horizons: vec![lane(Target::At), lane(Target::WindowMax)],
            timezone: chrono_tz::UTC,
            holidays: BTreeSet::new(),
        };
        let course = Course {
            series: &series,
            seen: &seen,
            held_to: &values,
            setup: &setup,
            levels: &[0.5, 0.9],
            first,
            origins,
            late: None,
        };
        let mut reading = Duration::ZERO;
        let mut stopwatch = || {
            reading += Duration::from_micros(3);
            reading
        };
        let mut days = 0;
        let mut aids = Aids { stopwatch: &mut stopwatch, day_done: &mut || days += 1 };
        let finish = race(&course, &chosen(&["last+conformal".to_owned()]), &mut aids);
        assert_eq!(days, 1);
        finish
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn a_series_of_seven_is_scored_as_by_hand() {
        let values = [4.0, 6.0, 5.0, 9.0, 8.0, 10.0, 7.0].map(Some);
        let finish = run(&values, 0, None);
        // Before the third step there is no residual; the last two steps have no target.
        assert_eq!((finish.origins, finish.skipped), (3, 2));
        let cell = &finish.runners[0].cells[0];
        // Origin 2 says 5 + 1 of step 4, origin 3 says 9 + 3 (both residuals, 1 and 3, at 0.5 and
        // 0.9), origin 4 says 8 + 3 (1, 3, 3). Came 8, 10, 7.
        let loss = (0.5 + 0.9) * 2.0 + (0.5 + 0.1) * 2.0 + (0.5 + 0.1) * 4.0;
        near(cell.at.wql, loss / 25.0);
        near(cell.at.coverage[0], 2.0 / 3.0);
        // The step before the targets: 9, 8, 10.
        near(cell.at.mase, (2.0 + 2.0 + 4.0) / (1.0 + 2.0 + 3.0));
        // Largest of two: residuals 2, 3, 4; said 5 + 2, 9 + 3, 8 + 3 and 8 + 4; came 9, 10, 10.
        let loss = (0.5 + 0.9) * 2.0 + (0.5 + 0.1) * 2.0 + 0.5 * 1.0 + 0.1 * 2.0;
        near(cell.window_max.wql, loss / 29.0);
        assert_eq!(finish.runners[0].per_update, Duration::from_micros(3));
    }

    #[test]
    fn a_gap_is_neither_filled_nor_scored() {
        let mut values = [4.0, 6.0, 5.0, 9.0, 8.0, 10.0, 7.0].map(Some);
        values[5] = None;
        let cell = &run(&values, 2, None).runners[0].cells[0];
        assert_eq!((cell.at.n, cell.window_max.n), (2, 1));
    }

    #[test]
    fn origins_are_where_they_were_asked_for() {
        let values = [Some(1.0); 20];
        for (first, every, expected) in [(4, None, 14), (4, Some(5), 3), (6, Some(5), 2)] {
            let finish = run(&values, first, every.map(|every| every * MINUTE));
            assert_eq!(finish.origins, expected, "{first} {every:?}");
        }
    }

    #[test]
    fn hours_are_local() {
        let rows = [
            ("2024-01-15T23:30:00Z", chrono_tz::UTC, 23),
            ("2024-01-15T23:30:00Z", chrono_tz::Europe::Berlin, 0),
            ("2024-07-15T21:30:00Z", chrono_tz::Europe::Berlin, 23),
        ];
        for (text, zone, expected) in rows {
            let at = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
            assert_eq!(hour(Timestamp::from_unix_ms(at), zone), expected, "{text}");
        }
    }
}
