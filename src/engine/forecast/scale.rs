//! How far a forecast is usually off: now, in general, and at this hour of the day.
//!
//! Given errors; promises a positive scale in which errors of quiet and of busy hours are alike.

use serde::{Deserialize, Serialize};

/// Least weight of the newest error in what is usual now, in general, and at an hour.
const FAST: f32 = 0.05;
const SLOW: f32 = 0.002;
const HOURLY: f32 = 0.004;
/// Errors before an hour has a usual one.
const UNUSUAL: u16 = 30;
/// Below this an error is none: no scale divides by zero.
const LEAST: f32 = 1e-9;

/// Usual errors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Scale {
    fast: f32,
    slow: f32,
    hours: [f32; 24],
    /// Errors of each hour.
    hourly_seen: [u16; 24],
    seen: u32,
}

/// A scale, and how now compares with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// The scale: above zero.
    pub(super) scale: f32,
    /// Logarithms of what is usual now, and in general, over the scale; -4..=4.
    pub(super) ratios: [f32; 2],
}

impl Scale {
    /// What is usual at `hour`.
    pub(super) fn at(&self, hour: usize) -> Usual {
        let (fast, slow) = (self.fast.max(LEAST).ln(), self.slow.max(LEAST).ln());
        let (hourly, seen) = (self.hours[hour], self.hourly_seen[hour]);
        let scale = if seen > UNUSUAL {
            0.4 * fast + 0.3 * slow + 0.3 * hourly.max(LEAST).ln()
        } else {
            0.5 * fast + 0.5 * slow
        };
        let ratios = [fast, slow].map(|own| (own - scale).clamp(-4.0, 4.0));
        Usual { scale: scale.exp().max(LEAST), ratios }
    }

    /// Takes an error, made at `hour`.
    pub(super) fn learn(&mut self, error: f32, hour: usize) {
        self.seen = self.seen.saturating_add(1);
        #[expect(clippy::cast_precision_loss, reason = "a weight that ends at its least")]
        let share = 1.0 / self.seen as f32;
        self.fast += share.max(FAST) * (error - self.fast);
        self.slow += share.max(SLOW) * (error - self.slow);
        let (hourly, seen) = (&mut self.hours[hour], &mut self.hourly_seen[hour]);
        *seen = seen.saturating_add(1);
        *hourly += (1.0 / f32::from(*seen)).max(HOURLY) * (error - *hourly);
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        let Self { fast, slow, hours, hourly_seen: _, seen: _ } = self;
        for value in hours.iter_mut().chain([fast, slow]) {
            *value *= factor;
        }
    }
}
