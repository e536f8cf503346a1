//! Over all series: each counts once, however long it is and however large its demand.

use std::time::Duration;

use crate::engine::numeric::{count, share};
use crate::engine::score::data::{Cell, FINE_LEVELS, Figures, HOURS, Scored, Scores};
use crate::engine::score::models::{PRESCALE, REFERENCE};

/// Rounding alone makes nobody worse.
const DUST: f64 = 1e-9;

/// How a model stands at one horizon and target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// Geometric mean over series of its WQL relative to the reference's.
    pub relative: Option<f64>,
    /// Series that have both.
    pub series: u32,
    /// Those in which it is worse than the reference.
    pub worse: u32,
    /// Where it is worst, and its ratio there.
    pub worst: Option<(String, f64)>,
    /// By level: distance of coverage from the level, the mean over series and the largest.
    pub coverage_error: Vec<Option<(f64, f64)>>,
    /// Its WQL on the disturbed series relative to the undisturbed ones: geometric mean and largest.
    pub harm: Option<(f64, f64)>,
    /// The same from a day after the disturbance on.
    pub harm_late: Option<(f64, f64)>,
}

/// One model at one horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The value of the step.
    pub at: Standing,
    /// The largest of the steps up to it.
    pub window_max: Standing,
}

/// All models at one horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The horizon, as it was asked for.
    pub asked: Duration,
    /// Series that have it.
    pub series: u32,
    /// The models.
    pub rows: Vec<Row>,
}

/// Which of the two targets.
type Pick = fn(&Cell) -> &Figures;

/// The value of the step.
const AT: Pick = |cell| &cell.at;

/// The largest up to it.
const WINDOW_MAX: Pick = |cell| &cell.window_max;

/// By horizon.
#[must_use]
pub fn summary(scores: &Scores) -> Vec<Summary> {
    let at = |asked: &Duration| {
        let asked = *asked;
        let rows = scores.models.iter().map(|name| Row {
            name,
            at: standing(scores, name, asked, AT),
            window_max: standing(scores, name, asked, WINDOW_MAX),
        });
        let has = |series: &&Scored| place(series, asked).is_some();
        let series = count(scores.series.iter().filter(has).count());
        Summary { asked, series, rows: rows.collect() }
    };
    scores.horizons.iter().map(at).collect()
}

/// Where a series has the horizon.
#[must_use]
pub fn place(series: &Scored, asked: Duration) -> Option<usize> {
    series.horizons.iter().position(|ahead| ahead.asked == asked)
}

/// A model's WQL relative to the reference's: of the value, and of the largest.
#[must_use]
pub fn relative(series: &Scored, name: &str, asked: Duration) -> [Option<f64>; 2] {
    [AT, WINDOW_MAX].map(|pick| ratio(series, name, asked, pick))
}

fn figures<'a>(series: &'a Scored, name: &str, asked: Duration, pick: Pick) -> Option<&'a Figures> {
    let cell = series.model(name)?.cells.get(place(series, asked)?)?;
    Some(pick(cell))
}

fn ratio(series: &Scored, name: &str, asked: Duration, pick: Pick) -> Option<f64> {
    let own = figures(series, name, asked, pick)?.wql?;
    share(own, figures(series, REFERENCE, asked, pick)?.wql?)
}

fn standing(scores: &Scores, name: &str, asked: Duration, pick: Pick) -> Standing {
    let all = || scores.series.iter();
    let ratios: Vec<(String, f64)> = all()
        .filter_map(|series| Some((series.name(), ratio(series, name, asked, pick)?)))
        .collect();
    let values: Vec<f64> = ratios.iter().map(|(_, ratio)| *ratio).collect();
    let told: Vec<&Figures> =
        all().filter_map(|series| figures(series, name, asked, pick)).collect();
    let errors = scores.levels.iter().enumerate().map(|(idx, level)| {
        let error = |figures: &&Figures| Some((figures.coverage.get(idx)?.as_ref()? - level).abs());
        mean_and_most(&told.iter().filter_map(error).collect::<Vec<_>>())
    });
    let harms = |late| all().filter_map(|series| harm(series, name, asked, (pick, late))).collect();
    let [harm, harm_late]: [Vec<f64>; 2] = [false, true].map(harms);
    Standing {
        relative: geometric_mean(&values),
        series: count(values.len()),
        worse: count(values.iter().filter(|ratio| **ratio > 1.0 + DUST).count()),
        worst: ratios.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a }),
        coverage_error: errors.collect(),
        harm: geometric_mean(&harm).zip(largest(&harm)),
        harm_late: geometric_mean(&harm_late).zip(largest(&harm_late)),
    }
}

/// Disturbed over undisturbed, from the disturbance on or from a day after it.
fn harm(series: &Scored, name: &str, asked: Duration, (pick, late): (Pick, bool)) -> Option<f64> {
    let (model, place) = (series.model(name)?, place(series, asked)?);
    let wql = |cells: &[Cell]| {
        let figures = pick(cells.get(place)?);
        if late { figures.wql_late } else { figures.wql }
    };
    share(wql(&model.cells)?, wql(&model.undisturbed)?)
}

fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logs: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logs / f64::from(count(values.len()))).exp())
}

fn largest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

fn mean(values: &[f64]) -> Option<f64> {
    share(values.iter().sum(), f64::from(count(values.len())))
}

fn mean_and_most(values: &[f64]) -> Option<(f64, f64)> {
    mean(values).zip(largest(values))
}

/// Coverage of the forecaster at the fine levels, the mean over series: of the value, and of the
/// largest.
#[must_use]
pub fn reliability(scores: &Scores, asked: Duration) -> [Vec<Option<f64>>; 2] {
    [AT, WINDOW_MAX].map(|pick| {
        let at = |idx: usize| {
            let covered =
                |series: &Scored| *figures(series, PRESCALE, asked, pick)?.reliability.get(idx)?;
            mean(&scores.series.iter().filter_map(covered).collect::<Vec<_>>())
        };
        (0..FINE_LEVELS.len()).map(at).collect()
    })
}

/// Coverage of a model by local hour of the target, the mean over series, by level.
#[must_use]
pub fn by_hour(scores: &Scores, name: &str, asked: Duration) -> Vec<[Option<f64>; HOURS]> {
    let at = |level: usize, hour: usize| {
        let covered = |series: &Scored| {
            *figures(series, name, asked, AT)?.coverage_by_hour.get(level)?.get(hour)?
        };
        mean(&scores.series.iter().filter_map(covered).collect::<Vec<_>>())
    };
    let hours = |level: usize| std::array::from_fn(|hour| at(level, hour));
    (0..scores.levels.len()).map(hours).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{by_hour, reliability, summary};
    use crate::engine::score::data::{Ahead, Cell, Figures, ModelScore, Scored, Scores};
    use crate::engine::score::models::{PRESCALE, REFERENCE};

    const MINUTE: Duration = Duration::from_mins(1);

    fn figures(wql: f64, covered: f64) -> Figures {
        let mut hours = [None; 24];
        hours[3] = Some(covered);
        Figures {
            wql: Some(wql),
            coverage: vec![Some(covered)],
            coverage_by_hour: vec![hours],
            reliability: vec![Some(covered); 10],
            ..Figures::default()
        }
    }

    fn series(file: &str, wql: f64, covered: f64) -> Scored {
        let cell =
            |wql, covered| Cell { at: figures(wql, covered), window_max: Figures::default() };
        let model = |name, wql, covered| ModelScore {
            name,
            micros_per_update: 1.0,
            cells: vec![cell(wql, covered)],
            undisturbed: vec![cell(wql / 2.0, covered)],
        };
        Scored {
            file: file.to_owned(),
            group: None,
            step: MINUTE,
            n: 100,
            gaps: 0,
            warmup: 10,
            origins: 90,
            skipped: 0,
            disturbed: None,
            horizons: vec![Ahead { asked: MINUTE, span: MINUTE }],
            models: vec![model(PRESCALE, wql, covered), model(REFERENCE, 0.4, 0.9)],
        }
    }

    fn scores() -> Scores {
        Scores {
            levels: vec![0.9],
            horizons: vec![MINUTE, 5 * MINUTE],
            models: vec![PRESCALE, REFERENCE],
            warmup: MINUTE,
            timezone: "UTC".to_owned(),
            series: vec![series("a", 0.2, 0.92), series("b", 0.8, 0.86)],
        }
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn a_half_and_a_double_are_even_and_one_is_worse() {
        let told = summary(&scores());
        let standing = &told[0].rows[0].at;
        near(standing.relative, 1.0);
        assert_eq!((standing.series, standing.worse), (2, 1));
        assert_eq!(standing.worst, Some(("b".to_owned(), 2.0)));
        let (mean, most) = standing.coverage_error[0].unwrap();
        near(Some(mean), 0.03);
        near(Some(most), 0.04);
        near(standing.harm.map(|(mean, _)| mean), 2.0);
        assert_eq!(standing.harm_late, None);
        assert_eq!(told[0].rows[1].at.worse, 0);
    }

    #[test]
    fn a_horizon_that_no_series_has_is_without_figures() {
        let told = summary(&scores());
        assert_eq!((told[1].series, told[1].rows[0].at.relative), (0, None));
    }

    #[test]
    fn curves_are_means_over_series() {
        let [at, window] = reliability(&scores(), MINUTE);
        near(at[0], 0.89);
        assert_eq!(window[0], None);
        let hours = by_hour(&scores(), PRESCALE, MINUTE);
        near(hours[0][3], 0.89);
        assert_eq!(hours[0][4], None);
    }
}
