//! What acting upon the forecast adds to the bill, and what gives way so that it adds little.
//!
//! Room for the larger of demand and forecast costs more than room for demand alone. The margin of a
//! replica insures against what the forecast foresees as well, so where the forecast adds to the bill
//! the margin pays for it, and where that is not enough the forecast's own quantile does. How far, is
//! read from running sums of what each rung of that way would have cost in the last day ([`Lane`]): nothing
//! that was decided goes into them, so that nothing swings. They count whole replicas: what the forecast asks
//! of one that is there anyway adds nothing.

use std::time::Duration;

use crate::engine::decision::Margin;
use crate::engine::foresight::lane::{Lane, Step};
use crate::engine::numeric::share;
use crate::engine::setup::{Family, Setup, Targets, Thrift};
use crate::engine::units::Replicas;

/// Demand that a replica may carry of a forecast quantile, which has its margin already: the rest is
/// for what comes and goes within its minutes.
pub const FORECAST_SHARE: f64 = 0.97;
/// What the forecast may add to the bill, as a share of what demand alone costs.
pub const BUDGET: f64 = 0.005;
/// What happened is forgotten by half in this time.
const HALF_LIFE: Duration = Duration::from_hours(24);

/// Rungs after the first, which gives nothing up: usable shares at least and quantiles at most these.
/// Chosen in replays of crane 00, 01 and 02 at cold starts of 100 and 600 s: margin up to 0.85 costs fewer
/// misses for a GPU-hour than quantile; beyond it neither alone pays for a forecast of 20 minutes.
const WAY: [(f64, f64); RUNGS - 1] = [(0.775, 1.0), (0.85, 1.0), (0.9, 0.9), (0.95, 0.85)];
const RUNGS: usize = 5;

/// Usable share of a replica and quantile of the forecast, both 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rung {
    pub(super) headroom: f64,
    pub(super) quantile: f64,
}

/// From giving up nothing to giving up the most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Way {
    rungs: [Rung; RUNGS],
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
        let mut way = [first; RUNGS];
        for (rung, (headroom, most)) in way.iter_mut().skip(1).zip(WAY) {
            rung.headroom = first.headroom.max(headroom);
            rung.quantile = first.quantile.min(most.max(least));
        }
        let count = |bound: Option<Replicas>| bound.map(|bound| f64::from(bound.get()));
        let least = count(setup.min_replicas).unwrap_or(0.0);
        let most = count(setup.max_replicas).unwrap_or(f64::INFINITY).max(least);
        Some(Self { rungs: way, bounds: (least, most) })
    }
}

/// The running sums.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bill {
    alone: f64,
    rungs: [Lane; RUNGS],
    /// What a replica carried in the sums; `None` before anybody knew.
    replica: Option<f64>,
}

impl Bill {
    pub(super) const EMPTY: Self = Self { alone: 0.0, rungs: [Lane::EMPTY; RUNGS], replica: None };

    /// Enters a step of this length, and the forecast at each quantile.
    pub(super) fn enter(
        &mut self,
        length: Duration,
        way: &Way,
        step: Step,
        forecast: impl Fn(f64) -> Option<f64>,
    ) {
        let mut forecasts = [0.0; RUNGS];
        for (said, rung) in forecasts.iter_mut().zip(way.rungs) {
            let Some(forecast) = forecast(rung.quantile).filter(|it| it.is_finite()) else {
                return;
            };
            *said = forecast / FORECAST_SHARE.max(rung.headroom);
        }
        self.count_in(step.replica);
        let kept = (-length.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.alone = self.alone.mul_add(kept, step.whole(step.demand / way.rungs[0].headroom));
        for ((lane, rung), forecast) in self.rungs.iter_mut().zip(way.rungs).zip(forecasts) {
            lane.enter(step, kept, rung.headroom, forecast);
        }
    }

    /// What a replica carries is learned anew: the replicas of the minutes behind stay as many.
    fn count_in(&mut self, replica: Option<f64>) {
        let now = replica.filter(|replica| *replica > 0.0).or(self.replica);
        if let Some(factor) = now.zip(self.replica).and_then(|(now, before)| share(now, before)) {
            self.alone *= factor;
            self.rungs.iter_mut().for_each(|lane| lane.weigh(factor));
        }
        self.replica = now;
    }

    /// The first place on the way that keeps within the budget, between two rungs in a straight line,
    /// or its end; `None` while nothing was entered.
    pub(super) fn settle(&self, way: &Way) -> Option<(Margin, f64)> {
        let adds = |lane: &Lane| lane.sum() / self.alone - 1.0;
        if self.alone <= 0.0 {
            return None;
        }
        let at = self.rungs.iter().position(|lane| adds(lane) <= BUDGET).unwrap_or(RUNGS - 1);
        let before = at.saturating_sub(1);
        let (over, under) = (adds(&self.rungs[before]), adds(&self.rungs[at]));
        let part =
            if over > under { ((over - BUDGET) / (over - under)).clamp(0.0, 1.0) } else { 1.0 };
        let between = |from: f64, to: f64| (to - from).mul_add(part, from);
        let (from, to) = (way.rungs[before], way.rungs[at]);
        let margin =
            Margin { headroom: between(from.headroom, to.headroom), adds: adds(&self.rungs[0]) };
        Some((margin, between(from.quantile, to.quantile)))
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.alone *= factor;
        self.replica = self.replica.map(|replica| replica * factor);
        self.rungs.iter_mut().for_each(|lane| lane.rescale(factor));
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, Bill, FORECAST_SHARE, RUNGS, Way};
    use crate::engine::arrived::Minute;
    use crate::engine::decision::Margin;
    use crate::engine::demand_tests;
    use crate::engine::foresight::lane::Step;
    use crate::engine::setup::{Setup, Thrift};
    use crate::engine::units::{Ratio, Replicas};

    fn setup(thrift: Thrift) -> Setup {
        let mut setup = demand_tests::setup();
        setup.headroom = Ratio::try_new(0.7).unwrap();
        setup.forecast.thrift = thrift;
        setup
    }

    const STEP: Step = Step { demand: 7.0, stay: 1, replica: None, bounds: (0.0, f64::INFINITY) };

    /// A day in which demand is 7 replicas and the forecast every other hour this much, at p95; a tenth of
    /// its distance from demand less for each five points of the quantile.
    fn day(way: &Way, forecast: f64) -> Bill {
        let mut bill = Bill::EMPTY;
        for minute in 0..1440 {
            let peak = if minute / 60 % 2 == 0 { forecast } else { 0.0 };
            let said = |quantile: f64| Some(peak * (1.0 - 2.0 * (0.95 - quantile)));
            bill.enter(Minute::LENGTH, way, STEP, said);
        }
        bill
    }

    fn settled(thrift: Thrift, forecast: f64) -> (Margin, f64) {
        let way = Way::of(&setup(thrift), 0.95).unwrap();
        day(&way, forecast).settle(&way).unwrap()
    }

    #[test]
    fn nothing_gives_way_to_a_forecast_that_costs_nothing() {
        for forecast in [0.0, 5.0, 9.7] {
            let (margin, quantile) = settled(Thrift::MarginAndQuantile, forecast);
            assert!((margin.headroom - 0.7).abs() < 1e-9 && (quantile - 0.95).abs() < 1e-9);
            assert!(margin.adds.abs() < 1e-9, "{margin:?}");
        }
    }

    #[test]
    fn what_gives_way_pays_for_the_forecast_and_no_more() {
        // 10 replicas for demand alone; 11 for the forecast half of the time: a twentieth more.
        let way = Way::of(&setup(Thrift::MarginAndQuantile), 0.95).unwrap();
        let (margin, quantile) = settled(Thrift::MarginAndQuantile, 11.0 * 0.97);
        assert!((margin.adds - 0.05).abs() < 0.005, "{margin:?}");
        assert!(margin.headroom > 0.7 && margin.headroom < 0.85, "{margin:?}");
        assert!((quantile - 0.95).abs() < 1e-9);
        // The room that this would have taken.
        let bill = day(&way, 11.0 * 0.97);
        let room = 0.5f64.mul_add(11.0, 0.5 * 7.0 / margin.headroom);
        assert!((room / 10.0 - 1.0 - BUDGET).abs() < 0.005, "{room} {bill:?}");
    }

    #[test]
    fn what_is_asked_of_a_replica_that_is_there_anyway_adds_nothing() {
        let way = Way::of(&setup(Thrift::MarginAndQuantile), 0.95).unwrap();
        let settled = |replica: Option<f64>, forecast: f64| {
            let mut bill = Bill::EMPTY;
            let step = Step { replica, ..STEP };
            (0..1440).for_each(|_| bill.enter(Minute::LENGTH, &way, step, |_| Some(forecast)));
            bill.settle(&way).unwrap().0
        };
        // Demand is 10 in room; one replica carries 12, or 10, and the forecast asks for 11.9.
        let forecast = 11.9 * FORECAST_SHARE;
        let rows = [(None, 0.19, 0.95), (Some(12.0), 0.0, 0.7), (Some(10.0), 1.0, 0.95)];
        for (replica, adds, headroom) in rows {
            let margin = settled(replica, forecast);
            assert!((margin.adds - adds).abs() < 1e-9, "{replica:?}: {margin:?}");
            assert!((margin.headroom - headroom).abs() < 1e-9, "{replica:?}: {margin:?}");
        }
    }

    #[test]
    fn replicas_that_are_there_anyway_or_never_may_be_add_nothing() {
        let adds = |min: Option<u32>, max: Option<u32>| {
            let mut setup = setup(Thrift::MarginAndQuantile);
            (setup.min_replicas, setup.max_replicas) =
                (min.map(Replicas::new), max.map(Replicas::new));
            let way = Way::of(&setup, 0.95).unwrap();
            let mut bill = Bill::EMPTY;
            // Demand is 10 in room, one replica; the forecast asks for three.
            let step = Step { replica: Some(10.0), bounds: way.bounds, ..STEP };
            (0..100).for_each(|_| bill.enter(Minute::LENGTH, &way, step, |_| Some(28.0)));
            bill.settle(&way).unwrap().0.adds
        };
        let rows =
            [(None, None, 2.0), (Some(3), None, 0.0), (Some(2), None, 0.5), (None, Some(2), 1.0)];
        for (min, max, expected) in rows {
            assert!((adds(min, max) - expected).abs() < 1e-9, "{min:?} to {max:?}");
        }
    }

    #[test]
    fn an_hour_of_a_wrong_capacity_weighs_no_more_than_an_hour() {
        let way = Way::of(&setup(Thrift::MarginAndQuantile), 0.95).unwrap();
        let mut bill = Bill::EMPTY;
        let mut minutes = |replica, count| {
            let step = Step { replica: Some(replica), ..STEP };
            (0..count).for_each(|_| bill.enter(Minute::LENGTH, &way, step, |_| Some(28.0)));
            bill.settle(&way).unwrap().0.adds
        };
        // A million times too much: one replica is enough for both. Then one for demand, three for the forecast.
        assert!(minutes(1e7, 60).abs() < 1e-9);
        assert!(minutes(10.0, 1440) > 1.8);
    }

    #[test]
    fn at_most_the_end_of_the_way_and_never_a_fixed_quantile() {
        let (margin, quantile) = settled(Thrift::MarginAndQuantile, 40.0);
        assert!((margin.headroom - 0.95).abs() < 1e-9 && (quantile - 0.85).abs() < 1e-9);
        let (margin, quantile) = settled(Thrift::Margin, 40.0);
        assert!((margin.headroom - 0.95).abs() < 1e-9 && (quantile - 0.95).abs() < 1e-9);
        assert_eq!(Way::of(&setup(Thrift::None), 0.95), None);
    }

    #[test]
    fn the_first_entry_decides_nothing_before_it_is_there_and_a_unit_is_no_matter() {
        let way = Way::of(&setup(Thrift::MarginAndQuantile), 0.95).unwrap();
        assert_eq!(Bill::EMPTY.settle(&way), None);
        let mut unknown = Bill::EMPTY;
        unknown.enter(Minute::LENGTH, &way, STEP, |_| None);
        assert_eq!(unknown.settle(&way), None);
        let bill = day(&way, 13.0);
        let mut scaled = bill.clone();
        scaled.rescale(512.0);
        assert_eq!(scaled.settle(&way), bill.settle(&way));
        assert!(bill.rungs.is_sorted_by(|a, b| a.sum() >= b.sum()) && bill.rungs.len() == RUNGS);
    }
}
