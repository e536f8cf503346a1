//! Holt's linear trend, damped, with Gaussian bands that widen with the root of the horizon.
//!
//! Its weights are those of a small grid that predicted the next step best so far, by the mean square
//! of the last day. Of a window's maximum a forecast is the largest over the window's steps.

use crate::engine::forecast::{Horizon, Setup, Target};
use crate::engine::numeric::count;
use crate::engine::score::model::Model;
use crate::engine::score::series::{DAY, steps};
use crate::engine::units::Timestamp;

/// Weights of the newest value in the level.
const LEVEL_WEIGHTS: [f64; 4] = [0.1, 0.3, 0.6, 0.9];

/// Weights of the newest slope in the trend; 0 is a level without one.
const TREND_WEIGHTS: [f64; 3] = [0.0, 0.02, 0.1];

/// What is left of a slope after one step: the middle of the range that is usual (0.8 to 0.98,
/// Hyndman and Athanasopoulos, Forecasting, section 8.2).
const DAMPING: f64 = 0.9;

/// The model, with every pair of weights running.
#[derive(Debug)]
pub(crate) struct Holt {
    horizons: Vec<Horizon>,
    states: Vec<State>,
    /// Weight of the newest square, one over the steps of a day.
    forgetting: f64,
}

#[derive(Debug)]
struct State {
    level_weight: f64,
    trend_weight: f64,
    level: Option<f64>,
    trend: f64,
    /// Mean square of what one step ahead was missed by, and how often that is.
    square: f64,
    seen: u32,
}

impl Holt {
    /// For the horizons of `setup`.
    pub(crate) fn new(setup: &Setup) -> Self {
        let state = |level_weight: f64, trend_weight: f64| State {
            level_weight,
            trend_weight,
            level: None,
            trend: 0.0,
            square: 0.0,
            seen: 0,
        };
        let states = LEVEL_WEIGHTS
            .iter()
            .flat_map(|level| TREND_WEIGHTS.iter().map(|trend| state(*level, *trend)))
            .collect();
        let day = f64::from(count(steps(DAY, setup.step))).max(1.0);
        Self { horizons: setup.horizons.clone(), states, forgetting: 1.0 / day }
    }

    fn best(&self) -> Option<&State> {
        self.states.iter().min_by(|a, b| a.square.total_cmp(&b.square)).filter(|s| s.seen > 0)
    }
}

impl State {
    fn observe(&mut self, value: f64, forgetting: f64) {
        let Some(level) = self.level else {
            self.level = Some(value);
            return;
        };
        let expected = level + DAMPING * self.trend;
        let missed = value - expected;
        self.seen = self.seen.saturating_add(1);
        let weight = forgetting.max(1.0 / f64::from(self.seen));
        self.square += weight * (missed * missed - self.square);
        let risen = expected + self.level_weight * missed;
        let slope = risen - level;
        self.trend = DAMPING * self.trend + self.trend_weight * (slope - DAMPING * self.trend);
        self.level = Some(risen);
    }

    fn band(&self, horizon: Horizon, z: f64) -> Option<f64> {
        let level = self.level?;
        let deviation = self.square.sqrt();
        let (mut slope, mut point) = (self.trend, level);
        let mut most = f64::NEG_INFINITY;
        let mut at = level;
        for ahead in 1..=horizon.steps {
            slope *= DAMPING;
            point += slope;
            at = point + z * deviation * f64::from(ahead).sqrt();
            most = most.max(at);
        }
        Some(match horizon.target {
            Target::At => at,
            Target::WindowMax => most,
        })
    }
}

impl Model for Holt {
    fn observe(&mut self, _at: Timestamp, value: Option<f64>) {
        let Some(value) = value else { return };
        for state in &mut self.states {
            state.observe(value, self.forgetting);
        }
    }

    fn quantile(&self, horizon: usize, level: f64) -> Option<f64> {
        let band = self.best()?.band(*self.horizons.get(horizon)?, normal_quantile(level))?;
        Some(band.max(0.0))
    }
}

/// The quantile of the standard normal distribution at a level between 0 and 1, both excluded.
///
/// Acklam's rational approximation, relative error below 1.2e-9.
fn normal_quantile(level: f64) -> f64 {
    const TAIL: f64 = 0.024_25;
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let of = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |share: f64| {
        let q = (-2.0 * share.ln()).sqrt();
        of(&C, q) / of(&D, q)
    };
    if level < TAIL {
        tail(level)
    } else if level > 1.0 - TAIL {
        -tail(1.0 - level)
    } else {
        let q = level - 0.5;
        q * of(&A, q * q) / of(&B, q * q)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{Holt, normal_quantile};
    use crate::engine::forecast::{Horizon, Setup, Target};
    use crate::engine::score::model::Model;
    use crate::engine::units::Timestamp;

    #[test]
    fn the_normal_quantile_is_the_published_one() {
        let rows = [
            (0.5, 0.0),
            (0.9, 1.281_551_565_5),
            (0.95, 1.644_853_627_0),
            (0.99, 2.326_347_874_0),
            (0.01, -2.326_347_874_0),
        ];
        for (level, expected) in rows {
            assert!((normal_quantile(level) - expected).abs() < 1e-8, "{level}");
        }
    }

    fn holt(values: &[f64]) -> Holt {
        let horizon = |target| Horizon { steps: 4, target };
        let setup = Setup {
            step: Duration::from_mins(1),
            horizons: vec![horizon(Target::At), horizon(Target::WindowMax)],
            timezone: chrono_tz::UTC,
            holidays: BTreeSet::new(),
        };
        let mut model = Holt::new(&setup);
        for value in values {
            model.observe(Timestamp::default(), Some(*value));
        }
        model
    }

    #[test]
    fn the_band_of_four_steps_is_twice_that_of_one() {
        // Level and trend stay: 5 throughout and 7 once leaves a mean square of 4 / n.
        let model = holt(&[5.0; 50]);
        assert_eq!(model.quantile(0, 0.5), Some(5.0));
        assert_eq!(model.quantile(0, 0.99), Some(5.0));
        let model = holt(&[5.0, 5.0, 5.0, 5.0, 7.0]);
        let state = model.best().unwrap();
        // One square of 4 in four.
        assert!((state.square - 1.0).abs() < 1e-12);
        let half = model.quantile(0, 0.5).unwrap();
        let band = model.quantile(0, 0.95).unwrap() - half;
        assert!((band - 2.0 * 1.644_853_627).abs() < 1e-6, "{band}");
        assert!(model.quantile(1, 0.95) >= model.quantile(0, 0.95));
    }

    #[test]
    fn the_weights_that_predict_best_are_in_force() {
        let steep: Vec<f64> = (0..200_u32).map(|at| 10.0 * f64::from(at)).collect();
        let best = holt(&steep);
        let best = best.best().unwrap();
        assert!(best.level_weight > 0.5 && best.trend_weight > 0.0, "{best:?}");
        let noisy: Vec<f64> = (0..200_u32).map(|at| f64::from(at % 2)).collect();
        let best = holt(&noisy);
        let best = best.best().unwrap();
        assert!(best.level_weight < 0.2, "{best:?}");
    }
}
