//! One horizon: forecasts now, learns when what it forecast has come.
//!
//! Means of eight kinds are mixed, the quantiles around them come from seven kinds and are mixed per
//! level, and a slow correction holds the share of misses at what each level promises. Until the mix
//! has lost less than last value + conformal, the forecast is last value + conformal. Everything is in
//! square roots of demand but for the quantiles that leave, which are demand.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::forecast::features::{Ahead, Now};
use crate::engine::forecast::mixture;
use crate::engine::forecast::naive::Naive;
use crate::engine::forecast::past::Past;
use crate::engine::forecast::quantiles::{Slope, TAUS, Tracker, Use, pinball, pull};
use crate::engine::forecast::regression::{FEATURES, Regression};
use crate::engine::forecast::scale::{Scale, Usual};
use crate::engine::forecast::traits::{MEANS, class_of, traits};
use crate::engine::forecast::waiting::{Claim, KINDS, Scene, Waiting};

/// Of the kinds of quantiles, last value + conformal.
const NAIVE: usize = 3;
/// The slopes' rates; the last one is around the last value, the others around the mean.
const RATES: [f32; 3] = [0.3, 0.1, 0.2];
/// Observations before the regressions are listened to: ten per feature would be better, but then
/// they would be deaf for half of the first day.
const DEAF: u32 = 120;
/// Half of a loss is forgotten in eight hours for means, in a day for quantiles, at one a minute.
const FORGET_MEANS: f32 = 0.998_557;
const FORGET_KINDS: f32 = 0.9995;
/// Days after which a regression forgets all but a third. They take turns: what follows closely is
/// much the same, and learning it once is half the work.
const REGRESSIONS: [f32; 2] = [0.5, 3.0];
/// Features over the scale are clamped to this: what is further away is just far.
const FAR: f32 = 20.0;
/// A regression may say what no other kind does by so many scales, the usual error: on ordinary days it
/// never does. After a jump in a series of little chance its lines lead anywhere (2.2 times what came).
const BEYOND: f32 = 8.0;
/// At most so many forecasts wait for what they foresaw: longer horizons learn from every second,
/// fourth, twelfth of theirs, which follow each other closely.
const WAITING: usize = 8;
/// Horizons up to this learn from a few more: theirs are the ones that most is asked of.
const NEAR: usize = 20;
/// The mix replaces last value + conformal when it has lost this much less, and is replaced by it
/// when it has lost this much more.
const EARNED: f32 = 0.95;
const LOST: f32 = 1.0;
/// Times its usual loss that last value + conformal, or anybody, can lose at once.
const MOST_LOST: f32 = 300.0;
/// Observations before it may.
const YOUNG: u32 = 60;
/// Share of a window's values that must have been seen for its maximum to be one.
const WINDOW_SEEN: f32 = 0.9;

/// What a horizon foresees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The value of the step that is so many steps ahead.
    At,
    /// The largest value of the steps from the next one to that one.
    WindowMax,
}

/// Quantiles of demand at [`TAUS`], and whether they are the mix's or last value + conformal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub(super) mixed: [f32; 4],
    pub(super) naive: [f32; 4],
}

/// One horizon's forecaster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    steps: usize,
    target: Target,
    stride: usize,
    /// What steps of quantiles, of slopes and of the correction are multiplied by.
    slower: f32,
    slower_slopes: f32,
    waiting: VecDeque<Waiting>,
    regressions: [Regression; 2],
    means_lost: [f32; MEANS],
    kinds_lost: [[f32; 4]; KINDS],
    scale: Scale,
    around_mean: Tracker,
    around_level: Tracker,
    by_class: [Tracker; 8],
    used: Use,
    slopes: [Slope; 3],
    naive: Naive,
    correction: [f32; 4],
    mix_lost: f32,
    naive_lost: f32,
    seen: u32,
    is_mixed: bool,
    latest: Option<Quantiles>,
}

impl Head {
    pub(super) fn new(steps: usize, target: Target, day: usize) -> Self {
        let stride = steps.div_ceil(if steps <= NEAR { WAITING + 2 } else { WAITING });
        #[expect(clippy::cast_precision_loss, reason = "at most thousands")]
        let regression =
            |days: f32| Regression::new((-2.0 * stride as f32 / (days * day as f32)).exp());
        Self {
            steps,
            target,
            stride,
            slower: slower(steps, 0.5),
            slower_slopes: slower(steps, 0.3),
            waiting: VecDeque::with_capacity(steps.div_ceil(stride)),
            regressions: REGRESSIONS.map(regression),
            means_lost: [0.0; MEANS],
            kinds_lost: [[0.0; 4]; KINDS],
            scale: Scale::default(),
            around_mean: Tracker::default(),
            around_level: Tracker::default(),
            by_class: [Tracker::default(); 8],
            used: Use::default(),
            slopes: std::array::from_fn(|_| Slope::default()),
            naive: Naive::new(day),
            correction: [0.0; 4],
            mix_lost: 0.0,
            naive_lost: 0.0,
            seen: 0,
            is_mixed: false,
            latest: None,
        }
    }

    pub(super) const fn steps(&self) -> usize {
        self.steps
    }

    /// Whether a forecast waits for what comes.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the mix has earned to be used.
    pub(super) const fn is_mixed(&self) -> bool {
        self.is_mixed
    }

    /// The newest forecast.
    pub(super) const fn latest(&self) -> Option<Quantiles> {
        self.latest
    }

    /// Learns from what has come with the newest step of `past`.
    pub(super) fn learn(&mut self, past: &Past) {
        if self.naive.is_due(past.steps())
            && let Some(before) = past.back(self.steps)
            && let Some(actual) = self.actual(past)
        {
            self.naive.learn(actual * actual - before * before);
        }
        let newest = past.steps();
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.is_due(newest)) {
            if waiting.is_due_now(newest)
                && let Some(actual) = self.actual(past)
            {
                self.learn_from(&waiting.claim(), actual, self.turn(newest));
            }
        }
    }

    /// Which of the regressions learns what was said of the step `due`.
    fn turn(&self, due: u64) -> usize {
        let from = due.saturating_sub(self.steps as u64);
        usize::from((from / self.stride as u64).is_multiple_of(2))
    }

    /// What came of the horizon that ends at the newest step.
    fn actual(&self, past: &Past) -> Option<f32> {
        match self.target {
            Target::At => past.back(0),
            Target::WindowMax => {
                let seen = (0..self.steps).filter_map(|back| past.back(back));
                let (largest, count) = seen.fold((0.0_f32, 0.0), |(largest, count), value| {
                    (largest.max(value), count + 1.0)
                });
                #[expect(clippy::cast_precision_loss, reason = "steps of a horizon are few")]
                let enough = self.steps as f32 * WINDOW_SEEN;
                (count >= enough).then_some(largest)
            }
        }
    }

    fn learn_from(&mut self, claim: &Claim, actual: f32, turn: usize) {
        self.seen = self.seen.saturating_add(1);
        self.learn_losses(claim, actual);
        let Scene { newest, mean, scale, .. } = claim.scene;
        let moved = ((actual - newest) / scale).clamp(-FAR, FAR);
        self.regressions[turn].learn(&claim.features, moved);
        self.scale.learn((actual - mean).abs(), usize::from(claim.hour));
        self.learn_quantiles(&claim.scene, actual);
        self.correct(claim, actual);
    }

    fn learn_losses(&mut self, claim: &Claim, actual: f32) {
        for (lost, mean) in self.means_lost.iter_mut().zip(&claim.scene.means) {
            *lost = *lost * FORGET_MEANS + (actual - mean).abs();
        }
        let demand = actual * actual;
        let most = self.most_lost();
        let loss = |tau: f32, quantile: f32| pinball(tau, demand, quantile).min(most);
        for (lost, quantiles) in self.kinds_lost.iter_mut().zip(&claim.kinds) {
            for ((lost, quantile), tau) in lost.iter_mut().zip(quantiles).zip(TAUS) {
                *lost = *lost * FORGET_KINDS + loss(tau, *quantile);
            }
        }
        let sum = |quantiles: &[f32; 4]| -> f32 {
            quantiles.iter().zip(TAUS).map(|(own, tau)| loss(tau, *own)).sum()
        };
        self.mix_lost = self.mix_lost * FORGET_KINDS + sum(&claim.corrected);
        self.naive_lost = self.naive_lost * FORGET_KINDS + sum(&claim.kinds[NAIVE]);
        let bar = if self.is_mixed { LOST } else { EARNED };
        self.is_mixed = self.seen >= YOUNG && self.mix_lost < bar * self.naive_lost;
    }

    /// The most that one observation may cost anybody: what comes once in a life must not decide for
    /// weeks who is listened to.
    fn most_lost(&self) -> f32 {
        let usual = self.naive_lost * (1.0 - FORGET_KINDS);
        if self.seen > YOUNG && usual > 0.0 { MOST_LOST * usual } else { f32::MAX }
    }

    fn learn_quantiles(&mut self, scene: &Scene, actual: f32) {
        let Scene { newest, means, mean, scale, traits, class } = scene;
        let [from_mean, from_newest, from_level] =
            [*mean, *newest, means[2]].map(|base| (actual - base) / scale);
        let step = self.step();
        self.around_mean.learn(from_mean, 1.5 * step);
        self.by_class[usize::from(*class)].learn(from_newest, 3.0 * step);
        self.around_level.learn(from_level, 3.0 * step);
        let steps = self.used.count(traits);
        let errors = [from_mean, from_mean, from_newest];
        let slower = self.slower_slopes;
        for ((slope, error), rate) in self.slopes.iter_mut().zip(errors).zip(RATES) {
            slope.learn(&steps, traits, error, rate * slower);
        }
    }

    fn step(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "a step that ends at its least")]
        let young = 3.0 / (self.seen as f32 + 1.0);
        young.max(0.02 * self.slower).min(0.3)
    }

    fn correct(&mut self, claim: &Claim, actual: f32) {
        #[expect(clippy::cast_precision_loss, reason = "at most ten")]
        let step = 0.02 * self.slower * self.stride as f32;
        for ((own, mixed), tau) in self.correction.iter_mut().zip(&claim.mixed).zip(TAUS) {
            *own += step * pull(tau, actual > mixed + claim.scene.scale * *own);
        }
    }

    /// Forecasts from now on; `usual` is what is usual then, `hour` its hour of the local day.
    pub(super) fn forecast(&mut self, now: &Now<'_>, usual: Option<f32>, hour: usize) {
        let past = now.past();
        let ahead = now.ahead(self.steps, usual);
        let about = self.scale.at(hour);
        let features = ahead.features.map(|own| (own / about.scale).clamp(-FAR, FAR));
        let scene = self.scene(now, &ahead, &features, about);
        let kinds = self.kinds(&scene);
        let mixed = mixture::of_quantiles(&kinds, &self.kinds_lost).map(|own| own.max(0.0).sqrt());
        let corrected = self.corrected(&mixed, about.scale);
        self.latest = Some(Quantiles { mixed: corrected, naive: ascending(kinds[NAIVE]) });
        if past.back(0).is_some() && past.steps().is_multiple_of(self.stride as u64) {
            let due = past.steps() + self.steps as u64;
            let hour = u8::try_from(hour).unwrap_or(0);
            let claim = Claim { features, scene, hour, kinds, mixed, corrected };
            // A copy has room for what it holds: growing as usual would double it.
            self.waiting.reserve_exact(1);
            self.waiting.push_back(Waiting::new(due, &claim));
        }
    }

    fn scene(
        &self,
        now: &Now<'_>,
        ahead: &Ahead,
        features: &[f32; FEATURES],
        about: Usual,
    ) -> Scene {
        let past = now.past();
        let means = self.means(past, ahead, features, about.scale);
        let mean = mixture::of_means(&means, &self.means_lost);
        Scene {
            newest: past.newest(),
            means,
            mean,
            scale: about.scale,
            traits: traits(now, ahead, &means, mean, about),
            class: class_of(past.standing()),
        }
    }

    fn means(
        &self,
        past: &Past,
        ahead: &Ahead,
        features: &[f32; FEATURES],
        scale: f32,
    ) -> [f32; MEANS] {
        let newest = past.newest();
        let levels = past.levels();
        let (usual, carried, yesterday) = (ahead.usual, ahead.carried, ahead.yesterday);
        let plain = [newest, levels[0], levels[1], usual, carried, yesterday];
        let days = ahead.days.map_or([newest; 2], |(low, high)| [low, high]);
        let seen = || plain.into_iter().chain(days);
        let least = seen().fold(newest, f32::min) - BEYOND * scale;
        let most = seen().fold(newest, f32::max) + BEYOND * scale;
        let [fast, slow] = self.regressions.each_ref().map(|regression| {
            let moved = if self.seen > DEAF { regression.predict(features) } else { 0.0 };
            scale.mul_add(moved, newest).clamp(least, most).max(0.0)
        });
        [newest, levels[0], levels[1], ahead.usual, ahead.carried, ahead.yesterday, fast, slow]
    }

    fn kinds(&self, scene: &Scene) -> [[f32; 4]; KINDS] {
        let Scene { newest, means, mean, scale, traits, class } = scene;
        let around = |base: f32, own: [f32; 4]| own.map(|own| demand(base + scale * own));
        let [first, second, third] = self.slopes.each_ref().map(|slope| slope.at(traits));
        let last = newest * newest;
        [
            around(*mean, self.around_mean.0),
            around(*newest, self.by_class[usize::from(*class)].0),
            around(means[2], self.around_level.0),
            self.naive.margins().map(|margin| (last + margin).max(0.0)),
            around(*mean, first),
            around(*mean, second),
            around(*newest, third),
        ]
    }

    fn corrected(&self, mixed: &[f32; 4], scale: f32) -> [f32; 4] {
        let own =
            std::array::from_fn(|level| demand(mixed[level] + scale * self.correction[level]));
        ascending(own)
    }

    /// Everything `factor` times as large, `factor` being that of roots.
    pub(super) fn scale(&mut self, factor: f32) {
        let square = factor * factor;
        self.scale.scale(factor);
        self.naive.scale(square);
        self.means_lost.iter_mut().for_each(|lost| *lost *= factor);
        let lost = self.kinds_lost.iter_mut().flatten();
        lost.chain([&mut self.mix_lost, &mut self.naive_lost]).for_each(|lost| *lost *= square);
        self.waiting.iter_mut().for_each(|waiting| waiting.scale(factor));
        if let Some(Quantiles { mixed, naive }) = &mut self.latest {
            mixed.iter_mut().chain(naive).for_each(|demand| *demand *= square);
        }
    }
}

/// Errors of a far horizon come in runs: one that is wrong for ten steps is one error, not ten.
fn slower(steps: usize, power: f32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "steps of a horizon are few")]
    let steps = steps as f32;
    steps.powf(-power)
}

fn demand(root: f32) -> f32 {
    let root = root.max(0.0);
    root * root
}

/// A higher level is never below a lower one.
fn ascending(mut quantiles: [f32; 4]) -> [f32; 4] {
    for level in 1..quantiles.len() {
        quantiles[level] = quantiles[level].max(quantiles[level - 1]);
    }
    quantiles
}
