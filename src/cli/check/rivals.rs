//! Who else would scale the workload that an object scales, in the files that are checked together: two
//! who do undo each other's work.
//!
//! No rival is the HPA that KEDA made for the object, nor the same object once more, as of a base and
//! its overlay.

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::reference::Reference;

/// With this the HTTP add-on leaves scaling to others.
const SKIP: &str = "httpscaledobject.keda.sh/skip-scaledobject-creation";
/// With this KEDA takes over the HPA whose name the object gives.
const TRANSFER: &str = "scaledobject.keda.sh/transfer-hpa-ownership";
/// With this KEDA accepts an HPA beside its own.
const ACCEPTED: &str = "validations.keda.sh/hpa-ownership";
const HPA_NAME: &str = "/spec/advanced/horizontalPodAutoscalerConfig/name";

/// Applies the rules to one object, beside `all` manifests, itself among them.
pub(crate) fn check(object: &Manifest, all: &[&Manifest], place: &Place, findings: &mut Findings) {
    let others = || all.iter().copied().filter(|other| !std::ptr::eq(*other, object));
    if others().any(|other| is_same(object, other)) {
        let message = "is given twice in these files: the one applied last counts";
        findings.add(Level::Warning, place, "metadata.name", message);
    }
    let target = Reference::of(object);
    if target.is_none() {
        return;
    }
    for other in others().filter(|other| Reference::of(other) == target) {
        if let Some((level, message)) = rival(object, other) {
            findings.add(level, place, "scaleTargetRef", message);
        }
    }
}

fn is_same(object: &Manifest, other: &Manifest) -> bool {
    let named = !object.name().is_empty();
    named
        && other.kind() == Some(Kind::ScaledObject)
        && (other.namespace(), other.name()) == (object.namespace(), object.name())
}

/// What `other` does to the workload that it scales as well as `object`.
fn rival(object: &Manifest, other: &Manifest) -> Option<(Level, String)> {
    let name = other.name();
    let error = |message: String| Some((Level::Error, message));
    match other.text("/kind")? {
        "ScaledObject" if other.kind().is_some() && !is_same(object, other) => error(format!(
            "is scaled by ScaledObject {name} as well: KEDA refuses the second; one with both triggers"
        )),
        "HorizontalPodAutoscaler" => hpa(object, other),
        "HTTPScaledObject" if other.annotation(SKIP) != Some("true") => error(format!(
            "is scaled by HTTPScaledObject {name} as well: the add-on makes a ScaledObject of its own; annotate it \
             with httpscaledobject.keda.sh/skip-scaledobject-creation: \"true\", or use an InterceptorRoute"
        )),
        _ => None,
    }
}

fn hpa(object: &Manifest, other: &Manifest) -> Option<(Level, String)> {
    let name = other.name();
    let transfer = object.annotation(TRANSFER) == Some("true");
    if is_owned(object, other) {
        return None;
    }
    if transfer && object.text(HPA_NAME) == Some(name) {
        let message = format!("is scaled by HorizontalPodAutoscaler {name}, which KEDA takes over");
        return Some((Level::Info, message));
    }
    let rest = if other.annotation(ACCEPTED) == Some("false") {
        "both undo each other's work; delete that one".to_owned()
    } else if transfer {
        format!("KEDA takes it over if advanced.horizontalPodAutoscalerConfig.name is {name}")
    } else {
        "KEDA refuses it; delete that one".to_owned()
    };
    let message = format!("is scaled by HorizontalPodAutoscaler {name} as well: {rest}");
    Some((Level::Error, message))
}

/// Whether KEDA made this HPA for the object.
fn is_owned(object: &Manifest, hpa: &Manifest) -> bool {
    hpa.list("/metadata/ownerReferences").any(|owner| {
        let is = |key: &str, text: &str| owner.get(key).is_some_and(|value| *value == text);
        is("kind", "ScaledObject") && is("name", object.name())
    })
}
