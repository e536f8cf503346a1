//! Values of days in a byte each: by the hour or so, in the range of that hour.
//!
//! Given runs of values, none of them negative, and of gaps, each as long as a block; promises each value
//! back within a five-hundredth of what its block spanned, the least of a block as it was, and gaps as gaps.

use serde::{Deserialize, Serialize};

/// Steps of a block.
pub(super) const BLOCK: usize = 64;
/// Codes in one place: allocators round ten thousand up by an eighth, and these by nothing.
const CHUNK: usize = 32 * BLOCK;
/// The code of a gap, and the largest one of a value.
const GAP: u8 = u8::MAX;
const MOST: u8 = GAP - 1;

/// The range of a block: its least value, and what a step of a code is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Range {
    least: f32,
    unit: f32,
}

impl Range {
    /// Of gaps alone.
    const NONE: Self = Self { least: -1.0, unit: 0.0 };

    fn of(block: &[Option<f32>; BLOCK]) -> Self {
        let seen = || block.iter().flatten().copied();
        let Some(least) = seen().reduce(f32::min) else { return Self::NONE };
        let largest = seen().fold(least, f32::max);
        Self { least, unit: (largest - least) / f32::from(MOST) }
    }

    fn code(self, value: f32) -> u8 {
        // Where all are alike it is no number, and any code will do: its step is worth nothing.
        let steps = ((value - self.least) / self.unit).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 254")]
        let code = steps.min(f32::from(MOST)) as u8;
        code
    }

    #[inline]
    fn value(self, code: u8) -> f32 {
        self.least + self.unit * f32::from(code)
    }

    /// Its largest value.
    fn largest(self) -> Option<f32> {
        (self.least >= 0.0).then(|| self.value(MOST))
    }
}

/// A ring of blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Days {
    ranges: Vec<Range>,
    /// By chunks.
    codes: Vec<Vec<u8>>,
    /// Where the next block goes.
    next: usize,
}

impl Days {
    /// Room for at least so many steps, all of them gaps.
    pub(super) fn new(steps: usize) -> Self {
        let blocks = steps.div_ceil(BLOCK);
        let chunks = (0..blocks * BLOCK).step_by(CHUNK);
        let chunk = |begin| vec![GAP; CHUNK.min(blocks * BLOCK - begin)];
        Self { ranges: vec![Range::NONE; blocks], codes: chunks.map(chunk).collect(), next: 0 }
    }

    /// Takes the next block, the oldest value first.
    pub(super) fn push(&mut self, block: &[Option<f32>; BLOCK]) {
        let Some(range) = self.ranges.get_mut(self.next) else { return };
        *range = Range::of(block);
        let begin = self.next * BLOCK;
        let chunk = &mut self.codes[begin / CHUNK];
        for (code, value) in chunk[begin % CHUNK..][..BLOCK].iter_mut().zip(block) {
            *code = value.map_or(GAP, |value| range.code(value));
        }
        self.next = (self.next + 1) % self.ranges.len();
    }

    /// The value `steps` before the newest one of the newest block; `None` for gaps, what has not been
    /// and what is no longer kept.
    #[inline]
    pub(super) fn back(&self, steps: usize) -> Option<f32> {
        let (end, all) = (self.next.wrapping_mul(BLOCK), self.ranges.len() * BLOCK);
        if steps >= all {
            return None;
        }
        let from = if steps < end { end } else { end.wrapping_add(all) };
        let place = from.wrapping_sub(steps).wrapping_sub(1);
        let code = *self.codes.get(place / CHUNK)?.get(place % CHUNK)?;
        if code == GAP {
            return None;
        }
        self.ranges.get(place / BLOCK).map(|range| range.value(code))
    }

    /// The largest value.
    pub(super) fn largest(&self) -> Option<f32> {
        self.ranges.iter().filter_map(|range| range.largest()).reduce(f32::max)
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        for Range { least, unit } in self.ranges.iter_mut().filter(|range| range.least >= 0.0) {
            (*least, *unit) = (*least * factor, *unit * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Days};

    /// Days of so many blocks with values that `value` gives by their number.
    fn days(blocks: usize, value: impl Fn(usize) -> Option<f32>) -> Days {
        let mut days = Days::new(3 * BLOCK);
        for block in 0..blocks {
            days.push(&std::array::from_fn(|idx| value(block * BLOCK + idx)));
        }
        days
    }

    fn wave(number: usize) -> Option<f32> {
        let number = f32::from(u16::try_from(number).unwrap());
        (number % 7.0 > 0.0).then(|| 20.0 + 10.0 * (number / 9.0).sin())
    }

    #[test]
    fn values_come_back_nearly_and_gaps_as_gaps() {
        let days = days(5, wave);
        for back in 0..3 * BLOCK {
            let (own, value) = (days.back(back), wave(5 * BLOCK - 1 - back));
            assert_eq!(own.is_some(), value.is_some(), "{back} steps back");
            let off = own.zip(value).map_or(0.0, |(own, value)| (own - value).abs());
            // A block spans 20 at most.
            assert!(off <= 20.0 / 500.0, "{back} steps back: {off}");
        }
        assert_eq!((days.back(3 * BLOCK), days.back(4 * BLOCK)), (None, None));
        assert!(days.largest().is_some_and(|largest| (largest - 30.0).abs() < 0.1));
    }

    #[test]
    fn zero_and_what_does_not_change_are_exact() {
        for level in [0.0, 0.3, 1e15] {
            let days = days(1, |_| Some(level));
            assert_eq!(days.back(5).map(f32::to_bits), Some(f32::to_bits(level)));
        }
        let seldom = days(1, |number| Some(if number == 40 { 1e6 } else { 0.0 }));
        assert_eq!(seldom.back(0).map(f32::to_bits), Some(0));
        assert!(seldom.back(BLOCK - 41).is_some_and(|value| (value - 1e6).abs() < 1.0));
    }

    #[test]
    fn where_nothing_was_there_is_nothing() {
        let mut none = days(1, |_| None);
        assert_eq!((none.back(0), none.back(100), none.largest()), (None, None, None));
        none.scale(2.0);
        assert_eq!(none, days(1, |_| None));
        let no_room = Days::new(0);
        assert_eq!((no_room.back(0), no_room.largest()), (None, None));
    }
}
