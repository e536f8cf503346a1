//! Latency objectives as a slow bounded factor on demand: the only place where latency enters.
//!
//! Latency lags and then falls off a cliff; steering by it directly is a limit cycle. The trim
//! corrects a model that is off by some ten percent, and says so when it is at its bound.
//! `trim <- clip(trim x exp(0.05 x clip(ln(p / objective), -1, 1)), 0.8, 1.5)` per 15 s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::share;
use crate::engine::observation::{Latency, Observation};
use crate::engine::setup::{OwnRole, Setup};
use crate::engine::signals::Outside;
use crate::engine::units::Timestamp;

/// How far it may go: a fifth down, half up. Beyond that the target or profile is wrong.
const BOUNDS: (f64, f64) = (0.8, 1.5);
/// Gain per 15 s: a latency e times too long takes two minutes for half of the way up.
const GAIN: f64 = 0.05;
const GAIN_SPAN: f64 = 15.0;
/// After a pause no more than one tick of a minute is made up for.
const SPAN_MAX: f64 = 60.0;

/// The factor, and when it was moved last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trim {
    /// 0.8..=1.5.
    pub value: f64,
    /// When it was moved last.
    pub at: Option<Timestamp>,
}

impl Default for Trim {
    fn default() -> Self {
        Self { value: 1.0, at: None }
    }
}

impl Trim {
    /// Moves it by one tick towards what `ratio` (latency over objective) asks for; frozen without a
    /// ratio. Without any objective it is 1.
    pub fn follow(&mut self, ratio: Option<f64>, wanted: bool, now: Timestamp) {
        if !wanted {
            *self = Self::default();
            return;
        }
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.since(at)).as_secs_f64();
        self.at = Some(now);
        let Some(ratio) = ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0) else { return };
        let push = GAIN * ratio.ln().clamp(-1.0, 1.0) * elapsed.min(SPAN_MAX) / GAIN_SPAN;
        self.value = (self.value * push.exp()).clamp(BOUNDS.0, BOUNDS.1);
    }

    /// Whether it is as far up as it may go: the objective cannot be met by this law.
    #[must_use]
    pub fn at_bound(&self) -> bool {
        self.value >= BOUNDS.1 - 1e-9
    }
}

/// Whether any latency objective is set.
#[must_use]
pub fn wanted(setup: &Setup) -> bool {
    let objectives = &setup.objectives;
    objectives.ttft.is_some()
        || objectives.inter_token.is_some()
        || objectives.request.is_some()
        || setup.own.iter().any(|signal| signal.role == OwnRole::Latency)
}

/// The worst latency over its objective. With a lasting queue and no first token in the window the
/// engine is stalled: nothing is recorded exactly when it is worst, so that counts as missed.
#[must_use]
pub fn ratio(
    setup: &Setup,
    observation: &Observation,
    outside: &Outside,
    lasting: bool,
) -> Option<f64> {
    let objectives = [
        (Latency::Ttft, setup.objectives.ttft),
        (Latency::InterToken, setup.objectives.inter_token),
        (Latency::Request, setup.objectives.request),
    ];
    let measured = objectives.into_iter().filter_map(|(latency, objective)| {
        let seconds = observation.latency.get(&latency)?.seconds?;
        share(seconds, objective?.as_secs_f64())
    });
    let own = setup.own.iter().zip(&outside.own).filter_map(|(signal, value)| {
        (signal.role == OwnRole::Latency).then_some(())?;
        share((*value)?, signal.target)
    });
    let stalled = setup.objectives.ttft.is_some()
        && lasting
        && observation
            .latency
            .get(&Latency::Ttft)
            .is_some_and(|reading| reading.observations.is_some_and(|seen| seen < 1.0));
    let stall = stalled.then_some(std::f64::consts::E);
    measured.chain(own).chain(stall).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Trim;
    use crate::engine::units::Timestamp;

    fn after(ticks: u64, ratio: Option<f64>, wanted: bool) -> Trim {
        let mut trim = Trim::default();
        for tick in 0..=ticks {
            let now = Timestamp::default().plus(Duration::from_secs(15 * tick));
            trim.follow(ratio, wanted, now);
        }
        trim
    }

    #[test]
    fn the_trim_is_slow_and_bounded() {
        let rows = [
            (0, Some(100.0), true, 1.0),
            (1, Some(100.0), true, 1.0513),
            (1, Some(0.001), true, 0.9512),
            (1000, Some(100.0), true, 1.5),
            (1000, Some(0.5), true, 0.8),
            (1000, Some(1.0), true, 1.0),
            (1000, None, true, 1.0),
            (1000, Some(100.0), false, 1.0),
            (1000, Some(f64::NAN), true, 1.0),
        ];
        for (ticks, ratio, wanted, expected) in rows {
            let trim = after(ticks, ratio, wanted);
            // Four digits are given.
            assert!((trim.value - expected).abs() < 1e-4, "{ticks} {ratio:?}: {trim:?}");
        }
        assert!(after(1000, Some(100.0), true).at_bound());
    }
}
