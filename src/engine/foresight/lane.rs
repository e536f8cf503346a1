//! The room that one way of deciding would have asked for, minute by minute, and its running sum.
//!
//! A replica that is asked for stays at least until it has started: what is asked holds for a cold start.
//! What came and found no replica ready waits, and asks for room as well, until it is served. So being late
//! costs what it costs, and a forecast of one minute too.

use std::collections::VecDeque;

use crate::engine::numeric::count;

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// Arrivals, in the series' unit per second.
    pub(super) came: f64,
    /// Steps that a cold start takes: 1 or more.
    pub(super) lag: usize,
}

/// One way of deciding. Room is in the series' unit, at full use of each replica.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    sum: f64,
    /// Asked for in the last steps, oldest first; as many as a cold start takes.
    asked: VecDeque<f64>,
    /// Taken in them.
    taken: VecDeque<f64>,
    /// What waits: unit per second, times steps.
    queue: f64,
}

impl Lane {
    pub(super) const EMPTY: Self =
        Self { sum: 0.0, asked: VecDeque::new(), taken: VecDeque::new(), queue: 0.0 };

    /// Enters a step: `kept` of the sum is left, a replica is used to `headroom`, and there is to be room for
    /// a `forecast`.
    pub(super) fn enter(&mut self, step: Step, kept: f64, headroom: f64, forecast: f64) {
        // Ready is what was there throughout a cold start.
        let ready = least(&self.taken).unwrap_or(step.came);
        self.queue = (self.queue + step.came - ready).max(0.0);
        let lag = step.lag.max(1);
        let drains = self.queue / f64::from(count(lag));
        push(&mut self.asked, lag, forecast.max((step.came + drains) / headroom));
        let room = self.asked.iter().copied().fold(0.0, f64::max);
        push(&mut self.taken, lag, room);
        self.sum = self.sum.mul_add(kept, room);
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.sum *= factor;
        self.queue *= factor;
        let rooms = self.asked.iter_mut().chain(&mut self.taken);
        rooms.for_each(|room| *room *= factor);
    }
}

fn least(rooms: &VecDeque<f64>) -> Option<f64> {
    rooms.iter().copied().reduce(f64::min)
}

/// The newest last, and no more than `most`.
fn push(rooms: &mut VecDeque<f64>, most: usize, room: f64) {
    rooms.push_back(room);
    while rooms.len() > most {
        rooms.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Step};

    /// Rooms taken at ten a minute, with 40 in the minutes 20 to 29, at a cold start of ten.
    fn rooms(forecast: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut lane = Lane::EMPTY;
        let room = |minute| {
            let came = if (20..30).contains(&minute) { 40.0 } else { 10.0 };
            lane.enter(Step { came, lag: 10 }, 0.0, 0.5, forecast(minute));
            lane.sum()
        };
        (0..60).map(room).collect()
    }

    #[test]
    fn what_is_asked_for_holds_for_a_cold_start() {
        let flicker = rooms(|minute| if minute == 5 { 30.0 } else { 0.0 });
        assert_eq!(flicker[4..16], [&[20.0][..], &[30.0; 10], &[20.0]].concat());
    }

    #[test]
    fn who_is_late_pays_for_what_waits() {
        let (late, ahead) = (rooms(|_| 0.0), rooms(|minute| if minute > 5 { 80.0 } else { 0.0 }));
        let most = |rooms: &[f64]| rooms.iter().copied().fold(0.0, f64::max);
        assert!((most(&ahead) - 80.0).abs() < 1e-9, "{ahead:?}");
        assert!(most(&late) > 100.0, "{late:?}");
        assert!((late[59] - 20.0).abs() < 1e-9, "served in the end: {late:?}");
    }
}
