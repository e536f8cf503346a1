//! What was seen: a week of values, their levels, how much they move, and the range they move in.
//!
//! Values are square roots of demand throughout: arrivals scatter with the root of their rate, so
//! roots scatter alike at any rate, and a demand a thousand times as large is the same series.
//! Given one value or a gap for each step; promises memory that does not grow. A gap changes nothing
//! but the age of what is known. How days are kept is left to [`super::days`].

use serde::{Deserialize, Serialize};

use crate::engine::forecast::days::{BLOCK, Days};

/// Days whose values are kept.
pub(super) const DAYS: usize = 7;
/// Steps kept as they were, a power of two: what forecasts are made and learned from but for days, and a
/// block of those.
const RECENT: usize = 128;
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
    /// The newest steps, a ring.
    recent: Vec<Cell>,
    /// All whole blocks of steps, the recent ones as well.
    days: Days,
    /// Where the newest step's value is.
    newest_at: usize,
    /// Steps since the epoch: what is done at every n-th step, and where a block of days ends, does not
    /// depend on where a series began.
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
        let kept = DAYS * day + MARGIN;
        Self {
            day,
            recent: vec![Cell::GAP; RECENT],
            days: Days::new(if kept > RECENT { kept } else { 0 }),
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

    /// Begins with the step of that number since the epoch.
    pub(super) fn begin(&mut self, step: i64) {
        self.steps = u64::try_from(step).unwrap_or(0);
    }

    /// Leaves out so many steps, after which nothing is left that another gap could change.
    pub(super) fn skip(&mut self, steps: i64) {
        self.steps += u64::try_from(steps).unwrap_or(0);
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
        self.newest_at = (self.newest_at + 1) % RECENT;
        self.recent[self.newest_at] = value.map_or(Cell::GAP, Cell);
        self.steps += 1;
        if self.begun() == 0 {
            self.days.push(&std::array::from_fn(|idx| self.lately(BLOCK - 1 - idx)));
        }
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
    #[inline]
    pub(super) fn back(&self, steps: usize) -> Option<f32> {
        if steps < RECENT { self.lately(steps) } else { self.days.back(steps - self.begun()) }
    }

    /// The same; within a gap, on the line between what is known on both sides of it.
    pub(super) fn along(&self, steps: usize) -> Option<f32> {
        self.back(steps).or_else(|| self.inside_gap(steps))
    }

    fn inside_gap(&self, steps: usize) -> Option<f32> {
        let known = |back: usize| self.back(back).map(|value| (back, value));
        let (newer, after) = (0..steps).rev().find_map(known).unwrap_or((0, self.newest));
        let (older, before) = (steps + 1..RECENT).find_map(known)?;
        #[expect(clippy::cast_precision_loss, reason = "at most a few thousand steps")]
        let part = (steps - newer) as f32 / (older - newer) as f32;
        Some(part.mul_add(before - after, after))
    }

    /// The same for the recent steps.
    #[inline]
    fn lately(&self, steps: usize) -> Option<f32> {
        let place = self.newest_at.wrapping_sub(steps) % RECENT;
        self.recent.get(place).and_then(|cell| cell.value())
    }

    /// Steps of the block that is not whole yet.
    #[inline]
    fn begun(&self) -> usize {
        // Below 64.
        usize::try_from(self.steps % BLOCK as u64).unwrap_or(0)
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

    /// Steps since the epoch, up to and with the newest one.
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
        let recent = self.recent.iter().filter_map(|cell| cell.value());
        recent.chain(self.days.largest()).reduce(f32::max)
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        let Self {
            day: _,
            recent,
            days,
            newest_at: _,
            steps: _,
            values: _,
            newest,
            levels,
            moves,
            low,
            high,
        } = self;
        days.scale(factor);
        for cell in recent.iter_mut().filter(|cell| cell.value().is_some()) {
            cell.0 *= factor;
        }
        for value in levels.iter_mut().chain(moves).chain([newest, low, high]) {
            *value *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Past, RECENT};

    fn check(values: &[Option<f32>], back: usize, expected: Option<f32>) {
        let mut past = Past::new(1440);
        values.iter().for_each(|value| past.push(*value));
        assert_eq!(past.along(back), expected, "{values:?}, {back} back");
    }

    #[test]
    fn within_a_gap_lies_a_line_and_beyond_what_is_known_nothing() {
        let gap = [Some(4.0), None, None, None, Some(8.0)];
        let line = [8.0, 7.0, 6.0, 5.0, 4.0];
        for (back, expected) in line.into_iter().enumerate() {
            check(&gap, back, Some(expected));
        }
        check(&gap, 5, None);
        // Before the newest value, what it was says nothing of the steps since.
        check(&[Some(4.0), Some(8.0), None, None], 1, Some(8.0));
        let mut long = vec![None; RECENT];
        long.push(Some(8.0));
        check(&[&[Some(4.0)][..], &long].concat(), 60, None);
    }
}
