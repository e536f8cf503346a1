//! Which queries tell what arrived: pure text, over the selectors of [`crate::source::plan`].
//!
//! Given a target, its workload and a window. Promises queries that the server reduces to one series
//! each, whatever the number of pods; under every name a family ever had, the first that a pod has; a
//! truth that several series repeat counts once; a counter that an engine creates with its first
//! request is zero beside the engine's other families, and absent otherwise.
//!
//! A minute `m .. m + 60 s` is what was to be read at its end, as a tick reads it: the samples in the
//! window of a rate lie as far apart as those that a tick counts between. A window in which they lie
//! further apart would give smoother minutes than those to come, and a forecast that learned them takes
//! the chance of one minute for the beginning of a rise.

use std::time::Duration;

use crate::engine::arrived::Minute;
use crate::engine::observation::{Combine, Role};
use crate::engine::setup::{Family as Kind, GpuTargets, OwnRole, PowerTarget, Setup};
use crate::source::parts::own::Questions;
use crate::source::plan::{self, Scope, Style};
use crate::source::preset::{Family, Preset, Value, asked, is_ratio, preset};
use crate::spec::{Engine, SourceRef, Target, WorkloadRef};

/// From here on a gauge is a driver's "not supported": DCGM's blanks are 2^31 less some and 2^63. The
/// largest value that is none, memory in MiB, is far below.
const BLANKS_FROM: &str = "2147483632";

/// A share may exceed one by the rounding of an exporter, not by more.
const RATIO_MAX: f64 = 1.05;

/// Gauges that an engine has few series of, and that show that its page was read.
const SIGNS_OF_LIFE: [Role; 4] = [Role::Waiting, Role::Running, Role::KvUsage, Role::KvTokens];

/// What the one series of a query is, per second where it is a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    /// Requests that came to the gateway.
    Gateway,
    /// Requests that came to the engines or were finished by them.
    Requests,
    /// Requests that they refused.
    Refused,
    /// Output tokens.
    Output,
    /// Prompt tokens.
    Prompt,
    /// Prompt tokens that were cached.
    Cached,
    /// Demand of a GPU target or an own signal, to be divided by `target`, and times the ready
    /// replicas where it is a mean of them.
    Demand {
        /// What one replica carries.
        target: f64,
        /// The value is a mean per ready replica.
        per_replica: bool,
    },
    /// Ready replicas.
    Ready,
}

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    /// What it gives.
    pub(super) what: What,
    /// Its text.
    pub(super) text: String,
}

/// Whose arrivals, and over which windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// What the trigger asks for.
    pub(super) target: &'a Target,
    /// The workload.
    pub(super) workload: &'a WorkloadRef,
    /// The time between two scrapes, if it is known.
    pub(super) interval: Option<Duration>,
}

impl Subject<'_> {
    /// The range of a rate.
    fn range(&self) -> String {
        range(plan::minute_window(self.interval))
    }

    /// The range of a gauge's mean.
    fn lasting(&self) -> String {
        range(self.interval.unwrap_or_default().max(Minute::LENGTH))
    }

    fn scopes<'a>(&'a self, preset: &'a Preset) -> [Scope<'a>; 2] {
        let Self { target, workload, .. } = *self;
        Style::ALL.map(|style| Scope { target, workload, preset, style })
    }
}

fn range(window: Duration) -> String {
    format!("[{}s]", window.as_secs())
}

/// The queries of a trigger; `questions` are its own, `gateway` says whether its gateway may be asked.
/// Empty where nothing that shows arrivals is in a datasource.
pub(super) fn queries(
    subject: &Subject<'_>,
    setup: &Setup,
    questions: &Questions,
    gateway: bool,
) -> Vec<Query> {
    let mut found = match setup.family {
        Kind::Llm => of_engine(subject, gateway),
        Kind::Gpu => of_gpus(subject, &setup.gpu),
        Kind::Custom => Vec::new(),
    };
    if setup.family != Kind::Llm {
        found.extend(of_signals(subject, setup, questions));
    }
    found
}

fn of_engine(subject: &Subject<'_>, gateway: bool) -> Vec<Query> {
    let Subject { target, .. } = *subject;
    let mut found = Vec::new();
    let mut add = |what, text: Option<String>| {
        found.extend(text.map(|text| Query { what, text }));
    };
    if gateway {
        add(What::Gateway, at_gateway(subject));
    }
    if matches!(target.source, SourceRef::Datasource(_)) {
        add(What::Requests, counted(subject, &[Role::Arrivals, Role::Finished]));
        // Who counts requests as they come has counted those that it refused.
        let comes = families(&preset(target.engine), &[Role::Arrivals]);
        let refused = comes.is_empty().then(|| counted(subject, &[Role::Rejections]));
        add(What::Refused, refused.flatten());
        add(What::Output, counted(subject, &[Role::GenerationTokens]));
        add(What::Prompt, counted(subject, &[Role::PromptTokens]));
        add(What::Cached, counted(subject, &[Role::CachedTokens]));
    }
    found
}

/// Arrivals at a gateway: the first family that is there. It may be scraped less often than the pods.
fn at_gateway(subject: &Subject<'_>) -> Option<String> {
    let narrow = plan::minute_window(subject.interval);
    let mut windows = vec![narrow, plan::minute_window(None).max(narrow)];
    windows.dedup();
    let rate = |series: String| {
        let over = |window: &Duration| format!("rate({series}{})", range(*window));
        let rates: Vec<String> = windows.iter().map(over).collect();
        format!("sum({})", rates.join(" or "))
    };
    let ways = asked(subject.target.gateway?).iter().filter(|way| way.fits(subject.target));
    let names = ways.flat_map(|way| way.arrivals.iter().map(move |name| (way, *name)));
    let sums: Vec<String> = names
        .flat_map(|(way, name)| plan::gateway_series(subject.target, way, &[name]))
        .map(rate)
        .collect();
    (!sums.is_empty()).then(|| sums.join(" or "))
}

/// The sum over pods of the first of `roles` that a pod has, as a rate; `None` where the engine counts
/// none of them.
fn counted(subject: &Subject<'_>, roles: &[Role]) -> Option<String> {
    let preset = preset(subject.target.engine);
    let families = families(&preset, roles);
    let sums = subject.scopes(&preset).map(|scope| {
        let rate = |family: &Family, name: &str| {
            let series = scope.engine(&[name], family.labels);
            of_pod(&scope, family.combine, &format!("rate({series}{})", subject.range()))
        };
        let pods: Vec<String> = families
            .iter()
            .flat_map(|family| family.names.iter().map(|name| rate(family, name)))
            .collect();
        let sum = format!("sum({})", pods.join(" or "));
        match families.iter().any(|family| family.lazy) {
            true => format!("{sum} or {}", zero(&scope, &families)),
            false => sum,
        }
    });
    (!families.is_empty()).then(|| sums.join(" or "))
}

/// Zero, where the engine shows life and none of `families`.
fn zero(scope: &Scope<'_>, families: &[&Family]) -> String {
    let alive = self::families(scope.preset, &SIGNS_OF_LIFE);
    let names: Vec<&str> = alive.iter().flat_map(|family| family.names).copied().collect();
    let own: Vec<String> =
        families.iter().map(|family| scope.engine(family.names, family.labels)).collect();
    let alive = scope.engine(&names, &[]);
    format!("0 * count({alive}) unless count({})", own.join(" or "))
}

fn of_gpus(subject: &Subject<'_>, targets: &GpuTargets) -> Vec<Query> {
    let level = |role: Role, target: f64| (sum_of_gpus(subject, role, None), target);
    let quotient =
        |role: Role, whole: Role, target: f64| (sum_of_gpus(subject, role, Some(whole)), target);
    let GpuTargets { utilization, memory, memory_bandwidth, power } = *targets;
    let asked = [
        utilization.map(|at| level(Role::GpuUtilization, at.get())),
        memory.map(|at| quotient(Role::GpuMemoryUsed, Role::GpuMemoryTotal, at.get())),
        memory_bandwidth.map(|at| level(Role::GpuMemoryBandwidth, at.get())),
        power.map(|power| match power {
            PowerTarget::Watts(target) => level(Role::GpuPower, target),
            PowerTarget::OfLimit(at) => quotient(Role::GpuPower, Role::GpuPowerLimit, at.get()),
        }),
    ];
    let query = |(text, target)| Query { what: What::Demand { target, per_replica: false }, text };
    asked.into_iter().flatten().map(query).collect()
}

/// The sum over pods of the level of `role`, or of its share of `whole`.
fn sum_of_gpus(subject: &Subject<'_>, role: Role, whole: Option<Role>) -> String {
    let preset = preset(Engine::Gpu);
    let sums = subject.scopes(&preset).map(|scope| {
        let part = level(subject, &scope, role);
        match whole {
            None => format!("sum({part})"),
            Some(whole) => {
                format!("sum(clamp_max(({part}) / ({}), 1))", level(subject, &scope, whole))
            }
        }
    });
    sums.join(" or ")
}

/// The mean level of a gauge over the window, by pod, in the unit of the role.
fn level(subject: &Subject<'_>, scope: &Scope<'_>, role: Role) -> String {
    let one = |family: &Family, name: &str| {
        let Value::Scaled(factor) = family.value else { return None };
        let usable = if is_ratio(role) {
            format!("<= {}", RATIO_MAX / factor)
        } else {
            format!("< {BLANKS_FROM}")
        };
        let mean = |name: &str| {
            let series = scope.gpu(&[name]);
            let mean = format!("avg_over_time({series}{}) {usable}", subject.lasting());
            of_pod(scope, family.combine, &mean)
        };
        let first = mean(name);
        let parts = family.also.iter().map(|part| format!(" + ({} or 0 * {first})", mean(part)));
        let parts: String = parts.collect();
        let whole = if parts.is_empty() { first.clone() } else { format!("({first}{parts})") };
        Some(if (factor - 1.0).abs() < f64::EPSILON {
            whole
        } else {
            format!("{factor} * {whole}")
        })
    };
    let rows = families(scope.preset, &[role]);
    let levels: Vec<String> = rows
        .iter()
        .flat_map(|family| family.names.iter().filter_map(|name| one(family, name)))
        .collect();
    levels.join(" or ")
}

/// One number per pod of `series`: what several of them say alike counts once.
fn of_pod(scope: &Scope<'_>, combine: Combine, series: &str) -> String {
    let pod = scope.style.pod();
    let labels: Vec<&str> =
        std::iter::once(pod).chain(scope.preset.identity.iter().copied()).collect();
    let word = match combine {
        Combine::Sum => "sum",
        Combine::Mean => "avg",
        Combine::Max => "max",
    };
    format!("{word} by ({pod}) (max by ({}) ({series}))", labels.join(", "))
}

fn of_signals(subject: &Subject<'_>, setup: &Setup, questions: &Questions) -> Vec<Query> {
    let signals = setup.own.iter().zip(&questions.own);
    let demand = signals.filter(|(signal, _)| signal.role == OwnRole::Demand);
    let mut found: Vec<Query> = demand
        .filter_map(|(signal, question)| {
            let what = What::Demand { target: signal.target, per_replica: !signal.total };
            let text = question.admitted.as_ref().ok()?.query.clone();
            Some(Query { what, text })
        })
        .collect();
    let means = |query: &Query| matches!(query.what, What::Demand { per_replica: true, .. });
    if found.iter().any(means) {
        let text = plan::ready(subject.target, subject.workload);
        found.push(Query { what: What::Ready, text });
    }
    found
}

/// The rows of `roles`, in their order.
pub(super) fn families<'a>(preset: &Preset, roles: &[Role]) -> Vec<&'a Family> {
    let rows = preset.families;
    roles.iter().flat_map(|role| rows.iter().filter(move |row| row.role == *role)).collect()
}

#[cfg(test)]
mod tests;
