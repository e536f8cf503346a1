//! Traps of KEDA and the HPA in a scaled object that has a trigger of ours.
//!
//! Given the manifest and what its triggers came to. KEDA's defaults count: what is left out is in
//! force.

use std::time::Duration;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::trigger::Understood;
use crate::engine::setup::{Lead, OnNoData, Strategy};
use crate::spec::{Spec, WorkloadKind, WorkloadRef};

/// KEDA's defaults.
const POLLING_SECONDS: i64 = 30;
const COOLDOWN_SECONDS: i64 = 300;
const MAX_REPLICAS: i64 = 100;
/// What prescale assumes of a cold start until three were seen.
const COLD_START: Duration = Duration::from_secs(180);
/// Kubernetes' limit of a label value, which KEDA makes of the name and of the HPA's name.
const NAME_MAX: usize = 63;
/// Up to here one replica more or less is outside of the HPA's default tolerance of 10 %.
const EXACT_REPLICAS_MAX: i64 = 9;

/// The behaviour that leaves the down-window to prescale.
pub(crate) const BEHAVIOR: &str = "\
advanced:
  horizontalPodAutoscalerConfig:
    behavior:
      scaleUp:
        stabilizationWindowSeconds: 0
        tolerance: \"0\"
        policies: [{type: Pods, value: 100, periodSeconds: 15}]
      scaleDown:
        stabilizationWindowSeconds: 0
        tolerance: \"0\"
        policies: [{type: Pods, value: 1, periodSeconds: 60}]
";

/// The key of findings that the recommended behaviour answers.
pub(crate) const BEHAVIOR_KEY: &str = "behavior";

const HPA: &str = "/spec/advanced/horizontalPodAutoscalerConfig/behavior";

/// One object, its triggers of ours, and how many others it has.
pub(crate) struct Object<'a> {
    pub(crate) kind: Kind,
    pub(crate) manifest: &'a Manifest,
    pub(crate) ours: &'a [Understood],
    pub(crate) others: usize,
}

impl Object<'_> {
    fn int(&self, key: &str) -> Option<i64> {
        self.manifest.int(&format!("/spec/{key}"))
    }

    fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.ours.iter().filter_map(|ours| ours.spec.as_ref())
    }

    fn polling(&self) -> i64 {
        self.int("pollingInterval").unwrap_or(POLLING_SECONDS)
    }

    fn cooldown(&self) -> i64 {
        self.int("cooldownPeriod").unwrap_or(COOLDOWN_SECONDS)
    }

    fn min(&self) -> i64 {
        self.int("minReplicaCount").unwrap_or(0)
    }

    /// Whether KEDA may take it to zero.
    fn reaches_zero(&self) -> bool {
        self.min() == 0 || self.int("idleReplicaCount") == Some(0)
    }
}

/// Applies every rule to one object.
pub(crate) fn check(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    alone(object, place, findings);
    polling(object, place, findings);
    match object.kind {
        Kind::ScaledJob => job(object, place, findings),
        Kind::ScaledObject => {
            names(object, place, findings);
            fallback(object, place, findings);
            zero(object, place, findings);
            limits(object, place, findings);
            modifiers(object, place, findings);
            behavior(object, place, findings);
            target(object, place, findings);
        }
    }
}

fn names(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let name = object.manifest.name();
    let given = object.manifest.text("/spec/advanced/horizontalPodAutoscalerConfig/name");
    let hpa = given.map_or_else(|| format!("keda-hpa-{name}"), str::to_owned);
    if name.is_empty() {
        findings.add(Level::Error, place, "metadata.name", "is missing");
    } else if name.len() > NAME_MAX {
        let message = format!("has {} characters: KEDA accepts {NAME_MAX}", name.len());
        findings.add(Level::Error, place, "metadata.name", message);
    } else if hpa.len() > NAME_MAX {
        let message = format!(
            "makes the HPA's name {} characters long: KEDA accepts {NAME_MAX}; shorten it or set \
             advanced.horizontalPodAutoscalerConfig.name",
            hpa.len()
        );
        findings.add(Level::Error, place, "metadata.name", message);
    }
    let default = format!("keda-hpa-{name}");
    for ours in object.ours {
        let Some(spec) = &ours.spec else { continue };
        if given.is_some_and(|given| given != spec.target.hpa && spec.target.hpa == default) {
            let message = format!("must be given: the ScaledObject calls its HPA {hpa}");
            findings.add(Level::Error, &ours.place, "hpa", message);
        }
    }
}

fn polling(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    if object.polling() > POLLING_SECONDS {
        let message =
            format!("is {} s and delays scaling to and from zero; 15 is enough", object.polling());
        findings.add(Level::Warning, place, "pollingInterval", message);
    }
}

/// Triggers that answer nothing by themselves.
fn alone(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let known = || object.ours.iter().filter_map(|ours| Some((&ours.place, ours.spec.as_ref()?)));
    let acting =
        object.ours.iter().filter(|ours| ours.strategy() != Some(Strategy::Shadow)).count();
    for (place, spec) in known() {
        if spec.setup.strategy == Strategy::Shadow && acting + object.others == 0 {
            let message = "shadow sends 0 and inactive: it needs another trigger that acts";
            findings.add(Level::Error, place, "scaleStrategy", message);
        }
        if spec.setup.on_no_data == OnNoData::Zero && object.ours.len() + object.others == 1 {
            let message = "zero scales to zero when data is lost: only beside other triggers";
            findings.add(Level::Error, place, "onNoData", message);
        }
    }
    if acting > 1 {
        let message = format!("has {acting} acting prescale triggers: the HPA takes the largest");
        findings.add(Level::Info, place, "triggers", message);
    }
}

fn fallback(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    if !object.manifest.has("/spec/fallback") {
        return;
    }
    let failures = object.manifest.int("/spec/fallback/failureThreshold").unwrap_or(0);
    let replicas = object.manifest.int("/spec/fallback/replicas").unwrap_or(0);
    if replicas == 0 && object.min() == 0 {
        let message = "with replicas 0 and minReplicaCount 0 a lost datasource scales to zero";
        findings.add(Level::Error, place, "fallback", message);
    }
    let seconds = failures.saturating_mul(object.polling());
    if seconds > object.cooldown() {
        let message = format!(
            "acts after {failures} x {} s, later than cooldownPeriod {} s: KEDA may be at zero by then",
            object.polling(),
            object.cooldown()
        );
        findings.add(Level::Error, place, "fallback.failureThreshold", message);
    }
}

fn zero(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    if let Some(idle) = object.int("idleReplicaCount") {
        if idle != 0 {
            let message = "only 0 works in KEDA";
            findings.add(Level::Error, place, "idleReplicaCount", message);
        } else if object.min() == 0 {
            let message = "0 needs a minReplicaCount above 0, which it wakes to";
            findings.add(Level::Error, place, "idleReplicaCount", message);
        }
    }
    if !object.reaches_zero() {
        return;
    }
    let acting: Vec<&Understood> = object
        .ours
        .iter()
        .filter(|ours| ours.strategy().is_some_and(|strategy| strategy != Strategy::Shadow))
        .collect();
    if !acting.is_empty() && !acting.iter().any(|ours| ours.wakes()) {
        blind_at_zero(object, place, findings);
    }
    for ours in object.ours {
        idle_time(object, ours, findings);
    }
}

fn blind_at_zero(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let (key, zero) = match object.int("minReplicaCount") {
        Some(1..) => ("idleReplicaCount", "is 0"),
        Some(_) => ("minReplicaCount", "is 0"),
        None => ("minReplicaCount", "is 0 by default"),
    };
    let floor = object.specs().any(|spec| spec.setup.calendar.floor_max() > 0);
    let (level, rest) = match object.others {
        0 if floor => (Level::Warning, "only instanceBounds wake, nothing sees demand meanwhile"),
        0 => (Level::Error, "nothing sees demand while there are no pods"),
        _ => (Level::Warning, "only the other triggers see demand while there are no pods"),
    };
    let message = format!(
        "{zero}: {rest}; set gateway, activationQuery, activationEndpoints or a signal with \
         role: activation, or keep one replica"
    );
    findings.add(level, place, key, message);
}

/// Idle time before KEDA scales to zero: ours, then KEDA's.
fn idle_time(object: &Object<'_>, ours: &Understood, findings: &mut Findings) {
    let Some(spec) = &ours.spec else { return };
    let cooldown = Duration::from_secs(u64::try_from(object.cooldown()).unwrap_or(0));
    let cold_start = match spec.setup.lead {
        Lead::Fixed(lead) => lead,
        Lead::Learned => COLD_START,
    };
    let idle = spec.setup.idle_after;
    if idle + cooldown < cold_start {
        let message = format!(
            "{} s and idleAfter {} s are shorter than a cold start of {} s: pods would be taken down \
             sooner than they can return",
            cooldown.as_secs(),
            idle.as_secs(),
            cold_start.as_secs()
        );
        findings.add(Level::Error, &ours.place, "cooldownPeriod", message);
    }
}

fn limits(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let max = object.int("maxReplicaCount").unwrap_or(MAX_REPLICAS);
    let tolerance =
        |side: &str| object.manifest.text(&format!("{HPA}/{side}/tolerance")) == Some("0");
    let exact = tolerance("scaleUp") && tolerance("scaleDown");
    let compensated = object.specs().all(|spec| spec.setup.hpa_tolerance.is_some());
    if max > EXACT_REPLICAS_MAX && !exact && !compensated {
        let message = format!(
            "is {max}: above {EXACT_REPLICAS_MAX} replicas the HPA ignores changes within 10 %; set \
             tolerance \"0\" (Kubernetes 1.35, KEDA 2.18) or hpaTolerance: 10%"
        );
        findings.add(Level::Info, place, "maxReplicaCount", message);
    }
    if object.min() > max {
        findings.add(Level::Error, place, "minReplicaCount", "is above maxReplicaCount");
    }
    for ours in object.ours {
        let Some(spec) = &ours.spec else { continue };
        let given = spec.setup.max_replicas.map(|replicas| i64::from(replicas.get()));
        if given.is_some_and(|given| given != max) {
            let message = format!("differs from maxReplicaCount {max}: the smaller one wins");
            findings.add(Level::Info, &ours.place, "maxReplicas", message);
        }
        let (floor, most) = (spec.setup.calendar.floor_max(), given.unwrap_or(max).min(max));
        if i64::from(floor) > most {
            let message = format!("asks for {floor} replicas: more than {most} are never reached");
            findings.add(Level::Warning, &ours.place, "instanceBounds", message);
        }
    }
}

fn modifiers(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    if !object.manifest.has("/spec/advanced/scalingModifiers/formula") {
        return;
    }
    for ours in object.ours.iter().filter(|ours| !ours.named) {
        let message = "is missing: the formula of scalingModifiers speaks of triggers by name";
        findings.add(Level::Error, &ours.place, "name", message);
    }
    let threshold = "/spec/advanced/scalingModifiers/activationTarget";
    if object.manifest.text(threshold).is_some_and(|text| text.trim() != "0") {
        let message =
            "keeps the object at zero while the formula is not above it, whatever prescale says";
        findings.add(Level::Warning, place, "scalingModifiers.activationTarget", message);
    }
    let kind = object.manifest.text("/spec/advanced/scalingModifiers/metricType");
    if kind == Some("Value") {
        let message = "Value divides by ready pods only; use AverageValue";
        findings.add(Level::Error, place, "scalingModifiers.metricType", message);
    }
}

fn behavior(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let window = object.manifest.int(&format!("{HPA}/scaleDown/stabilizationWindowSeconds"));
    let up = object.manifest.int(&format!("{HPA}/scaleUp/stabilizationWindowSeconds"));
    let problem = match (window, up) {
        (None, _) => "leaves the HPA its own down-window of 300 s on top of prescale's",
        (Some(1..), _) => "adds a down-window of the HPA to prescale's",
        (_, Some(1..)) => "delays scaling up",
        _ => return,
    };
    findings.add(Level::Info, place, BEHAVIOR_KEY, format!("{problem}; a better one is below"));
}

fn target(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let kind = object.manifest.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment");
    if !matches!(kind, "Deployment" | "StatefulSet") {
        let message =
            format!("is a {kind}: pods are recognised for Deployment and StatefulSet only");
        findings.add(Level::Warning, place, "scaleTargetRef.kind", message);
    }
    if object.manifest.text("/spec/scaleTargetRef/name").is_none_or(str::is_empty) {
        findings.add(Level::Error, place, "scaleTargetRef.name", "is missing");
    }
}

/// What the object scales, as its HPA will say; `None` where pods cannot be recognised by it.
pub(crate) fn workload(manifest: &Manifest) -> Option<WorkloadRef> {
    let kind = match manifest.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment") {
        "Deployment" => WorkloadKind::Deployment,
        "StatefulSet" => WorkloadKind::StatefulSet,
        _ => return None,
    };
    let name = manifest.text("/spec/scaleTargetRef/name").filter(|name| !name.is_empty())?;
    Some(WorkloadRef { kind: Some(kind), name: name.to_owned() })
}

fn job(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let message = "jobs are created for the number wanted; idle time, HPA behaviour and the \
                   workload's replicas have no meaning here";
    findings.add(Level::Info, place, "kind", message);
    for ours in object.ours.iter().filter(|ours| ours.push) {
        let message = "external-push has no effect in a ScaledJob; use external";
        findings.add(Level::Warning, &ours.place, "type", message);
    }
}
