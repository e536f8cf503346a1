//! What an object scales: its `scaleTargetRef`, and who else refers to it.

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::Manifest;
use crate::cli::check::placeholder;
use crate::spec::{WorkloadKind, WorkloadRef, is_subdomain};

const POINTER: &str = "/spec/scaleTargetRef";
/// KEDA's defaults.
const KIND: &str = "Deployment";
const VERSION: &str = "apps/v1";
/// What `apps/v1` has that can be scaled.
const SCALABLE: [&str; 3] = ["Deployment", "StatefulSet", "ReplicaSet"];

/// A workload, as a `scaleTargetRef` names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Reference<'a> {
    /// What `manifest` scales.
    pub(crate) fn of(manifest: &'a Manifest) -> Option<Self> {
        let name = manifest.text(&format!("{POINTER}/name"))?;
        Some(Self { namespace: manifest.namespace(), kind: kind(manifest), name })
    }

    /// Whether `manifest` is this workload.
    pub(crate) fn is(&self, manifest: &Manifest) -> bool {
        self.is_called(manifest)
            && manifest.namespace() == self.namespace
            && manifest.text("/kind") == Some(self.kind)
    }

    /// Whether `manifest` has this name, in whatever namespace.
    pub(crate) fn is_called(&self, manifest: &Manifest) -> bool {
        manifest.name() == self.name
    }
}

fn kind(manifest: &Manifest) -> &str {
    manifest.text(&format!("{POINTER}/kind")).unwrap_or(KIND)
}

/// What the object scales, as its HPA will say; `None` where pods cannot be recognised by it.
pub(crate) fn workload(manifest: &Manifest) -> Option<WorkloadRef> {
    let Reference { kind, name, .. } = Reference::of(manifest)?;
    let kind = match kind {
        "Deployment" => WorkloadKind::Deployment,
        "StatefulSet" => WorkloadKind::StatefulSet,
        _ => return None,
    };
    Some(WorkloadRef { kind: Some(kind), name: name.to_owned() })
}

/// Applies every rule about the reference itself.
pub(crate) fn check(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    if let Some((level, message)) = kind_fault(manifest) {
        findings.add(level, place, "scaleTargetRef.kind", message);
    }
    if let Some(message) = version_fault(manifest) {
        findings.add(Level::Error, place, "scaleTargetRef.apiVersion", message);
    }
    match manifest.text(&format!("{POINTER}/name")) {
        None => findings.add(Level::Error, place, "scaleTargetRef.name", "is missing"),
        Some(name) if is_subdomain(name) || placeholder::is_in(name) => {}
        Some(name) => {
            let message = format!(
                "{name:?} must be the name of a Kubernetes object: lower-case letters, digits, - and ."
            );
            findings.add(Level::Error, place, "scaleTargetRef.name", message);
        }
    }
}

fn kind_fault(manifest: &Manifest) -> Option<(Level, String)> {
    let kind = kind(manifest);
    let apps = manifest.text(&format!("{POINTER}/apiVersion")).is_none_or(|it| it == VERSION);
    let near = SCALABLE.iter().find(|known| known.eq_ignore_ascii_case(kind));
    match (kind, near) {
        ("Deployment" | "StatefulSet", _) => None,
        (_, Some(near)) if apps && *near != kind => {
            Some((Level::Error, format!("{kind:?} must be {near}: KEDA knows no {kind}")))
        }
        ("DaemonSet", _) => {
            Some((Level::Error, "is a DaemonSet, which cannot be scaled".to_owned()))
        }
        _ => {
            let message =
                format!("is a {kind}: pods are recognised for Deployment and StatefulSet only");
            Some((Level::Warning, message))
        }
    }
}

fn version_fault(manifest: &Manifest) -> Option<String> {
    let kind = kind(manifest);
    let of_apps = SCALABLE.iter().any(|known| known.eq_ignore_ascii_case(kind));
    let Some(given) = manifest.text(&format!("{POINTER}/apiVersion")) else {
        let missing = !of_apps && kind != "DaemonSet";
        return missing.then(|| format!("is missing: KEDA would look for a {kind} in {VERSION}"));
    };
    let group = given.split_once('/').map_or("", |(group, _)| group);
    let wrong = of_apps && matches!(group, "" | "apps" | "extensions") && given != VERSION;
    wrong.then(|| format!("{given:?} has no {kind}: must be {VERSION}"))
}
