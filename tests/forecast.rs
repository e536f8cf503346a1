//! What the forecaster promises: of any input whatever, of ordinary days, and of days that go wrong.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "forecast/begun.rs"]
mod begun;
#[path = "forecast/calendar.rs"]
mod calendar;
#[path = "forecast/calibrated.rs"]
mod calibrated;
#[path = "forecast/disturbed.rs"]
mod disturbed;
#[path = "forecast/properties.rs"]
mod properties;
#[path = "forecast/score.rs"]
mod score;
#[path = "forecast/series.rs"]
mod series;
#[path = "forecast/state.rs"]
mod state;
#[path = "forecast/trace.rs"]
mod trace;
