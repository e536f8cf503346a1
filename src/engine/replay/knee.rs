//! What one replica carries: requests per second of a mix of requests at saturation.

use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;

/// Requests per second of the mix of `sample` that one replica finishes while more always wait.
#[must_use]
pub fn knee(_settings: &Settings, _sample: &[Arrival]) -> f64 {
    0.0
}
