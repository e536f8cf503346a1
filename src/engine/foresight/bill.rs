//! What acting upon the forecast adds to the bill, and what gives way so that it adds little.
//!
//! Room for the larger of demand and forecast costs more than room for demand alone. Two things can pay
//! for that. The *margin* of a replica insures against what the forecast foresees as well, and where that
//! is not enough the forecast's own quantile gives way. Or a *part* of what the forecast asks for does not
//! count, and the margin stays. How far, is read from what each place on the way would have cost in the last
//! day ([`Lane`]). Which of the two, from who would have left fewer waiting in the last weeks: where bursts
//! come that nobody foresees, margin is worth more than the forecast; as long as nobody waited, margin
//! stays. And beside both stands what acting has added in the last weeks: near the bound ever less of the
//! forecast counts, whatever the last day says.
//!
//! Nothing that was decided goes into these sums, so that nothing swings. They count whole replicas: what
//! the forecast asks of one that is there anyway adds nothing.

use std::time::Duration;

use crate::engine::arrived::Minute;
use crate::engine::decision::Margin;
use crate::engine::foresight::lane::{Ask, Kept, Lane, Step};
use crate::engine::foresight::spent::Spent;
use crate::engine::foresight::way::{RUNGS, Rung, Way};
use crate::engine::numeric::share;

/// Demand that a replica may carry of a forecast quantile, which has its margin already: the rest is
/// for what comes and goes within its minutes.
pub const FORECAST_SHARE: f64 = 0.97;
/// What the forecast may add to the bill of a day, as a share of what demand alone costs.
pub const BUDGET: f64 = 0.003;
/// What a day costs is forgotten by half in this time.
const DAY: Duration = Duration::from_hours(24);
/// What was added, and who waited, is forgotten by half in this time: rare events are judged by weeks.
const TEN_DAYS: Duration = Duration::from_hours(240);
/// Margin alone pays where it would have left no more than this share of those waiting that a part leaves; a part alone
/// from the second on. Between them both, so that who has seen a little more does not decide otherwise.
const FEWER: (f64, f64) = (0.8, 0.9);

/// Where on the way: what a replica is used to, and how much of which forecast counts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    rung: Rung,
    share: f64,
}

impl Place {
    /// So far from `self` to `other`, 0..=1.
    fn towards(self, other: Self, part: f64) -> Self {
        let share = (other.share - self.share).mul_add(part, self.share);
        Self { rung: self.rung.towards(other.rung, part), share }
    }
}

/// What is asked for in a step, lane by lane.
struct Asks {
    alone: Ask,
    rungs: [Ask; RUNGS],
    half: Ask,
    margin: Ask,
    part: Ask,
    acted: Ask,
}

/// The running sums.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bill {
    /// Demand alone.
    alone: Lane,
    /// Each rung of the way.
    rungs: [Lane; RUNGS],
    /// The first rung, with half of what the forecast asks for.
    half: Lane,
    /// As if always margin had paid, and as if always a part had.
    margin: Lane,
    part: Lane,
    /// As it was acted upon.
    acted: Lane,
    spent: Spent,
    /// What a replica carried in the sums; `None` before anybody knew.
    replica: Option<f64>,
}

impl Bill {
    pub(super) const EMPTY: Self = Self {
        alone: Lane::EMPTY,
        rungs: [Lane::EMPTY; RUNGS],
        half: Lane::EMPTY,
        margin: Lane::EMPTY,
        part: Lane::EMPTY,
        acted: Lane::EMPTY,
        spent: Spent::NOTHING,
        replica: None,
    };

    /// Enters a minute, whether the forecast counts in it, and the forecast at each quantile.
    pub(super) fn enter(
        &mut self,
        way: &Way,
        step: Step,
        counts: bool,
        forecast: impl Fn(f64) -> Option<f64>,
    ) {
        let Some(asks) = self.asks(way, counts, forecast) else { return };
        self.count_in(step.replica);
        let kept = Kept { room: kept(DAY), late: kept(TEN_DAYS) };
        let rungs = self.rungs.iter_mut().zip(asks.rungs);
        let others = [
            (&mut self.alone, asks.alone),
            (&mut self.half, asks.half),
            (&mut self.margin, asks.margin),
            (&mut self.part, asks.part),
            (&mut self.acted, asks.acted),
        ];
        rungs.chain(others).for_each(|(lane, ask)| lane.enter(step, kept, ask));
        self.spent.enter(kept.late, self.alone.room(), self.acted.room());
    }

    /// What each lane asks for; `None` where a forecast is missing.
    fn asks(&self, way: &Way, counts: bool, forecast: impl Fn(f64) -> Option<f64>) -> Option<Asks> {
        let ask = |rung: Rung, share: f64| {
            let forecast = forecast(rung.quantile).filter(|it| it.is_finite())?;
            let forecast = forecast / FORECAST_SHARE.max(rung.headroom);
            Some(Ask { headroom: rung.headroom, forecast, share })
        };
        let alone = Ask { headroom: way.first().headroom, forecast: 0.0, share: 0.0 };
        let acts = |place: Option<Place>| {
            let place = place.filter(|_| counts);
            place.map_or(Some(alone), |Place { rung, share }| ask(rung, share))
        };
        let (margin, part) = (acts(self.by_margin(way))?, acts(self.by_part(way))?);
        let acted = acts(self.place(way))?;
        let mut rungs = [alone; RUNGS];
        for (asked, rung) in rungs.iter_mut().zip(way.rungs) {
            *asked = ask(rung, 1.0)?;
        }
        let half = Ask { share: 0.5, ..rungs[0] };
        Some(Asks { alone, rungs, half, margin, part, acted })
    }

    /// What a replica carries is learned anew: the replicas of the minutes behind stay as many.
    fn count_in(&mut self, replica: Option<f64>) {
        let now = replica.filter(|replica| *replica > 0.0).or(self.replica);
        if let Some(factor) = now.zip(self.replica).and_then(|(now, before)| share(now, before)) {
            self.lanes().for_each(|lane| lane.weigh(factor));
            self.spent.weigh(factor);
        }
        self.replica = now;
    }

    fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        let Self { alone, rungs, half, margin, part, acted, .. } = self;
        [alone, half, margin, part, acted].into_iter().chain(rungs)
    }

    /// What is in force; `None` while nothing was entered.
    pub(super) fn settle(&self, way: &Way) -> Option<(Margin, f64)> {
        let Place { rung, share } = self.place(way)?;
        let margin = Margin { headroom: rung.headroom, share, adds: self.adds(&self.rungs[0]) };
        Some((margin, rung.quantile))
    }

    /// By what would have left fewer waiting.
    fn place(&self, way: &Way) -> Option<Place> {
        let (margin, part) = (self.by_margin(way)?, self.by_part(way)?);
        Some(if way.yields { part.towards(margin, self.saves()) } else { margin })
    }

    /// How much margin has to pay, 0..=1; nothing as long as nobody waited.
    fn saves(&self) -> f64 {
        let (all, none) = FEWER;
        let left = share(self.margin.late(), self.part.late());
        left.map_or(0.0, |left| ((none - left) / (none - all)).clamp(0.0, 1.0))
    }

    /// Margin and quantile give way, and where too much was added margin comes back with the part that does not
    /// count.
    fn by_margin(&self, way: &Way) -> Option<Place> {
        let share = self.leaves(way)?;
        let rung = self.rung(way);
        let headroom = way.first().towards(rung, share).headroom;
        Some(Place { rung: Rung { headroom, ..rung }, share })
    }

    /// A part of the forecast gives way.
    fn by_part(&self, way: &Way) -> Option<Place> {
        Some(Place { rung: way.first(), share: self.leaves(way)?.min(self.part_within()) })
    }

    /// How much of the forecast what was added leaves; `None` while nothing was entered.
    fn leaves(&self, way: &Way) -> Option<f64> {
        (self.alone.sum() > 0.0).then(|| if way.yields { self.spent.leaves() } else { 1.0 })
    }

    /// The first place on the way that keeps within the budget, between two rungs in a straight line,
    /// or its end.
    fn rung(&self, way: &Way) -> Rung {
        let adds = |at: usize| self.adds(&self.rungs[at]);
        let at = (0..RUNGS).find(|at| adds(*at) <= BUDGET).unwrap_or(RUNGS - 1);
        let before = at.saturating_sub(1);
        way.rungs[before].towards(way.rungs[at], 1.0 - within(adds(at), adds(before)))
    }

    /// How much of what the forecast asks for beyond demand keeps within the budget, 0..=1.
    fn part_within(&self) -> f64 {
        let (half, whole) = (self.adds(&self.half), self.adds(&self.rungs[0]));
        if half > BUDGET { 0.5 * within(0.0, half) } else { 0.5 * within(half, whole) + 0.5 }
    }

    /// What a lane adds to the bill of the last day, as a share of what demand alone costs.
    fn adds(&self, lane: &Lane) -> f64 {
        lane.sum() / self.alone.sum() - 1.0
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.lanes().for_each(|lane| lane.rescale(factor));
        self.spent.weigh(factor);
        self.replica = self.replica.map(|replica| replica * factor);
    }
}

/// What is left after a minute.
fn kept(half_life: Duration) -> f64 {
    (-Minute::LENGTH.as_secs_f64() / half_life.as_secs_f64()).exp2()
}

/// How far the budget reaches from what adds `least` to what adds `most`, 0..=1.
fn within(least: f64, most: f64) -> f64 {
    match () {
        () if most <= BUDGET => 1.0,
        () if least >= BUDGET => 0.0,
        () => (BUDGET - least) / (most - least),
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, Bill, FORECAST_SHARE};
    use crate::engine::decision::Margin;
    use crate::engine::demand_tests;
    use crate::engine::foresight::lane::Step;
    use crate::engine::foresight::spent::MOST;
    use crate::engine::foresight::way::{RUNGS, Way};
    use crate::engine::setup::{Setup, Thrift};
    use crate::engine::units::{Ratio, Replicas};

    fn setup(thrift: Thrift) -> Setup {
        let mut setup = demand_tests::setup();
        setup.headroom = Ratio::try_new(0.7).unwrap();
        setup.forecast.thrift = thrift;
        setup
    }

    fn way(thrift: Thrift) -> Way {
        Way::of(&setup(thrift), 0.95).unwrap()
    }

    const BOTH: Thrift = Thrift::MarginAndQuantile;
    const BOUNDS: (f64, f64) = (0.0, f64::INFINITY);
    const STEP: Step =
        Step { came: 7.0, demand: 7.0, lag: 0, drain: 1.0, stay: 1, replica: None, bounds: BOUNDS };

    /// Days in which demand is 7 replicas and the forecast every other hour this much, at p95; a tenth of
    /// its distance from demand less for each five points of the quantile.
    fn days(days: u32, way: &Way, forecast: f64) -> Bill {
        let mut bill = Bill::EMPTY;
        for minute in 0..days * 1440 {
            let peak = if minute / 60 % 2 == 0 { forecast } else { 0.0 };
            let said = |quantile: f64| Some(peak * (1.0 - 2.0 * (0.95 - quantile)));
            bill.enter(way, STEP, true, said);
        }
        bill
    }

    fn settled(thrift: Thrift, forecast: f64) -> (Margin, f64) {
        days(1, &way(thrift), forecast).settle(&way(thrift)).unwrap()
    }

    #[test]
    fn nothing_gives_way_to_a_forecast_that_costs_nothing() {
        for (forecast, thrift) in [(0.0, BOTH), (5.0, BOTH), (9.7, BOTH), (9.7, Thrift::Margin)] {
            let (margin, quantile) = settled(thrift, forecast);
            assert!((margin.headroom - 0.7).abs() < 1e-9 && (quantile - 0.95).abs() < 1e-9);
            assert!(margin.adds.abs() < 1e-9 && margin.share >= 1.0, "{margin:?}");
        }
    }

    #[test]
    fn margin_pays_for_the_forecast_and_no_more() {
        // 10 replicas for demand alone; 11 for the forecast half of the time: a twentieth more.
        let (margin, quantile) = settled(Thrift::Margin, 11.0 * FORECAST_SHARE);
        assert!((margin.adds - 0.05).abs() < 0.005, "{margin:?}");
        assert!(margin.headroom > 0.7 && margin.headroom < 0.85 && margin.share >= 1.0);
        assert!((quantile - 0.95).abs() < 1e-9);
        // The room that this would have taken.
        let room = 0.5f64.mul_add(11.0, 0.5 * 7.0 / margin.headroom);
        assert!((room / 10.0 - 1.0 - BUDGET).abs() < 0.005, "{room}");
    }

    #[test]
    fn a_part_pays_and_margin_stays_while_nobody_waits() {
        let (margin, quantile) = settled(BOTH, 11.0 * FORECAST_SHARE);
        assert!((margin.headroom - 0.7).abs() < 1e-9 && (quantile - 0.95).abs() < 1e-9);
        // Eleven replicas half of the time, of which the part in force is a replica of its own.
        let added = 0.5 * margin.share / 10.0;
        assert!((added - BUDGET).abs() < BUDGET / 5.0, "{margin:?}");
    }

    /// Ten days of demand that is 7 for an hour and 21 for ten minutes; the forecast knows ten minutes before,
    /// or never says less than for the 21.
    fn jumps(way: &Way, foresees: bool) -> Bill {
        let mut bill = Bill::EMPTY;
        let comes = |minute: u32| if minute % 70 >= 60 { 21.0 } else { 7.0 };
        for minute in 0..14_400 {
            let ahead = (0..=10).map(|steps| comes(minute + steps)).fold(0.0, f64::max);
            let before = (0..=3).map(|steps| comes(minute + 70 - steps)).fold(0.0, f64::max);
            let step = Step { came: comes(minute), demand: before, lag: 8, drain: 50.0, ..STEP };
            let said = if foresees { ahead } else { before };
            bill.enter(way, step, true, |_| Some(said));
        }
        bill
    }

    #[test]
    fn margin_pays_where_that_leaves_fewer_waiting() {
        let way = way(BOTH);
        let (margin, _) = jumps(&way, true).settle(&way).unwrap();
        assert!(margin.headroom > 0.72 && margin.share > 0.5, "{margin:?}");
        // Who foresees nothing and costs nothing has nothing to pay for.
        let (margin, _) = jumps(&way, false).settle(&way).unwrap();
        assert!((margin.headroom - 0.7).abs() < 1e-9, "{margin:?}");
    }

    #[test]
    fn in_weeks_acting_adds_no_more_than_the_bound() {
        // Four times what demand needs, all the time: no margin pays for that.
        let bill = days(30, &way(BOTH), 40.0);
        assert!(bill.spent.adds() <= MOST, "{:?}", bill.spent);
        let (margin, _) = bill.settle(&way(BOTH)).unwrap();
        assert!(margin.share < 0.1 && margin.headroom < 0.75, "{margin:?}");
    }

    #[test]
    fn what_does_not_count_adds_nothing() {
        let (way, mut bill) = (way(BOTH), Bill::EMPTY);
        (0..9999).for_each(|_| bill.enter(&way, STEP, false, |_| Some(40.0)));
        assert!(bill.spent.adds().abs() < 1e-9);
    }

    #[test]
    fn what_is_asked_of_a_replica_that_is_there_anyway_adds_nothing() {
        let way = way(Thrift::Margin);
        let settled = |replica: Option<f64>, forecast: f64| {
            let mut bill = Bill::EMPTY;
            let step = Step { replica, ..STEP };
            (0..1440).for_each(|_| bill.enter(&way, step, true, |_| Some(forecast)));
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
            let mut setup = setup(BOTH);
            (setup.min_replicas, setup.max_replicas) =
                (min.map(Replicas::new), max.map(Replicas::new));
            let way = Way::of(&setup, 0.95).unwrap();
            let mut bill = Bill::EMPTY;
            // Demand is 10 in room, one replica; the forecast asks for three.
            let step = Step { replica: Some(10.0), bounds: way.bounds, ..STEP };
            (0..100).for_each(|_| bill.enter(&way, step, true, |_| Some(28.0)));
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
        let way = way(BOTH);
        let mut bill = Bill::EMPTY;
        let mut minutes = |replica, count| {
            let step = Step { replica: Some(replica), ..STEP };
            (0..count).for_each(|_| bill.enter(&way, step, true, |_| Some(28.0)));
            bill.settle(&way).unwrap().0.adds
        };
        // A million times too much: one replica is enough for both. Then one for demand, three for the forecast.
        assert!(minutes(1e7, 60).abs() < 1e-9);
        assert!(minutes(10.0, 1440) > 1.8);
    }

    #[test]
    fn at_most_the_end_of_the_way_and_never_a_fixed_quantile() {
        let (margin, quantile) = settled(Thrift::Margin, 40.0);
        assert!((margin.headroom - 0.95).abs() < 1e-9 && (quantile - 0.95).abs() < 1e-9);
        assert!(margin.share >= 1.0);
    }

    #[test]
    fn the_first_entry_decides_nothing_before_it_is_there_and_a_unit_is_no_matter() {
        let way = way(BOTH);
        assert_eq!(Bill::EMPTY.settle(&way), None);
        let mut unknown = Bill::EMPTY;
        unknown.enter(&way, STEP, true, |_| None);
        assert_eq!(unknown.settle(&way), None);
        let bill = days(1, &way, 13.0);
        let mut scaled = bill.clone();
        scaled.rescale(512.0);
        assert_eq!(scaled.settle(&way), bill.settle(&way));
        assert!(bill.rungs.is_sorted_by(|a, b| a.sum() >= b.sum()) && bill.rungs.len() == RUNGS);
    }
}
