//! Traps of KEDA and the HPA in a scaled object that has a trigger of ours.
//!
//! Given the manifest and what its triggers came to. KEDA's defaults count: what is left out is in
//! force.

use crate::cli::check::fallback;
use crate::cli::check::fields;
use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::Kind;
use crate::cli::check::modifiers;
use crate::cli::check::reference;
use crate::cli::check::scaled::{Object, POLLING_SECONDS};
use crate::cli::check::zero;
use crate::engine::setup::{OnNoData, Strategy};

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
        policies: [{type: Percent, value: 50, periodSeconds: 60}]
";

/// The key of findings that the recommended behaviour answers.
pub(crate) const BEHAVIOR_KEY: &str = "behavior";

const HPA: &str = "/spec/advanced/horizontalPodAutoscalerConfig/behavior";

/// Applies every rule to one object.
pub(crate) fn check(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    alone(object, place, findings);
    // Of a number that is none KEDA's default would be told, which nobody wrote.
    let counted = fields::counted(object.kind, object.manifest);
    if counted {
        polling(object, place, findings);
    }
    match object.kind {
        Kind::ScaledJob => job(object, place, findings),
        Kind::ScaledObject => {
            names(object, place, findings);
            if counted {
                fallback::check(object, place, findings);
                zero::check(object, place, findings);
                limits(object, place, findings);
            }
            modifiers::check(object, place, findings);
            behavior(object, place, findings);
            reference::check(object.manifest, place, findings);
            restored(object, place, findings);
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

fn limits(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let max = object.max();
    let tolerance = |side: &str| {
        let given = object.manifest.quantity(&format!("{HPA}/{side}/tolerance"));
        given.is_some_and(|ratio| ratio <= 0.0)
    };
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
        let least = spec.setup.min_replicas.map_or(0, |replicas| i64::from(replicas.get()));
        if least > max {
            let message = format!("asks for {least} replicas: more than {max} are never reached");
            findings.add(Level::Error, &ours.place, "minReplicas", message);
        }
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

fn restored(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    if object.manifest.is_true("/spec/advanced/restoreToOriginalReplicaCount") {
        let message = "deleting the object brings back the replicas of the day it was applied, few or \
                       many, whatever serves then; false leaves what is there";
        findings.add(Level::Info, place, "restoreToOriginalReplicaCount", message);
    }
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
