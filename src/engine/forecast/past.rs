//! What was seen: a week of values, their levels, how much they move, and the range they move in.
//!
//! Values are square roots of demand throughout: arrivals scatter with the root of their rate, so
//! roots scatter alike at any rate, and a demand a thousand times as large is the same series.
//! Given one value or a gap for each step; promises memory that does not grow. A gap changes nothing
//! but the age of what is known.

use serde::{Deserialize, Serialize};

/// Days whose values are kept.
pub(super) const DAYS: usize = 7;
/// Steps kept beyond those days: neighbours of a value of a week ago, and an hour that a clock lost.
const MARGIN: usize = 72;
/// Weights of the newest value in the levels: from two steps to an hour of them at a step of a minute.
const LEVELS: [f32; 4] = [0.5, 0.15, 0.02, 0.05];
/// The same in the movement per step: minutes, half an hour, a third of a day.
const MOVES: [f32; 3] = [0.15, 0.03, 0.002];
/// How fast the range forgets an extreme: half of the way in a thousand steps.
const NARROW: f32 = 0.0007;

/// Values before one can be too large to be believed, and how many times the largest root of the last
/// day it must then be.
const YOUNG: u64 = 60;
const LEAP: f32 = 10.0;

/// A value, or a gap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cell(f32);

impl Cell {
    /// Roots are never negative, so this is none of them.
    const GAP: Self = Self(-1.0);

    fn value(self) -> Option<f32> {
        (self.0 >= 0.0).then_some(self.0)
    }
}

/// Values of the last days and what they amount to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    /// Steps of a day.
    day: usize,
    cells: Vec<Cell>,
    /// Where the newest step's value is.
    newest_at: usize,
    /// Steps seen, gaps included.
    steps: u64,
    /// Values seen.
    values: u64,
    newest: f32,
    levels: [f32; 4],
    moves: [f32; 3],
    low: f32,
    high: f32,
}

impl Past {
    pub(super) fn new(day: usize) -> Self {
        Self {
            day,
            cells: vec![Cell::GAP; DAYS * day + MARGIN],
            newest_at: 0,
            steps: 0,
            values: 0,
            newest: 0.0,
            levels: [0.0; 4],
            moves: [0.0; 3],
            low: 0.0,
            high: 0.0,
        }
    }

    /// `value`, or what of it can be believed: a hundred times the demand of the last day is a
    /// mistake until the next step says it again, and then a hundred times that.
    pub(super) fn believable(&self, value: f32) -> f32 {
        if self.values > YOUNG && self.high > 0.0 { value.min(LEAP * self.high) } else { value }
    }

    /// Takes the value of the next step.
    pub(super) fn push(&mut self, value: Option<f32>) {
        if let Some(value) = value {
            self.learn(value);
        }
        self.newest_at = if self.newest_at + 1 < self.cells.len() { self.newest_at + 1 } else { 0 };
        self.cells[self.newest_at] = value.map_or(Cell::GAP, Cell);
        self.steps += 1;
    }

    fn learn(&mut self, value: f32) {
        if self.values == 0 {
            self.levels = [value; 4];
            self.low = value;
            self.high = value;
        }
        for (level, weight) in self.levels.iter_mut().zip(LEVELS) {
            *level += weight * (value - *level);
        }
        if let Some(before) = self.back(0) {
            let moved = (value - before).abs();
            for (mean, weight) in self.moves.iter_mut().zip(MOVES) {
                *mean += weight * (moved - *mean);
            }
        }
        self.high = value.max(self.high - NARROW * (self.high - value));
        self.low = value.min(self.low + NARROW * (value - self.low));
        self.newest = value;
        self.values += 1;
    }

    /// The value `steps` before the newest step; `None` for gaps, what has not been and what is no
    /// longer kept.
    pub(super) fn back(&self, steps: usize) -> Option<f32> {
        let from_end = || (self.newest_at + self.cells.len()).checked_sub(steps);
        let place = self.newest_at.checked_sub(steps).or_else(from_end)?;
        self.cells.get(place).and_then(|cell| cell.value())
    }

    /// Mean of the five values around `steps` before the newest step; `None` if all are gaps.
    pub(super) fn around(&self, steps: usize) -> Option<f32> {
        let (mut sum, mut count) = (0.0, 0.0);
        for back in steps.saturating_sub(2)..=steps + 2 {
            if let Some(value) = self.back(back) {
                sum += value;
                count += 1.0;
            }
        }
        (count > 0.0).then(|| sum / count)
    }

    /// Steps of a day.
    pub(super) const fn day(&self) -> usize {
        self.day
    }

    /// Steps seen, gaps included.
    pub(super) const fn steps(&self) -> u64 {
        self.steps
    }

    /// Values seen.
    pub(super) const fn values(&self) -> u64 {
        self.values
    }

    /// The newest value that was no gap.
    pub(super) const fn newest(&self) -> f32 {
        self.newest
    }

    /// Fading means of the values, by their weights 0.5, 0.15, 0.02 and 0.05.
    pub(super) const fn levels(&self) -> [f32; 4] {
        self.levels
    }

    /// How far the last minutes, and the last half hour, moved per step, beside the last hours:
    /// natural logarithms of the ratios, within -4..=4.
    pub(super) fn unrest(&self) -> [f32; 2] {
        let [fast, middle, slow] = self.moves;
        let slow = slow.max(f32::MIN_POSITIVE);
        [fast, middle].map(|mean| (mean / slow).max(0.02).ln().min(4.0))
    }

    /// Where the newest value stands in the range of the last day or so, 0..=1; `None` in no range.
    pub(super) fn standing(&self) -> Option<f32> {
        let width = self.high - self.low;
        (width > 0.0).then(|| ((self.newest - self.low) / width).clamp(0.0, 1.0))
    }

    /// The largest value of the days kept.
    pub(super) fn largest(&self) -> Option<f32> {
        self.cells.iter().filter_map(|cell| cell.value()).reduce(f32::max)
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        let Self {
            day: _,
            cells,
            newest_at: _,
            steps: _,
            values: _,
            newest,
            levels,
            moves,
            low,
            high,
        } = self;
        for cell in cells.iter_mut().filter(|cell| cell.value().is_some()) {
            cell.0 *= factor;
        }
        for value in levels.iter_mut().chain(moves).chain([newest, low, high]) {
            *value *= factor;
        }
    }
}
