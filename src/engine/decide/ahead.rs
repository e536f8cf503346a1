//! What is wanted ahead of demand: by the forecast, and because the workload usually wakes now.
//!
//! Above one replica the forecast's quantile speaks. Whether to have one or none is a matter of cost:
//! an idle replica against a cold start, by how often this time of the day brought demand.

use std::time::Duration;

use crate::engine::decide::need::Need;
use crate::engine::decide::timings::Timings;
use crate::engine::decision::{Early, Foreseen, Reason};
use crate::engine::demand::{Input, largest};
use crate::engine::foresight::{Ahead, FORECAST_SHARE, Foresight, equivalents};
use crate::engine::numeric::replicas_ceil;
use crate::engine::setup::{Setup, Strategy};
use crate::engine::units::Ratio;

/// A cold start is worth this many lead times of an idle replica, unless the user says otherwise.
const COLD_START_COST: u32 = 5;
/// Idleness is foreseen for a day and is a mean over days: a cold start that is worth more would never be
/// saved by sleeping, however long nobody comes.
const WORTH_MAX: Duration = Duration::from_hours(20);
/// Demand is known to the slot of five minutes only.
const SLOT: Duration = Duration::from_mins(5);

/// The usable share of a replica at what is seen now: margin against surprise may be given up while a
/// trusted forecast takes part, by the user or to pay for the forecast.
#[must_use]
pub fn headroom(setup: &Setup, ahead: Option<&Ahead>) -> Ratio {
    let trusted =
        ahead.is_some_and(|ahead| ahead.counts(setup.strategy) && ahead.trust.is_trusted());
    if !trusted {
        return setup.headroom;
    }
    let paid = ahead.and_then(|ahead| ahead.margin).and_then(|it| Ratio::try_new(it.headroom).ok());
    paid.unwrap_or(setup.forecast.headroom_trusted)
}

/// What is wanted ahead of demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What the forecast says.
    pub foreseen: Option<Foreseen>,
    /// How likely demand comes within the lead, where nothing is wanted now.
    chance: Option<f64>,
    /// Replicas for what usually comes then.
    usual: u32,
    /// How long it usually stays idle.
    idle: Option<Duration>,
    /// What one cold start is worth.
    cost: Duration,
    /// What a wake for nothing costs.
    wasted: Duration,
    lead: Duration,
    idle_now: bool,
    /// Since a restart it is not known again when demand usually comes.
    relearns: bool,
}

impl Plan {
    /// Of this tick, in which demand has this `need`.
    #[must_use]
    pub fn of(
        input: &Input<'_>,
        ahead: Option<&Ahead>,
        need: &Need,
        (timings, foresight): (&Timings, &Foresight),
    ) -> Self {
        let setup = input.setup;
        let now = input.signals.fresh.now;
        let lead = timings.lead;
        let idle_now = need.up == 0;
        let acts =
            matches!(setup.strategy, Strategy::Auto | Strategy::Proactive | Strategy::Shadow);
        let usual = Some(foresight).filter(|_| acts && idle_now);
        let comes = usual.and_then(|usual| usual.usual_within(now, lead + SLOT));
        let comes = comes.zip(ahead).and_then(|(work, ahead)| {
            equivalents(&of_forecast(input), &Ahead { work: Some(work), ..*ahead })
        });
        Self {
            foreseen: ahead.map(|ahead| foreseen(input, ahead, need, lead)),
            chance: usual.and_then(|usual| usual.wakes_within(now, lead + SLOT)),
            usual: comes.map_or(1, replicas_ceil).max(1),
            idle: usual.and_then(|usual| usual.idle_lasts(now)),
            cost: setup.forecast.cold_start_cost.unwrap_or(lead.saturating_mul(COLD_START_COST)),
            wasted: lead + timings.idle_after,
            lead,
            idle_now,
            relearns: usual.is_some_and(|usual| usual.relearns(setup, now)),
        }
    }

    /// Replicas to have now for what comes later.
    #[must_use]
    pub fn floor(&self) -> u32 {
        let forecast = self.foreseen.filter(|foreseen| foreseen.counts);
        let forecast = forecast.and_then(|foreseen| foreseen.replicas).unwrap_or(0);
        let wakes = self.wakes();
        // Idle, a forecast of something is only believed where this time of the day agrees.
        match (self.idle_now, wakes) {
            (true, true) => forecast.max(self.usual),
            (true, false) => 0,
            (false, _) => forecast,
        }
    }

    /// A cold start that is likely to be met by a request costs more than a replica that waits.
    fn wakes(&self) -> bool {
        let gain = |chance: f64| chance * self.cost.as_secs_f64();
        let loss = |chance: f64| (1.0 - chance) * self.wasted.as_secs_f64();
        self.idle_now && self.chance.is_some_and(|chance| gain(chance) > loss(chance))
    }

    /// Why an idle replica stays: sleeping would soon cost a cold start.
    #[must_use]
    pub fn stays(&self) -> Option<Reason> {
        if self.wakes() {
            return self.reason(0);
        }
        if self.relearns {
            return Some(Reason::Early(Early::Relearns));
        }
        let cost = self.cost.min(WORTH_MAX);
        let idle = self.idle.filter(|idle| *idle < cost)?;
        Some(Reason::Early(Early::StaysAwake { idle, cost }))
    }

    /// Why more than `wanted` is decided, if it is.
    #[must_use]
    pub fn reason(&self, wanted: u32) -> Option<Reason> {
        let replicas = self.floor();
        if replicas <= wanted {
            return None;
        }
        if let Some(chance) = self.chance.filter(|_| self.wakes()) {
            return Some(Reason::Early(Early::WakesAhead { replicas, chance, within: self.lead }));
        }
        let Foreseen { quantile, horizon, .. } = self.foreseen?;
        Some(Reason::Early(Early::Forecast { replicas, quantile, horizon }))
    }
}

/// The input with what a replica may carry of a forecast.
fn of_forecast<'a>(input: &Input<'a>) -> Input<'a> {
    let share = FORECAST_SHARE.max(input.headroom.get());
    Input { headroom: Ratio::try_new(share).unwrap_or(input.headroom), ..*input }
}

fn foreseen(input: &Input<'_>, ahead: &Ahead, need: &Need, lead: Duration) -> Foreseen {
    let headroom = input.headroom.get();
    let equivalents = equivalents(&of_forecast(input), ahead);
    let needed = largest(&need.terms);
    let counted = |wanted| ahead.margin.map_or(wanted, |margin| margin.counted(needed, wanted));
    Foreseen {
        quantile: ahead.quantile,
        horizon: ahead.horizon,
        equivalents,
        replicas: equivalents.map(|wanted| replicas_ceil(counted(wanted))),
        counts: equivalents.is_some() && ahead.counts(input.setup.strategy),
        reactive: need.up,
        headroom,
        margin: ahead.margin,
        trust: ahead.trust,
        stage: ahead.stage,
        next_stage: ahead.next_stage,
        lead,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Plan, headroom};
    use crate::engine::decision::{Foreseen, Margin, Rival, Stage, Trust};
    use crate::engine::foresight::{Ahead, Unit};
    use crate::engine::setup::{Setup, Strategy};
    use crate::engine::units::Ratio;

    const TRUSTED: Trust = Trust::Trusted { ratio: 0.7, rival: Rival::Naive };
    const DEMOTED: Trust = Trust::Demoted { ratio: 1.2, rival: Rival::Naive };
    const MINUTE: Duration = Duration::from_mins(1);

    fn ahead(trust: Trust, stage: Stage) -> Ahead {
        let horizon = MINUTE * 5;
        let (unit, work) = (Unit::Work, Some(100.0));
        Ahead { unit, quantile: 0.95, horizon, work, margin: None, trust, stage, next_stage: None }
    }

    #[test]
    fn a_forecast_counts_where_strategy_trust_and_stage_allow() {
        let young = Trust::Young { remaining: MINUTE };
        let rows = [
            (Strategy::Reactive, TRUSTED, Stage::Week, false),
            (Strategy::Observer, TRUSTED, Stage::Week, false),
            (Strategy::Auto, TRUSTED, Stage::Started, true),
            (Strategy::Auto, TRUSTED, Stage::Cold, false),
            (Strategy::Auto, DEMOTED, Stage::Week, false),
            (Strategy::Auto, young, Stage::Week, false),
            (Strategy::Shadow, TRUSTED, Stage::Week, true),
            (Strategy::Proactive, DEMOTED, Stage::Week, true),
            (Strategy::Proactive, young, Stage::Started, true),
            (Strategy::Proactive, DEMOTED, Stage::Cold, false),
        ];
        for (strategy, trust, stage, expected) in rows {
            let counts = ahead(trust, stage).counts(strategy);
            assert_eq!(counts, expected, "{strategy:?} {trust:?} {stage:?}");
        }
    }

    fn setup(strategy: Strategy) -> Setup {
        let mut setup = crate::engine::demand_tests::setup();
        setup.strategy = strategy;
        setup.headroom = Ratio::try_new(0.7).unwrap();
        setup
    }

    #[test]
    fn a_part_counts_of_what_is_beyond_demand_and_all_of_what_is_not() {
        let margin = Margin { headroom: 0.7, share: 0.25, adds: 0.1 };
        let rows = [(2.0, 6.0, 3.0), (2.0, 2.0, 2.0), (2.0, 1.0, 1.0), (0.0, 4.0, 1.0)];
        for (needed, wanted, counted) in rows {
            assert!((margin.counted(needed, wanted) - counted).abs() < 1e-9, "{needed} {wanted}");
        }
    }

    #[test]
    fn margin_is_given_up_for_trust_alone() {
        let rows = [
            (Strategy::Auto, TRUSTED, 0.85),
            (Strategy::Shadow, TRUSTED, 0.85),
            (Strategy::Auto, DEMOTED, 0.7),
            (Strategy::Proactive, DEMOTED, 0.7),
            (Strategy::Observer, TRUSTED, 0.7),
        ];
        for (strategy, trust, expected) in rows {
            let mut setup = setup(strategy);
            setup.forecast.headroom_trusted = Ratio::try_new(0.85).unwrap();
            let share = headroom(&setup, Some(&ahead(trust, Stage::Week))).get();
            assert!((share - expected).abs() < 1e-9, "{strategy:?} {trust:?}: {share}");
            assert!((headroom(&setup, None).get() - 0.7).abs() < 1e-9);
            let margin = Some(Margin { headroom: 0.8, share: 1.0, adds: 0.1 });
            let paying = Ahead { margin, ..ahead(trust, Stage::Week) };
            let share = headroom(&setup, Some(&paying)).get();
            assert!((share - expected.min(0.8)).abs() < 1e-9, "{strategy:?} {trust:?}: {share}");
        }
    }

    fn plan(replicas: Option<u32>, chance: Option<f64>, idle: Option<u64>, reactive: u32) -> Plan {
        let foreseen = Foreseen {
            quantile: 0.95,
            horizon: MINUTE * 5,
            equivalents: replicas.map(f64::from),
            replicas,
            counts: true,
            reactive,
            headroom: 0.7,
            margin: None,
            trust: TRUSTED,
            stage: Stage::Week,
            next_stage: None,
            lead: MINUTE * 4,
        };
        Plan {
            foreseen: Some(foreseen),
            chance,
            usual: 1,
            idle: idle.map(Duration::from_secs),
            cost: MINUTE * 20,
            wasted: MINUTE * 9,
            lead: MINUTE * 4,
            idle_now: reactive == 0,
            relearns: false,
        }
    }

    #[test]
    fn who_was_started_again_does_not_sleep_before_it_knows_its_days() {
        let stays = |relearns| {
            let plan = Plan { relearns, ..plan(None, None, None, 0) };
            plan.stays().map(|reason| reason.to_string())
        };
        assert_eq!(stays(false), None);
        let why = "stays awake: what usually comes is being learned again after a restart";
        assert_eq!(stays(true).as_deref(), Some(why));
    }

    #[test]
    fn a_cold_start_worth_days_is_weighed_against_the_idleness_of_one() {
        let stays = |hours: u64| {
            let idle = Some(hours * 3600);
            let plan = Plan { cost: MINUTE * 60 * 48, ..plan(None, Some(0.0), idle, 0) };
            plan.stays().is_some()
        };
        assert!(stays(14) && !stays(21));
    }

    #[test]
    fn the_forecast_is_a_floor_and_zero_is_a_matter_of_cost() {
        let rows = [
            // Forecast above, below and beside what is needed now.
            (plan(Some(5), None, None, 3), 5, Some("forecast needs 5: p95 within 5 min"), None),
            (plan(Some(2), None, None, 3), 2, None, None),
            (plan(None, None, None, 3), 0, None, None),
            // Idle: a forecast alone wakes nobody, a usual time does.
            (plan(Some(1), None, None, 0), 0, None, None),
            (plan(Some(1), Some(0.2), Some(9000), 0), 0, None, None),
            (
                plan(Some(1), Some(0.5), Some(9000), 0),
                1,
                Some("wakes 1 ahead: demand within 240 s is 50 % likely"),
                Some("wakes 1 ahead: demand within 240 s is 50 % likely"),
            ),
            (
                plan(Some(4), Some(0.9), Some(60), 0),
                4,
                Some("wakes 4 ahead: demand within 240 s is 90 % likely"),
                Some("wakes 4 ahead: demand within 240 s is 90 % likely"),
            ),
            // Idle for less than a cold start is worth.
            (
                plan(Some(0), Some(0.1), Some(600), 0),
                0,
                None,
                Some("stays awake: usually idle 600 s more, a cold start is worth 1200 s"),
            ),
        ];
        for (plan, floor, reason, stays) in rows {
            let told = |reason: Option<crate::engine::decision::Reason>| {
                reason.map(|reason| reason.to_string())
            };
            let reactive = plan.foreseen.unwrap().reactive;
            assert_eq!(plan.floor(), floor, "{plan:?}");
            assert_eq!(told(plan.reason(reactive)).as_deref(), reason, "{plan:?}");
            assert_eq!(told(plan.stays()).as_deref(), stays, "{plan:?}");
        }
    }
}
