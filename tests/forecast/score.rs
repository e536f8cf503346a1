//! A forecaster run over a series, and what it lost: pinball loss and coverage, beside last value +
//! conformal over the same targets.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use chrono_tz::Tz;
use prescale::engine::forecast::{Forecaster, Horizon, LEVELS, Setup, Target};
use prescale::engine::units::Timestamp;

pub(crate) const MINUTE_MS: i64 = 60_000;
/// A Monday's midnight, UTC: 5 January 2026.
pub(crate) const MONDAY_MS: i64 = 1_767_571_200_000;

pub(crate) fn ahead(steps: u32, target: Target) -> Horizon {
    Horizon { steps, target }
}

/// What `prescale` looks ahead: each horizon as a value.
pub(crate) fn values_ahead(steps: &[u32]) -> Vec<Horizon> {
    steps.iter().map(|steps| ahead(*steps, Target::At)).collect()
}

/// Minutes in UTC without holidays.
pub(crate) fn setup(horizons: Vec<Horizon>) -> Setup {
    let step = Duration::from_mins(1);
    Setup { step, horizons, timezone: Tz::UTC, holidays: BTreeSet::new() }
}

/// The instant of a step when the series began on that Monday.
pub(crate) fn minute(step: usize) -> Timestamp {
    Timestamp::from_unix_ms(MONDAY_MS + MINUTE_MS * i64::try_from(step).unwrap())
}

/// What a forecaster takes at a step.
pub(crate) type Fed = (Timestamp, Option<f64>);

/// Quantiles said at one step for one horizon, by level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Said {
    pub(crate) own: [f64; 4],
    pub(crate) naive: [f64; 4],
}

/// What `forecaster` says now for each of its horizons.
pub(crate) fn said(forecaster: &Forecaster, horizons: usize) -> Vec<Said> {
    let of = |horizon| Said {
        own: LEVELS.map(|level| forecaster.quantile(horizon, level).unwrap()),
        naive: LEVELS.map(|level| forecaster.naive_quantile(horizon, level).unwrap()),
    };
    (0..horizons).map(of).collect()
}

/// What a new forecaster said after each of the values.
pub(crate) fn play(setup: &Setup, fed: impl IntoIterator<Item = Fed>) -> Vec<Vec<Said>> {
    go_on(&mut Forecaster::new(setup), setup, fed)
}

/// What `forecaster`, which was made for `setup`, said after each of the values.
pub(crate) fn go_on(
    forecaster: &mut Forecaster,
    setup: &Setup,
    fed: impl IntoIterator<Item = Fed>,
) -> Vec<Vec<Said>> {
    let step = |(at, value)| {
        forecaster.observe(at, value);
        said(forecaster, setup.horizons.len())
    };
    fed.into_iter().map(step).collect()
}

/// A series without gaps, a value a minute.
pub(crate) fn minutely(values: &[f64]) -> impl Iterator<Item = Fed> {
    values.iter().enumerate().map(|(step, value)| (minute(step), Some(*value)))
}

/// What was lost over some targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Weighted quantile loss: twice the mean pinball loss over the levels and the mean demand.
    pub(crate) wql: f64,
    /// The same of last value + conformal.
    pub(crate) naive: f64,
    /// By how much the share of targets not above its quantile missed each level, 0 to 1. Where a value
    /// comes so often that no quantile has just that share, as nothing does to one that sleeps, it is 0
    /// if fewer are below the quantile, and no fewer not above it.
    pub(crate) coverage_off: [f64; 4],
}

impl Score {
    pub(crate) fn relative(&self) -> f64 {
        self.wql / self.naive
    }
}

fn pinball(level: f64, actual: f64, quantile: f64) -> f64 {
    (level * (actual - quantile)).max((level - 1.0) * (actual - quantile))
}

/// What came of `horizon` as of step `from`.
pub(crate) fn came(horizon: Horizon, actual: &[f64], from: usize) -> f64 {
    let until = from + usize::try_from(horizon.steps).unwrap();
    match horizon.target {
        Target::At => actual[until],
        Target::WindowMax => actual[from + 1..=until].iter().copied().fold(0.0, f64::max),
    }
}

/// The score of the forecasts for horizon `place` of `setup` whose target's step is one of `targets`.
pub(crate) fn score(
    setup: &Setup,
    place: usize,
    said: &[Vec<Said>],
    actual: &[f64],
    targets: Range<usize>,
) -> Score {
    let horizon = setup.horizons[place];
    let steps = usize::try_from(horizon.steps).unwrap();
    let (mut own, mut naive, mut demand, mut count) = (0.0, 0.0, 0.0, 0.0);
    let (mut covered, mut below) = ([0.0; 4], [0.0; 4]);
    for target in targets.start.max(steps)..targets.end.min(actual.len()) {
        let from = target - steps;
        let then = said[from][place];
        let actual = came(horizon, actual, from);
        for (place, level) in LEVELS.into_iter().enumerate() {
            own += pinball(level, actual, then.own[place]);
            naive += pinball(level, actual, then.naive[place]);
            covered[place] += f64::from(u8::from(actual <= then.own[place]));
            // A hundredth of a request is none.
            below[place] += f64::from(u8::from(actual < then.own[place] - 0.01));
        }
        demand += actual;
        count += 1.0;
    }
    let coverage_off = std::array::from_fn(|place| {
        let (covered, below) = (covered[place] / count, below[place] / count);
        (LEVELS[place] - covered).max(below - LEVELS[place]).max(0.0)
    });
    let wql = |lost: f64| 2.0 * lost / 4.0 / demand;
    Score { wql: wql(own), naive: wql(naive), coverage_off }
}
