//! What one observation says about a trigger: names found and not found, replica facts, own queries.
//!
//! Given the trigger and what was read for it. Everything that a server said is put on one line.

use std::collections::BTreeMap;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::engine::observation::{
    Fault, FaultKind, Latency, LatencyReading, Observation, Role, WorkloadFacts,
};
use crate::engine::setup::{Family, PowerTarget};
use crate::report::one_line;
use crate::spec::{SourceRef, Spec, Target};

/// Where findings go.
struct Told<'a> {
    place: &'a Place,
    findings: &'a mut Findings,
}

impl Told<'_> {
    fn add(&mut self, level: Level, key: &str, message: &str) {
        self.findings.add(level, self.place, key, one_line(message));
    }
}

/// A role's names, and the one it was found under.
type Names<'a> = BTreeMap<&'a str, (Vec<&'a str>, Option<&'a str>)>;

/// Tells what `observation` found of what `target`, as it was asked for `spec`, wants.
pub(crate) fn tell(
    spec: &Spec,
    target: &Target,
    observation: &Observation,
    (place, findings): (&Place, &mut Findings),
) {
    let mut told = Told { place, findings };
    let names = names(observation);
    let mut faults: Vec<&Fault> = observation.faults.iter().collect();
    replicas(target, &observation.workload, &mut told);
    roles(spec, target, observation, (&names, &mut told));
    latencies(observation, &mut told);
    gateway(target, observation, (&names, &mut faults, &mut told));
    own(target, observation, (&mut faults, &mut told));
    for fault in faults {
        told.add(Level::Warning, "", &fault.to_string());
    }
}

fn names(observation: &Observation) -> Names<'_> {
    let mut names = Names::new();
    for searched in &observation.searched {
        let (tried, found) = names.entry(searched.role.as_str()).or_default();
        tried.extend(searched.tried.iter().map(String::as_str));
        *found = found.or(searched.found.as_deref());
    }
    names
}

fn replicas(target: &Target, facts: &WorkloadFacts, told: &mut Told<'_>) {
    let WorkloadFacts { workload, spec_replicas, ready_replicas, hpa_min, hpa_max, .. } = facts;
    let number = |count: &Option<u32>| count.map_or("?".to_owned(), |count| count.to_string());
    let name = workload.as_deref().unwrap_or("the workload");
    let hpa = &target.hpa;
    let limited = hpa_min.is_some() || hpa_max.is_some();
    match spec_replicas {
        Some(count) => {
            let ready = number(ready_replicas);
            told.add(Level::Info, "workload", &format!("{name}: {count} replicas, {ready} ready"));
        }
        None if limited => {
            let message = format!("HPA {hpa} is there, but no replicas of {name}: give workload");
            told.add(Level::Warning, "workload", &message);
        }
        None => {
            let given = target.workload.as_ref().map(|workload| workload.name.as_str());
            let named = given.unwrap_or(&target.scaled_object);
            let message = format!(
                "no replica facts: kube-state-metrics shows neither HPA {hpa} nor a deployment or \
                 statefulset {named} in {}; give hpa or workload",
                target.namespace
            );
            told.add(Level::Warning, "workload", &message);
        }
    }
    if limited {
        let limits = format!("HPA {hpa}: {} to {} replicas", number(hpa_min), number(hpa_max));
        told.add(Level::Info, "hpa", &limits);
    } else if spec_replicas.is_some() {
        let message = format!("no HPA {hpa}: KEDA makes it; give hpa if it has another name");
        told.add(Level::Info, "hpa", &message);
    }
}

/// The roles of engine and GPUs: those found, those that a decision needs, the rest.
fn roles(
    spec: &Spec,
    target: &Target,
    observation: &Observation,
    (names, told): (&Names<'_>, &mut Told<'_>),
) {
    let needed = needed(spec, target);
    if needed.is_empty() {
        return;
    }
    let of_pods = names.iter().filter(|(role, _)| ROLES.iter().any(|one| one.name() == **role));
    let (found, missing): (Vec<_>, Vec<_>) = of_pods.partition(|(_, (_, found))| found.is_some());
    if observation.pods.values().all(|pod| pod.roles.is_empty()) {
        return nowhere(observation, (&needed, names), told);
    }
    let shown: Vec<String> = found
        .iter()
        .filter_map(|(role, (_, found))| Some(format!("{role} as {}", (*found)?)))
        .collect();
    if !shown.is_empty() {
        told.add(Level::Info, "engine", &format!("found {}", shown.join(", ")));
    }
    let is_needed = |role: &str| needed.iter().any(|one| one.name() == role);
    for (role, (tried, _)) in missing.iter().filter(|(role, _)| is_needed(role)) {
        let message = format!("{role}: no pod exports {}", tried.join(" or "));
        told.add(Level::Warning, "engine", &message);
    }
    let others: Vec<&str> =
        missing.iter().map(|(role, _)| **role).filter(|role| !is_needed(role)).collect();
    if !others.is_empty() {
        told.add(Level::Info, "engine", &format!("not found, not required: {}", others.join(", ")));
    }
}

/// No pod was found at all.
fn nowhere(observation: &Observation, (needed, names): (&[Role], &Names<'_>), told: &mut Told<'_>) {
    if observation.workload.spec_replicas == Some(0) {
        let message = "there are no pods now: what they export was not tried";
        return told.add(Level::Info, "engine", message);
    }
    let tried = needed.iter().filter_map(|role| names.get(role.name()));
    let tried: Vec<&str> = tried.flat_map(|(tried, _)| tried.iter().copied()).collect();
    let candidates = match observation.candidates.as_slice() {
        [] => "nor does any other pod of the namespace".to_owned(),
        pods => format!("other pods do: {}; give workload", pods.join(", ")),
    };
    let message = format!("no pod of the workload exports {}; {candidates}", tried.join(", "));
    told.add(Level::Warning, "engine", &message);
}

const ROLES: [Role; 17] = [
    Role::Waiting,
    Role::Running,
    Role::KvUsage,
    Role::KvTokens,
    Role::PromptTokens,
    Role::CachedTokens,
    Role::GenerationTokens,
    Role::Finished,
    Role::Arrivals,
    Role::Rejections,
    Role::Awake,
    Role::GpuUtilization,
    Role::GpuMemoryUsed,
    Role::GpuMemoryTotal,
    Role::GpuMemoryBandwidth,
    Role::GpuPower,
    Role::GpuPowerLimit,
];

/// Roles without which the trigger does not do what it says.
fn needed(spec: &Spec, target: &Target) -> Vec<Role> {
    let mut roles = Vec::new();
    if spec.setup.family == Family::Llm && matches!(target.source, SourceRef::Datasource(_)) {
        roles.extend([Role::Waiting, Role::Running]);
        roles.extend(spec.setup.has_kv.then_some(Role::KvUsage));
        if spec.setup.targets.token_rate.is_some() {
            roles.extend([Role::PromptTokens, Role::GenerationTokens]);
        }
        if spec.setup.targets.request_rate.is_some() {
            roles.push(Role::Finished);
        }
    }
    let gpu = &spec.setup.gpu;
    roles.extend(gpu.utilization.map(|_| Role::GpuUtilization));
    if gpu.memory.is_some() {
        roles.extend([Role::GpuMemoryUsed, Role::GpuMemoryTotal]);
    }
    roles.extend(gpu.memory_bandwidth.map(|_| Role::GpuMemoryBandwidth));
    match gpu.power {
        Some(PowerTarget::OfLimit(_)) => roles.extend([Role::GpuPower, Role::GpuPowerLimit]),
        Some(PowerTarget::Watts(_)) => roles.push(Role::GpuPower),
        None => {}
    }
    roles
}

fn latencies(observation: &Observation, told: &mut Told<'_>) {
    for (latency, LatencyReading { seconds, observations, .. }) in &observation.latency {
        let key = match latency {
            Latency::Ttft => "ttft",
            Latency::InterToken => "interTokenLatency",
            Latency::Request => "requestLatency",
        };
        match (seconds, observations) {
            (Some(seconds), _) => told.add(Level::Info, key, &format!("is {seconds:.3} s now")),
            (None, Some(_)) => {
                told.add(Level::Info, key, "has too few observations in the last minutes");
            }
            (None, None) => told.add(Level::Warning, key, "the engine's histogram is not found"),
        }
    }
}

fn gateway(
    target: &Target,
    observation: &Observation,
    (names, faults, told): (&Names<'_>, &mut Vec<&Fault>, &mut Told<'_>),
) {
    let Some(gateway) = target.gateway else { return };
    let taken = take(faults, "gateway");
    let (tried, found) = names.get("gateway").cloned().unwrap_or_default();
    let held = observation.gateway.and_then(|reading| reading.held);
    match (found, held, taken) {
        (_, _, Some(fault)) if fault.kind != FaultKind::Empty => {
            told.add(Level::Warning, "gateway", &fault.to_string());
        }
        (Some(found), _, _) => {
            let held = held.map_or("unknown".to_owned(), |held| held.to_string());
            told.add(Level::Info, "gateway", &format!("found as {found}; held now: {held}"));
        }
        (None, Some(held), _) => {
            told.add(Level::Info, "gateway", &format!("{gateway} is there and holds {held}"));
        }
        (None, None, _) => {
            let message = format!("no series {} for this namespace", tried.join(" or "));
            told.add(Level::Warning, "gateway", &message);
        }
    }
}

fn own(
    target: &Target,
    observation: &Observation,
    (faults, told): (&mut Vec<&Fault>, &mut Told<'_>),
) {
    for (own, reading) in target.own.iter().zip(&observation.own) {
        let fault = take(faults, &format!("signal {}", own.name));
        query(&format!("signals {}", own.name), reading.value, fault, told);
    }
    if target.activation_query.is_some() {
        let fault = take(faults, "activationQuery");
        let held = observation.gateway.and_then(|reading| reading.held);
        query("activationQuery", held.filter(|_| fault.is_none()), fault, told);
    }
}

/// Faults that are the query's own, and what to do about them; others may pass.
const QUERY_FAULTS: [(FaultKind, Level, &str); 6] = [
    (FaultKind::TooManySeries, Level::Error, ": sum it"),
    (
        FaultKind::QueryFailed,
        Level::Error,
        ": it asks too much of the server, or cannot be computed",
    ),
    (FaultKind::ClientError, Level::Error, ": the server does not accept the query"),
    (FaultKind::BadResponse, Level::Error, ": it must result in one number"),
    (FaultKind::Empty, Level::Warning, ": nothing is selected, which is not zero"),
    (FaultKind::NotFinite, Level::Warning, ": NaN, infinite or negative just now"),
];

fn query(key: &str, value: Option<f64>, fault: Option<&Fault>, told: &mut Told<'_>) {
    let Some(fault) = fault else {
        if let Some(value) = value {
            told.add(Level::Info, key, &format!("is {value} now"));
        }
        return;
    };
    let known = QUERY_FAULTS.iter().find(|(kind, _, _)| *kind == fault.kind);
    let (level, hint) = known.map_or((Level::Warning, ""), |(_, level, hint)| (*level, *hint));
    told.add(level, key, &format!("{}{hint}", fault.kind.words()));
}

/// Takes the fault of `place`, with whatever is said of it behind the name.
fn take<'a>(faults: &mut Vec<&'a Fault>, place: &str) -> Option<&'a Fault> {
    let of = |fault: &&Fault| {
        let rest = fault.place.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ' ']))
    };
    let idx = faults.iter().position(of)?;
    Some(faults.remove(idx))
}
