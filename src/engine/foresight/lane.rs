//! One way of deciding, played beside what came: the replicas that it would have asked for, minute by
//! minute, and the queue that would have stood before those that had started.
//!
//! A replica that is asked for serves after the lead, if it was wanted all the while; one that is started
//! for a forecast stays until it has started, however soon the forecast is gone. Without the queue the bill
//! of who is late would be too small: what waited has to be served as well.

use std::collections::VecDeque;

use crate::engine::numeric::{replicas_ceil, share};

/// A queue is served ever more slowly as it goes: one that is worth so little of a step is gone.
const WAIT: f64 = 0.001;

/// Steps that somebody waits for at most, where no more replicas may be than are asked for: clients give up, and a
/// queue of hours would be asked for long after nobody stands in it.
const PATIENCE: f64 = 10.0;

/// What a step brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// The demand of the step, in the series' unit per second.
    pub(super) came: f64,
    /// The largest of late.
    pub(super) demand: f64,
    /// Steps from a decision to a replica that serves.
    pub(super) lag: usize,
    /// Steps that a queue is to be served in, taken as at least one.
    pub(super) drain: f64,
    /// Steps that a forecast counts for, taken as at least one.
    pub(super) stay: usize,
    /// What one replica carries, in the same unit; `None` while nobody knows.
    pub(super) replica: Option<f64>,
    /// Replicas that are there anyway, and the most that may be.
    pub(super) bounds: (f64, f64),
}

impl Step {
    /// The most that may wait.
    fn patience(&self) -> f64 {
        let (_, most) = self.bounds;
        self.replica.map_or(f64::INFINITY, |replica| most * replica * PATIENCE)
    }

    /// In whole replicas. What is asked of one that is there anyway costs nothing: a workload that needs a
    /// fifth of one most of the time pays for a whole.
    fn whole(&self, room: f64) -> f64 {
        let (least, most) = self.bounds;
        let count = |replica| {
            let count = f64::from(replicas_ceil(share(room, replica)?));
            Some(count.clamp(least, most) * replica)
        };
        self.replica.and_then(count).unwrap_or(room)
    }
}

/// What is asked for in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ask {
    /// The usable share of a replica, 0..=1.
    pub(super) headroom: f64,
    /// What there is to be room for, in room.
    pub(super) forecast: f64,
    /// How much of what the forecast asks for beyond demand counts, 0..=1.
    pub(super) share: f64,
}

/// How much of its sums is left after a step, both 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kept {
    pub(super) room: f64,
    pub(super) late: f64,
}

/// One way of deciding. Room is in the series' unit, at full use of each replica.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    /// What was asked for in the newest step.
    room: f64,
    /// Its sum.
    sum: f64,
    /// The sum of what came while others waited.
    late: f64,
    /// What waits, in steps of the series' unit per second.
    queue: f64,
    /// Forecasts of the steps that count, in room, oldest first.
    forecasts: VecDeque<f64>,
    /// Room of the steps that a replica takes to start, oldest first.
    asked: VecDeque<f64>,
}

impl Lane {
    pub(super) const EMPTY: Self = Self {
        room: 0.0,
        sum: 0.0,
        late: 0.0,
        queue: 0.0,
        forecasts: VecDeque::new(),
        asked: VecDeque::new(),
    };

    /// Enters a step in which this is asked for.
    pub(super) fn enter(&mut self, step: Step, kept: Kept, ask: Ask) {
        self.room = step.whole(self.wanted(step, ask));
        self.sum = self.sum.mul_add(kept.room, self.room);
        keep_newest(&mut self.asked, self.room, step.lag + 1);
        let ready = self.asked.iter().copied().fold(f64::INFINITY, f64::min);
        self.queue = (self.queue + step.came - ready).min(step.patience()).max(0.0);
        let late = if self.queue > WAIT * ready { step.came } else { 0.0 };
        self.late = self.late.mul_add(kept.late, late);
    }

    fn wanted(&mut self, step: Step, ask: Ask) -> f64 {
        keep_newest(&mut self.forecasts, ask.forecast, step.stay.max(1));
        let needed = step.demand / ask.headroom + self.queue / step.drain.max(1.0);
        let most = self.forecasts.iter().copied().fold(needed, f64::max);
        (most - needed).mul_add(ask.share, needed)
    }

    pub(super) const fn room(&self) -> f64 {
        self.room
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    pub(super) const fn late(&self) -> f64 {
        self.late
    }

    /// What is in the sum of room counts `factor` times as much.
    pub(super) fn weigh(&mut self, factor: f64) {
        self.sum *= factor;
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        let Self { room, sum, late, queue, forecasts, asked } = self;
        let scalars = [room, sum, late, queue];
        let rooms = forecasts.iter_mut().chain(asked);
        scalars.into_iter().chain(rooms).for_each(|it| *it *= factor);
    }
}

fn keep_newest(values: &mut VecDeque<f64>, newest: f64, most: usize) {
    while values.len() >= most {
        values.pop_front();
    }
    values.push_back(newest);
}

#[cfg(test)]
mod tests {
    use super::{Ask, Kept, Lane, Step};

    const NONE: Kept = Kept { room: 0.0, late: 0.0 };
    const ALL: Kept = Kept { room: 1.0, late: 1.0 };

    fn step(came: f64, lag: usize) -> Step {
        let bounds = (0.0, f64::INFINITY);
        Step { came, demand: came, lag, drain: 2.0, stay: 10, replica: None, bounds }
    }

    fn rooms(share: f64) -> Vec<f64> {
        let mut lane = Lane::EMPTY;
        let minutes = 0..20;
        minutes
            .map(|minute| {
                let forecast = if minute == 5 { 30.0 } else { 0.0 };
                lane.enter(step(10.0, 0), NONE, Ask { headroom: 0.5, forecast, share });
                assert_eq!(lane.sum().to_bits(), lane.room().to_bits());
                lane.room()
            })
            .collect()
    }

    #[test]
    fn a_forecast_of_one_minute_counts_as_long_as_said_and_as_much() {
        for (share, high) in [(1.0, 30.0), (0.5, 25.0), (0.0, 20.0)] {
            assert_eq!(rooms(share), [&[20.0; 5][..], &[high; 10], &[20.0; 5]].concat());
        }
    }

    #[test]
    fn who_was_not_there_in_time_has_a_queue_to_serve() {
        let ask = Ask { headroom: 1.0, forecast: 0.0, share: 1.0 };
        let mut lane = Lane::EMPTY;
        lane.enter(step(10.0, 3), ALL, ask);
        assert_eq!((lane.room(), lane.late()), (10.0, 0.0));
        // Ten more: for three steps ten wait, and what waits asks for replicas too.
        let rooms: Vec<f64> = (0..4)
            .map(|_| {
                lane.enter(step(20.0, 3), ALL, ask);
                lane.room()
            })
            .collect();
        assert_eq!(rooms, [20.0, 25.0, 30.0, 35.0]);
        // The first twenty serve now: what came is served, and what waited still waits.
        assert!((lane.late() - 80.0).abs() < 1e-9);
        // Later ones serve it.
        (0..30).for_each(|_| lane.enter(step(20.0, 3), ALL, ask));
        let late = lane.late();
        (0..30).for_each(|_| lane.enter(step(20.0, 3), ALL, ask));
        assert!((lane.late() - late).abs() < 1e-9 && (lane.room() - 20.0).abs() < 0.01);
    }

    #[test]
    fn a_queue_that_no_replica_may_serve_does_not_last_for_days() {
        let ask = Ask { headroom: 1.0, forecast: 0.0, share: 1.0 };
        let mut lane = Lane::EMPTY;
        let few = |came| Step { replica: Some(10.0), bounds: (1.0, 2.0), ..step(came, 3) };
        (0..300).for_each(|_| lane.enter(few(50.0), ALL, ask));
        assert!((lane.room() - 20.0).abs() < 1e-9);
        // Two hundred at most wait for twenty that are served, ten of which come.
        (0..30).for_each(|_| lane.enter(few(10.0), ALL, ask));
        assert!((lane.room() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn who_was_there_ahead_has_none() {
        let mut lane = Lane::EMPTY;
        let ask = Ask { headroom: 1.0, forecast: 20.0, share: 1.0 };
        (0..4).for_each(|_| lane.enter(step(10.0, 3), ALL, ask));
        (0..4).for_each(|_| lane.enter(step(20.0, 3), ALL, ask));
        assert_eq!((lane.late(), lane.room()), (0.0, 20.0));
    }

    #[test]
    fn a_unit_is_no_matter() {
        let ask = |factor: f64| Ask { headroom: 0.8, forecast: 14.0 * factor, share: 0.5 };
        let run = |lane: &mut Lane, factor: f64| {
            for came in [10.0, 30.0, 5.0, 40.0] {
                lane.enter(step(came * factor, 2), ALL, ask(factor));
            }
        };
        let (mut scaled, mut plain) = (Lane::EMPTY, Lane::EMPTY);
        run(&mut scaled, 1.0);
        scaled.rescale(8.0);
        run(&mut plain, 8.0);
        assert_eq!(scaled, plain);
    }
}
