//! What a workload's minutes taught: forecaster, account and rhythm, in one unit.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::engine::arrived::Minute;
use crate::engine::forecast::trust::capped;
use crate::engine::forecast::{Forecaster, Horizon, Rhythm, Setup as ForecastSetup, Target};
use crate::engine::foresight::account::{Account, Aim, Rates};
use crate::engine::foresight::ahead::{Ahead, Unit};
use crate::engine::foresight::work::Carries;
use crate::engine::setup::Forecasting;
use crate::engine::units::Timestamp;

/// Horizons of the forecast in minutes: the largest demand until then.
pub(super) const HORIZONS: [u32; 9] = [1, 5, 10, 15, 20, 30, 45, 60, 90];
/// Between a minute and the next forecast.
const INTERVAL: Duration = Minute::LENGTH;
/// What is learned again may overlap with what is known: so much is no clock that was set back.
const AHEAD_MAX: Duration = Duration::from_hours(1);
/// Assumed until somebody asks.
const LEAD: Duration = Duration::from_mins(4);
/// Levels beyond this one are not calibrated.
pub(super) const QUANTILE_MAX: f64 = 0.99;

/// What was learned; shared between copies of a memory until one of them learns more.
#[derive(Clone, PartialEq)]
pub(super) struct Learned {
    pub(super) unit: Unit,
    pub(super) forecaster: Forecaster,
    pub(super) account: Account,
    pub(super) carries: Carries,
    pub(super) rhythm: Rhythm,
    pub(super) newest: Option<Timestamp>,
    /// The newest minute of which something was known.
    pub(super) known: Option<Timestamp>,
    zone: Tz,
    holidays: BTreeSet<NaiveDate>,
}

/// 75 kilobytes of numbers tell nobody anything.
impl fmt::Debug for Learned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, newest, .. } = self;
        f.debug_struct("Learned")
            .field("unit", unit)
            .field("newest", newest)
            .finish_non_exhaustive()
    }
}

impl Learned {
    pub(super) fn new(unit: Unit, setup: &Forecasting) -> Self {
        let horizon = |steps| Horizon { steps, target: Target::WindowMax };
        let forecaster = Forecaster::new(&ForecastSetup {
            step: Minute::LENGTH,
            horizons: HORIZONS.into_iter().map(horizon).collect(),
            timezone: setup.zone,
            holidays: setup.holidays.clone(),
        });
        let account = Account::new(aim(LEAD, setup.quantile.min(QUANTILE_MAX)));
        let rhythm = Rhythm::new(setup.zone, setup.holidays.clone());
        let (zone, holidays) = (setup.zone, setup.holidays.clone());
        let carries = Carries::default();
        let (newest, known) = (None, None);
        Self { unit, forecaster, account, carries, rhythm, newest, known, zone, holidays }
    }

    /// Whether it counts days as `setup` does; if not, it has to learn anew.
    pub(super) fn is_for(&self, setup: &Forecasting) -> bool {
        self.zone == setup.zone && self.holidays == setup.holidays
    }

    /// Whether its clock went ahead and was set back: what comes would be older than what is known for as long
    /// as that was.
    pub(super) fn is_ahead_of(&self, at: Timestamp) -> bool {
        self.newest.is_some_and(|newest| newest.since(at) > AHEAD_MAX)
    }

    /// `margin` is by how much more than what it saw the reactive decision makes room for.
    pub(super) fn observe(&mut self, minute: &Minute, margin: f64) {
        if self.newest.is_some_and(|newest| minute.at <= newest) {
            return;
        }
        self.newest = Some(minute.at);
        let value = self.value(minute);
        self.known = value.map(|_| minute.at).or(self.known);
        self.forecaster.observe(minute.at, value);
        self.rhythm.observe(minute.at, value);
        let Aim { horizon, level: quantile, .. } = self.account.aim();
        let rates = self
            .forecaster
            .quantile(horizon, quantile)
            .zip(self.forecaster.naive_quantile(horizon, quantile))
            .map(|(forecast, naive)| Rates { forecast: self.capped(forecast), naive, margin });
        self.account.note(minute.at, value, rates);
        let (forecaster, largest) = (&self.forecaster, self.forecaster.largest_of_week());
        let forecast = |level| Some(capped(forecaster.quantile(horizon, level)?, largest));
        self.account.charge(self.carries.within(self.unit), forecast);
    }

    /// A quantile at each horizon: minutes ahead, median and the quantile asked for.
    pub(super) fn bands(&self, quantile: f64) -> Vec<(u32, f64, f64)> {
        let of = |idx| {
            let median = self.forecaster.quantile(idx, 0.5)?;
            Some((median, self.forecaster.quantile(idx, quantile)?))
        };
        let bands = HORIZONS.into_iter().enumerate();
        bands.filter_map(|(idx, minutes)| of(idx).map(|(mid, up)| (minutes, mid, up))).collect()
    }

    /// Whether account and forecast look at this.
    pub(super) fn is_at(&self, aim: Aim) -> bool {
        self.account.aim() == aim
    }

    /// Has them look at it from now on.
    pub(super) fn turn_to(&mut self, aim: Aim) {
        if !self.is_at(aim) {
            self.account.turn_to(aim);
        }
    }

    fn capped(&self, forecast: f64) -> f64 {
        capped(forecast, self.forecaster.largest_of_week())
    }

    /// The minute in the series' unit. Work is counted as soon as sizes are known: what was counted
    /// in requests until then becomes work of requests of that size.
    fn value(&mut self, minute: &Minute) -> Option<f64> {
        match self.unit {
            Unit::Replicas => minute.replicas,
            Unit::Work => minute.work,
            Unit::Requests => match (minute.requests, minute.work) {
                (Some(requests), Some(work)) if requests > 0.0 && work > 0.0 => {
                    let size = work / requests;
                    self.forecaster.rescale(size);
                    self.account.rescale(size);
                    self.rhythm.rescale(size);
                    self.unit = Unit::Work;
                    Some(work)
                }
                (requests, _) => requests,
            },
        }
    }

    pub(super) fn ahead(&self, horizon: usize, quantile: f64) -> Ahead {
        let trust = self.account.trust();
        let settled = self.account.settled().filter(|_| trust.is_trusted());
        let quantile = settled.map_or(quantile, |(_, quantile)| quantile);
        Ahead {
            unit: self.unit,
            quantile,
            horizon: INTERVAL * HORIZONS[horizon],
            work: self.forecaster.quantile(horizon, quantile).map(|work| self.capped(work)),
            margin: settled.map(|(margin, _)| margin),
            trust,
            stage: self.forecaster.stage(),
            next_stage: self.forecaster.next_stage_in(),
        }
    }
}

/// The smallest horizon at or above the lead and one interval; the last one where none is.
pub(super) fn horizon_for(lead: Duration) -> usize {
    let needed = lead + INTERVAL;
    HORIZONS.iter().position(|minutes| INTERVAL * *minutes >= needed).unwrap_or(HORIZONS.len() - 1)
}

/// What an account looks at for this lead and level.
pub(super) fn aim(lead: Duration, level: f64) -> Aim {
    let horizon = horizon_for(lead);
    let minutes = usize::try_from(HORIZONS[horizon]).unwrap_or(1);
    // To the nearest.
    let lag = (lead + INTERVAL / 2).as_secs() / INTERVAL.as_secs();
    let lag = usize::try_from(lag).unwrap_or(minutes);
    Aim { horizon, minutes, lag: lag.min(minutes), level }
}
