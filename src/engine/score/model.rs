//! What forecasts: the forecaster that serves and the baselines beside it.

use crate::engine::forecast::Forecaster;
use crate::engine::units::Timestamp;

/// A model that is shown one step after another.
pub trait Model {
    /// The next step; `None` is a gap.
    fn observe(&mut self, at: Timestamp, value: Option<f64>);

    /// The forecast made at the newest step for one of the horizons of its setup, at a level between
    /// 0 and 1; `None` before it can tell.
    fn quantile(&self, horizon: usize, level: f64) -> Option<f64>;
}

impl Model for Forecaster {
    fn observe(&mut self, at: Timestamp, value: Option<f64>) {
        Self::observe(self, at, value);
    }

    fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        Self::quantile(self, horizon, level)
    }
}
