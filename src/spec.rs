//! Trigger metadata to types that cannot be wrong: all faults at once, each with key, value and what
//! would be accepted.
//!
//! Given namespace, name and the metadata map as KEDA sends them, from whoever sends them. Promises:
//! bounded work, no panic, texts without secrets. Reading anything, and confining queries to a
//! namespace, is left to [`crate::source`].

mod bounds;
mod demand;
mod document;
mod endpoint;
mod fault;
mod forecast;
mod keys;
mod limit;
mod names;
mod number;
mod place;
mod power;
mod profile;
mod quantile;
mod query;
mod raw;
mod schedule;
mod selector;
mod settings;
mod share;
mod signals;
mod span;
mod target;
mod wake;
mod yaml;
mod zone;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::engine::calendar::Calendar;
use crate::engine::setup::{Forecasting, OwnRole, Setup};
use crate::engine::units::Replicas;

use crate::spec::bounds::Surroundings;
use crate::spec::demand::Demand;
use crate::spec::limit::Frame;
use crate::spec::place::Place;
use crate::spec::raw::Raw;
use crate::spec::wake::Wake;

pub(crate) use document::{Misread, document, yaml_problem};
pub use fault::{Fault, Faults, Problem};
pub use forecast::Forecast;
pub use keys::{KEDA_KEYS, Key, key, keys, reference};
pub use limit::tick;
pub(crate) use names::{closest, is_label, is_subdomain};
pub use quantile::Quantile;
pub(crate) use quantile::within as quantile_within;
pub(crate) use share::ratio;
pub(crate) use span::{Span, within as span_within};
pub use target::{
    Endpoint, Engine, Gateway, LabelMatcher, MatchOp, OwnQuery, SourceRef, Target, WorkloadKind,
    WorkloadRef,
};
pub(crate) use zone::{holidays, timezone};

/// The server's limits that metadata is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Scalers in all; more are refused.
    pub scalers: usize,
    /// Scalers of one namespace.
    pub per_namespace: usize,
    /// Largest `maxReplicas`.
    pub max_replicas: u32,
    /// Time between ticks where a trigger says none.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { scalers: 10_000, per_namespace: 500, max_replicas: 1000, tick: limit::TICK }
    }
}

/// One trigger, understood.
///
/// Its `Debug` shows no contents when any value came from the environment.
#[derive(Clone, PartialEq)]
pub struct Spec {
    /// What to read, and from where.
    pub target: Target,
    /// What the engine needs to know.
    pub setup: Setup,
    /// What the forecast goes by, as it was written.
    pub forecast: Forecast,
    /// The capacity profile named, if any.
    pub profile: Option<&'static str>,
    /// Keys whose values came from the environment and are never shown.
    pub from_env: Vec<&'static str>,
}

impl Spec {
    /// Every key with the value in force, in the order of [`keys`]; `None` where it is unset,
    /// learned or left to the HPA. Values from the environment are not shown.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let Self { target, setup, forecast, profile, from_env } = self;
        let parts = settings::Parts { target, setup, forecast, profile: *profile };
        let rows = settings::rows(parts);
        let order = |name: &str| keys().iter().position(|key| key.name == name);
        let mut rows: Vec<_> = rows
            .into_iter()
            .map(|(key, value)| {
                let hidden = from_env.contains(&key);
                (key, if hidden { Some(fault::FROM_ENV.to_owned()) } else { value })
            })
            .collect();
        rows.sort_by_key(|(name, _)| order(name));
        rows
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, setup, forecast, profile, from_env } = self;
        let mut out = f.debug_struct("Spec");
        if from_env.is_empty() {
            out.field("target", target).field("setup", setup).field("forecast", forecast);
            out.field("profile", profile);
        }
        out.field("from_env", from_env).finish_non_exhaustive()
    }
}

/// Metadata as it may be logged: keys, and the values of those keys of ours that did not come from
/// the environment.
pub struct Redacted<'a>(pub &'a BTreeMap<String, String>);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            let safe = key(name).is_some() && !value.contains('@');
            (fault::shown(name, 64), if safe { fault::shown(value, 64) } else { "(hidden)".into() })
        });
        f.debug_map().entries(shown).finish()
    }
}

/// Understands one trigger.
///
/// # Errors
/// Every fault of the metadata at once.
pub fn parse(
    namespace: &str,
    name: &str,
    metadata: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<Spec, Faults> {
    let mut raw = Raw::read(metadata);
    if !names::is_label(namespace) {
        raw.refuse("namespace", "must be the name of a Kubernetes namespace");
    }
    if !names::is_subdomain(name) {
        raw.refuse("name", "must be the name of a Kubernetes object");
    }
    let place = place::read(&mut raw, namespace, name);
    let demand = demand::read(&mut raw, place.engine);
    let wake = wake::read(&mut raw, namespace);
    let frame = limit::read(&mut raw, limits.max_replicas, limits.tick);
    let forecast = forecast::read(&mut raw, frame.headroom);
    let around = Surroundings { zone: forecast.zone, replicas_limit: limits.max_replicas };
    let calendar = forecast::read_bounds(&mut raw, around);
    let from_env = raw.secrets();
    let faults = raw.into_faults();
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let forecasting = forecast.forecasting(frame.headroom);
    let setup = setup(&place, &demand, &wake, &frame, limits);
    let setup = Setup { calendar, forecast: forecasting, ..setup };
    let profile = place.profile.map(|profile| profile.name);
    let target = target((namespace, name), place, demand, wake, setup.tick);
    Ok(Spec { target, setup, forecast, profile, from_env })
}

fn setup(place: &Place, demand: &Demand, wake: &Wake, frame: &Frame, limits: &Limits) -> Setup {
    let activates = demand.own.iter().any(|signal| signal.role == OwnRole::Activation);
    Setup {
        family: demand.family,
        has_kv: demand.has_kv,
        prefill_waits: demand.prefill_waits,
        targets: demand.targets,
        gpu: demand.gpu,
        objectives: demand.objectives,
        own: demand.own.clone(),
        activation: wake.activation,
        wake_path: wake.visible() || activates,
        idle_after: wake.idle_after,
        activation_timeout: wake.activation_timeout,
        strategy: frame.strategy,
        lead: frame.lead,
        capacity: place.profile.map(|profile| profile.capacity).unwrap_or_default(),
        min_replicas: frame.min_replicas,
        max_replicas: frame.max_replicas,
        replicas_limit: Replicas::new(limits.max_replicas),
        calendar: Calendar::default(),
        headroom: frame.headroom,
        on_no_data: frame.on_no_data,
        hpa_tolerance: frame.hpa_tolerance,
        forecast: Forecasting::default(),
        tick: frame.tick,
    }
}

fn target(
    (namespace, name): (&str, &str),
    place: Place,
    demand: Demand,
    wake: Wake,
    tick: Duration,
) -> Target {
    Target {
        namespace: namespace.to_owned(),
        scaled_object: name.to_owned(),
        hpa: place.hpa,
        workload: place.workload,
        engine: place.engine,
        selector: place.selector,
        model: place.model,
        source: place.source,
        gateway: wake.gateway,
        gateway_selector: wake.gateway_selector,
        activation_query: wake.activation_query,
        activation_endpoints: wake.activation_endpoints,
        latencies: demand.latencies(),
        latency_quantile: demand.latency_quantile.get(),
        gpu: demand.reads_gpu(),
        own: demand.queries,
        tick,
    }
}
