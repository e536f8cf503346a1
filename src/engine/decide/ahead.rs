//! What is wanted ahead of demand: by the forecast, and because the workload usually wakes now.
//!
//! Above one replica the forecast's quantile speaks. Whether to have one or none is a matter of cost:
//! an idle replica against a cold start, by how often this time of the day brought demand.

use std::time::Duration;

use crate::engine::decide::facts::Timings;
use crate::engine::decision::{Early, Foreseen, Reason};
use crate::engine::demand::Input;
use crate::engine::foresight::{Ahead, Foresight, equivalents};
use crate::engine::numeric::{fade, replicas_ceil};
use crate::engine::setup::{Setup, Strategy};
use crate::engine::units::Ratio;

/// A cold start is worth this many lead times of an idle replica, unless the user says otherwise.
const COLD_START_COST: u32 = 5;
/// Demand is known to the slot of five minutes only.
const SLOT: Duration = Duration::from_mins(5);

/// What a replica may carry of a forecast quantile, which has its margin already: the rest is for what
/// comes and goes within its minutes.
const FORECAST_SHARE: f64 = 0.95;
/// What a forecast did not see is missing for a cold start: margin that it replaces comes back by half
/// for each so long cold start.
const RELIED_UPON: Duration = Duration::from_mins(4);

/// The usable share of a replica at what is seen now: more of it while a trusted forecast takes part,
/// the less so the longer a cold start takes.
#[must_use]
pub fn headroom(setup: &Setup, ahead: Option<&Ahead>, cold_start: Duration) -> Ratio {
    let trusted =
        ahead.is_some_and(|ahead| ahead.counts(setup.strategy) && ahead.trust.is_trusted());
    if !trusted {
        return setup.headroom;
    }
    let more = setup.forecast.headroom_trusted.get() - setup.headroom.get();
    let share = setup.headroom.get() + more.max(0.0) * fade(cold_start, RELIED_UPON);
    Ratio::try_new(share).unwrap_or(setup.headroom)
}

/// What is wanted ahead of demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// What the forecast says.
    pub foreseen: Option<Foreseen>,
    /// How likely demand comes within the lead, where nothing is wanted now.
    chance: Option<f64>,
    /// How long it usually stays idle.
    idle: Option<Duration>,
    /// What one cold start is worth.
    cost: Duration,
    /// What a wake for nothing costs.
    wasted: Duration,
    lead: Duration,
    idle_now: bool,
}

impl Plan {
    /// Of this tick, in which demand needs `reactive` replicas.
    #[must_use]
    pub fn of(
        input: &Input<'_>,
        ahead: Option<&Ahead>,
        reactive: u32,
        (timings, foresight): (&Timings, &Foresight),
    ) -> Self {
        let setup = input.setup;
        let now = input.signals.fresh.now;
        let lead = timings.lead;
        let idle_now = reactive == 0;
        let acts =
            matches!(setup.strategy, Strategy::Auto | Strategy::Proactive | Strategy::Shadow);
        let usual = Some(foresight).filter(|_| acts && idle_now);
        Self {
            foreseen: ahead.map(|ahead| foreseen(input, ahead, reactive, lead)),
            chance: usual.and_then(|usual| usual.wakes_within(now, lead + SLOT)),
            idle: usual.and_then(|usual| usual.idle_lasts(now)),
            cost: setup.forecast.cold_start_cost.unwrap_or(lead.saturating_mul(COLD_START_COST)),
            wasted: lead + timings.idle_after,
            lead,
            idle_now,
        }
    }

    /// Replicas to have now for what comes later.
    #[must_use]
    pub fn floor(&self) -> u32 {
        let forecast = self.foreseen.filter(|foreseen| foreseen.counts);
        let forecast = forecast.and_then(|foreseen| foreseen.replicas).unwrap_or(0);
        let wakes = self.wakes();
        // Idle, a forecast of something is only believed where this time of the day agrees.
        let forecast = if self.idle_now && !wakes { 0 } else { forecast };
        forecast.max(u32::from(wakes))
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
        let idle = self.idle.filter(|idle| *idle < self.cost)?;
        Some(Reason::Early(Early::StaysAwake { idle, cost: self.cost }))
    }

    /// Why more than `wanted` is decided, if it is.
    #[must_use]
    pub fn reason(&self, wanted: u32) -> Option<Reason> {
        let replicas = self.floor();
        if replicas <= wanted {
            return None;
        }
        if let Some(chance) = self.chance.filter(|_| self.wakes() && replicas == 1) {
            return Some(Reason::Early(Early::WakesAhead { chance, within: self.lead }));
        }
        let Foreseen { quantile, horizon, .. } = self.foreseen?;
        Some(Reason::Early(Early::Forecast { replicas, quantile, horizon }))
    }
}

fn foreseen(input: &Input<'_>, ahead: &Ahead, reactive: u32, lead: Duration) -> Foreseen {
    let headroom = input.headroom.get();
    let share = FORECAST_SHARE.max(input.headroom.get());
    let input = &Input { headroom: Ratio::try_new(share).unwrap_or(input.headroom), ..*input };
    let equivalents = equivalents(input, ahead);
    Foreseen {
        quantile: ahead.quantile,
        horizon: ahead.horizon,
        equivalents,
        replicas: equivalents.map(replicas_ceil),
        counts: equivalents.is_some() && ahead.counts(input.setup.strategy),
        reactive,
        headroom,
        trust: ahead.trust,
        stage: ahead.stage,
        next_stage: ahead.next_stage,
        lead,
    }
}
