//! Kubernetes manifests to the few facts that the rules look at.
//!
//! Everything absent stays absent; KEDA's defaults are applied where a rule asks for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::cli::check::quantity;
use crate::report::one_line;
use crate::spec::yaml_problem;

/// One document: a manifest, or an element of a `List`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest(Value);

/// A file that is not YAML: the line, and what the parser says.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct NotYaml {
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// All documents of `text`, lists unfolded.
pub(crate) fn read(text: &str) -> Result<Vec<Manifest>, NotYaml> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        NotYaml { line, reason: one_line(&yaml_problem(&error)) }
    })?;
    let mut manifests = Vec::new();
    for document in documents {
        match document.pointer("/items").and_then(Value::as_array) {
            Some(items) => manifests.extend(items.iter().cloned().map(Manifest)),
            None => manifests.push(Manifest(document)),
        }
    }
    Ok(manifests)
}

/// What kind of scaled object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ScaledObject,
    ScaledJob,
}

impl Manifest {
    /// The kind, if it is one of KEDA's scaled objects.
    pub(crate) fn kind(&self) -> Option<Kind> {
        let group = self.text("/apiVersion").unwrap_or_default();
        match self.text("/kind") {
            Some("ScaledObject") if group.starts_with("keda.sh/") => Some(Kind::ScaledObject),
            Some("ScaledJob") if group.starts_with("keda.sh/") => Some(Kind::ScaledJob),
            _ => None,
        }
    }

    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    /// The object's namespace, `default` if it gives none.
    pub(crate) fn namespace(&self) -> &str {
        self.text("/metadata/namespace").unwrap_or("default")
    }

    /// The text at a JSON pointer; an empty one is what a template leaves where nothing is given.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The whole number at a JSON pointer.
    pub(crate) fn int(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer).and_then(Value::as_i64)
    }

    /// The quantity at a JSON pointer, quoted or not.
    pub(crate) fn quantity(&self, pointer: &str) -> Option<f64> {
        let value = self.0.pointer(pointer)?;
        value.as_f64().or_else(|| quantity::parse(value.as_str()?))
    }

    /// The fields at a JSON pointer, if they are some.
    pub(crate) fn object(&self, pointer: &str) -> Option<&Map<String, Value>> {
        self.0.pointer(pointer).and_then(Value::as_object)
    }

    /// The text of an annotation, an empty one included.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.object("/metadata/annotations")?.get(name)?.as_str()
    }

    /// Whether there is anything at a JSON pointer.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).is_some_and(|value| !value.is_null())
    }

    /// Whether a JSON pointer leads to `true`.
    pub(crate) fn is_true(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of a list at a JSON pointer; none where there is no list.
    pub(crate) fn list(&self, pointer: &str) -> impl Iterator<Item = &Value> {
        self.0.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    /// The triggers.
    pub(crate) fn triggers(&self) -> Vec<TriggerManifest> {
        let list = self.0.pointer("/spec/triggers").and_then(Value::as_array);
        list.into_iter().flatten().enumerate().map(|(idx, value)| trigger(idx, value)).collect()
    }
}

/// One trigger of a scaled object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TriggerManifest {
    /// Its type, `external-push`.
    pub(crate) kind: String,
    /// Its name, if it has one.
    pub(crate) name: Option<String>,
    /// Its name or number, to speak of it.
    pub(crate) label: String,
    /// `metricType`, if given.
    pub(crate) metric_type: Option<String>,
    /// `useCachedMetrics`.
    pub(crate) cached: bool,
    /// The metadata; values that are no strings as they would be written.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Keys whose values are no strings, which Kubernetes refuses.
    pub(crate) unquoted: Vec<String>,
}

fn trigger(idx: usize, value: &Value) -> TriggerManifest {
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = text("name");
    let mut metadata = BTreeMap::new();
    let mut unquoted = Vec::new();
    for (key, value) in value.get("metadata").and_then(Value::as_object).into_iter().flatten() {
        match value.as_str() {
            Some(text) => drop(metadata.insert(key.clone(), text.to_owned())),
            None => {
                unquoted.push(key.clone());
                metadata.insert(key.clone(), value.to_string());
            }
        }
    }
    TriggerManifest {
        kind: text("type").unwrap_or_default(),
        label: name.clone().unwrap_or_else(|| format!("triggers[{idx}]")),
        name,
        metric_type: text("metricType"),
        cached: value.get("useCachedMetrics").and_then(Value::as_bool).unwrap_or(false),
        metadata,
        unquoted,
    }
}

impl TriggerManifest {
    /// Whether it calls an external scaler.
    pub(crate) fn is_external(&self) -> bool {
        matches!(self.kind.as_str(), "external" | "external-push")
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, read};

    #[test]
    fn documents_and_lists_are_unfolded_and_lines_named() {
        let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: a}}
---
kind: Service
---
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: b, namespace: ns}
spec: {triggers: [{type: external, metadata: {queueDepth: 5, tick: 15s, hpaTolerance: off}}]}
";
        let manifests = read(text).unwrap();
        let kinds: Vec<_> = manifests.iter().map(super::Manifest::kind).collect();
        assert_eq!(kinds, [Some(Kind::ScaledObject), None, Some(Kind::ScaledJob)]);
        assert_eq!((manifests[0].namespace(), manifests[2].namespace()), ("default", "ns"));
        let trigger = &manifests[2].triggers()[0];
        assert_eq!(trigger.label, "triggers[0]");
        assert_eq!(trigger.metadata["queueDepth"], "5");
        assert_eq!(trigger.unquoted, ["hpaTolerance", "queueDepth"], "off is false in YAML 1.1");

        let twice = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(twice.to_string(), "line 3: a is given twice");

        let error = read("a: 1\nb: [\nc: 2\n").unwrap_err();
        assert!((2..=4).contains(&error.line), "{error}");
    }
}
