//! The workload that an object scales, in the files that are checked together.
//!
//! Given one object and all manifests; says nothing about a workload that is in none of them. Who would
//! scale it as well is left to [`crate::cli::check::rivals`].

use serde_json::Value;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::Manifest;
use crate::cli::check::reference::Reference;
use crate::cli::check::scaled::Object;

/// Kubernetes' default.
const GRACE_SECONDS: i64 = 30;
/// An answer of a language model takes up to a minute, and the pod's address half of that to be
/// forgotten everywhere.
const GRACE_MIN: i64 = 60;

/// Applies the rules to one object, beside `all` manifests, itself among them.
pub(crate) fn check(
    object: &Object<'_>,
    all: &[&Manifest],
    place: &Place,
    findings: &mut Findings,
) {
    let Some(target) = Reference::of(object.manifest) else { return };
    for other in all.iter().filter(|other| target.is(other)) {
        workload(object, other, place, findings);
    }
    if !all.iter().any(|other| target.is(other)) {
        missed(object, &target, all, (place, findings));
    }
}

/// What the reference may be meant for, where files have only others of its name.
fn missed(
    object: &Object<'_>,
    target: &Reference<'_>,
    all: &[&Manifest],
    (place, findings): (&Place, &mut Findings),
) {
    for other in all.iter().filter(|other| target.is_called(other)) {
        let Some(word) = other.text("/kind").filter(|kind| is_workload(kind)) else { continue };
        let namespace = other.namespace();
        if namespace == target.namespace {
            let message = format!("is a {}: these files have a {word} of that name", target.kind);
            findings.add(Level::Warning, place, "scaleTargetRef.kind", message);
        } else if word == target.kind && both_say_where(object.manifest, other) {
            let message = format!(
                "is looked for in {}: these files have it in {namespace} only",
                target.namespace
            );
            findings.add(Level::Warning, place, "scaleTargetRef.name", message);
        }
    }
}

/// A namespace that is not written is given later, by Helm or Kustomize.
fn both_say_where(object: &Manifest, other: &Manifest) -> bool {
    [object, other].iter().all(|manifest| manifest.text("/metadata/namespace").is_some())
}

fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet")
}

/// What its pods need, so that scaling cuts nothing off and a start is not taken for a failure.
fn workload(object: &Object<'_>, manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let word = manifest.text("/kind").unwrap_or_default().to_lowercase();
    let named = format!("{word}/{}/{}", manifest.namespace(), manifest.name());
    let place = Place { object: named, ..place.clone() };
    let mut warn = |key: &str, message: &str| findings.add(Level::Warning, &place, key, message);
    if manifest.has("/spec/replicas") {
        warn("replicas", "is set: every apply undoes what the HPA and KEDA decided; leave it out");
    }
    let has = |pointer: &str| {
        let mut containers = manifest.list("/spec/template/spec/containers");
        containers
            .any(|container| container.pointer(pointer).is_some_and(|one| *one != Value::Null))
    };
    if object.reaches_zero() && !has("/startupProbe") {
        let message = "is missing: each wake loads a model, and without one a pod that loads is restarted by \
                       its liveness probe, or taken for one that serves";
        warn("startupProbe", message);
    }
    if !has("/lifecycle/preStop") {
        let message = "is missing: a pod stops before its address is forgotten, and requests on their way fail; \
                       preStop: {sleep: {seconds: 15}}";
        warn("preStop", message);
    }
    let grace = manifest.int("/spec/template/spec/terminationGracePeriodSeconds");
    let seconds = grace.unwrap_or(GRACE_SECONDS);
    if seconds < GRACE_MIN {
        let given = grace.map_or(" by default", |_| "");
        let message = format!(
            "is {seconds} s{given}: scaling down cuts off answers that take longer, preStop included; as long as \
             the longest answer, {GRACE_MIN} at least"
        );
        warn("terminationGracePeriodSeconds", &message);
    }
    if manifest.list("/spec/template/spec/containers").any(cuts_off) {
        let message = "lack --shutdown-timeout: vLLM cuts off at SIGTERM what runs, however long the grace \
                       period; its seconds and those of preStop together within the grace period";
        warn("args", message);
    }
}

/// Whether a container runs vLLM and gives it no time to end what runs, which by default it has not; nor
/// waits for it before the end begins.
fn cuts_off(container: &Value) -> bool {
    let vllm = container.get("image").and_then(Value::as_str).is_some_and(|it| it.contains("vllm"));
    let words = ["command", "args"].into_iter().filter_map(|key| container.get(key)?.as_array());
    let says = |word: &Value, what: &str| word.as_str().is_some_and(|it| it.contains(what));
    let waits = container.pointer("/lifecycle/preStop/exec/command").and_then(Value::as_array);
    let waits = waits.into_iter().flatten().any(|word| says(word, "num_requests_running"));
    vllm && !waits && !words.flatten().any(|word| says(word, "--shutdown-timeout"))
}
