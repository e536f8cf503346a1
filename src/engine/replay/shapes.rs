//! Traffic that nobody recorded: a published ramp, and the days that operators ask about.
//!
//! Given parameters and a seed, a [`Shape`] promises the same instants every time, in order, within
//! its length. Pure. How large requests are is said, not drawn; what carries them is left to others.

mod days;
mod stage;

use std::time::Duration;

use crate::engine::replay::random::Random;
pub use crate::engine::replay::shapes::stage::Stage;
use crate::engine::replay::shapes::stage::{even, poisson};
use crate::engine::units::Timestamp;

/// Monday 2026-01-05 00:00 UTC: hours and weekdays of the shapes count from here.
pub const BEGINS: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);

/// Requests per second that one pod carries with some margin: three quarters of the 1.4 to 1.5 that
/// llm-d measured for Qwen3-32B on two H100 with 4000 tokens in and 1000 out (guide
/// `workload-autoscaling`, slo-aware).
pub const POD_RATE: f64 = 1.1;

/// Sizes that [`POD_RATE`] is about.
const SIZES: (u32, u32) = (4000, 1000);

/// What can be turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// Requests per second of one pod; heights of shapes are in pods.
    pub pod_rate: f64,
    /// Length in days; `None`: the shape's own.
    pub days: Option<f64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { pod_rate: POD_RATE, days: None }
    }
}

/// How arrivals lie within a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spacing {
    /// At random, as many users who do not know of each other send.
    Poisson,
    /// At equal distances, as load generators send.
    Even,
}

/// One shape.
#[derive(Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Prompt and output tokens of its requests.
    pub sizes: (u32, u32),
    /// Rates, length and sizes are somebody's published ones: parameters do not change them.
    pub published: bool,
    days: f64,
    spacing: Spacing,
    /// Rates in pods over so many days; of a published shape, requests per second.
    course: fn(f64, &mut Random) -> Vec<Stage>,
}

/// llm-d's ramp (guide `workload-autoscaling`, slo-aware): seconds, requests per second.
const LLM_D: [(u64, f64); 7] =
    [(330, 2.0), (360, 4.0), (360, 6.0), (360, 8.0), (360, 10.0), (360, 4.0), (300, 1.0)];

/// Its length in days.
const LLM_D_DAYS: f64 = 2430.0 / 86_400.0;

fn llm_d(_days: f64, _random: &mut Random) -> Vec<Stage> {
    LLM_D.iter().map(|(seconds, rate)| Stage::new(*seconds, *rate)).collect()
}

/// A shape of our own: Poisson, heights in pods.
const fn ours(
    name: &'static str,
    about: &'static str,
    days: f64,
    course: fn(f64, &mut Random) -> Vec<Stage>,
) -> Shape {
    Shape { name, about, sizes: SIZES, published: false, days, spacing: Spacing::Poisson, course }
}

const fn ramp(name: &'static str, about: &'static str, spacing: Spacing) -> Shape {
    let (sizes, days) = (SIZES, LLM_D_DAYS);
    Shape { name, about, sizes, published: true, days, spacing, course: llm_d }
}

/// All shapes.
pub static SHAPES: [Shape; 9] = [
    ramp("llm-d-ramp", "llm-d's published ramp of 2 to 10 requests/s, Poisson", Spacing::Poisson),
    ramp("llm-d-ramp-even", "the same ramp with evenly spaced requests", Spacing::Even),
    ours("constant", "three pods' worth for six hours", 0.25, days::constant),
    ours("diurnal", "a week: days, nights, weekends, noise, bursts", 7.0, days::diurnal),
    ours(
        "flash-crowd",
        "six hours of one pod's worth, and eight within a minute",
        0.25,
        days::crowd,
    ),
    ours("dev-cluster", "a team of eight: 9 to 17 h on weekdays, nothing else", 7.0, days::team),
    ours("variable-production", "a week that needs 2 to 8 pods every day", 7.0, days::production),
    ours("nightly-batch", "four pods' worth from 1 h at night, nothing else", 7.0, days::nightly),
    ours("on-off", "two pods' worth for half an hour, nothing for an hour", 1.0, days::on_off),
];

impl Shape {
    /// How long it lasts.
    #[must_use]
    pub fn length(&self, parameters: &Parameters) -> Duration {
        Duration::from_secs_f64(self.days(parameters) * 86_400.0)
    }

    /// Requests expected with this seed.
    #[must_use]
    pub fn requests(&self, parameters: &Parameters, seed: u64) -> f64 {
        let stages = self.stages(parameters, &mut Random::new(seed).split());
        stages.iter().map(|stage| stage.rate * stage.length.as_secs_f64()).sum()
    }

    /// The instants at which requests arrive, with all rates times `scale`.
    ///
    /// The even ramp is the same for every seed.
    #[must_use]
    pub fn instants(&self, parameters: &Parameters, seed: u64, scale: f64) -> Vec<Duration> {
        let mut random = Random::new(seed);
        let stages = self.stages(parameters, &mut random.split());
        match self.spacing {
            Spacing::Poisson => poisson(&stages, scale, &mut random),
            Spacing::Even => even(&stages, scale),
        }
    }

    /// The course of the rate, requests per second, cut at the shape's length.
    fn stages(&self, parameters: &Parameters, random: &mut Random) -> Vec<Stage> {
        let unit = if self.published { 1.0 } else { parameters.pod_rate };
        let mut left = self.length(parameters);
        let mut stages = (self.course)(self.days(parameters), random);
        for stage in &mut stages {
            stage.rate *= unit;
            stage.length = stage.length.min(left);
            left -= stage.length;
        }
        stages
    }

    fn days(&self, parameters: &Parameters) -> f64 {
        if self.published { self.days } else { parameters.days.unwrap_or(self.days) }
    }
}

#[cfg(test)]
mod tests;
