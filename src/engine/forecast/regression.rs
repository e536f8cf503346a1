//! Linear regression that learns as it goes: recursive least squares with exponential forgetting.
//!
//! Given features and what they should have said, all in units of the forecast's scale; promises
//! finite weights. Errors are clipped at four times their usual size (Huber), so that one outlier
//! moves little. Formula: Ljung & Söderström, Theory and Practice of Recursive Identification (1983),
//! section 2.2.

use serde::{Deserialize, Serialize};

/// Features of one forecast.
pub(super) const FEATURES: usize = 20;
/// Variance of a weight before anything was seen, for features of about the size of the scale.
const PRIOR: f32 = 0.1;
/// The same, never exceeded: a feature that has not moved for days must not explode when it does.
const VARIANCE_MAX: f32 = 100.0;
/// Errors beyond this many times the usual one are taken as this many.
const CLIP: f32 = 4.0;
/// Steps before errors have a usual size.
const UNUSUAL: u32 = 50;

type Row = [f32; FEATURES];
type Four = [f32; 4];

/// Blocks of four to a row and as many rows of them.
const SIDE: usize = FEATURES / 4;
const _: () = assert!(FEATURES.is_multiple_of(4), "rows are whole blocks");
/// Blocks on the diagonal of the matrix and to its right.
const BLOCKS: usize = SIDE * (SIDE + 1) / 2;

/// Weights and what is known of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Regression {
    weights: Row,
    /// The inverse covariance, row by row: it is symmetric, so what is left of the diagonal is not kept,
    /// but by blocks of four by four, which are worked upon at once.
    inverse: [[Four; 4]; BLOCKS],
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
        let mut gain = [[0.0; 4]; SIDE];
        let features = by_four(features);
        let mut blocks = self.inverse.iter();
        for row in 0..SIDE {
            let mut along = [[0.0; 4]; 4];
            for (column, block) in (row..SIDE).zip(&mut blocks) {
                for (line, feature) in block.iter().zip(features[row]) {
                    add_products(&mut gain[column], line, &[feature; 4]);
                }
                // What is left of the diagonal is what is right of it, turned.
                for (sums, line) in along.iter_mut().zip(block).filter(|_| column > row) {
                    add_products(sums, line, &features[column]);
                }
            }
            for (gain, sums) in gain[row].iter_mut().zip(along) {
                *gain += sums.iter().sum::<f32>();
            }
        }
        let mut whole = [0.0; FEATURES];
        whole.copy_from_slice(gain.as_flattened());
        whole
    }

    fn shrink(&mut self, gain: &Row, weight: f32) {
        let (grow, step) = (1.0 / self.forget, 1.0 / (weight * self.forget));
        let gain = by_four(gain);
        let mut largest = 0.0_f32;
        for ((row, column), block) in places().zip(&mut self.inverse) {
            for (line, own) in block.iter_mut().zip(gain[row]) {
                let by = own * step;
                for (element, gain) in line.iter_mut().zip(gain[column]) {
                    *element = *element * grow - gain * by;
                }
            }
            if row == column {
                largest = (0..4).map(|place| block[place][place]).fold(largest, f32::max);
            }
        }
        if largest > VARIANCE_MAX {
            let by = VARIANCE_MAX / largest;
            self.inverse
                .as_flattened_mut()
                .as_flattened_mut()
                .iter_mut()
                .for_each(|element| *element *= by);
        }
    }
}

fn add_products(sums: &mut Four, left: &Four, right: &Four) {
    for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
        *sum += left * right;
    }
}

/// Row and column of each block.
fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..SIDE).flat_map(|row| (row..SIDE).map(move |column| (row, column)))
}

fn by_four(row: &Row) -> [Four; SIDE] {
    let (fours, _) = row.as_chunks();
    std::array::from_fn(|place| fours[place])
}

fn prior() -> [[Four; 4]; BLOCKS] {
    let mut blocks = [[[0.0; 4]; 4]; BLOCKS];
    for (_, block) in places().zip(&mut blocks).filter(|((row, column), _)| row == column) {
        (0..4).for_each(|place| block[place][place] = PRIOR);
    }
    blocks
}

/// Sum of the products.
pub(super) fn dot(left: &[f32; FEATURES], right: &[f32; FEATURES]) -> f32 {
    // Four sums that do not wait for one another; the compiler may not reorder a single one.
    let mut sums = [0.0_f32; 4];
    for (left, right) in left.chunks_exact(4).zip(right.chunks_exact(4)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}
