//! Linear regression that learns as it goes: recursive least squares with exponential forgetting.
//!
//! Given features and what they should have said, all in units of the forecast's scale; promises
//! finite weights. Errors are clipped at four times their usual size (Huber), so that one outlier
//! moves little. Formula: Ljung & Söderström, Theory and Practice of Recursive Identification (1983),
//! section 2.2.

use serde::{Deserialize, Serialize};

/// Features of one forecast.
pub(super) const FEATURES: usize = 24;
/// Variance of a weight before anything was seen, for features of about the size of the scale.
const PRIOR: f32 = 0.1;
/// The same, never exceeded: a feature that has not moved for days must not explode when it does.
const VARIANCE_MAX: f32 = 100.0;
/// Errors beyond this many times the usual one are taken as this many.
const CLIP: f32 = 4.0;
/// Steps before errors have a usual size.
const UNUSUAL: u32 = 50;

type Row = [f32; FEATURES];

/// Weights and what is known of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Regression {
    weights: Row,
    /// The inverse covariance: both of its halves, for whole rows are several times as fast.
    inverse: Vec<Row>,
    forget: f32,
    error: f32,
    seen: u32,
}

impl Regression {
    /// One that weighs an observation `forget` times the one after it.
    pub(super) fn new(forget: f32) -> Self {
        Self { weights: [0.0; FEATURES], inverse: prior(), forget, error: 0.0, seen: 0 }
    }

    /// What the features say.
    pub(super) fn predict(&self, features: &Row) -> f32 {
        dot(&self.weights, features)
    }

    /// Learns that `features` came with `target`.
    pub(super) fn learn(&mut self, features: &Row, target: f32) {
        let error = self.clipped(target - self.predict(features));
        let gain = self.gain(features);
        let weight = self.forget + dot(&gain, features);
        if !(weight.is_finite() && weight >= 0.5 * self.forget) {
            self.inverse = prior();
            return;
        }
        for (own, gain) in self.weights.iter_mut().zip(&gain) {
            *own += gain * (error / weight);
        }
        self.shrink(&gain, weight);
    }

    fn clipped(&mut self, error: f32) -> f32 {
        self.seen = self.seen.saturating_add(1);
        let limit = CLIP * self.error;
        let error = if self.seen > UNUSUAL { error.clamp(-limit, limit) } else { error };
        #[expect(clippy::cast_precision_loss, reason = "a weight that ends at a hundredth")]
        let share = (1.0 / self.seen as f32).max(0.01);
        // A floor lets an error grow again from nothing, as after a constant series.
        self.error = (self.error + share * (error.abs() - self.error)).max(1e-6);
        error
    }

    /// Inverse covariance times features.
    fn gain(&self, features: &Row) -> Row {
        let mut gain = [0.0; FEATURES];
        // Symmetric: the sum of its rows, weighed, is its product, without a sum within a row.
        for (row, feature) in self.inverse.iter().zip(features) {
            for (gain, element) in gain.iter_mut().zip(row) {
                *gain += element * feature;
            }
        }
        gain
    }

    fn shrink(&mut self, gain: &Row, weight: f32) {
        let (grow, step) = (1.0 / self.forget, 1.0 / (weight * self.forget));
        for (row, own) in self.inverse.iter_mut().zip(gain) {
            let by = own * step;
            for (element, gain) in row.iter_mut().zip(gain) {
                *element = *element * grow - gain * by;
            }
        }
        let diagonal = self.inverse.iter().enumerate().map(|(place, row)| row[place]);
        let largest = diagonal.fold(0.0, f32::max);
        if largest > VARIANCE_MAX {
            let by = VARIANCE_MAX / largest;
            self.inverse.iter_mut().flatten().for_each(|element| *element *= by);
        }
    }
}

fn prior() -> Vec<Row> {
    let row = |place: usize| {
        let mut row = [0.0; FEATURES];
        row[place] = PRIOR;
        row
    };
    (0..FEATURES).map(row).collect()
}

/// Sum of the products.
pub(super) fn dot(left: &[f32; FEATURES], right: &[f32; FEATURES]) -> f32 {
    // Eight sums that do not wait for one another; the compiler may not reorder a single one.
    let mut sums = [0.0_f32; 8];
    for (left, right) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}
