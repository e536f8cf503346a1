//! Files to series: one line a step, several series told apart by a column.
//!
//! Given a file of `timestamp` and values, ascending, it promises series on a fixed step (the median
//! time between lines) in which what is blank or missing is a gap. The first thing that cannot be used
//! is the error, with file, line and value.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::backtest::input::{InputError, Table, shown};
use crate::engine::numeric::{count, median};
use crate::engine::score::series::Series;
use crate::engine::units::Timestamp;
use crate::score::error::Error;
use crate::score::options::Options;

/// The shortest series that is scored: below it there is nothing to learn from.
const LENGTH_MIN: Duration = Duration::from_hours(2);

/// Largest value accepted: beyond it a counter was exported instead of its increase, or a clock.
const VALUE_MAX: f64 = 1e15;

/// The year 5138 in seconds; today's milliseconds are beyond it.
const INSTANT_MAX: f64 = 1e11;

/// Steps of one series at most: more than a year of ten seconds each.
const STEPS_MAX: usize = 5_000_000;

/// Series of one file at most, and the lines of all of them.
const GROUPS_MAX: usize = 10_000;
const LINES_MAX: usize = 20_000_000;

/// Of the lines, so many may share a step with another before the file is refused.
const SHARED_MAX: f64 = 0.01;

/// A series and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The file.
    pub(super) file: String,
    /// The value of the column by which series are told apart.
    pub(super) group: Option<String>,
    /// The series.
    pub(super) series: Series,
}

impl Named {
    /// File and group.
    pub(super) fn name(&self) -> String {
        self.group.as_ref().map_or_else(|| self.file.clone(), |of| format!("{} {of}", self.file))
    }
}

/// Instants in milliseconds with their values.
type Lines = Vec<(i64, Option<f64>)>;

/// The series of one file, as `options` want them.
pub(super) fn read(
    path: &Path,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Named>, Error> {
    let mut table = Table::open(path)?;
    let columns = Columns::of(&table, options)?;
    let groups = lines(&mut table, &columns)?;
    if groups.is_empty() {
        return Err(table.unusable("no line in it".to_owned()).into());
    }
    let file = path.display().to_string();
    let grouped = columns.group.is_some();
    let mut found = Vec::new();
    for (group, lines) in groups {
        let group = grouped.then(|| shown(&group));
        let name = group.as_ref().map_or_else(|| file.clone(), |of| format!("{file} {of}"));
        let series = series(&lines, &name, notes).map_err(|problem| {
            let whose = group.as_ref().map_or(String::new(), |group| format!("{group}: "));
            table.unusable(format!("{whose}{problem}"))
        })?;
        let named = Named { file: file.clone(), group, series };
        found.push(fitted(named, options)?);
    }
    Ok(found)
}

struct Columns {
    at: usize,
    value: usize,
    group: Option<usize>,
}

impl Columns {
    fn of(table: &Table, options: &Options) -> Result<Self, Error> {
        let need = |wanted: &str| {
            let lower = wanted.to_ascii_lowercase();
            table.column(&lower).ok_or_else(|| missing(table, format!("{wanted:?}")))
        };
        let usual = || table.column("requests").or_else(|| table.column("value"));
        let value = match &options.column {
            Some(name) => need(name)?,
            None => usual().ok_or_else(|| missing(table, "requests or value".to_owned()))?,
        };
        let group = options.group_by.as_deref().map(need).transpose()?;
        Ok(Self { at: need("timestamp")?, value, group })
    }
}

fn missing(table: &Table, wanted: String) -> Error {
    let names: Vec<&str> =
        table.names().iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let names = if names.is_empty() {
        "none, its first line is empty".to_owned()
    } else {
        names.join(", ")
    };
    let found = shown(names.as_bytes());
    Error::Column { path: table.path().to_owned(), wanted, found }
}

/// Every line, by group.
fn lines(table: &mut Table, columns: &Columns) -> Result<BTreeMap<Vec<u8>, Lines>, InputError> {
    let mut groups: BTreeMap<Vec<u8>, Lines> = BTreeMap::new();
    let mut all = 0;
    while table.advance()? {
        let at = instant(table, columns.at)?;
        let value = value(table, columns.value)?;
        let group = columns.group.map(|column| table.cell(column)).unwrap_or_default();
        let lines = match groups.get_mut(group) {
            Some(lines) => lines,
            None => groups.entry(group.to_vec()).or_default(),
        };
        if let Some((before, _)) = lines.last().filter(|(before, _)| *before >= at) {
            return Err(table.refused(columns.at, unsorted(*before, at, columns)));
        }
        lines.push((at, value));
        all += 1;
        if all > LINES_MAX || groups.len() > GROUPS_MAX {
            let problem = format!("more than {LINES_MAX} lines or {GROUPS_MAX} series; cut it");
            return Err(table.unusable(problem));
        }
    }
    Ok(groups)
}

#[expect(clippy::cast_precision_loss, reason = "below 1e14")]
fn unsorted(before_ms: i64, at_ms: i64, columns: &Columns) -> String {
    let before = before_ms as f64 / 1000.0;
    let fault = if before_ms == at_ms { "is there twice" } else { "comes after a later one" };
    let hint = if columns.group.is_some() { "" } else { " (--group-by COLUMN tells series apart)" };
    format!("{fault}, {before}; accepted are ascending instants, each once{hint}")
}

fn instant(table: &Table, column: usize) -> Result<i64, InputError> {
    let accepted = "accepted are seconds, of the epoch or from the trace's start";
    let seconds = table.number(column, INSTANT_MAX).ok().flatten();
    let seconds = seconds.ok_or_else(|| table.refused(column, accepted.to_owned()))?;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e14")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Ok(milliseconds)
}

fn value(table: &Table, column: usize) -> Result<Option<f64>, InputError> {
    table.number(column, VALUE_MAX).map_err(|_| {
        let accepted = "accepted is a number from 0 to 1e15, or a blank for a gap";
        table.refused(column, accepted.to_owned())
    })
}

/// Lines on the grid of their median distance.
fn series(lines: &Lines, name: &str, notes: &mut Vec<String>) -> Result<Series, String> {
    let spacing = |pair: &[(i64, Option<f64>)]| match pair {
        [(from, _), (to, _)] => f64::from(u32::try_from(to - from).unwrap_or(u32::MAX)),
        _ => 0.0,
    };
    let spacings: Vec<f64> = lines.windows(2).map(spacing).collect();
    let (Some(step), Some((first, _))) = (median(&spacings), lines.first()) else {
        return Err("one line only; at least 2 h of data are needed".to_owned());
    };
    #[expect(clippy::cast_possible_truncation, reason = "a spacing, at most u32::MAX")]
    let step = (step as i64).max(1);
    let mut values: Vec<Option<f64>> = Vec::new();
    let mut taken: Vec<u32> = Vec::new();
    for (at, value) in lines {
        let idx = usize::try_from((at - first + step / 2) / step).unwrap_or(usize::MAX);
        if idx >= STEPS_MAX {
            return Err(format!(
                "more than {STEPS_MAX} steps of {} s; timestamp is in seconds",
                told(step)
            ));
        }
        if values.len() <= idx {
            values.resize(idx + 1, None);
            taken.resize(idx + 1, 0);
        }
        add(&mut values[idx], &mut taken[idx], *value);
    }
    let shared = taken.iter().filter(|lines| **lines > 1).count();
    let all = f64::from(count(taken.len()));
    if f64::from(count(shared)) > SHARED_MAX * all {
        return Err(format!(
            "{shared} of {all} steps of {} s hold several lines; lines must be evenly spaced",
            told(step)
        ));
    }
    if shared > 0 {
        notes.push(format!("{name}: {shared} steps hold several lines, of which the mean counts"));
    }
    let step = Duration::from_millis(step.unsigned_abs());
    Ok(Series { begins: Timestamp::from_unix_ms(*first), step, values })
}

/// One more line of a step: the mean of those with a value.
fn add(sum: &mut Option<f64>, taken: &mut u32, value: Option<f64>) {
    let Some(value) = value else { return };
    *taken += 1;
    *sum = Some(sum.map_or(value, |mean| mean + (value - mean) / f64::from(*taken)));
}

#[expect(clippy::cast_precision_loss, reason = "below 1e14")]
fn told(step_ms: i64) -> f64 {
    step_ms as f64 / 1000.0
}

/// Resampled and cut, and refused where nothing can be scored of it.
fn fitted(named: Named, options: &Options) -> Result<Named, Error> {
    let name = named.name();
    let Named { file, group, mut series } = named;
    let step = series.step.as_secs_f64();
    if let Some(coarse) = options.resample {
        let refused = || Error::Resample { asked: coarse.as_secs_f64(), name: name.clone(), step };
        series = series.resampled(coarse).ok_or_else(refused)?;
    }
    if let Some(until) = options.until {
        series = series.cut(until);
    }
    if series.length() < LENGTH_MIN {
        let minutes = series.length().as_secs_f64() / 60.0;
        return Err(Error::Short { name, length: format!("{minutes:.0} min") });
    }
    let step = series.step.as_secs_f64();
    if options.horizons.iter().all(|horizon| *horizon < series.step) {
        return Err(Error::Horizons { name, step });
    }
    let fits = |every: Duration| every.as_millis().is_multiple_of(series.step.as_millis());
    if let Some(every) = options.origins.filter(|every| !fits(*every)) {
        return Err(Error::Origins { asked: every.as_secs_f64(), name, step });
    }
    Ok(Named { file, group, series })
}

#[cfg(test)]
mod tests {
    use super::series;

    /// What is made of lines at these seconds with these values.
    fn check(lines: &[(i64, Option<f64>)], expected: Result<&[Option<f64>], &str>) {
        let lines = lines.iter().map(|(at, value)| (at * 1000, *value)).collect();
        match (series(&lines, "a", &mut Vec::new()), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.values, expected, "{lines:?}"),
            (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, expected) => panic!("{lines:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn lines_that_are_missing_or_blank_are_gaps() {
        let some = |value: f64| Some(value);
        check(
            &[(60, some(1.0)), (120, None), (180, some(3.0)), (240, some(4.0)), (360, some(6.0))],
            Ok(&[some(1.0), None, some(3.0), some(4.0), None, some(6.0)]),
        );
        // A scraper that was restarted is a little off from then on.
        check(
            &[(0, some(1.0)), (60, some(2.0)), (130, some(3.0)), (190, some(4.0))],
            Ok(&[some(1.0), some(2.0), some(3.0), some(4.0)]),
        );
    }

    #[test]
    fn lines_that_are_not_evenly_spaced_are_refused() {
        check(&[(0, Some(1.0))], Err("one line only"));
        check(
            &[(0, Some(1.0)), (1, Some(1.0)), (2, Some(1.0)), (9_000_000, None)],
            Err("steps of 1 s"),
        );
        let lines: Vec<_> = [0, 60, 120, 180, 240, 245, 250, 310].map(|at| (at, Some(1.0))).into();
        check(&lines, Err("hold several lines"));
    }
}
