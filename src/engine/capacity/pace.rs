//! How fast a replica answers by how much it has to do, from replicas that were never saturated.
//!
//! An iteration gives one token to each sequence of the batch and takes `a + c n` seconds for `n` of
//! them, prompts prefilled on the side included (`c` holds their share: it follows the mix). So
//! `n / output rate` is a line in `n`, seen at any load, and `n / (a + c n)` at a full batch is what
//! saturation would show, before anybody waits.
//!
//! Given the mean batch and the output rate of a window; promises a finite positive estimate or
//! `None`. It is an extrapolation: what was observed at saturation replaces it
//! ([`crate::engine::capacity`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::fade;
use crate::engine::units::Timestamp;

/// What is seen is half forgotten after this: the mix of requests is part of the line.
const HALF_LIFE: Duration = Duration::from_mins(30);
/// Sequences at which a replica answers at half of its full speed, `a / c`, before anything is known:
/// 23 for Qwen3-32B TP2 on H100 at 4000/1000 tokens, 17 for Llama 3 8B on H100 at 2140/345, 15 on
/// A100 at 1155/211 (iteration times of the profiles, prefill included).
const HALF_SPEED: f64 = 20.0;
/// The prior weighs as much as so many windows whose batches spread by a third of their mean: batches
/// that hardly differ say little about a slope.
const PRIOR_WINDOWS: f64 = 30.0;
/// A batch read now and then is off by chance, and the quotient with it: what looks like a slope. The
/// variance of a mean of readings is taken for this many times that of independent ones.
const NOISE: f64 = 2.0;
/// A smaller mean batch is single requests, whose prompts and ends are most of what is seen.
const BATCH_MIN: f64 = 0.5;

/// The line so far: sums over windows, fading. A window counts by the tokens in it: of one with few,
/// the quotient is mostly chance, and chance is larger upwards.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    windows: f64,
    output: f64,
    batch: f64,
    seconds: f64,
    batch_squared: f64,
    batch_seconds: f64,
    noise: f64,
    at: Option<Timestamp>,
}

impl Pace {
    /// Notes a replica that had `batch` sequences, on average over so many readings, and gave `output`
    /// tokens per second.
    pub fn learn(&mut self, (batch, readings): (f64, f64), output: f64, now: Timestamp) {
        let seconds = batch / output;
        if !(seconds.is_finite() && seconds > 0.0 && batch >= BATCH_MIN) {
            return;
        }
        let kept = self.at.map_or(0.0, |at| fade(now.since(at), HALF_LIFE));
        let add = |sum: &mut f64, value: f64| *sum = sum.mul_add(kept, value);
        add(&mut self.windows, 1.0);
        add(&mut self.output, output);
        add(&mut self.batch, output * batch);
        add(&mut self.seconds, output * seconds);
        add(&mut self.batch_squared, output * batch * batch);
        add(&mut self.batch_seconds, output * batch * seconds);
        add(&mut self.noise, output * NOISE * batch / readings.max(1.0));
        self.at = Some(now);
    }

    /// Output tokens per second with `batch` sequences; `None` before anything was seen.
    #[must_use]
    pub fn output(&self, batch: f64) -> Option<f64> {
        let (base, slope) = self.line()?;
        let speed = batch / slope.mul_add(batch, base);
        (speed.is_finite() && speed > 0.0).then_some(speed)
    }

    /// `a` and `c` by least squares, drawn towards `a = HALF_SPEED x c` through the mean.
    fn line(&self) -> Option<(f64, f64)> {
        if self.output <= 0.0 {
            return None;
        }
        let (batch, seconds) = (self.batch / self.output, self.seconds / self.output);
        let usual = seconds / (HALF_SPEED + batch);
        let spread = self.batch_squared / self.output - batch * batch;
        let real = (spread - self.noise / self.output).max(0.0);
        let seen = (self.batch_seconds / self.output - batch * seconds) / spread;
        let prior = PRIOR_WINDOWS * (batch / 3.0).powi(2);
        // Without a spread there is nothing to divide by, and nothing to learn.
        let weight = if spread > 0.0 { self.windows * real } else { 0.0 };
        let seen = if weight > 0.0 { seen } else { usual };
        let slope = prior.mul_add(usual, weight * seen) / (prior + weight);
        // Neither part of an iteration takes negative time.
        let slope = slope.clamp(0.0, seconds / batch);
        Some((seconds - slope * batch, slope))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::engine::units::Timestamp;

    const VARIED: [f64; 24] = [
        5.0, 40.0, 10.0, 30.0, 20.0, 45.0, 8.0, 33.0, 5.0, 40.0, 10.0, 30.0, 20.0, 45.0, 8.0, 33.0,
        5.0, 40.0, 10.0, 30.0, 20.0, 45.0, 8.0, 33.0,
    ];

    /// Windows of a replica with the line `a + c n`, half a minute apart; what it is thought to give
    /// with a batch of 77.
    fn estimate((a, c): (f64, f64), batches: &[f64]) -> f64 {
        let mut pace = Pace::default();
        for (idx, batch) in batches.iter().enumerate() {
            let now =
                Timestamp::default().plus(Duration::from_secs(30) * u32::try_from(idx).unwrap());
            pace.learn((*batch, 1000.0), batch / (a + c * batch), now);
        }
        pace.output(77.0).unwrap()
    }

    #[test]
    fn a_full_batch_is_foreseen_from_small_ones() {
        let rows: [((f64, f64), &[f64], f64); 5] = [
            // The usual shape: any batch tells.
            ((0.020, 0.001), &[2.0], 0.01),
            ((0.020, 0.001), &[20.0, 24.0, 16.0], 0.01),
            // Qwen3-32B at 4000/1000.
            ((0.014, 0.0006), &[15.0, 20.0, 25.0, 18.0, 22.0], 0.06),
            // Unusual ones are learned from batches that differ, in time.
            ((0.050, 0.0005), &VARIED, 0.3),
            ((0.002, 0.001), &VARIED, 0.3),
        ];
        for ((a, c), batches, tolerance) in rows {
            let truth = 77.0 / (a + c * 77.0);
            let found = estimate((a, c), batches);
            assert!((found / truth - 1.0).abs() <= tolerance, "{a} {c}: {found} for {truth}");
        }
    }

    #[test]
    fn chance_in_what_was_read_is_no_slope() {
        // Seven sequences all the time, read as more or fewer five times a minute; 0.007 + 0.00037 n.
        let output = 7.0 / (0.007 + 0.00037 * 7.0);
        let mut pace = Pace::default();
        for minute in 0..120 {
            let now = Timestamp::default().plus(Duration::from_secs(30) * minute);
            let read = [5.8, 7.6, 8.3, 6.1, 7.2, 9.0, 5.2, 6.8];
            let batch = read[usize::try_from(minute).unwrap() % read.len()];
            pace.learn((batch, 5.0), output, now);
        }
        let (found, truth) = (pace.output(160.0).unwrap(), 160.0 / (0.007 + 0.00037 * 160.0));
        assert!((found / truth - 1.0).abs() < 0.1, "{found} for {truth}");
    }

    #[test]
    fn poison_and_idleness_teach_nothing() {
        let mut pace = Pace::default();
        for (batch, output) in [(0.0, 0.0), (0.1, 5.0), (f64::NAN, 1.0), (4.0, 0.0), (4.0, -1.0)] {
            pace.learn((batch, 5.0), output, Timestamp::default());
        }
        assert_eq!(pace.output(10.0), None);
    }
}
