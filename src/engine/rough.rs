//! A float in two bytes, for what is kept in numbers and need not be exact.

use serde::{Deserialize, Serialize};

/// A float of eight significant bits in the range of an `f32` (bfloat16): what was put in comes out
/// within a 256th, zero and small whole numbers as they were. Bytes, so that it is written as
/// two of them whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rough([u8; 2]);

impl Rough {
    /// `value` to the nearest; what is beyond the range is the end of it.
    #[must_use]
    #[inline]
    pub const fn of(value: f32) -> Self {
        let bits = value.min(MOST).max(-MOST).to_bits();
        let even = (bits >> 16) & 1;
        let [high, low, ..] = bits.wrapping_add(0x7fff + even).to_be_bytes();
        Self([low, high])
    }

    /// A number that is larger where the value is.
    #[must_use]
    #[inline]
    pub const fn rank(self) -> i16 {
        let bits = i16::from_le_bytes(self.0);
        if bits < 0 { bits ^ i16::MAX } else { bits }
    }

    /// What has that rank.
    #[must_use]
    #[inline]
    pub const fn of_rank(rank: i16) -> Self {
        Self((if rank < 0 { rank ^ i16::MAX } else { rank }).to_le_bytes())
    }

    /// What was put in, about.
    #[must_use]
    #[inline]
    pub const fn get(self) -> f32 {
        let [low, high] = self.0;
        f32::from_bits(u32::from_be_bytes([high, low, 0, 0]))
    }
}

impl From<f32> for Rough {
    fn from(value: f32) -> Self {
        Self::of(value)
    }
}

impl From<Rough> for f32 {
    fn from(value: Rough) -> Self {
        value.get()
    }
}

/// The largest there is.
const MOST: f32 = f32::from_bits(0x7f7f_0000);

/// All of them, less `base`.
#[must_use]
#[inline]
pub fn rough<const N: usize>(values: &[f32; N], base: f32) -> [Rough; N] {
    let mut all = [Rough::default(); N];
    for (own, value) in all.iter_mut().zip(values) {
        *own = Rough::of(value - base);
    }
    all
}

/// All of them again, `base` added.
#[must_use]
#[inline]
pub fn exact<const N: usize>(values: &[Rough; N], base: f32) -> [f32; N] {
    let mut all = [0.0; N];
    for (own, value) in all.iter_mut().zip(values) {
        *own = base + value.get();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{MOST, Rough};

    #[test]
    fn what_comes_out_is_within_a_256th() {
        let mut value = 1e-30_f32;
        while value < 1e30 {
            for own in [value, -value] {
                let off = (Rough::of(own).get() - own).abs();
                assert!(off <= value / 256.0, "{own}: {off}");
            }
            value *= 1.037;
        }
    }

    #[test]
    fn ranks_are_in_the_order_of_values() {
        let values = [-1e30, -2.0, -1.0, -1e-30, 0.0, 1e-30, 1.0, 2.0, 1e30];
        let ranks = values.map(|value| Rough::of(value).rank());
        assert!(ranks.is_sorted(), "{ranks:?}");
        for (value, rank) in values.into_iter().zip(ranks) {
            assert_eq!(Rough::of_rank(rank), Rough::of(value), "{value}");
        }
    }

    #[test]
    fn zero_whole_numbers_and_the_ends_are_what_they_were() {
        for value in [0.0, 1.0, -1.0, 99.0, 255.0, 256.0, MOST, -MOST, f32::from_bits(1 << 16)] {
            assert_eq!(Rough::of(value).get().to_bits(), value.to_bits(), "{value}");
        }
        for value in [f32::MAX, f32::INFINITY] {
            assert_eq!(Rough::of(value).get().to_bits(), MOST.to_bits());
            assert_eq!(Rough::of(-value).get().to_bits(), (-MOST).to_bits());
        }
    }
}
