//! Who sends requests in the demo: a day in small.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::random::Random;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::traffic::Arrivals;

/// Corners of the day: share of its length, requests per second; straight lines between.
///
/// One replica of the demo's profile carries 5.7 requests per second of the sizes below before its
/// queue grows: the plateau fills more than five replicas, the burst nine and a half; with the usual
/// headroom the burst wants the maximum. The idle stretch is 28 minutes of three hours, so that
/// `idleAfter` (5 min) plus KEDA's cooldown fit well within.
pub(super) const DAY: [(f64, f64); 13] = [
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
pub(super) const SIZES: [(f64, u32, u32); 4] =
    [(0.35, 600, 180), (0.35, 1800, 350), (0.20, 3500, 450), (0.10, 6000, 700)];

/// The requests of a day of `length`.
pub(super) fn day(seed: u64, length: Duration) -> Arc<[Arrival]> {
    Arrivals::along(Random::new(seed), length, &DAY, &SIZES).all()
}
