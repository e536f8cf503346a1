//! Quantiles that learn as they go: by a step up after a miss, and a smaller one down after a hit.
//!
//! The steps are in the ratio of the level to what is beyond it, so that in the long run the share of
//! misses is the one asked for, whatever the series does (Koenker & Bassett 1978 for the loss; Gibbs
//! & Candès 2021 for tracking it online). [`Tracker`] is a number per level, [`Slope`] a linear
//! function of what is known at the time, with steps that shrink as a feature is used (AdaGrad, Duchi
//! et al. 2011).

use serde::{Deserialize, Serialize};

use crate::engine::forecast::regression::{FEATURES, dot};

/// Levels that are learned; others are interpolated between them.
pub const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// The same as the arithmetic of a forecast takes them.
pub(super) const TAUS: [f32; 4] = [0.5, 0.9, 0.95, 0.99];
/// One over the root of `level * (1 - level)`: with it, steps of all levels are alike in size.
const ALIKE: [f32; 4] = [2.0, 3.333_333_3, 4.588_315, 10.050_378];
/// How features' use fades: by half in 3 500 observations.
const FADE: f32 = 0.9998;
/// Use of a feature before it was used: the first steps must not be leaps.
const UNUSED: f32 = 10.0;
/// Quantiles of a standardised error before any was seen, those of a heavy-tailed law.
const GUESS: [f32; 4] = [0.0, 1.5, 2.0, 3.0];

/// Which way and how far to step: up by the level after a miss, down by the rest after a hit.
pub(super) fn pull(tau: f32, is_miss: bool) -> f32 {
    if is_miss { tau } else { tau - 1.0 }
}

/// Pinball loss of `quantile` at level `tau` when `actual` came.
pub(super) fn pinball(tau: f32, actual: f32, quantile: f32) -> f32 {
    let above = actual - quantile;
    if above >= 0.0 { tau * above } else { (tau - 1.0) * above }
}

/// A quantile per level, in units of the forecast's scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Tracker(pub(super) [f32; 4]);

impl Default for Tracker {
    fn default() -> Self {
        Self(GUESS)
    }
}

impl Tracker {
    pub(super) fn learn(&mut self, error: f32, step: f32) {
        for (own, tau) in self.0.iter_mut().zip(TAUS) {
            *own += step * pull(tau, error > *own);
        }
    }
}

/// How much each feature has been used, shared by all slopes over the same features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Use([f32; FEATURES]);

impl Default for Use {
    fn default() -> Self {
        Self([UNUSED; FEATURES])
    }
}

impl Use {
    /// Counts `features` as used, and returns the step that each allows.
    pub(super) fn count(&mut self, features: &[f32; FEATURES]) -> [f32; FEATURES] {
        let mut steps = [0.0; FEATURES];
        for ((own, feature), step) in self.0.iter_mut().zip(features).zip(&mut steps) {
            *own = *own * FADE + feature * feature;
            *step = feature / own.sqrt();
        }
        steps
    }
}

/// A quantile per level as a linear function of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Slope([[f32; FEATURES]; 4]);

/// The first feature is the constant one, whose weight is the guess.
impl Default for Slope {
    fn default() -> Self {
        Self(GUESS.map(|guess| {
            let mut weights = [0.0; FEATURES];
            weights[0] = guess;
            weights
        }))
    }
}

impl Slope {
    /// The quantile of each level, in units of the forecast's scale.
    pub(super) fn at(&self, features: &[f32; FEATURES]) -> [f32; 4] {
        self.0.each_ref().map(|weights| dot(weights, features))
    }

    /// Learns that `error` came where the quantiles were to be `at`.
    pub(super) fn learn(
        &mut self,
        steps: &[f32; FEATURES],
        features: &[f32; FEATURES],
        error: f32,
        rate: f32,
    ) {
        for ((weights, tau), alike) in self.0.iter_mut().zip(TAUS).zip(ALIKE) {
            let by = rate * alike * pull(tau, error > dot(weights, features));
            for (weight, step) in weights.iter_mut().zip(steps) {
                *weight += by * step;
            }
        }
    }
}

/// The quantile of `level` among those of [`LEVELS`]: linear in the logarithm of the odds between
/// them, and theirs beyond them.
pub(super) fn between(quantiles: &[f32; 4], level: f64) -> f64 {
    let odds = |level: f64| (level / (1.0 - level)).ln();
    let level = level.clamp(LEVELS[0], LEVELS[3]);
    let upper = LEVELS.iter().position(|own| *own >= level).unwrap_or(3).max(1);
    let (low, high) = (LEVELS[upper - 1], LEVELS[upper]);
    let share = (odds(level) - odds(low)) / (odds(high) - odds(low));
    let [low, high] = [quantiles[upper - 1], quantiles[upper]].map(f64::from);
    share.mul_add(high - low, low).max(low)
}
