//! Quantiles of the demand ahead, online: one step in, forecasts for all horizons out.
//!
//! Given the values of one series step by step, gaps said as gaps; promises quantiles that are finite,
//! not negative and never descending, whose share of misses is in the long run what their level says,
//! memory that does not grow, and no refit. Equal inputs give equal bytes. What a horizon forecasts
//! and how it learns is left to [`head`], what is usual to [`season`], the week behind to [`past`].
//!
//! A forecast begins as last value + conformal and stays that until the mix has lost less; see
//! [`Forecaster::stage`]. It promises coverage on average over time, not for each spike.

mod days;
mod features;
mod head;
mod local;
mod mixture;
mod naive;
mod outlook;
mod past;
mod quantiles;
mod regression;
mod rhythm;
mod scale;
mod season;
mod state;
mod traits;
mod waiting;

pub mod trust;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::engine::forecast::features::Now;
use crate::engine::forecast::head::{Head, Quantiles};
use crate::engine::forecast::local::Local;
use crate::engine::forecast::outlook::Known;
use crate::engine::forecast::past::{DAYS, Past};
use crate::engine::forecast::season::Season;
use crate::engine::units::Timestamp;

pub use crate::engine::decision::Stage;
pub use crate::engine::forecast::head::Target;
pub use crate::engine::forecast::outlook::Ahead;
pub use crate::engine::forecast::quantiles::LEVELS;
pub use crate::engine::forecast::rhythm::Rhythm;
pub use crate::engine::forecast::state::StateError;

/// What to foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Horizon {
    /// Steps ahead, at least one.
    pub steps: u32,
    /// The value then, or the largest until then.
    pub target: Target,
}

/// What a forecaster is made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Length of a step: a second to a day. A day must be a whole number of steps for what is usual
    /// at a time of day to be that.
    pub step: Duration,
    /// What to foresee.
    pub horizons: Vec<Horizon>,
    /// Local time of days and weeks.
    pub timezone: Tz,
    /// Dates that count as Sunday.
    pub holidays: BTreeSet<NaiveDate>,
}

/// One for each horizon, each in a place of its own: as allocators round, one for all would be an eighth
/// larger than what it holds.
type Heads = Vec<Box<Head>>;

/// The online forecaster of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecaster {
    step_ms: i64,
    local: Local,
    past: Past,
    season: Season,
    heads: Heads,
    /// The newest step, in steps since the epoch.
    newest: Option<i64>,
    /// Steps back to the same time of the wall clock, of the last days, and the quarter of an hour
    /// that they were worked out in.
    days_back: [usize; DAYS],
    quarter: i64,
}

impl Forecaster {
    /// One that has seen nothing. A step shorter than a second counts as one, one longer than a day
    /// as a day; a horizon of no steps as one of one step.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let Setup { step, horizons, timezone, holidays } = setup;
        let step = (*step).clamp(Duration::from_secs(1), Duration::from_hours(24));
        let day = usize::try_from(Duration::from_hours(24).as_millis() / step.as_millis());
        let day = day.unwrap_or(1);
        let head = |horizon: &Horizon| {
            let steps = usize::try_from(horizon.steps.max(1)).unwrap_or(1);
            Head::new(steps, horizon.target, day)
        };
        Self {
            step_ms: i64::try_from(step.as_millis()).unwrap_or(60_000),
            local: Local::new(*timezone, holidays.clone()),
            past: Past::new(day),
            season: Season::new(day),
            heads: horizons.iter().map(|horizon| Box::new(head(horizon))).collect(),
            newest: None,
            days_back: [0; DAYS],
            quarter: i64::MIN,
        }
    }

    /// Takes the value of the step that `at` falls into; `None`, a negative and what is not finite
    /// are gaps. Steps left out since the newest one are gaps, a step that is not newer is ignored:
    /// what was seen is never taken back.
    pub fn observe(&mut self, at: Timestamp, value: Option<f64>) {
        let step = at.unix_ms().div_euclid(self.step_ms);
        if self.newest.is_some_and(|newest| step <= newest) {
            return;
        }
        if self.newest.is_none() {
            self.past.begin(step);
        }
        let missed = self.newest.map_or(0, |newest| step - newest - 1);
        // After a week of gaps nothing is left that another gap could change.
        let kept = missed.min(i64::try_from((DAYS + 1) * self.past.day()).unwrap_or(i64::MAX));
        self.past.skip(missed - kept);
        for _ in 0..kept {
            self.push(None);
        }
        self.newest = Some(step);
        self.push(value.and_then(root).map(|root| self.past.believable(root)));
        let place = self.local.place(self.instant(step));
        if let Some(value) = self.past.back(0) {
            self.season.learn(place, value);
        }
        if self.past.values() > 0 {
            self.forecast(step);
        }
    }

    fn push(&mut self, value: Option<f32>) {
        self.past.push(value);
        for head in &mut self.heads {
            // In a long gap there is soon nothing left that waits.
            if value.is_some() || head.is_waiting() {
                head.learn(&self.past);
            }
        }
    }

    fn forecast(&mut self, step: i64) {
        self.look_back(step);
        let knows_days = self.past.values() > self.past.day() as u64;
        let place = self.local.place(self.instant(step));
        let usual = self.season.usual(place).filter(|_| knows_days);
        let now = Now::new(&self.past, &self.days_back, usual);
        for head in &mut self.heads {
            let then = step.saturating_add(i64::try_from(head.steps()).unwrap_or(0));
            let at = Timestamp::from_unix_ms(then.saturating_mul(self.step_ms));
            let place = self.local.place(at);
            let usual = self.season.usual(place).filter(|_| knows_days);
            head.forecast(&now, usual, place.hour());
        }
    }

    /// Works out how far back the same times of the last days are: clocks may have changed.
    fn look_back(&mut self, step: i64) {
        let at = self.instant(step);
        let quarter = at.unix_ms().div_euclid(900_000);
        if quarter == self.quarter {
            return;
        }
        self.quarter = quarter;
        for (back, days) in self.days_back.iter_mut().zip(1..) {
            let then = self.local.days_before(at, days);
            let steps = (at.unix_ms() - then.unix_ms()) / self.step_ms;
            *back = usize::try_from(steps).unwrap_or(0);
        }
    }

    const fn instant(&self, step: i64) -> Timestamp {
        Timestamp::from_unix_ms(step.saturating_mul(self.step_ms))
    }

    /// Demand that is not exceeded with probability `level` (0.5..=0.99, clamped) at the horizon of
    /// that index, as of the newest step. `None` before the first value, or for no such horizon.
    #[must_use]
    pub fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        let head = self.heads.get(horizon)?;
        let Quantiles { mixed, naive } = head.latest()?;
        let quantile = quantiles::between(if head.is_mixed() { &mixed } else { &naive }, level);
        // Beyond a float's range, after changes of unit that nobody makes: unknown, never infinite.
        Some(quantile).filter(|quantile| quantile.is_finite())
    }

    /// The same by last value + conformal, which the forecast is measured against.
    #[must_use]
    pub fn naive_quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        let Quantiles { mixed: _, naive } = self.heads.get(horizon)?.latest()?;
        Some(quantiles::between(&naive, level)).filter(|quantile| quantile.is_finite())
    }

    /// Whether the horizon's forecast has come to lose less than last value + conformal, and is used.
    #[must_use]
    pub fn is_mixed(&self, horizon: usize) -> bool {
        self.heads.get(horizon).is_some_and(|head| head.is_mixed())
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let seen = self.seen();
        let stages = [Stage::Week, Stage::Day, Stage::Started];
        stages.into_iter().find(|stage| seen >= stage.begins_after()).unwrap_or(Stage::Cold)
    }

    /// How much longer until the next stage, if nothing is missed; `None` at the last one.
    #[must_use]
    pub fn next_stage_in(&self) -> Option<Duration> {
        let next = match self.stage() {
            Stage::Cold => Stage::Started,
            Stage::Started => Stage::Day,
            Stage::Day => Stage::Week,
            Stage::Week => return None,
        };
        Some(next.begins_after().saturating_sub(self.seen()))
    }

    /// The largest demand of the week behind; `None` before the first value.
    #[must_use]
    pub fn largest_of_week(&self) -> Option<f64> {
        self.past.largest().map(|root| f64::from(root).powi(2))
    }

    /// Demand a day ahead, `every` so many steps; empty before a day was seen. For the eye: unlike
    /// [`Self::quantile`] it is not calibrated.
    #[must_use]
    pub fn outlook(&self, every: usize) -> Vec<Ahead> {
        let Some(newest) = self.newest else { return Vec::new() };
        let now = self.instant(newest);
        let usual = self.season.usual(self.local.clone().place(now));
        let Some(usual) = usual.filter(|_| self.stage() >= Stage::Day) else { return Vec::new() };
        let step = Duration::from_millis(u64::try_from(self.step_ms).unwrap_or(0));
        let Self { past, days_back, .. } = self;
        outlook::outlook(&Known { past, days_back, usual, now, step }, every)
    }

    /// Everything it knows, to be taken up by [`Self::from_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        state::write(self)
    }

    /// What [`Self::to_bytes`] gave, bit for bit.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are another version's, or no state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        state::read(bytes)
    }

    fn seen(&self) -> Duration {
        let step = Duration::from_millis(u64::try_from(self.step_ms).unwrap_or(0));
        step.saturating_mul(u32::try_from(self.past.values()).unwrap_or(u32::MAX))
    }

    /// Everything `factor` times as large, as when the unit of demand changes: the forecasts are then
    /// what they would have been, had it been that unit from the beginning. What is not a positive
    /// finite number changes nothing.
    pub fn rescale(&mut self, factor: f64) {
        let Some(factor) = root(factor).filter(|factor| *factor > 0.0) else { return };
        self.past.scale(factor);
        self.season.scale(factor);
        self.heads.iter_mut().for_each(|head| head.scale(factor));
    }
}

/// The root of a demand, as it is forecast; `None` for what is no demand.
fn root(demand: f64) -> Option<f32> {
    if !(demand.is_finite() && demand >= 0.0) {
        return None;
    }
    // A day's sum of losses of such demands is still a float.
    #[expect(clippy::cast_possible_truncation, reason = "within the range of an f32")]
    let root = demand.sqrt().min(1e15) as f32;
    Some(root)
}
