//! MSTL with an AutoETS trend, as the `augurs` crate has it, beside prescale: the same series on a
//! five-minute grid, the same hourly origins, the same loss.
//!
//! `cargo bench --bench augurs -- FILE...` takes CSV files (`timestamp`, `requests` or `value`); without
//! one a made-up series of nine days. augurs is refitted at every origin on what it has seen, at most
//! 14 days, its gaps filled with the last value because it takes none. Seasons are a day and, from two
//! weeks on, a week; its bands are its own, Gaussian ones of the trend: the upper ends of 80, 90 and
//! 98 % for the levels 0.9, 0.95 and 0.99, not below zero. Its window maximum is the largest of its
//! steps. Where it cannot fit, it has no forecast, and the origin counts for nobody.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set up its case has failed")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use augurs::ets::{AutoETS, trend::AutoETSTrendModel};
use augurs::mstl::MSTLModel;
use augurs::prelude::{Fit, Predict};
use prescale::clock::Clock;
use prescale::engine::forecast::{Horizon, Setup, Target};
use prescale::engine::score::model::Model;
use prescale::engine::score::models::{Kind, REFERENCE, chosen};
use prescale::engine::score::race::{Aids, Course, race};
use prescale::engine::score::series::{Series, steps};
use prescale::engine::units::Timestamp;

const STEP: Duration = Duration::from_mins(5);
const HOUR: Duration = Duration::from_hours(1);
const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
const HORIZONS: [u32; 3] = [1, 2, 4];

/// Steps that a fit looks at: two weeks.
const HISTORY: usize = 14 * 288;

/// The model, refitted at whole hours.
struct Augurs {
    horizons: Vec<Horizon>,
    values: Vec<f64>,
    /// By step ahead: point, and the upper end for each level above 0.5.
    ahead: Option<Vec<[f64; 4]>>,
}

impl Augurs {
    fn fit(&self) -> Option<Vec<[f64; 4]>> {
        let from = self.values.len().saturating_sub(HISTORY);
        let values = &self.values[from..];
        let mut periods = vec![288];
        if values.len() >= 2 * 2016 {
            periods.push(2016);
        }
        let trend: AutoETSTrendModel = AutoETS::non_seasonal().into_trend_model();
        let fitted = MSTLModel::new(periods, trend).fit(values).ok()?;
        let most = usize::try_from(*HORIZONS.iter().max()?).ok()?;
        let mut ahead = vec![[0.0; 4]; most];
        for (idx, level) in LEVELS.iter().enumerate() {
            // The upper end of a two-sided interval of 2 q - 1 is the quantile q.
            let two_sided = if idx == 0 { 0.5 } else { 2.0 * level - 1.0 };
            let told = fitted.predict(most, two_sided).ok()?;
            let upper = &told.intervals.as_ref()?.upper;
            let line = if idx == 0 { &told.point } else { upper };
            ahead.iter_mut().zip(line).for_each(|(row, value)| row[idx] = value.max(0.0));
        }
        Some(ahead)
    }
}

impl Model for Augurs {
    fn observe(&mut self, at: Timestamp, value: Option<f64>) {
        let last = self.values.last().copied().unwrap_or(0.0);
        self.values.push(value.unwrap_or(last));
        let hour = i64::try_from(HOUR.as_millis()).unwrap();
        if at.unix_ms().rem_euclid(hour) == 0 {
            self.ahead = self.fit();
        }
    }

    fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        let column = LEVELS.iter().position(|other| (other - level).abs() < 1e-9)?;
        let Horizon { steps, target } = self.horizons[horizon];
        let steps = usize::try_from(steps).unwrap();
        let mut told = self.ahead.as_ref()?.get(..steps)?.iter().map(|row| row[column]);
        match target {
            Target::At => told.next_back(),
            Target::WindowMax => told.reduce(f64::max),
        }
    }
}

fn made(setup: &Setup) -> Box<dyn Model> {
    let horizons = setup.horizons.clone();
    Box::new(Augurs { horizons, values: Vec::new(), ahead: None })
}

/// Nine days of five minutes: day and week, noise in proportion, a burst now and then.
fn made_up() -> Series {
    let mut random = prescale::engine::replay::random::Random::new(7);
    let value = |idx: u32| {
        let hour = f64::from(idx) / 12.0;
        let day = (hour / 24.0 * std::f64::consts::TAU - 1.9).sin();
        let weekend = if (hour / 24.0).floor() % 7.0 >= 5.0 { 0.6 } else { 1.0 };
        let burst = if random.unit() < 0.01 { 1.8 } else { 1.0 };
        Some((100.0 + 70.0 * day) * weekend * burst * random.log_normal(1.0, 0.08))
    };
    Series { begins: Timestamp::default(), step: STEP, values: (0..9 * 288).map(value).collect() }
}

/// A file on the five-minute grid.
fn read(path: &Path) -> Series {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = rows.next().unwrap();
    let column = |name: &str| names.iter().position(|other| *other == name);
    let (at, value) =
        (column("timestamp").unwrap(), column("requests").or(column("value")).unwrap());
    let lines: Vec<(i64, Option<f64>)> =
        rows.map(|row| (row[at].parse().unwrap(), row[value].parse().ok())).collect();
    let step = lines[1].0 - lines[0].0;
    let length = usize::try_from((lines[lines.len() - 1].0 - lines[0].0) / step + 1).unwrap();
    let mut values = vec![None; length];
    for (instant, value) in &lines {
        values[usize::try_from((instant - lines[0].0) / step).unwrap()] = *value;
    }
    let begins = Timestamp::from_unix_ms(lines[0].0 * 1000);
    let series = Series { begins, step: Duration::from_secs(u64::try_from(step).unwrap()), values };
    series.resampled(STEP).unwrap()
}

fn compare(name: &str, series: &Series) {
    let seen: Vec<_> =
        series.values.iter().enumerate().map(|(idx, value)| (series.at(idx), *value)).collect();
    let lanes =
        |steps: u32| [Target::At, Target::WindowMax].map(|target| Horizon { steps, target });
    let setup = Setup {
        step: STEP,
        horizons: HORIZONS.iter().flat_map(|steps| lanes(*steps)).collect(),
        timezone: chrono_tz::UTC,
        holidays: BTreeSet::new(),
    };
    let course = Course {
        series,
        seen: &seen,
        held_to: &series.values,
        setup: &setup,
        levels: &LEVELS,
        first: steps(Duration::from_hours(72), STEP).min(series.values.len() / 2),
        origins: Some(HOUR),
        late: None,
    };
    let mut kinds = chosen(&["prescale".to_owned()]);
    let about = "MSTL with AutoETS trend, refitted hourly";
    kinds.push(Kind { name: "augurs MSTL+AutoETS", about, make: made });
    let clock = Clock::system();
    let mut aids = Aids { stopwatch: &mut || clock.elapsed(), day_done: &mut || () };
    let finish = race(&course, &kinds, &mut aids);
    println!(
        "{name}: {} steps, {} origins, {} left out",
        series.values.len(),
        finish.origins,
        finish.skipped
    );
    let place = kinds.iter().position(|kind| kind.name == REFERENCE).unwrap();
    let reference = finish.runners[place].cells.clone();
    for (kind, run) in kinds.iter().zip(&finish.runners) {
        print!("  {:22}", kind.name);
        for (cell, reference) in run.cells.iter().zip(&reference) {
            let ratio = cell.at.wql.unwrap() / reference.at.wql.unwrap();
            let largest = cell.window_max.wql.unwrap() / reference.window_max.wql.unwrap();
            let covered = cell.at.coverage[2].unwrap();
            print!("  {ratio:.3} (largest {largest:.3}, p95 covers {:.1} %)", covered * 100.0);
        }
        println!("  {:.1} us per step", run.per_update.as_secs_f64() * 1e6);
    }
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    println!("WQL relative to last+conformal in 5, 10 and 20 minutes, hourly origins");
    if files.is_empty() {
        compare("made up", &made_up());
    }
    for file in &files {
        compare(file, &read(Path::new(file)));
    }
}
