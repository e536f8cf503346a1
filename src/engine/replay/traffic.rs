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
