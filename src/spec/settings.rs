//! What a trigger came to: every key with the value in force, defaults included.

use crate::engine::calendar::{Bound, Calendar, Entry, Rule};
use crate::engine::setup::{GpuTargets, Lead, Objectives, Setup, Targets};
use crate::engine::units::{Ratio, Replicas};
use crate::spec::forecast::Forecast;
use crate::spec::limit::{ON_NO_DATA, STRATEGIES};
use crate::spec::span::Span;
use crate::spec::target::{SourceRef, Target, word};
use crate::spec::{endpoint, names, power, selector, signals};

/// The parts of an understood trigger.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) target: &'a Target,
    pub(crate) setup: &'a Setup,
    pub(crate) forecast: &'a Forecast,
    pub(crate) profile: Option<&'static str>,
}

/// Key and value, in the order of the documentation; `None`: unset, learned or left to the HPA.
pub(crate) fn rows(parts: Parts<'_>) -> Vec<(&'static str, Option<String>)> {
    let mut rows = place(parts);
    rows.extend(demand(parts.setup, parts.target));
    rows.extend(wake(parts.setup, parts.target));
    rows.extend(forecast(parts));
    rows.extend(frame(parts.setup));
    rows
}

type Row = (&'static str, Option<String>);

fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn unless_empty(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn number(value: Option<f64>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn ratio(value: Option<Ratio>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn span(value: Option<std::time::Duration>) -> Option<String> {
    value.map(|value| Span(value).to_string())
}

fn replicas(value: Option<Replicas>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn place(Parts { target, profile, .. }: Parts<'_>) -> Vec<Row> {
    let endpoints = match &target.source {
        SourceRef::Datasource(_) => String::new(),
        SourceRef::Endpoints { endpoints, .. } => endpoint::show(endpoints),
    };
    vec![
        ("engine", text(target.engine)),
        ("profile", profile.and_then(text)),
        ("workload", target.workload.as_ref().map(names::show_workload)),
        ("hpa", text(&target.hpa)),
        ("selector", unless_empty(selector::show(&target.selector))),
        ("model", target.model.clone()),
        ("datasource", text(target.source.datasource())),
        ("endpoints", unless_empty(endpoints)),
    ]
}

fn demand(setup: &Setup, target: &Target) -> Vec<Row> {
    let Targets { queue_depth, concurrency, request_rate, token_rate, kv_cache } = setup.targets;
    let GpuTargets { utilization, memory, memory_bandwidth, power } = setup.gpu;
    let Objectives { ttft, inter_token, request } = setup.objectives;
    vec![
        ("queueDepth", number(queue_depth)),
        ("concurrency", number(concurrency)),
        ("requestRate", number(request_rate)),
        ("tokenRate", number(token_rate)),
        ("kvCache", ratio(kv_cache)),
        ("ttft", span(ttft)),
        ("interTokenLatency", span(inter_token)),
        ("requestLatency", span(request)),
        ("latencyQuantile", text(target.latency_quantile)),
        ("gpuUtilization", ratio(utilization)),
        ("gpuMemory", ratio(memory)),
        ("gpuMemoryBandwidth", ratio(memory_bandwidth)),
        ("gpuPower", power.map(power::show)),
        ("signals", unless_empty(signals::show(&setup.own))),
    ]
}

fn wake(setup: &Setup, target: &Target) -> Vec<Row> {
    vec![
        ("activation", text(setup.activation)),
        ("gateway", target.gateway.and_then(text)),
        ("gatewaySelector", unless_empty(selector::show(&target.gateway_selector))),
        ("activationQuery", target.activation_query.clone()),
        ("activationEndpoints", unless_empty(endpoint::show(&target.activation_endpoints))),
        ("idleAfter", span(Some(setup.idle_after))),
        ("activationTimeout", span(setup.activation_timeout)),
    ]
}

fn forecast(Parts { setup, forecast, .. }: Parts<'_>) -> Vec<Row> {
    let Forecast { quantile, history, zone, holidays, headroom_trusted, cold_start_cost } =
        forecast;
    let lead = match setup.lead {
        Lead::Learned => "auto".to_owned(),
        Lead::Fixed(lead) => Span(lead).to_string(),
    };
    let dates: Vec<String> = holidays.iter().map(ToString::to_string).collect();
    vec![
        ("coldStartCost", span(*cold_start_cost)),
        ("scaleStrategy", text(word(&STRATEGIES, setup.strategy))),
        ("quantile", quantile.and_then(text)),
        ("scaleUpForward", text(lead)),
        ("forecastHistory", span(Some(*history))),
        ("timezone", text(zone.name())),
        ("holidays", unless_empty(dates.join(","))),
        ("instanceBounds", unless_empty(calendar(&setup.calendar))),
        ("headroomTrusted", ratio(*headroom_trusted)),
    ]
}

/// The bounds as a reader checks them: `4..15 in * 8-19 ? * MON-FRI Europe/Berlin`.
fn calendar(calendar: &Calendar) -> String {
    let entries = calendar.entries().iter().map(|Entry { zone, rule }| {
        let said = match rule {
            Rule::Matching { bounds, .. } => {
                bounds.iter().map(bound).collect::<Vec<_>>().join(", ")
            }
            Rule::Between { start, end, desired } => format!("{desired}.. from {start} to {end}"),
        };
        format!("{said} {}", zone.name())
    });
    entries.collect::<Vec<_>>().join("; ")
}

fn bound(Bound { cron, min, max }: &Bound) -> String {
    let limit = |limit: &Option<Replicas>| limit.map_or_else(String::new, |max| max.to_string());
    format!("{}..{} in {cron}", limit(min), limit(max))
}

fn frame(setup: &Setup) -> Vec<Row> {
    let tolerance = setup.hpa_tolerance.map_or_else(|| "off".to_owned(), |ratio| ratio.to_string());
    vec![
        ("minReplicas", replicas(setup.min_replicas)),
        ("maxReplicas", replicas(setup.max_replicas)),
        ("headroom", text(setup.headroom)),
        ("onNoData", text(word(&ON_NO_DATA, setup.on_no_data))),
        ("hpaTolerance", text(tolerance)),
        ("tick", span(Some(setup.tick))),
    ]
}
