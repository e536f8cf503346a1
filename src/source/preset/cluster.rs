//! Names of kube-state-metrics, as of v2.20 (all stable but the ready time).

/// Families of a Deployment, by label `deployment`.
pub(crate) const DEPLOYMENT: [&str; 2] =
    ["kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"];

/// Families of a StatefulSet, by label `statefulset`.
pub(crate) const STATEFUL_SET: [&str; 2] =
    ["kube_statefulset_replicas", "kube_statefulset_status_replicas_ready"];

/// Families of an HPA, by label `horizontalpodautoscaler`.
pub(crate) const HPA: [&str; 4] = [
    "kube_horizontalpodautoscaler_info",
    "kube_horizontalpodautoscaler_spec_min_replicas",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
];

/// Instants of a pod; that of a start comes for each container.
pub(crate) const POD_TIMES: [&str; 5] = [
    "kube_pod_created",
    "kube_pod_status_scheduled_time",
    "kube_pod_container_state_started",
    "kube_pod_status_ready_time",
    "kube_pod_deletion_timestamp",
];

/// Phase of a pod: five series, one of them 1.
pub(crate) const POD_PHASE: &str = "kube_pod_status_phase";

/// Readiness of a pod, by label `condition`.
pub(crate) const POD_READY: &str = "kube_pod_status_ready";
