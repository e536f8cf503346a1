//! Who sends requests: a day in small, as a Poisson process whose rate follows a fixed shape.
//!
//! Given a seed and the length of the day, it promises the same requests at the same instants every
//! time. What becomes of them is the world's business.

use std::time::Duration;

use crate::demo::random::Random;

/// One request as it reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arrival {
    /// When, since the beginning of the day.
    pub(super) at: Duration,
    /// Tokens of the prompt.
    pub(super) prompt: u32,
    /// Tokens it will generate.
    pub(super) output: u32,
}

/// Corners of the day: share of its length, requests per second; straight lines between.
///
/// One replica of the demo's profile carries about 7 requests per second of the sizes below before
/// its queue grows: the plateau needs about five replicas, the burst about nine. The idle stretch is
/// 28 minutes of three hours, so that `idleAfter` (5 min) plus KEDA's cooldown fit well within.
const DAY: [(f64, f64); 13] = [
    (0.000, 2.0),
    (0.055, 2.0),
    (0.390, 30.0), // the morning rise, 60 minutes of three hours
    (0.500, 30.0),
    (0.525, 54.0), // the burst
    (0.570, 54.0),
    (0.580, 28.0),
    (0.670, 9.0), // the lull
    (0.750, 9.0),
    (0.775, 0.0), // nobody there
    (0.930, 0.0),
    (0.931, 3.0), // woken
    (1.000, 3.0),
];

/// Sizes: weight, prompt tokens, output tokens. Chat, retrieval, documents, long documents; on
/// average 2 140 and 345, which is the prompt-heavy mix of published conversation traces.
const SIZES: [(f64, u32, u32); 4] =
    [(0.35, 600, 180), (0.35, 1800, 350), (0.20, 3500, 450), (0.10, 6000, 700)];

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
pub(super) struct Arrivals {
    random: Random,
    length: Duration,
    corners: Vec<(f64, f64)>,
    /// The largest rate: arrivals are drawn at it and thinned.
    highest: f64,
    at: Duration,
}

impl Arrivals {
    /// The day of `length` that `random` draws.
    pub(super) fn new(random: Random, length: Duration) -> Self {
        Self::along(random, length, &DAY)
    }

    /// The same along other corners: shares of `length` that rise from 0 to 1, requests per second.
    pub(super) fn along(random: Random, length: Duration, corners: &[(f64, f64)]) -> Self {
        let highest = corners.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        Self { random, length, corners: corners.to_vec(), highest, at: Duration::ZERO }
    }

    fn size(&mut self) -> (u32, u32) {
        let mut left = self.random.unit();
        for (weight, prompt, output) in SIZES {
            if left < weight {
                return (prompt, output);
            }
            left -= weight;
        }
        (SIZES[0].1, SIZES[0].2)
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
                return Some(Arrival { at: self.at, prompt, output });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arrival, Arrivals, DAY as SHAPE, rate_at};
    use crate::demo::random::Random;

    const DAY: Duration = Duration::from_secs(3 * 3600);

    fn count(arrivals: &[Arrival], from: f64, to: f64) -> usize {
        let share = |arrival: &Arrival| arrival.at.div_duration_f64(DAY);
        arrivals.iter().filter(|arrival| (from..to).contains(&share(arrival))).count()
    }

    #[test]
    fn the_shape_has_a_rise_a_burst_a_lull_and_an_idle_end() {
        let rows = [(0.0, 2.0), (0.45, 30.0), (0.55, 54.0), (0.7, 9.0), (0.85, 0.0), (0.97, 3.0)];
        for (share, expected) in rows {
            assert!(
                (rate_at(&SHAPE, share) - expected).abs() < 1e-9,
                "{share}: {}",
                rate_at(&SHAPE, share)
            );
        }
        assert!(rate_at(&SHAPE, 1.5).abs() < 1e-9, "nobody comes after the day");
    }

    #[test]
    fn no_rate_exceeds_the_one_that_is_thinned() {
        let drawn = Arrivals::new(Random::new(1), DAY).highest;
        let highest =
            (0..=1000).map(|idx| rate_at(&SHAPE, f64::from(idx) / 1000.0)).fold(0.0, f64::max);
        assert!(highest <= drawn, "{highest}");
    }

    #[test]
    fn arrivals_follow_the_shape_and_repeat_with_the_seed() {
        let day: Vec<_> = Arrivals::new(Random::new(1), DAY).collect();
        assert_eq!(day, Arrivals::new(Random::new(1), DAY).collect::<Vec<_>>());
        assert!(day.windows(2).all(|pair| pair[0].at <= pair[1].at));
        // 0.1 of the day at 30 per second: 32 400, standard deviation 180; five of them.
        let plateau = count(&day, 0.395, 0.495);
        assert!((31_500..33_300).contains(&plateau), "{plateau}");
        assert_eq!(count(&day, 0.78, 0.93), 0);
    }
}
