//! Arrivals along a shape: a Poisson process whose rate is given by corners with straight lines between.
//!
//! Given a seed and the shape, it promises the same requests at the same instants every time.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::random::Random;
use crate::engine::replay::request::Arrival;

/// Requests per second at `share` of the day; zero after its end.
fn rate_at(corners: &[(f64, f64)], share: f64) -> f64 {
    corners
        .windows(2)
        .find_map(|corners| match corners {
            [(from, low), (to, high)] if (*from..=*to).contains(&share) => {
                Some(low + (high - low) * (share - from) / (to - from))
            }
            _ => None,
        })
        .unwrap_or(0.0)
}

/// The requests of one day, in order.
#[derive(Debug, Clone)]
pub struct Arrivals {
    random: Random,
    length: Duration,
    corners: Vec<(f64, f64)>,
    sizes: Vec<(f64, u32, u32)>,
    /// The largest rate: arrivals are drawn at it and thinned.
    highest: f64,
    at: Duration,
}

impl Arrivals {
    /// Along `corners` (shares of `length` that rise from 0 to 1, requests per second), with requests
    /// of `sizes` (weight, prompt, output).
    #[must_use]
    pub fn along(
        random: Random,
        length: Duration,
        corners: &[(f64, f64)],
        sizes: &[(f64, u32, u32)],
    ) -> Self {
        let highest = corners.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let (corners, sizes) = (corners.to_vec(), sizes.to_vec());
        Self { random, length, corners, sizes, highest, at: Duration::ZERO }
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> Arc<[Arrival]> {
        self.collect()
    }

    fn size(&mut self) -> (u32, u32) {
        let mut left = self.random.unit();
        for (weight, prompt, output) in &self.sizes {
            if left < *weight {
                return (*prompt, *output);
            }
            left -= weight;
        }
        self.sizes.first().map_or((1, 1), |(_, prompt, output)| (*prompt, *output))
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while self.highest > 0.0 && self.at < self.length {
            self.at += Duration::from_secs_f64(self.random.exponential(self.highest));
            let share = self.at.div_duration_f64(self.length);
            if self.random.unit() * self.highest < rate_at(&self.corners, share) {
                let (prompt, output) = self.size();
                return Some(Arrival { at: self.at, prompt, cached: 0, output });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arrival, Arrivals, Random, rate_at};

    const DAY: Duration = Duration::from_secs(3 * 3600);

    /// A rise, a plateau, a burst, and nobody.
    const SHAPE: [(f64, f64); 7] =
        [(0.0, 2.0), (0.39, 30.0), (0.5, 30.0), (0.55, 54.0), (0.6, 9.0), (0.7, 0.0), (1.0, 0.0)];

    const SIZES: [(f64, u32, u32); 2] = [(0.25, 600, 180), (0.75, 1800, 350)];

    fn day(seed: u64) -> Vec<Arrival> {
        Arrivals::along(Random::new(seed), DAY, &SHAPE, &SIZES).collect()
    }

    fn count(arrivals: &[Arrival], from: f64, to: f64) -> usize {
        let share = |arrival: &Arrival| arrival.at.div_duration_f64(DAY);
        arrivals.iter().filter(|arrival| (from..to).contains(&share(arrival))).count()
    }

    #[test]
    fn rates_lie_on_straight_lines_between_the_corners() {
        let rows = [(0.0, 2.0), (0.195, 16.0), (0.45, 30.0), (0.55, 54.0), (0.85, 0.0), (1.5, 0.0)];
        for (share, expected) in rows {
            let found = rate_at(&SHAPE, share);
            assert!((found - expected).abs() < 1e-9, "{share}: {found}");
        }
    }

    #[test]
    fn arrivals_follow_the_shape_and_repeat_with_the_seed() {
        let all = day(1);
        assert_eq!(all, day(1));
        assert_ne!(all, day(2));
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        // 0.1 of the day at 30 per second: 32 400, standard deviation 180; five of them.
        let plateau = count(&all, 0.395, 0.495);
        assert!((31_500..33_300).contains(&plateau), "{plateau}");
        assert_eq!(count(&all, 0.71, 1.0), 0);
    }

    #[test]
    fn sizes_come_in_their_weights() {
        let all = day(1);
        let small = all.iter().filter(|arrival| arrival.prompt == 600).count();
        let share = |part: usize| part * 1000 / all.len();
        // 25 %, standard deviation 0.11 %.
        assert!((244..256).contains(&share(small)), "{}", share(small));
    }
}
