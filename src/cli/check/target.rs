//! What else speaks of the workload that an object scales, in the files that are checked together:
//! the workload itself, and whoever would scale it as well.
//!
//! Given one object and all manifests; says nothing about a workload that is in none of them.

use serde_json::Value;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::Manifest;
use crate::cli::check::scaled::Object;

/// Kubernetes' default.
const GRACE_SECONDS: i64 = 30;
/// An answer of a language model takes up to a minute, and the pod's address half of that to be
/// forgotten everywhere.
const GRACE_MIN: i64 = 60;
/// With this the HTTP add-on leaves scaling to others.
const SKIP: &str = "/metadata/annotations/httpscaledobject.keda.sh~1skip-scaledobject-creation";

/// A workload, as a `scaleTargetRef` names it.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    namespace: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> Target<'a> {
    /// What `manifest` refers to at a JSON pointer.
    fn of(manifest: &'a Manifest, pointer: &str) -> Option<Self> {
        let name = manifest.text(&format!("{pointer}/name"))?;
        let kind = manifest.text(&format!("{pointer}/kind")).unwrap_or("Deployment");
        Some(Self { namespace: manifest.namespace(), kind, name })
    }

    /// Whether `manifest` is this workload.
    fn is(&self, manifest: &Manifest) -> bool {
        let Self { namespace, kind, name } = *self;
        let named = manifest.namespace() == namespace && manifest.name() == name;
        named && manifest.text("/kind") == Some(kind)
    }
}

/// Applies the rules to one object, beside `all` manifests, itself among them.
pub(crate) fn check(
    object: &Object<'_>,
    all: &[&Manifest],
    place: &Place,
    findings: &mut Findings,
) {
    let Some(target) = Target::of(object.manifest, "/spec/scaleTargetRef") else { return };
    for other in all.iter().filter(|other| !std::ptr::eq(**other, object.manifest)) {
        rival(&target, other, place, findings);
        if target.is(other) {
            workload(object, other, place, findings);
        }
    }
}

/// Two who scale one workload undo each other's work.
fn rival(target: &Target<'_>, other: &Manifest, place: &Place, findings: &mut Findings) {
    let group = other.text("/apiVersion").unwrap_or_default();
    let name = other.name();
    let message = match other.text("/kind") {
        Some("ScaledObject") if group.starts_with("keda.sh/") => {
            format!(
                "is scaled by ScaledObject {name} as well: KEDA refuses the second; one with both triggers"
            )
        }
        Some("HorizontalPodAutoscaler") => {
            format!(
                "is scaled by HorizontalPodAutoscaler {name} as well: KEDA refuses it; delete that one"
            )
        }
        Some("HTTPScaledObject") if other.text(SKIP) != Some("true") => format!(
            "is scaled by HTTPScaledObject {name} as well: the add-on makes a ScaledObject of its own; annotate it \
             with httpscaledobject.keda.sh/skip-scaledobject-creation: \"true\", or use an InterceptorRoute"
        ),
        _ => return,
    };
    if Target::of(other, "/spec/scaleTargetRef").as_ref() == Some(target) {
        findings.add(Level::Error, place, "scaleTargetRef", message);
    }
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
