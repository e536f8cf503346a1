//! The form of KEDA's objects: version, kind, fields and numbers that KEDA would refuse or leave unread.
//!
//! What the values mean is left to the other rules.

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::{Kind, Manifest};
use crate::spec::closest;

/// The one version that KEDA serves.
const VERSION: &str = "keda.sh/v1alpha1";

/// Kinds of that version.
const KINDS: [&str; 4] =
    ["ScaledObject", "ScaledJob", "TriggerAuthentication", "ClusterTriggerAuthentication"];

/// Fields of the spec that are whole numbers, with the least that each may be.
const NUMBERS: [(&str, i64); 6] = [
    ("pollingInterval", 0),
    ("cooldownPeriod", 0),
    ("initialCooldownPeriod", 0),
    ("idleReplicaCount", 0),
    ("minReplicaCount", 0),
    ("maxReplicaCount", 1),
];

/// All fields of the spec, as of KEDA 2.20.
const fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ScaledObject => &[
            "scaleTargetRef",
            "pollingInterval",
            "cooldownPeriod",
            "initialCooldownPeriod",
            "idleReplicaCount",
            "minReplicaCount",
            "maxReplicaCount",
            "advanced",
            "triggers",
            "fallback",
        ],
        Kind::ScaledJob => &[
            "jobTargetRef",
            "pollingInterval",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
            "rolloutStrategy",
            "rollout",
            "envSourceContainerName",
            "minReplicaCount",
            "maxReplicaCount",
            "scalingStrategy",
            "triggers",
        ],
    }
}

/// A document of KEDA's that is no kind of KEDA's: misspelt, it is no scaled object to anyone.
pub(crate) fn kind(manifest: &Manifest, file: &str, findings: &mut Findings) {
    let group = manifest.text("/apiVersion").unwrap_or_default();
    let Some(kind) = manifest.text("/kind").filter(|kind| !KINDS.contains(kind)) else { return };
    if group.starts_with("keda.sh/") {
        let message = format!("{kind:?} is no kind of KEDA{}", meant(kind, &KINDS));
        let (namespace, name) = (manifest.namespace(), manifest.name());
        let object = format!("{}/{namespace}/{name}", kind.to_lowercase());
        let place = Place { file: file.to_owned(), object, trigger: String::new() };
        findings.add(Level::Warning, &place, "kind", message);
    }
}

/// Version and fields of a scaled object.
pub(crate) fn fields(kind: Kind, manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let version = manifest.text("/apiVersion").unwrap_or_default();
    if version != VERSION {
        let message = format!("{version:?} is no version of KEDA: {VERSION}");
        findings.add(Level::Warning, place, "apiVersion", message);
    }
    for field in manifest.keys("/spec").filter(|field| !known(kind).contains(field)) {
        let message =
            format!("is no field that KEDA knows and has no effect{}", meant(field, known(kind)));
        findings.add(Level::Warning, place, field, message);
    }
}

fn meant(word: &str, words: &[&str]) -> String {
    closest(word, words).map_or_else(String::new, |near| format!(": did you mean {near}?"))
}

/// Whether all numbers of the spec are numbers, so that rules about them speak of what is written.
pub(crate) fn numbers(manifest: &Manifest, place: &Place, findings: &mut Findings) -> bool {
    let mut right = true;
    for (field, least) in NUMBERS {
        let pointer = format!("/spec/{field}");
        let Some(given) = manifest.shown(&pointer) else { continue };
        if manifest.int(&pointer).is_none_or(|number| number < least) {
            let message = format!("{given} must be a whole number from {least}, without a unit");
            findings.add(Level::Error, place, field, message);
            right = false;
        }
    }
    right
}
