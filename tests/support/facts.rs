//! What kube-state-metrics says of a workload with one ready pod, as rows of an instant vector.

/// Of the Deployment `workload` and its pod, at `time` in seconds since the epoch.
pub(crate) fn facts(workload: &str, pod: &str, time: &str) -> String {
    format!(
        r#"{{"metric":{{"__name__":"kube_deployment_spec_replicas","namespace":"ns","deployment":"{workload}"}},"value":[{time},"1"]}},
        {{"metric":{{"__name__":"kube_pod_status_ready","namespace":"ns","pod":"{pod}","condition":"true"}},"value":[{time},"1"]}},
        {{"metric":{{"__name__":"kube_pod_status_phase","namespace":"ns","pod":"{pod}","phase":"Running"}},"value":[{time},"1"]}}"#
    )
}
