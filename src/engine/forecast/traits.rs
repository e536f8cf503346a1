//! What the spread of a forecast may depend on, as numbers that a slope can weigh.
//!
//! How errors were lately, how much the series moves, how the means disagree, what the last days did
//! at that time, and where the value stands in its range. All in units of the forecast's scale and
//! clamped, so that none of them carries a quantile away.

use crate::engine::forecast::features::{Ahead, Now};
use crate::engine::forecast::regression::FEATURES;
use crate::engine::forecast::scale::Usual;

/// Kinds of means: last value, two levels, what is usual, last value moved as usual, yesterday, and
/// two regressions.
pub(super) const MEANS: usize = 8;
/// Bounds of the classes of where a value stands in its range: narrow at both ends, because a value
/// at its least can only rise, and one at its most can only fall.
const CLASSES: [f32; 7] = [0.04, 0.12, 0.25, 0.45, 0.65, 0.85, 0.95];

/// The class of a standing, 0..8; the first where there is no range.
pub(super) fn class_of(standing: Option<f32>) -> u8 {
    let standing = standing.unwrap_or(0.0);
    CLASSES.iter().map(|bound| u8::from(standing > *bound)).sum()
}

/// The traits of a forecast of `mean` from `means`; the first is the constant one.
pub(super) fn traits(
    now: &Now<'_>,
    ahead: &Ahead,
    means: &[f32; MEANS],
    mean: f32,
    about: Usual,
) -> [f32; FEATURES] {
    let past = now.past();
    let per_scale = 1.0 / about.scale;
    let from_mean = |value: f32, low: f32, high: f32| ((value - mean) * per_scale).clamp(low, high);
    let spread = |size: f32, most: f32| (size * per_scale).min(most);
    let [newest, _, level, usual, carried, yesterday, fast, slow] = *means;
    let [minutes, half_hour] = now.unrest();
    let standing = past.standing().unwrap_or(0.0);
    let apart: f32 =
        [newest, level, carried, fast, slow].iter().map(|own| (own - mean).abs()).sum::<f32>()
            / 5.0;
    let (yesterdays, weeks) = ahead.burst.unwrap_or((mean, mean));
    let (low, high) = ahead.days.unwrap_or((mean, mean));
    [
        1.0,
        about.ratios[0],
        about.ratios[1],
        0.5 * from_mean(usual, 0.0, 4.0),
        -0.5 * from_mean(usual, -4.0, 0.0),
        0.25 * from_mean(yesterdays, 0.0, 8.0),
        0.25 * from_mean(weeks, 0.0, 8.0),
        from_mean(newest, -4.0, 4.0),
        0.5 * minutes,
        0.5 * half_hour,
        0.25 * spread((carried - newest).abs(), 8.0),
        0.5 * spread(apart, 4.0),
        0.25 * spread(ahead.discord(), 8.0),
        0.25 * spread((fast - slow).abs(), 8.0),
        standing - 0.5,
        if standing > 0.93 { 1.0 } else { 0.0 },
        (1.0 - 10.0 * standing).max(0.0),
        0.5 * from_mean(level, -4.0, 4.0),
        0.5 * from_mean(fast, -4.0, 4.0),
        0.25 * from_mean(yesterday, -4.0, 4.0),
        0.25 * from_mean(past.levels()[2], -4.0, 4.0),
        0.25 * from_mean(high, -2.0, 8.0),
        0.25 * from_mean(low, -8.0, 2.0),
        0.25 * spread(high - low, 8.0),
    ]
}
