//! What to ask of a Prometheus-compatible server for one target: pure text.
//!
//! Given a [`crate::spec::Target`] and the name of its workload, as far as it is known. Promises
//! queries in which every value is escaped and every selector carries the namespace. Asking them,
//! and reading the answers, is left to others.
//!
//! Series of the workload are fetched raw, by a range selector evaluated at the tick: the answer of
//! an instant vector carries the time of the evaluation, so a dead exporter would look alive for
//! five minutes. Facts of kube-state-metrics have no age to be judged and are asked as one vector.

use std::time::Duration;

use crate::source::preset::{Asked, Histogram, Label, Model, Preset, Tenant, cluster};
use crate::spec::{LabelMatcher, MatchOp, Target, WorkloadKind, WorkloadRef};

/// Window of raw samples with an unknown or short scrape interval: five scrapes of 30 s.
const WINDOW_MIN: Duration = Duration::from_secs(150);

/// Window of histogram rates: four scrapes of 30 s.
const RATE_MIN: Duration = Duration::from_secs(120);

/// Kubernetes cuts the generated part of a pod's name so that prefix and suffix fit 63 characters.
const GENERATED_PREFIX_MAX: usize = 58;

/// A ReplicaSet's name is the Deployment's, a dash and up to 10 characters; then a dash.
const REPLICA_SET_SUFFIX: usize = 12;

/// Under which labels a scrape left the pod and its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// `namespace` and `pod`.
    Plain,
    /// `exported_namespace` and `exported_pod`: the exporter's labels gave way to the target's.
    Exported,
}

impl Style {
    /// Both, the common one first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Exported];

    const fn namespace(self) -> &'static str {
        match self {
            Self::Plain => "namespace",
            Self::Exported => "exported_namespace",
        }
    }

    /// The label of the pod.
    #[must_use]
    pub const fn pod(self) -> &'static str {
        match self {
            Self::Plain => "pod",
            Self::Exported => "exported_pod",
        }
    }
}

/// The range of raw samples: 150 s, or five scrape intervals in whole minutes where that is longer.
#[must_use]
pub fn window(scrape_interval: Option<Duration>) -> Duration {
    at_least(WINDOW_MIN, 5, scrape_interval)
}

/// The range of histogram rates: 120 s, or four scrape intervals in whole minutes if longer.
#[must_use]
pub fn rate_window(scrape_interval: Option<Duration>) -> Duration {
    at_least(RATE_MIN, 4, scrape_interval)
}

/// The range of a rate that says of a minute what a tick at its end counts
/// ([`Freshness`](crate::engine::signals::Freshness)): its samples are a minute apart, or two scrapes where
/// those take longer, and a scrape more is needed to find both. In whole seconds. Where the time between
/// scrapes is unknown, one in which most find two samples.
#[must_use]
pub fn minute_window(scrape_interval: Option<Duration>) -> Duration {
    let Some(interval) = scrape_interval else { return RATE_MIN };
    let counted = Duration::from_mins(1).max(interval.saturating_mul(2));
    let whole = counted.saturating_add(interval).saturating_add(Duration::from_millis(500));
    Duration::from_secs(whole.as_secs())
}

/// Whole minutes, so that scalers with nearly equal intervals ask the same query.
fn at_least(least: Duration, scrapes: u32, interval: Option<Duration>) -> Duration {
    let wanted = interval.unwrap_or_default().saturating_mul(scrapes);
    if wanted <= least {
        return least;
    }
    Duration::from_secs(wanted.as_secs().div_ceil(60) * 60)
}

/// The pattern that the pods' names match; anchored by PromQL.
#[must_use]
pub fn pod_pattern(workload: &WorkloadRef) -> String {
    let name = regex_escaped(&workload.name);
    match workload.kind {
        Some(WorkloadKind::Deployment) => deployment_pattern(&workload.name),
        Some(WorkloadKind::StatefulSet) => format!("{name}-[0-9]+"),
        None => format!("(?:{}|{name}-[0-9]+)", deployment_pattern(&workload.name)),
    }
}

fn deployment_pattern(name: &str) -> String {
    if name.len() >= GENERATED_PREFIX_MAX {
        let cut: String = name.chars().take(GENERATED_PREFIX_MAX).collect();
        format!("{}[a-z0-9]{{5}}", regex_escaped(&cut))
    } else if name.len() + REPLICA_SET_SUFFIX > GENERATED_PREFIX_MAX {
        format!("{}-[a-z0-9]*-?[a-z0-9]{{5}}", regex_escaped(name))
    } else {
        format!("{}-[a-z0-9]+-[a-z0-9]{{5}}", regex_escaped(name))
    }
}

/// Raw samples of `names` in the pods of `workload`.
#[must_use]
pub fn pods(
    target: &Target,
    workload: &WorkloadRef,
    names: &[&str],
    style: Style,
    window: Duration,
) -> String {
    let mut matchers = pod_matchers(target, workload, style);
    matchers.extend(target.selector.iter().map(matcher));
    ranged(names, &matchers, window)
}

/// Raw samples of GPU families in the pods of `workload`; the engine's own matchers do not apply.
#[must_use]
pub fn gpus(
    target: &Target,
    workload: &WorkloadRef,
    names: &[&str],
    style: Style,
    window: Duration,
) -> String {
    ranged(names, &pod_matchers(target, workload, style), window)
}

/// Replica facts: HPA, Deployment, StatefulSet and pods, in both label styles, as one vector.
///
/// `or` compares labels without the name, so each operand must differ from the others in a label:
/// families that share all of them are one selector.
#[must_use]
pub fn facts(target: &Target, workload: &WorkloadRef) -> String {
    let mut parts = Vec::new();
    for style in Style::ALL {
        let within = equal(style.namespace(), &target.namespace);
        let object = |label: &str, name: &str| vec![within.clone(), equal(label, name)];
        parts.push(selector(&cluster::HPA, &object("horizontalpodautoscaler", &target.hpa)));
        if workload.kind != Some(WorkloadKind::StatefulSet) {
            parts.push(selector(&cluster::DEPLOYMENT, &object("deployment", &workload.name)));
        }
        if workload.kind != Some(WorkloadKind::Deployment) {
            parts.push(selector(&cluster::STATEFUL_SET, &object("statefulset", &workload.name)));
        }
        let pods = vec![within.clone(), like(style.pod(), &pod_pattern(workload))];
        parts.push(selector(&cluster::POD_TIMES, &pods));
        parts.push(format!("{} == 1", selector(&[cluster::POD_PHASE], &pods)));
        let mut ready = pods;
        ready.push(equal("condition", "true"));
        parts.push(selector(&[cluster::POD_READY], &ready));
    }
    parts.join(" or ")
}

/// Rates of a latency histogram by bucket: under its best name, else under the next.
#[must_use]
pub fn latency(
    target: &Target,
    workload: &WorkloadRef,
    preset: &Preset,
    histogram: &Histogram,
    window: Duration,
) -> String {
    let matchers = Scope { target, workload, preset, style: Style::Plain }.of_engine();
    let rates: Vec<String> = histogram
        .names
        .iter()
        .map(|name| {
            let bucket = format!("{name}_bucket");
            format!("sum by (le) (rate({}))", ranged(&[&bucket], &matchers, window))
        })
        .collect();
    rates.join(" or on () ")
}

/// Whose families are meant when they are selected one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// What the trigger asks for.
    pub(crate) target: &'a Target,
    /// The workload.
    pub(crate) workload: &'a WorkloadRef,
    /// The tables of the engine, or of GPU exporters.
    pub(crate) preset: &'a Preset,
    /// Labels of the pod.
    pub(crate) style: Style,
}

impl Scope<'_> {
    /// The engine's series of `names` with the labels of a row, in the pods of the workload and of the
    /// served model.
    pub(crate) fn engine(&self, names: &[&str], labels: &[Label]) -> String {
        let mut matchers = self.of_engine();
        matchers.extend(labels.iter().map(|Label::Is(label, value)| match *value {
            "" => equal(label, ""),
            value => like(label, &format!("|{}", regex_escaped(value))),
        }));
        selector(names, &matchers)
    }

    /// The GPU exporter's series of `names` in the pods of the workload.
    pub(crate) fn gpu(&self, names: &[&str]) -> String {
        selector(names, &pod_matchers(self.target, self.workload, self.style))
    }

    fn of_engine(&self) -> Vec<String> {
        let Self { target, workload, preset, style } = *self;
        let mut matchers = pod_matchers(target, workload, style);
        matchers.extend(target.selector.iter().map(matcher));
        if let (Some(label), Some(model)) = (preset.model_label, target.model.as_deref()) {
            matchers.push(if preset.model_any_case {
                like(label, &format!("(?i){}", regex_escaped(model)))
            } else {
                equal(label, model)
            });
        }
        matchers
    }
}

/// A gateway's series of `names`, in one of the ways it can be asked: one selector for each place in
/// which a scrape may have left the namespace.
pub(crate) fn gateway_series(target: &Target, asked: &Asked, names: &[&str]) -> Vec<String> {
    let within = tenants(target, asked, &target.gateway_selector);
    within.iter().map(|within| selector(names, &demand_matchers(target, asked, within))).collect()
}

/// Ready replicas of the workload, in both label styles: the larger where several say it.
pub(crate) fn ready(target: &Target, workload: &WorkloadRef) -> String {
    let families = [
        (WorkloadKind::Deployment, "deployment", cluster::DEPLOYMENT[1]),
        (WorkloadKind::StatefulSet, "statefulset", cluster::STATEFUL_SET[1]),
    ];
    let meant = families.iter().filter(|(kind, ..)| workload.kind.is_none_or(|of| of == *kind));
    let parts: Vec<String> = meant
        .flat_map(|(_, label, name)| {
            Style::ALL.map(|style| {
                let within = equal(style.namespace(), &target.namespace);
                selector(&[name], &[within, equal(label, &workload.name)])
            })
        })
        .collect();
    format!("max({})", parts.join(" or "))
}

/// Pods of the namespace that export `names` without the labels `blank`.
#[must_use]
pub fn candidates(target: &Target, names: &[&str], blank: &[&str]) -> String {
    let parts: Vec<String> = Style::ALL
        .iter()
        .map(|style| {
            let mut matchers = vec![equal(style.namespace(), &target.namespace)];
            for label in blank {
                let matcher = equal(label, "");
                if !matchers.contains(&matcher) {
                    matchers.push(matcher);
                }
            }
            format!("group by ({}) ({})", style.pod(), selector(names, &matchers))
        })
        .collect();
    parts.join(" or ")
}

/// Raw samples of a gateway, in one of the ways it can be asked: one query, or two where the families
/// that show life lack a label that the others are selected by; for each place in which a scrape may
/// have left the namespace.
#[must_use]
pub fn gateway(target: &Target, asked: &Asked, window: Duration) -> Vec<String> {
    let extra = &target.gateway_selector;
    let demand = asked.demand();
    let of_flow = |given: &LabelMatcher| asked.flow.iter().any(|(label, _)| *label == given.label);
    let of_model = target.model.is_some() && !matches!(asked.model, Model::Unsaid | Model::Mixed);
    let apart = of_model || asked.object.is_some() || extra.iter().any(of_flow);
    let of_page = of_page(asked, extra);
    let each = |within: &Vec<String>| {
        let matchers = demand_matchers(target, asked, within);
        if asked.alive.is_empty() {
            return vec![ranged(&demand, &matchers, window)];
        }
        if !apart {
            let names: Vec<&str> = demand.iter().chain(asked.alive).copied().collect();
            return vec![ranged(&names, &matchers, window)];
        }
        let life = with(within, of_page.iter().map(matcher));
        vec![ranged(&demand, &matchers, window), ranged(asked.alive, &life, window)]
    };
    tenants(target, asked, extra).iter().flat_map(each).collect()
}

/// The user's matchers as the families that show life know them, as far as they do.
pub(crate) fn of_page(asked: &Asked, extra: &[LabelMatcher]) -> Vec<LabelMatcher> {
    extra.iter().filter_map(|given| on_page(asked, given)).collect()
}

/// A user's matcher as the families that show life know it, if they know it at all.
fn on_page(asked: &Asked, given: &LabelMatcher) -> Option<LabelMatcher> {
    match asked.flow.iter().find(|(label, _)| *label == given.label) {
        None => Some(given.clone()),
        Some((_, None)) => None,
        Some((_, Some(label))) => {
            Some(LabelMatcher { label: (*label).to_owned(), ..given.clone() })
        }
    }
}

/// What the name of a cluster of Envoy Gateway begins with.
pub(crate) const ROUTES: [&str; 2] = ["httproute/", "grpcroute/"];

/// The matchers that confine a gateway's series to the namespace, one list for each place in which a
/// scrape may have left it.
fn tenants(target: &Target, asked: &Asked, extra: &[LabelMatcher]) -> Vec<Vec<String>> {
    let namespace = &target.namespace;
    match asked.tenant {
        // A router in another namespace is named by its namespace; tenancy refuses that elsewhere.
        Tenant::Label(label) if extra.iter().any(|given| given.label == label) => vec![Vec::new()],
        Tenant::Label(label) | Tenant::Own(label) => vec![vec![equal(label, namespace)]],
        Tenant::Renamed(label) => {
            let renamed = format!("exported_{label}");
            // Without the second matcher a tenant in the gateway's own namespace would read everybody's.
            let kept = vec![equal(label, namespace), equal(&renamed, "")];
            vec![vec![equal(&renamed, namespace)], kept]
        }
        Tenant::Prefix(label) => {
            vec![vec![like(label, &format!("{}/.+", regex_escaped(namespace)))]]
        }
        Tenant::Route(label) => {
            let kinds = ROUTES.join("|");
            vec![vec![like(label, &format!("(?:{kinds}){}/.+", regex_escaped(namespace)))]]
        }
    }
}

fn demand_matchers(target: &Target, asked: &Asked, within: &[String]) -> Vec<String> {
    let fixed = asked.with.iter().map(|(label, value)| equal(label, value));
    let object = asked.object.map(|label| equal(label, &target.scaled_object));
    let model = target.model.as_deref().and_then(|model| match asked.model {
        Model::Unsaid | Model::Mixed => None,
        Model::Label(label) => Some(equal(label, model)),
        Model::AnyCase(label) => Some(like(label, &format!("(?i){}", regex_escaped(model)))),
    });
    let extra = target.gateway_selector.iter().map(matcher);
    with(within, fixed.chain(object).chain(model).chain(extra))
}

fn with(within: &[String], more: impl Iterator<Item = String>) -> Vec<String> {
    within.iter().cloned().chain(more).collect()
}

/// Raw samples of `up` of one scrape target.
#[must_use]
pub fn up(labels: &[(&str, &str)], window: Duration) -> String {
    let matchers: Vec<String> = labels.iter().map(|(name, value)| equal(name, value)).collect();
    ranged(&["up"], &matchers, window)
}

fn pod_matchers(target: &Target, workload: &WorkloadRef, style: Style) -> Vec<String> {
    vec![equal(style.namespace(), &target.namespace), like(style.pod(), &pod_pattern(workload))]
}

fn ranged(names: &[&str], matchers: &[String], window: Duration) -> String {
    format!("{}[{}s]", selector(names, matchers), window.as_secs())
}

fn selector(names: &[&str], matchers: &[String]) -> String {
    let name = match names {
        [only] => equal("__name__", only),
        many => like("__name__", &many.join("|")),
    };
    format!("{{{name},{}}}", matchers.join(","))
}

fn equal(label: &str, value: &str) -> String {
    written(label, "=", value)
}

fn like(label: &str, pattern: &str) -> String {
    written(label, "=~", pattern)
}

fn matcher(given: &LabelMatcher) -> String {
    let op = match given.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    written(&given.label, op, &given.value)
}

fn written(label: &str, op: &str, value: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if label.is_empty() || !label.chars().all(fits) {
        // Labels are checked where they are parsed; should one slip through, nothing matches.
        return "prescale_not_a_label=\"1\"".to_owned();
    }
    format!("{label}{op}\"{}\"", string_escaped(value))
}

fn string_escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `text` as a pattern that matches itself, in the syntax that RE2 and Rust share.
fn regex_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests;
