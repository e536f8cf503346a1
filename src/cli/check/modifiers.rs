//! `scalingModifiers`: a formula of several triggers in the place of the largest of them.

use serde_json::Value;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::formula;
use crate::cli::check::placeholder;
use crate::cli::check::scaled::Object;

const MODIFIERS: &str = "/spec/advanced/scalingModifiers";
/// Types of triggers that a formula cannot speak of.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Applies every rule to one object.
pub(crate) fn check(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let given = object.manifest.object(MODIFIERS);
    if !given.into_iter().flatten().any(|(_, value)| *value != Value::Null && *value != "") {
        return;
    }
    if let Some(formula) = object.manifest.text(&format!("{MODIFIERS}/formula")) {
        names(object, formula, place, findings);
    }
    required(object, place, findings);
    activation(object, place, findings);
    if object.manifest.text(&format!("{MODIFIERS}/metricType")) == Some("Value") {
        let message = "Value divides by ready pods only; use AverageValue";
        findings.add(Level::Error, place, "scalingModifiers.metricType", message);
    }
}

fn names(object: &Object<'_>, formula: &str, place: &Place, findings: &mut Findings) {
    for ours in object.ours.iter().filter(|ours| !ours.named) {
        let message = "is missing: the formula of scalingModifiers speaks of triggers by name";
        findings.add(Level::Error, &ours.place, "name", message);
    }
    let triggers = object.manifest.triggers();
    let spoken_of = triggers.iter().filter(|one| !RESOURCES.contains(&one.kind.as_str()));
    let known: Vec<&str> = spoken_of.filter_map(|one| one.name.as_deref()).collect();
    let all_named = object.ours.iter().all(|ours| ours.named);
    if let Some(name) = formula::unknown(formula, &known).filter(|_| all_named) {
        let message = format!(
            "speaks of {name}: no trigger has that name, or it is of cpu or memory; KEDA refuses the object"
        );
        findings.add(Level::Error, place, "scalingModifiers.formula", message);
    }
}

/// What KEDA refuses the object without.
fn required(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let (formula, target) = (format!("{MODIFIERS}/formula"), format!("{MODIFIERS}/target"));
    if object.manifest.text(&formula).is_none() {
        let message = "is missing: KEDA refuses the object";
        findings.add(Level::Error, place, "scalingModifiers.formula", message);
    }
    let message = match object.manifest.text(&target) {
        Some(text) if text.parse::<f64>().is_ok_and(|target| target > 0.0) => return,
        Some(text) if placeholder::is_in(text) => return,
        Some(text) => format!("{text:?} must be a number above 0"),
        // One that is no string is told as such.
        None if object.manifest.quantity(&target).is_some() => return,
        None => "is missing: \"1\" for a number of replicas".to_owned(),
    };
    findings.add(Level::Error, place, "scalingModifiers.target", message);
}

fn activation(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let Some(text) = object.manifest.text(&format!("{MODIFIERS}/activationTarget")) else { return };
    let (level, message) = match text.parse::<f64>() {
        Ok(threshold) if threshold <= 0.0 => return,
        Err(_) if placeholder::is_in(text) => return,
        Ok(_) => (
            Level::Warning,
            "keeps the object at zero while the formula is not above it, whatever prescale says"
                .to_owned(),
        ),
        Err(_) => (Level::Error, format!("{text:?} must be a number")),
    };
    findings.add(level, place, "scalingModifiers.activationTarget", message);
}
