//! The room that one way of deciding would have asked for, minute by minute, and its running sum.
//!
//! A replica that is started for a forecast stays until it has started, however soon the forecast is gone.

use std::collections::VecDeque;

use crate::engine::numeric::{replicas_ceil, share};

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// The largest demand of late, in the series' unit per second.
    pub(super) demand: f64,
    /// Steps that a forecast counts for, taken as at least one.
    pub(super) stay: usize,
    /// What one replica carries, in the same unit; `None` while nobody knows.
    pub(super) replica: Option<f64>,
    /// Replicas that are there anyway, and the most that may be.
    pub(super) bounds: (f64, f64),
}

impl Step {
    /// In whole replicas. What is asked of one that is there anyway costs nothing: a workload that needs a
    /// fifth of one most of the time pays for a whole.
    pub(super) fn whole(&self, room: f64) -> f64 {
        let (least, most) = self.bounds;
        let count = |replica| {
            let count = f64::from(replicas_ceil(share(room, replica)?));
            Some(count.clamp(least, most) * replica)
        };
        self.replica.and_then(count).unwrap_or(room)
    }
}

/// One way of deciding. Room is in the series' unit, at full use of each replica.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    sum: f64,
    /// Forecasts of the steps that count, in room, oldest first.
    forecasts: VecDeque<f64>,
}

impl Lane {
    pub(super) const EMPTY: Self = Self { sum: 0.0, forecasts: VecDeque::new() };

    /// Enters a step: `kept` of the sum is left, a replica is used to `headroom`, and there is to be room for
    /// a `forecast`.
    pub(super) fn enter(&mut self, step: Step, kept: f64, headroom: f64, forecast: f64) {
        self.forecasts.push_back(forecast);
        while self.forecasts.len() > step.stay.max(1) {
            self.forecasts.pop_front();
        }
        let room = self.forecasts.iter().copied().fold(step.demand / headroom, f64::max);
        self.sum = self.sum.mul_add(kept, step.whole(room));
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// What is in the sum counts `factor` times as much.
    pub(super) fn weigh(&mut self, factor: f64) {
        self.sum *= factor;
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.sum *= factor;
        self.forecasts.iter_mut().for_each(|room| *room *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Step};

    #[test]
    fn a_forecast_of_one_minute_counts_as_long_as_said() {
        let mut lane = Lane::EMPTY;
        let rooms: Vec<f64> = (0..20)
            .map(|minute| {
                let forecast = if minute == 5 { 30.0 } else { 0.0 };
                lane.enter(
                    Step { demand: 10.0, stay: 10, replica: None, bounds: (0.0, f64::INFINITY) },
                    0.0,
                    0.5,
                    forecast,
                );
                lane.sum()
            })
            .collect();
        assert_eq!(rooms, [&[20.0; 5][..], &[30.0; 10], &[20.0; 5]].concat());
    }
}
