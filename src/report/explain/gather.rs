//! From setup, memory and decision to what is shown of them.

use std::time::Duration;

use crate::engine::capacity::Capacity;
use crate::engine::decide::Timings;
use crate::engine::decision::{Decision, Foreseen, Stage, Trust};
use crate::engine::foresight::Unit;
use crate::engine::numeric::share;
use crate::engine::observation::WorkloadFacts;
use crate::engine::setup::{Lead, Setup, Strategy};
use crate::engine::step::Memory;
use crate::engine::units::{Replicas, Timestamp};
use crate::report::explain::data::{
    Band, Bands, CapacityLine, Cause, Course, Coverage, ForeseenLine, LeadLine, Stages, Standing,
};
use crate::report::facts::term_name;

/// Minutes judged before a share of them is told.
const COVERAGE_FROM: u32 = 60;

/// What a scaler is looked at with.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the user asked for.
    pub setup: &'a Setup,
    /// What the engine remembers after the decision.
    pub memory: &'a Memory,
    /// The latest decision; `None` before the first tick.
    pub decision: Option<&'a Decision>,
    /// The workload and its HPA, as last read.
    pub workload: &'a WorkloadFacts,
    /// The workload as the trigger names it, where nobody else does.
    pub named: Option<&'a str>,
    /// Time since KEDA first asked.
    pub age: Duration,
}

/// What was kept of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// The course.
    pub course: Course,
    /// What shaped it.
    pub causes: Vec<Cause>,
    /// Of the forecast's unit, what one replica takes at the headroom in force.
    pub per_replica: Option<f64>,
    /// How far it is with reading its past; `None` where nothing is to be read.
    pub history: Option<String>,
}

/// `scaleStrategy` as the user writes it.
pub(super) const fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Reactive => "reactive",
        Strategy::Observer => "observer",
        Strategy::Auto => "auto",
        Strategy::Proactive => "proactive",
        Strategy::Shadow => "shadow",
    }
}

impl Standing {
    /// Where the scaler stands.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        let View { setup, memory, decision, workload, named, age } = *view;
        let term = decision.and_then(|decision| decision.terms.first());
        let ready = decision.and_then(|decision| decision.ready).map(Replicas::get);
        let load = term.and_then(|term| share(term.value, f64::from(ready?)));
        let foreseen = decision.and_then(|decision| decision.foreseen);
        let trust = foreseen.map(|foreseen| foreseen.trust);
        Self {
            strategy: strategy(setup.strategy),
            reference: workload.workload.as_deref().or(named).map(crate::report::line::one_line),
            metric: term.map(|term| term_name(&term.kind)),
            metric_target: term.and_then(|term| term.per_replica),
            metric_current: load.filter(|_| term.is_some_and(|term| term.per_replica.is_some())),
            min: setup.min_replicas.map(Replicas::get).or(workload.hpa_min),
            max: max(setup, workload),
            age_seconds: age.as_secs_f64(),
            stage: foreseen.map(|foreseen| foreseen.stage.to_string()),
            trust: trust.map(word),
            skill: trust.and_then(skill),
            lead_seconds: Timings::of(setup, memory).lead.as_secs_f64(),
        }
    }
}

fn max(setup: &Setup, workload: &WorkloadFacts) -> u32 {
    let user = setup.max_replicas.map(Replicas::get).or(workload.hpa_max);
    user.unwrap_or(u32::MAX).min(setup.replicas_limit.get())
}

const fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::Young { .. } => "young",
        Trust::Trusted { .. } => "trusted",
        Trust::Demoted { .. } => "demoted",
    }
}

fn skill(trust: Trust) -> Option<f64> {
    match trust {
        Trust::Young { .. } => None,
        Trust::Trusted { ratio, .. } | Trust::Demoted { ratio, .. } => {
            // Against a rival that lost nothing a ratio is no figure.
            Some(ratio).filter(|ratio| ratio.is_finite() && *ratio < 1e6)
        }
    }
}

pub(super) fn foreseen(foreseen: &Foreseen) -> ForeseenLine {
    ForeseenLine {
        quantile: foreseen.quantile,
        horizon_seconds: foreseen.horizon.as_secs_f64(),
        equivalents: foreseen.equivalents,
        replicas: foreseen.replicas,
        counts: foreseen.counts,
        reactive: foreseen.reactive,
        headroom: foreseen.headroom,
        adds: foreseen.margin.map(|margin| margin.adds),
        share: foreseen.margin.map(|margin| margin.share),
        trust: foreseen.trust.to_string(),
        stage: foreseen.stage.to_string(),
        next_stage_seconds: foreseen.next_stage.map(|span| span.as_secs_f64()),
    }
}

pub(super) fn coverage(setup: &Setup, memory: &Memory) -> Option<Coverage> {
    let (share, minutes) = memory.foresight.coverage()?;
    // Of fewer minutes a share says nothing.
    let judged = minutes >= COVERAGE_FROM;
    judged.then_some(Coverage { quantile: setup.forecast.quantile.min(0.99), share, minutes })
}

/// `per_replica` turns the forecast's unit into replicas.
pub(super) fn bands(
    (setup, foreseen): (&Setup, Option<&Foreseen>),
    memory: &Memory,
    per_replica: Option<f64>,
) -> Option<Bands> {
    foreseen.filter(|foreseen| foreseen.stage > Stage::Cold)?;
    let foresight = &memory.foresight;
    let (unit, note) = match foresight.unit()? {
        Unit::Requests => ("requests", "requests per second"),
        Unit::Work => ("work", "work per second in output tokens; ten prompt tokens count as one"),
        Unit::Replicas => ("replicas", "replicas"),
    };
    // The quantile in force, as the forecasts behind have it.
    let asked = setup.forecast.quantile.min(0.99);
    let quantile = foreseen.map_or(asked, |foreseen| foreseen.quantile);
    let from: Timestamp = foresight.newest_known()?.plus(Duration::from_mins(1));
    let replicas = |value: f64| per_replica.and_then(|per| share(value, per));
    let band = |(minutes, median, upper): (u32, f64, f64)| Band {
        minutes,
        at_ms: from.plus(Duration::from_mins(u64::from(minutes))).unix_ms(),
        median,
        upper,
        median_replicas: replicas(median),
        upper_replicas: replicas(upper),
    };
    let points = foresight.bands(quantile).into_iter().map(band).collect();
    Some(Bands { unit, note, quantile, per_replica, points })
}

pub(super) fn lead(setup: &Setup, memory: &Memory) -> LeadLine {
    let timings = Timings::of(setup, memory);
    let fixed = matches!(setup.lead, Lead::Fixed(_));
    LeadLine {
        seconds: timings.lead.as_secs_f64(),
        fixed,
        cold_start_seconds: memory.cold_starts.p90(Lead::Learned).as_secs_f64(),
        cold_starts: memory.cold_starts.seen(),
        cold_starts_assumed: memory.cold_starts.assumed(),
        stages: memory.cold_start_stages.medians().map(|[scheduling, image, load]| Stages {
            scheduling_seconds: scheduling,
            image_seconds: image,
            load_seconds: load,
        }),
        reaction_seconds: timings.lead.saturating_sub(timings.cold_start).as_secs_f64(),
    }
}

pub(super) fn capacity(capacity: &Capacity) -> CapacityLine {
    CapacityLine {
        requests_per_second: capacity.request_rate(),
        output_tokens_per_second: capacity.generation.known(),
        prompt_tokens_per_second: capacity.prefill.known(),
        kv_tokens: capacity.kv_tokens,
        observed: capacity.generation.observed().or(capacity.requests.observed()).is_some(),
    }
}
