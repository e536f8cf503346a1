//! What KEDA's fallback would do with an error of ours, which by itself holds what is there.

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::scaled::Object;

const FAILURES: &str = "/spec/fallback/failureThreshold";
const REPLICAS: &str = "/spec/fallback/replicas";

/// Applies every rule to one object.
pub(crate) fn check(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    by_formula(object, place, findings);
    // One that lacks a number is refused, as is said of its fields.
    let numbers = [FAILURES, REPLICAS].map(|pointer| object.manifest.int(pointer));
    let [Some(failures), Some(replicas)] = numbers else { return };
    if object.reaches_zero() {
        to_zero(object, replicas, place, findings);
        late(object, failures, place, findings);
    }
    if replicas > object.max() {
        let message = format!("asks for {replicas}: more than {} are never reached", object.max());
        findings.add(Level::Warning, place, "fallback.replicas", message);
    }
}

/// An error of ours holds, also at zero. A fallback turns it into a number: KEDA 2.19 and later count
/// it as activity, so that whatever cannot be read wakes; with replicas 0 it is no number but idleness.
fn to_zero(object: &Object<'_>, replicas: i64, place: &Place, findings: &mut Findings) {
    let message = if replicas == 0 && object.min() == 0 {
        "with replicas 0 and minReplicaCount 0 a lost datasource scales to zero after \
         cooldownPeriod, whatever serves; leave it out: an error holds what is there"
            .to_owned()
    } else {
        format!(
            "with zero replicas allowed, an error wakes what sleeps, to {replicas}: KEDA counts fallback as \
             demand since 2.19; leave it out: an error holds what is there, asleep or not"
        )
    };
    findings.add(Level::Error, place, "fallback", message);
}

fn late(object: &Object<'_>, failures: i64, place: &Place, findings: &mut Findings) {
    if failures.saturating_mul(object.polling()) > object.cooldown() {
        let message = format!(
            "acts after {failures} x {} s, later than cooldownPeriod {} s: KEDA may be at zero by then",
            object.polling(),
            object.cooldown()
        );
        findings.add(Level::Error, place, "fallback.failureThreshold", message);
    }
}

fn by_formula(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let behavior = object.manifest.text("/spec/fallback/behavior");
    let formula = object.manifest.text("/spec/advanced/scalingModifiers/formula");
    if behavior == Some("scalingModifiers") && formula.is_none() {
        let message =
            "scalingModifiers needs a formula of scalingModifiers: KEDA refuses the object";
        findings.add(Level::Error, place, "fallback.behavior", message);
    }
}
