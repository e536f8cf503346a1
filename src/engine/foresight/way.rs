//! What may give way for a forecast: margin and quantile, rung by rung, or a part of the forecast itself.

use crate::engine::setup::{Family, Setup, Targets, Thrift};
use crate::engine::units::Replicas;

/// Rungs after the first, which gives nothing up: usable shares at least and quantiles at most these.
/// Chosen in replays of crane 00, 01 and 02 at cold starts of 100 and 600 s: margin up to 0.85 costs fewer
/// misses for a GPU-hour than quantile; beyond it neither alone pays for a forecast of 20 minutes.
const WAY: [(f64, f64); RUNGS - 1] = [(0.775, 1.0), (0.85, 1.0), (0.9, 0.9), (0.95, 0.85)];
pub(super) const RUNGS: usize = 5;

/// Usable share of a replica and quantile of the forecast, both 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rung {
    pub(super) headroom: f64,
    pub(super) quantile: f64,
}

impl Rung {
    /// So far from `self` to `other`, 0..=1.
    pub(super) fn towards(self, other: Self, part: f64) -> Self {
        let between = |from: f64, to: f64| (to - from).mul_add(part, from);
        Self {
            headroom: between(self.headroom, other.headroom),
            quantile: between(self.quantile, other.quantile),
        }
    }
}

/// From giving up nothing to giving up the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    pub(super) rungs: [Rung; RUNGS],
    /// Whether the forecast itself may count in part: who fixes its quantile wants it whole.
    pub(super) yields: bool,
    /// Replicas that are there anyway, and the most that may be.
    pub(super) bounds: (f64, f64),
}

impl Way {
    /// Where so many replicas are there whatever is asked for.
    pub(super) fn above(mut self, least: u32) -> Self {
        let least = f64::from(least).max(self.bounds.0);
        self.bounds = (least, self.bounds.1.max(least));
        self
    }

    /// As `setup` allows, at a forecast of `quantile`; `None` where it fixes what holds, or where targets
    /// of the user's own, which have no margin, say what a replica carries.
    pub(super) fn of(setup: &Setup, quantile: f64) -> Option<Self> {
        let Targets { request_rate, token_rate, .. } = setup.targets;
        if setup.family != Family::Llm || request_rate.or(token_rate).is_some() {
            return None;
        }
        let least = match setup.forecast.thrift {
            Thrift::None => return None,
            Thrift::Margin => 1.0,
            Thrift::MarginAndQuantile => 0.0,
        };
        let first = Rung { headroom: setup.headroom.get(), quantile };
        let mut rungs = [first; RUNGS];
        for (rung, (headroom, most)) in rungs.iter_mut().skip(1).zip(WAY) {
            rung.headroom = first.headroom.max(headroom);
            rung.quantile = first.quantile.min(most.max(least));
        }
        let count = |bound: Option<Replicas>| bound.map(|bound| f64::from(bound.get()));
        let least = count(setup.min_replicas).unwrap_or(0.0);
        let most = count(setup.max_replicas).unwrap_or(f64::INFINITY).max(least);
        let yields = setup.forecast.thrift == Thrift::MarginAndQuantile;
        Some(Self { rungs, yields, bounds: (least, most) })
    }

    pub(super) const fn first(&self) -> Rung {
        self.rungs[0]
    }
}

#[cfg(test)]
mod tests {
    use super::Way;
    use crate::engine::demand_tests;
    use crate::engine::setup::Thrift;
    use crate::engine::units::Ratio;

    fn way(thrift: Thrift, headroom: f64, quantile: f64) -> Option<Way> {
        let mut setup = demand_tests::setup();
        setup.headroom = Ratio::try_new(headroom).unwrap();
        setup.forecast.thrift = thrift;
        Way::of(&setup, quantile)
    }

    #[test]
    fn what_the_user_fixed_does_not_give_way() {
        assert_eq!(way(Thrift::None, 0.7, 0.95), None);
        let margin = way(Thrift::Margin, 0.7, 0.95).unwrap();
        assert!(!margin.yields && margin.rungs.iter().all(|rung| rung.quantile >= 0.95));
        let both = way(Thrift::MarginAndQuantile, 0.7, 0.95).unwrap();
        assert!(both.yields && both.rungs.iter().any(|rung| rung.quantile < 0.95));
    }

    #[test]
    fn no_rung_gives_back_what_the_one_before_gave_up() {
        for (headroom, quantile) in [(0.7, 0.95), (0.8, 0.88), (0.98, 0.5), (0.1, 0.99)] {
            let way = way(Thrift::MarginAndQuantile, headroom, quantile).unwrap();
            let first = way.first();
            assert_eq!((first.headroom, first.quantile), (headroom, quantile));
            assert!(way.rungs.is_sorted_by(|a, b| a.headroom <= b.headroom));
            assert!(way.rungs.is_sorted_by(|a, b| a.quantile >= b.quantile));
        }
    }
}
