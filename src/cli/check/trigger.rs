//! One trigger of ours: how KEDA would treat it, and what its metadata comes to.

use std::collections::BTreeMap;

use crate::cli::check::connection;
use crate::cli::check::finding::{Findings, Level, Place, Setting, Trigger};
use crate::cli::check::manifest::TriggerManifest;
use crate::engine::setup::Strategy;
use crate::spec::{Faults, Limits, Spec, closest, key, parse};

/// Keys of which one is enough to see demand while there are no pods.
const WAKE_KEYS: [&str; 4] = ["gateway", "activationQuery", "activationEndpoints", "signals"];
/// What stands for a value from the environment where other keys depend on its presence.
const PLACEHOLDERS: [(&str, &str); 2] =
    [("gateway", "keda-http"), ("signals", "[{name: unknown, query: unknown, target: 1}]")];
/// A latency above a minute is rarely meant.
const BARE_SECONDS_MAX: f64 = 60.0;
const ADDRESS: &str = "scalerAddress";
/// The types that call an external scaler.
const TYPES: [&str; 2] = ["external", "external-push"];
const SUFFIX: &str = "FromEnv";

/// A trigger of ours, checked.
#[derive(Debug)]
pub(crate) struct Understood {
    pub(crate) place: Place,
    /// Whether it has a name of its own.
    pub(crate) named: bool,
    /// Whether it is of type `external-push`.
    pub(crate) push: bool,
    /// What it came to; `None` when the metadata is wrong.
    pub(crate) spec: Option<Spec>,
    /// Keys whose values are only known in the cluster.
    pub(crate) from_env: Vec<String>,
}

impl Understood {
    /// Whether it can see demand while there are no pods, as far as is known here.
    pub(crate) fn wakes(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.setup.wake_path)
            || self.from_env.iter().any(|key| WAKE_KEYS.contains(&key.as_str()))
    }

    /// How its forecast takes part, if that is known here.
    pub(crate) fn strategy(&self) -> Option<Strategy> {
        self.spec.as_ref().map(|spec| spec.setup.strategy)
    }
}

/// Whether an external trigger is meant for prescale.
pub(crate) fn is_ours(trigger: &TriggerManifest) -> bool {
    let address = trigger.metadata.get(ADDRESS).is_some_and(|text| text.contains("prescale"));
    let keyed = trigger.metadata.keys().any(|name| key(base(name)).is_some());
    trigger.is_external() && (address || keyed)
}

/// Whether it is written for an external scaler and is of another type.
fn is_mistyped(trigger: &TriggerManifest) -> bool {
    let address = trigger.metadata.contains_key(ADDRESS);
    let ours = |name: &String| key(base(name)).is_some() || name.eq_ignore_ascii_case(ADDRESS);
    let near = closest(&trigger.kind, &TYPES).is_some() && trigger.metadata.keys().any(ours);
    !trigger.is_external() && (address || near)
}

/// What has the address of an external scaler and is of no type that calls one: KEDA refuses it.
pub(crate) fn mistyped(trigger: &TriggerManifest, place: &Place, findings: &mut Findings) {
    if is_mistyped(trigger) {
        let place = Place { trigger: trigger.label.clone(), ..place.clone() };
        let message = format!(
            "{:?} calls no scaler at scalerAddress: must be external-push or external",
            trigger.kind
        );
        findings.add(Level::Error, &place, "type", message);
    }
}

fn base(name: &str) -> &str {
    name.strip_suffix(SUFFIX).unwrap_or(name)
}

/// Checks one trigger of the object `namespace`/`name`.
pub(crate) fn check(
    trigger: &TriggerManifest,
    (namespace, name): (&str, &str),
    place: &Place,
    findings: &mut Findings,
) -> Understood {
    let place = Place { trigger: trigger.label.clone(), ..place.clone() };
    kedas(trigger, &place, findings);
    connection::check(&trigger.metadata, &place, findings);
    let (known, from_env) = split(&trigger.metadata, &place, findings);
    units(&known, &place, findings);
    let spec = match parse(namespace, name, &known, &Limits::default()) {
        Ok(spec) => Some(spec),
        Err(faults) => report(faults, &place, findings),
    };
    if let Some(spec) = &spec {
        queries(spec, &place, findings);
    }
    let push = trigger.kind == "external-push";
    Understood { place, named: trigger.name.is_some(), push, spec, from_env }
}

fn report(Faults(faults): Faults, place: &Place, findings: &mut Findings) -> Option<Spec> {
    for fault in &faults {
        let text = fault.to_string();
        let prefix = format!("{}: ", fault.key);
        findings.add(Level::Error, place, &fault.key, text.strip_prefix(&prefix).unwrap_or(&text));
    }
    None
}

/// The metadata whose values are known, and the keys of the rest: in a manifest a `FromEnv` key has
/// the name of a variable.
fn split(
    metadata: &BTreeMap<String, String>,
    place: &Place,
    findings: &mut Findings,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut known = metadata.clone();
    let mut from_env = Vec::new();
    for name in metadata.keys() {
        let ours = name.strip_suffix(SUFFIX).filter(|base| key(base).is_some());
        let Some(base) = ours.filter(|base| !metadata.contains_key(*base)) else { continue };
        known.remove(name);
        let placeholder = PLACEHOLDERS.iter().find(|(key, _)| *key == base);
        known.extend(placeholder.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        from_env.push(base.to_owned());
        let message = "is looked up in the cluster, in the scale target's container: not checked";
        findings.add(Level::Info, place, name, message);
    }
    (known, from_env)
}

fn kedas(trigger: &TriggerManifest, place: &Place, findings: &mut Findings) {
    for name in &trigger.unquoted {
        let message = "must be a string: put the value in quotes";
        findings.add(Level::Error, place, name, message);
    }
    if let Some(kind) = trigger.metric_type.as_deref().filter(|kind| *kind != "AverageValue") {
        let message = format!(
            "{kind} is not usable for a number of replicas (it counts ready pods only); leave it out \
             or use AverageValue"
        );
        findings.add(Level::Error, place, "metricType", message);
    }
    if trigger.cached {
        let message =
            "answers the HPA from KEDA's last poll: decisions arrive a pollingInterval late";
        findings.add(Level::Warning, place, "useCachedMetrics", message);
    }
}

/// Bare numbers are seconds, and latencies are often thought of in milliseconds.
fn units(metadata: &BTreeMap<String, String>, place: &Place, findings: &mut Findings) {
    for name in ["ttft", "interTokenLatency", "requestLatency"] {
        let given = metadata.get(name).map_or("", |text| text.trim());
        if given.parse::<f64>().is_ok_and(|seconds| seconds > BARE_SECONDS_MAX) {
            let message = format!("{given} is seconds; {given}ms? {given}s says that it is meant");
            findings.add(Level::Warning, place, name, message);
        }
    }
}

/// Queries that are no PromQL: perhaps a dialect, more often a typo.
fn queries(spec: &Spec, place: &Place, findings: &mut Findings) {
    let own = spec.target.own.iter().map(|own| (format!("signals {}", own.name), &own.query));
    let wake =
        spec.target.activation_query.iter().map(|query| ("activationQuery".to_owned(), query));
    for (key, query) in own.chain(wake) {
        if promql_parser::parser::parse(query).is_err() {
            let message = "is not PromQL; fine only if the datasource speaks a dialect";
            findings.add(Level::Warning, place, &key, message);
        }
    }
}

/// The settings of a trigger, for the report.
pub(crate) fn settings(trigger: &TriggerManifest, understood: &Understood) -> Option<Trigger> {
    let Understood { place, spec, from_env, .. } = understood;
    let spec = spec.as_ref()?;
    let settings = spec.settings().into_iter().map(|(name, value)| {
        let unknown = from_env.iter().any(|key| key == name);
        Setting {
            key: name,
            value: if unknown { Some("(from the environment)".to_owned()) } else { value },
            given: unknown || trigger.metadata.contains_key(name),
        }
    });
    let Place { file, object, trigger } = place.clone();
    Some(Trigger { file, object, trigger, settings: settings.collect() })
}
