//! Stand-in.
use crate::engine::units::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
/// t
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// a
    At,
    /// b
    WindowMax,
}
/// h
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// s
    pub steps: u32,
    /// t
    pub target: Target,
}
/// s
#[derive(Debug, Clone)]
pub struct Setup {
    /// s
    pub step: Duration,
    /// h
    pub horizons: Vec<Horizon>,
    /// t
    pub timezone: chrono_tz::Tz,
    /// h
    pub holidays: BTreeSet<chrono::NaiveDate>,
}
/// f
#[derive(Debug)]
pub struct Forecaster {
    last: Option<f64>,
    seen: u32,
}
impl Forecaster {
    /// n
    #[must_use]
    pub fn new(_setup: Setup) -> Self {
        Self { last: None, seen: 0 }
    }
    /// o
    pub fn observe(&mut self, _at: Timestamp, value: Option<f64>) {
        self.last = value.or(self.last);
        self.seen += 1;
    }
    /// q
    #[must_use]
    pub fn quantile(&self, _horizon: usize, level: f64) -> Option<f64> {
        self.last.filter(|_| self.seen > 5).map(|last| last * (0.6 + level))
    }
}
