//! Weights of several forecasts by what each has lost: the better one was lately, the more it counts.
//!
//! A weight is the best one's loss over its own, to a fixed power: exponential weights with a rate in
//! proportion to the losses (Cesa-Bianchi & Lugosi 2006, chapter 2; the power of a ratio stands for
//! the exponential, needs no scale, and costs four multiplications).

/// Power for the means.
const MEANS: i32 = 16;
/// Power for the quantiles: their losses are noisier.
const QUANTILES: i32 = 12;

/// Mean of `values`, weighed by their `losses`.
pub(super) fn of_means<const N: usize>(values: &[f32; N], losses: &[f32; N]) -> f32 {
    let (mut sum, mut weights) = (0.0, 0.0);
    let best = least(losses.iter());
    for (value, loss) in values.iter().zip(losses) {
        let weight = weight(best, *loss, MEANS);
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}

/// The same for each of four levels.
pub(super) fn of_quantiles<const N: usize>(
    values: &[[f32; 4]; N],
    losses: &[[f32; 4]; N],
) -> [f32; 4] {
    std::array::from_fn(|level| {
        let best = least(losses.iter().map(|losses| &losses[level]));
        let (mut sum, mut weights) = (0.0, 0.0);
        for (values, losses) in values.iter().zip(losses) {
            let weight = weight(best, losses[level], QUANTILES);
            sum += weight * values[level];
            weights += weight;
        }
        sum / weights
    })
}

fn least<'a>(losses: impl Iterator<Item = &'a f32>) -> f32 {
    losses.copied().fold(f32::MAX, f32::min)
}

fn weight(best: f32, loss: f32, power: i32) -> f32 {
    // Nothing lost by anybody, as before the first observation: all count alike.
    if loss <= 0.0 { 1.0 } else { (best / loss).powi(power).max(1e-12) }
}
