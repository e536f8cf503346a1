//! Replica facts from kube-state-metrics: the HPA, the workload, its pods.
//!
//! An answer without anything about the workload is no fact at all: never zero replicas.

use std::collections::BTreeMap;

use crate::engine::observation::{Searched, WorkloadFacts};
use crate::engine::units::Timestamp;
use crate::source::parts::asking::{Asking, Notes, searched};
use crate::source::plan;
use crate::source::preset::cluster;
use crate::source::prometheus::answer::Element;
use crate::spec::{WorkloadKind, WorkloadRef};

/// A pod as the cluster sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodFacts {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`; empty when nobody said.
    pub(crate) phase: String,
    /// Its condition Ready, if known.
    pub(crate) is_ready: Option<bool>,
    /// When it was created.
    pub(crate) created: Option<Timestamp>,
    /// When it was given a node.
    pub(crate) scheduled: Option<Timestamp>,
    /// When the last of its containers started.
    pub(crate) started: Option<Timestamp>,
    /// When it became ready; only while it is.
    pub(crate) ready: Option<Timestamp>,
    /// It is being deleted.
    pub(crate) deleted: bool,
}

impl PodFacts {
    /// It ran and will not run again.
    pub(crate) fn over(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

/// What the cluster says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// Replica counts.
    pub(crate) workload: WorkloadFacts,
    /// What the HPA scales.
    pub(crate) scaled: Option<WorkloadRef>,
    /// The pods, by name.
    pub(crate) pods: BTreeMap<String, PodFacts>,
    /// What could not be read, and what was looked for.
    pub(crate) notes: Notes,
}

/// Asks for the facts.
pub(crate) async fn read(asking: Asking<'_>) -> Facts {
    let mut notes = Notes::default();
    let query = plan::facts(asking.target, asking.workload);
    let elements = asking.elements(&query, &mut notes).await.unwrap_or_default();
    notes.searched.extend(searches(&elements));
    Facts { notes, ..understood(asking.workload, &elements) }
}

fn searches(elements: &[Element]) -> Vec<Searched> {
    let found = elements.iter().map(Element::name).collect();
    let replicas = [cluster::DEPLOYMENT[0], cluster::STATEFUL_SET[0]];
    vec![
        searched("spec replicas", &replicas, &found),
        searched("hpa", &cluster::HPA[..1], &found),
        searched("pod phases", &[cluster::POD_READY], &found),
    ]
}

fn understood(workload: &WorkloadRef, elements: &[Element]) -> Facts {
    let number = |name: &str| largest(elements, name);
    let deployed = number(cluster::DEPLOYMENT[0]);
    let stateful = number(cluster::STATEFUL_SET[0]);
    let scaled = elements.iter().find(|e| e.name() == cluster::HPA[0]).and_then(scaled);
    let kind = workload.kind.or(match (deployed, stateful) {
        (Some(_), _) => Some(WorkloadKind::Deployment),
        (None, Some(_)) => Some(WorkloadKind::StatefulSet),
        (None, None) => None,
    });
    let stateful_set = kind == Some(WorkloadKind::StatefulSet);
    let ready = if stateful_set { cluster::STATEFUL_SET[1] } else { cluster::DEPLOYMENT[1] };
    let pods = pods(elements);
    let listed = pods.values().any(|pod| pod.is_ready.is_some());
    let spec_replicas = if stateful_set { stateful } else { deployed };
    Facts {
        workload: WorkloadFacts {
            workload: kind.map(|kind| format!("{}/{}", kind_word(kind), workload.name)),
            spec_replicas,
            ready_replicas: number(ready),
            hpa_min: number(cluster::HPA[1]),
            hpa_max: number(cluster::HPA[2]),
            hpa_current: number(cluster::HPA[3]),
            addresses: None,
            // No pods listed is an answer only where none are wanted.
            phases_known: listed || spec_replicas == Some(0),
        },
        scaled,
        pods,
        notes: Notes::default(),
    }
}

const fn kind_word(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployment",
        WorkloadKind::StatefulSet => "statefulset",
    }
}

/// The largest value of a family: two replicas of kube-state-metrics may differ for a scrape.
fn largest(elements: &[Element], name: &str) -> Option<u32> {
    elements.iter().filter(|e| e.name() == name).filter_map(|e| count(e.value)).max()
}

fn count(value: f64) -> Option<u32> {
    if !(0.0..=f64::from(u32::MAX)).contains(&value) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be within u32"
    )]
    let count = value as u32;
    Some(count)
}

fn scaled(info: &Element) -> Option<WorkloadRef> {
    let name = info.label("scaletargetref_name");
    let kind = match info.label("scaletargetref_kind") {
        "Deployment" => Some(WorkloadKind::Deployment),
        "StatefulSet" => Some(WorkloadKind::StatefulSet),
        _ => None,
    };
    (!name.is_empty()).then(|| WorkloadRef { kind, name: name.to_owned() })
}

fn pods(elements: &[Element]) -> BTreeMap<String, PodFacts> {
    let mut pods: BTreeMap<String, PodFacts> = BTreeMap::new();
    for element in elements {
        let exported = element.label("exported_pod");
        let name = if exported.is_empty() { element.label("pod") } else { exported };
        let family = element.name();
        if name.is_empty() || !family.starts_with("kube_pod_") {
            continue;
        }
        let pod = pods.entry(name.to_owned()).or_default();
        match family {
            cluster::POD_PHASE => element.label("phase").clone_into(&mut pod.phase),
            cluster::POD_READY => {
                pod.is_ready = Some(pod.is_ready == Some(true) || element.value >= 1.0);
            }
            "kube_pod_created" => pod.created = instant(element.value),
            "kube_pod_status_scheduled_time" => pod.scheduled = instant(element.value),
            "kube_pod_container_state_started" => {
                pod.started = pod.started.max(instant(element.value));
            }
            "kube_pod_status_ready_time" => pod.ready = instant(element.value),
            "kube_pod_deletion_timestamp" => pod.deleted = true,
            _ => {}
        }
    }
    pods
}

fn instant(seconds: f64) -> Option<Timestamp> {
    let milliseconds = seconds * 1000.0;
    if !(1.0..1e14).contains(&milliseconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within 1..1e14")]
    let milliseconds = milliseconds as i64;
    Some(Timestamp::from_unix_ms(milliseconds))
}

#[cfg(test)]
mod tests;
