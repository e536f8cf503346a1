//! What kube-state-metrics says, and what its silence does not say.

use super::{Element, Facts, PodFacts, understood};
use crate::engine::observation::WorkloadFacts;
use crate::engine::units::Timestamp;
use crate::spec::{WorkloadKind, WorkloadRef};

fn element(name: &str, labels: &[(&str, &str)], value: f64) -> Element {
    let mut labels: std::collections::BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    labels.insert("__name__".to_owned(), name.to_owned());
    Element { labels, value }
}

fn named(kind: Option<WorkloadKind>) -> WorkloadRef {
    WorkloadRef { kind, name: "llama".to_owned() }
}

#[test]
fn the_hpa_the_workload_and_its_pods_are_told_apart() {
    let hpa = [("horizontalpodautoscaler", "keda-hpa-llama")];
    let info =
        [hpa[0], ("scaletargetref_kind", "StatefulSet"), ("scaletargetref_name", "llama-sts")];
    let pod = |name: &'static str, more: (&'static str, &'static str)| [("pod", name), more];
    let elements = [
        element("kube_horizontalpodautoscaler_info", &info, 1.0),
        element("kube_horizontalpodautoscaler_spec_min_replicas", &hpa, 1.0),
        element("kube_horizontalpodautoscaler_spec_max_replicas", &hpa, 8.0),
        element("kube_horizontalpodautoscaler_status_current_replicas", &hpa, 3.0),
        element("kube_deployment_spec_replicas", &[("deployment", "llama")], 4.0),
        element("kube_deployment_status_replicas_ready", &[("deployment", "llama")], 2.0),
        element("kube_pod_created", &[("pod", "a")], 1_700_000_000.0),
        element("kube_pod_status_scheduled_time", &[("pod", "a")], 1_700_000_003.0),
        element("kube_pod_container_state_started", &pod("a", ("container", "x")), 1_700_000_021.0),
        element("kube_pod_container_state_started", &pod("a", ("container", "y")), 1_700_000_020.0),
        element("kube_pod_status_ready_time", &[("pod", "a")], 1_700_000_090.5),
        element("kube_pod_status_phase", &pod("a", ("phase", "Running")), 1.0),
        element("kube_pod_status_ready", &pod("a", ("condition", "true")), 1.0),
        element("kube_pod_status_phase", &pod("b", ("phase", "Pending")), 1.0),
        element("kube_pod_status_ready", &pod("b", ("condition", "true")), 0.0),
        element("kube_pod_deletion_timestamp", &[("pod", "exporter"), ("exported_pod", "b")], 1.0),
    ];
    let Facts { workload, scaled, pods, notes: _ } = understood(&named(None), &elements);
    let expected = WorkloadFacts {
        workload: Some("deployment/llama".to_owned()),
        spec_replicas: Some(4),
        ready_replicas: Some(2),
        hpa_current: Some(3),
        hpa_min: Some(1),
        hpa_max: Some(8),
        addresses: None,
        phases_known: true,
    };
    assert_eq!(workload, expected);
    let set = WorkloadRef { kind: Some(WorkloadKind::StatefulSet), name: "llama-sts".to_owned() };
    assert_eq!(scaled, Some(set));
    let a = PodFacts {
        phase: "Running".to_owned(),
        is_ready: Some(true),
        created: Some(Timestamp::from_unix_ms(1_700_000_000_000)),
        scheduled: Some(Timestamp::from_unix_ms(1_700_000_003_000)),
        started: Some(Timestamp::from_unix_ms(1_700_000_021_000)),
        ready: Some(Timestamp::from_unix_ms(1_700_000_090_500)),
        deleted: false,
    };
    assert_eq!(pods.get("a"), Some(&a));
    assert_eq!(pods.get("b").map(|pod| (pod.is_ready, pod.deleted)), Some((Some(false), true)));
    assert_eq!(pods.len(), 2);
}

#[test]
fn silence_is_not_zero_replicas() {
    let Facts { workload, scaled, pods, .. } = understood(&named(None), &[]);
    assert_eq!(workload, WorkloadFacts::default());
    assert!(scaled.is_none() && pods.is_empty());
}

#[test]
fn phases_are_known_where_pods_are_listed_or_none_is_wanted() {
    let spec = |replicas| element("kube_deployment_spec_replicas", &[], replicas);
    let ready = element("kube_pod_status_ready", &[("pod", "a"), ("condition", "true")], 1.0);
    let rows = [
        (vec![spec(0.0)], true),
        (vec![spec(3.0)], false),
        (vec![spec(3.0), ready.clone()], true),
        (vec![ready], true),
    ];
    for (elements, expected) in rows {
        let facts = understood(&named(Some(WorkloadKind::Deployment)), &elements);
        assert_eq!(facts.workload.phases_known, expected, "{elements:?}");
    }
}
