//! The form of KEDA's objects: kind, version and names that KEDA would refuse or leave unread.
//!
//! Their fields are left to [`crate::cli::check::fields`].

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::Manifest;
use crate::spec::closest;

/// The one version that KEDA serves.
const VERSION: &str = "keda.sh/v1alpha1";

/// Kinds of that version.
const KINDS: [&str; 4] =
    ["ScaledObject", "ScaledJob", "TriggerAuthentication", "ClusterTriggerAuthentication"];

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

/// Version and names of a scaled object.
pub(crate) fn check(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let version = manifest.text("/apiVersion").unwrap_or_default();
    if version != VERSION {
        let message = format!("{version:?} is no version of KEDA: {VERSION}");
        findings.add(Level::Warning, place, "apiVersion", message);
    }
    let mut names: Vec<String> = manifest.triggers().into_iter().filter_map(|it| it.name).collect();
    names.sort_unstable();
    let again = names.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
    for name in again.filter_map(|same| same.first()) {
        let message = format!("{name} is the name of several: KEDA refuses the object");
        findings.add(Level::Error, place, "triggers", message);
    }
}

fn meant(word: &str, words: &[&str]) -> String {
    closest(word, words).map_or_else(String::new, |near| format!(": did you mean {near}?"))
}
