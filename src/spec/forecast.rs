//! What the forecast and the calendar go by.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::engine::calendar::Calendar;
use crate::engine::setup::{Forecasting, Thrift};
use crate::engine::units::Ratio;
use crate::spec::bounds::{self, Surroundings};
use crate::spec::quantile::{self, Quantile};
use crate::spec::raw::Raw;
use crate::spec::{share, span, zone};

/// Settings of the forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Probability that capacity suffices, 0.5..=0.999; `None`: 0.95, less where the forecast would add
    /// to the bill.
    pub quantile: Option<Quantile>,
    /// How far back to learn; 1 to 30 days.
    pub history: Duration,
    /// Local time of the day and week profiles.
    pub zone: Tz,
    /// Dates treated as Sunday.
    pub holidays: BTreeSet<NaiveDate>,
    /// Usable share of a replica's rate capacity while the forecast is trusted, not below the headroom
    /// otherwise in force; `None`: more the more the forecast would add to the bill.
    pub headroom_trusted: Option<Ratio>,
    /// Idle time that one cold start is worth; `None`: 5 x lead time.
    pub cold_start_cost: Option<Duration>,
}

impl Forecast {
    /// The same as the engine needs it.
    pub(crate) fn forecasting(&self, headroom: Ratio) -> Forecasting {
        Forecasting {
            quantile: self.quantile.unwrap_or(Quantile::P95).get(),
            history: self.history,
            zone: self.zone,
            holidays: self.holidays.clone(),
            headroom_trusted: self.headroom_trusted.unwrap_or(headroom),
            thrift: self.thrift(),
            cold_start_cost: self.cold_start_cost,
        }
    }

    /// What the user gave does not give way.
    const fn thrift(&self) -> Thrift {
        match (self.headroom_trusted, self.quantile) {
            (Some(_), _) => Thrift::None,
            (None, Some(_)) => Thrift::Margin,
            (None, None) => Thrift::MarginAndQuantile,
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const HISTORY_DAYS: u32 = 14;
/// The longest range a datasource is asked for.
const HISTORY_DAYS_MAX: u32 = 30;

/// Reads it; `headroom` is what holds without trust.
pub(crate) fn read(raw: &mut Raw, headroom: Ratio) -> Forecast {
    let history = |text: &str| span::within(text, DAY, DAY * HISTORY_DAYS_MAX);
    let trusted = raw.take("headroomTrusted", share::ratio);
    if trusted.is_some_and(|trusted| trusted < headroom) {
        raw.refuse("headroomTrusted", "must not be below headroom");
    }
    Forecast {
        quantile: raw.take("quantile", |text| quantile::within(text, 0.5, 0.999)),
        history: raw.take("forecastHistory", history).unwrap_or(DAY * HISTORY_DAYS),
        zone: raw.take("timezone", zone::timezone).unwrap_or(Tz::UTC),
        holidays: raw.take("holidays", zone::holidays).unwrap_or_default(),
        headroom_trusted: trusted,
        cold_start_cost: raw
            .take("coldStartCost", |text| span::within(text, Duration::ZERO, DAY * 30)),
    }
}

/// Reads the calendar.
pub(crate) fn read_bounds(raw: &mut Raw, around: Surroundings) -> Calendar {
    raw.take_list("instanceBounds", |text| bounds::parse("instanceBounds", text, around))
        .unwrap_or_default()
}
