//! Stretches of one rate, and the instants at which requests come in them.

use std::time::Duration;

use crate::engine::replay::random::Random;

/// Some time with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// How long.
    pub length: Duration,
    /// Arrivals per second, or what a shape counts in; not negative.
    pub rate: f64,
}

impl Stage {
    /// So many seconds at this rate.
    #[must_use]
    pub(crate) const fn new(seconds: u64, rate: f64) -> Self {
        Self { length: Duration::from_secs(seconds), rate }
    }
}

/// Poisson arrivals along `stages`, all rates times `scale`. Beginning anew at each stage changes
/// nothing: a Poisson process has no memory.
pub(crate) fn poisson(stages: &[Stage], scale: f64, random: &mut Random) -> Vec<Duration> {
    let (mut instants, mut begins) = (Vec::new(), Duration::ZERO);
    for stage in stages {
        let (rate, ends) = (stage.rate * scale, begins + stage.length);
        let mut at = begins;
        if rate <= 0.0 {
            begins = ends;
            continue;
        }
        // A gap of more than the stage may be too long for a `Duration`.
        loop {
            let gap = random.exponential(rate);
            if gap >= (ends - at).as_secs_f64() {
                break;
            }
            at += Duration::from_secs_f64(gap);
            // Rounding to nanoseconds may reach the end.
            if at >= ends {
                break;
            }
            instants.push(at);
        }
        begins = ends;
    }
    instants
}

/// Arrivals at equal distances, the first of each stage at its beginning.
pub(crate) fn even(stages: &[Stage], scale: f64) -> Vec<Duration> {
    let (mut instants, mut begins) = (Vec::new(), Duration::ZERO);
    for stage in stages {
        let rate = stage.rate * scale;
        let span = stage.length.as_secs_f64();
        // Counted, not added up: distances that are no binary fraction must not drift.
        let nth = |idx: u32| f64::from(idx) / rate;
        let within = (0..u32::MAX).map(nth).take_while(|at| rate > 0.0 && *at < span - 1e-9);
        instants.extend(within.map(|at| begins + Duration::from_secs_f64(at)));
        begins += stage.length;
    }
    instants
}
