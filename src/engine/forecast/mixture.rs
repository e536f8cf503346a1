//! Weights of several forecasts by what each has lost: the better one was lately, the more it counts.
//!
//! A weight is the best one's loss over its own, to a fixed power: exponential weights with a rate in
//! proportion to the losses (Cesa-Bianchi & Lugosi 2006, chapter 2; the power of a ratio stands for
//! the exponential, needs no scale, and costs four multiplications).

/// Mean of `values`, weighed by their `losses`: by the sixteenth power.
pub(super) fn of_means<const N: usize>(values: &[f32; N], losses: &[f32; N]) -> f32 {
    let best = losses.iter().copied().fold(f32::MAX, f32::min);
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, loss) in values.iter().zip(losses) {
        let fourth = to_fourth(ratio(best, *loss));
        let weight = to_fourth(fourth) + LEAST;
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}

/// The same for each of four levels, by the twelfth power: their losses are noisier.
pub(super) fn of_quantiles<const N: usize>(
    values: &[[f32; 4]; N],
    losses: &[[f32; 4]; N],
) -> [f32; 4] {
    let mut best = [f32::MAX; 4];
    for losses in losses {
        for (best, loss) in best.iter_mut().zip(losses) {
            *best = best.min(*loss);
        }
    }
    let (mut sums, mut weights) = ([0.0; 4], [0.0; 4]);
    for (values, losses) in values.iter().zip(losses) {
        for level in 0..4 {
            let fourth = to_fourth(ratio(best[level], losses[level]));
            let weight = fourth * fourth * fourth + LEAST;
            sums[level] += weight * values[level];
            weights[level] += weight;
        }
    }
    std::array::from_fn(|level| sums[level] / weights[level])
}

/// 1 for the best; also for all where nothing was lost yet.
fn ratio(best: f32, loss: f32) -> f32 {
    (best + NOTHING) / (loss + NOTHING)
}

fn to_fourth(value: f32) -> f32 {
    let square = value * value;
    square * square
}

/// Below any loss that counts, above zero.
const NOTHING: f32 = 1e-30;
/// Nobody is forgotten altogether: a mean of weights of zero would be none.
const LEAST: f32 = 1e-12;
