//! A forecast whose target has not come yet, with all that is needed to learn from it, in little room.
//!
//! What is learned slowly, from many of them, is kept in rough numbers, and as a difference from the newest
//! value, so that a series that does not move is exact.

use serde::{Deserialize, Serialize};

use crate::engine::forecast::quantiles::TRAITS;
use crate::engine::forecast::regression::FEATURES;
use crate::engine::forecast::traits::MEANS;
use crate::engine::rough::{Rough, exact, rough};

/// Kinds of quantiles: around the mean, around the last value by where it stands, around its level,
/// last value + conformal, and three slopes.
pub(super) const KINDS: usize = 7;

/// What quantiles are placed around, and what they depend on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub(super) newest: f32,
    pub(super) means: [f32; MEANS],
    pub(super) mean: f32,
    pub(super) scale: f32,
    pub(super) traits: [f32; TRAITS],
    pub(super) class: u8,
}

/// What was said of one target, and on what grounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    pub(super) features: [f32; FEATURES],
    pub(super) scene: Scene,
    /// The hour of the target's local day.
    pub(super) hour: u8,
    /// Demand.
    pub(super) kinds: [[f32; 4]; KINDS],
    /// Its root.
    pub(super) mixed: [f32; 4],
    /// Demand.
    pub(super) corrected: [f32; 4],
}

/// The same, until it is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Waiting {
    due: u32,
    newest: f32,
    mean: f32,
    scale: f32,
    mixed: [f32; 4],
    /// As they were: of features that hardly differ the regressions take rounding for knowledge.
    features: [f32; FEATURES],
    traits: [Rough; TRAITS],
    /// From the newest value.
    means: [Rough; MEANS],
    /// From the newest demand.
    kinds: [[Rough; 4]; KINDS],
    corrected: [Rough; 4],
    hour: u8,
    class: u8,
}

/// A step as it is kept: of a second each there are 136 years.
fn number(step: u64) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}

impl Waiting {
    /// `claim`, whose target comes with the step `due`.
    pub(super) fn new(due: u64, claim: &Claim) -> Self {
        let Claim { features, scene, hour, kinds, mixed, corrected } = claim;
        let Scene { newest, means, mean, scale, traits, class } = scene;
        let demand = newest * newest;
        let mut rough_kinds = [[Rough::default(); 4]; KINDS];
        for (own, quantiles) in rough_kinds.iter_mut().zip(kinds) {
            *own = rough(quantiles, demand);
        }
        Self {
            due: number(due),
            newest: *newest,
            mean: *mean,
            scale: *scale,
            mixed: *mixed,
            features: *features,
            traits: rough(traits, 0.0),
            means: rough(means, *newest),
            kinds: rough_kinds,
            corrected: rough(corrected, demand),
            hour: *hour,
            class: *class,
        }
    }

    /// Whether its target came with the step `now`, or before.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.due <= number(now)
    }

    /// Whether its target came with the step `now`.
    pub(super) fn is_due_now(&self, now: u64) -> bool {
        self.due == number(now)
    }

    /// What was said.
    pub(super) fn claim(&self) -> Claim {
        let demand = self.newest * self.newest;
        let mut kinds = [[0.0; 4]; KINDS];
        for (own, quantiles) in kinds.iter_mut().zip(&self.kinds) {
            *own = exact(quantiles, demand);
        }
        Claim {
            features: self.features,
            scene: Scene {
                newest: self.newest,
                means: exact(&self.means, self.newest),
                mean: self.mean,
                scale: self.scale,
                traits: exact(&self.traits, 0.0),
                class: self.class,
            },
            hour: self.hour,
            kinds,
            mixed: self.mixed,
            corrected: exact(&self.corrected, demand),
        }
    }

    /// Everything `factor` times as large, `factor` being that of roots.
    pub(super) fn scale(&mut self, factor: f32) {
        let Self { due: _, newest, mean, scale, mixed, means, kinds, corrected, .. } = self;
        mixed.iter_mut().chain([newest, mean, scale]).for_each(|root| *root *= factor);
        means.iter_mut().for_each(|root| *root = Rough::of(root.get() * factor));
        let demands = kinds.iter_mut().flatten().chain(corrected);
        demands.for_each(|demand| *demand = Rough::of(demand.get() * factor * factor));
    }
}
