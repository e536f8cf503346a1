//! Golden queries: what is asked, to the letter, and that it is PromQL.

use std::time::Duration;

use promql_parser::parser::parse;

use super::{
    Style, candidates, facts, gateway, gpus, latency, minute_window, pod_pattern, pods, rate_window,
};
use super::{up, window};
use crate::engine::observation::Latency;
use crate::source::preset::{asked, preset};
use crate::spec::{
    Engine, Gateway, LabelMatcher, MatchOp, SourceRef, Target, WorkloadKind, WorkloadRef,
};

fn target() -> Target {
    Target {
        namespace: "llm".to_owned(),
        scaled_object: "llama".to_owned(),
        hpa: "keda-hpa-llama".to_owned(),
        workload: None,
        engine: Engine::Vllm,
        selector: Vec::new(),
        model: None,
        source: SourceRef::Datasource("default".to_owned()),
        gateway: None,
        gateway_selector: Vec::new(),
        activation_query: None,
        activation_endpoints: Vec::new(),
        own: Vec::new(),
        latencies: vec![Latency::Ttft],
        latency_quantile: 0.95,
        gpu: false,
        tick: std::time::Duration::from_secs(15),
    }
}

fn workload(kind: Option<WorkloadKind>, name: &str) -> WorkloadRef {
    WorkloadRef { kind, name: name.to_owned() }
}

fn matcher(label: &str, op: MatchOp, value: &str) -> LabelMatcher {
    LabelMatcher { label: label.to_owned(), op, value: value.to_owned() }
}

fn check_all(queries: &[String], expected: &[&str]) {
    assert_eq!(queries.len(), expected.len(), "{queries:?}");
    for (query, expected) in queries.iter().zip(expected) {
        check(query, expected);
    }
}

fn check(query: &str, expected: &str) {
    assert_eq!(query, expected);
    assert!(parse(query).is_ok(), "not PromQL: {query}");
}

const SPAN: Duration = Duration::from_secs(150);

#[test]
fn pods_are_named_as_their_workload_names_them() {
    use WorkloadKind::{Deployment, StatefulSet};
    let long = "a-name-of-forty-seven-characters-aaaaaaaaaaaaaa";
    let longer = "a".repeat(60);
    let rows = [
        (Some(Deployment), "llama", "llama-[a-z0-9]+-[a-z0-9]{5}".to_owned()),
        (Some(StatefulSet), "llama", "llama-[0-9]+".to_owned()),
        (None, "llama", "(?:llama-[a-z0-9]+-[a-z0-9]{5}|llama-[0-9]+)".to_owned()),
        (Some(StatefulSet), "llama.v1", "llama\\.v1-[0-9]+".to_owned()),
        (Some(Deployment), long, format!("{long}-[a-z0-9]*-?[a-z0-9]{{5}}")),
        (Some(Deployment), &longer, format!("{}[a-z0-9]{{5}}", "a".repeat(58))),
    ];
    for (kind, name, expected) in rows {
        assert_eq!(pod_pattern(&workload(kind, name)), expected);
    }
}

#[test]
fn engine_series_are_asked_raw_with_every_value_escaped() {
    let mut target = target();
    let set = workload(Some(WorkloadKind::StatefulSet), "llama.v1");
    let names = ["vllm:num_requests_waiting", "vllm:num_requests_running"];
    check(
        &pods(&target, &set, &names, Style::Plain, SPAN),
        r#"{__name__=~"vllm:num_requests_waiting|vllm:num_requests_running",namespace="llm",pod=~"llama\\.v1-[0-9]+"}[150s]"#,
    );
    target.selector = vec![
        matcher("job", MatchOp::Equal, "a\"b\\c\n"),
        matcher("tier", MatchOp::NotRegex, "x|y"),
        matcher("bad\"} or up{a", MatchOp::Equal, "1"),
    ];
    check(
        &pods(&target, &set, &names[..1], Style::Exported, SPAN),
        r#"{__name__="vllm:num_requests_waiting",exported_namespace="llm",exported_pod=~"llama\\.v1-[0-9]+",job="a\"b\\c\n",tier!~"x|y",prescale_not_a_label="1"}[150s]"#,
    );
    check(
        &gpus(&target, &set, &["DCGM_FI_DEV_GPU_UTIL"], Style::Exported, SPAN),
        r#"{__name__="DCGM_FI_DEV_GPU_UTIL",exported_namespace="llm",exported_pod=~"llama\\.v1-[0-9]+"}[150s]"#,
    );
}

#[test]
fn replica_facts_are_one_query_in_both_label_styles() {
    let deployment = workload(Some(WorkloadKind::Deployment), "llama");
    let query = facts(&target(), &deployment);
    let half = |prefix: &str| {
        format!(
            "{{__name__=~\"kube_horizontalpodautoscaler_info|\
             kube_horizontalpodautoscaler_spec_min_replicas|\
             kube_horizontalpodautoscaler_spec_max_replicas|\
             kube_horizontalpodautoscaler_status_current_replicas\",\
             {prefix}namespace=\"llm\",horizontalpodautoscaler=\"keda-hpa-llama\"}} or \
             {{__name__=~\"kube_deployment_spec_replicas|kube_deployment_status_replicas_ready\",\
             {prefix}namespace=\"llm\",deployment=\"llama\"}} or \
             {{__name__=~\"kube_pod_created|kube_pod_status_scheduled_time|\
             kube_pod_container_state_started|kube_pod_status_ready_time|\
             kube_pod_deletion_timestamp\",{prefix}namespace=\"llm\",\
             {prefix}pod=~\"llama-[a-z0-9]+-[a-z0-9]{{5}}\"}} or \
             {{__name__=\"kube_pod_status_phase\",{prefix}namespace=\"llm\",\
             {prefix}pod=~\"llama-[a-z0-9]+-[a-z0-9]{{5}}\"}} == 1 or \
             {{__name__=\"kube_pod_status_ready\",{prefix}namespace=\"llm\",\
             {prefix}pod=~\"llama-[a-z0-9]+-[a-z0-9]{{5}}\",condition=\"true\"}}"
        )
    };
    check(&query, &format!("{} or {}", half(""), half("exported_")));
    let either = facts(&target(), &workload(None, "llama"));
    assert!(either.contains("deployment=\"llama\"") && either.contains("statefulset=\"llama\""));
}

#[test]
fn histograms_fall_back_to_the_old_name_as_a_whole() {
    let mut target = target();
    target.model = Some("org/model".to_owned());
    let set = workload(Some(WorkloadKind::StatefulSet), "llama");
    let vllm = preset(Engine::Vllm);
    check(
        &latency(&target, &set, &vllm, &vllm.histograms[1], Duration::from_secs(120)),
        r#"sum by (le) (rate({__name__="vllm:inter_token_latency_seconds_bucket",namespace="llm",pod=~"llama-[0-9]+",model_name="org/model"}[120s])) or on () sum by (le) (rate({__name__="vllm:time_per_output_token_seconds_bucket",namespace="llm",pod=~"llama-[0-9]+",model_name="org/model"}[120s]))"#,
    );
    let dynamo = preset(Engine::Dynamo);
    let query = latency(&target, &set, &dynamo, &dynamo.histograms[0], SPAN);
    assert!(query.contains(r#"model=~"(?i)org/model""#), "{query}");
}

#[test]
fn gateways_are_asked_in_the_tenants_namespace() {
    let mut target = target();
    check_all(
        &gateway(&target, &asked(Gateway::KedaHttp)[0], SPAN),
        &[r#"{__name__="interceptor_request_concurrency",route_namespace="llm"}[150s]"#],
    );
    check_all(
        &gateway(&target, &asked(Gateway::KedaHttp)[1], SPAN),
        &[r#"{__name__="interceptor_pending_request_count",host=~"llm/.+"}[150s]"#],
    );
    target.gateway_selector = vec![
        matcher("namespace", MatchOp::Equal, "routers"),
        matcher("model", MatchOp::Equal, "m"),
    ];
    check_all(
        &gateway(&target, &asked(Gateway::ProductionStack)[0], SPAN),
        &[r#"{__name__="vllm:num_incoming_requests_total",namespace="routers",model="m"}[150s]"#],
    );
}

/// All queries of a gateway, its ways in order.
fn all(target: &Target, of: Gateway) -> Vec<String> {
    let ways = asked(of).iter().filter(|way| way.fits(target));
    ways.flat_map(|way| gateway(target, way, SPAN)).collect()
}

#[test]
fn what_a_series_says_of_its_namespace_is_asked_under_every_name_it_may_have() {
    let mut target = target();
    // A tenant in the gateway's own namespace must not read what a scrape renamed: it is everybody's.
    check_all(
        &all(&target, Gateway::IngressNginx),
        &[
            r#"{__name__="nginx_ingress_controller_requests",exported_namespace="llm"}[150s]"#,
            r#"{__name__="nginx_ingress_controller_requests",namespace="llm",exported_namespace=""}[150s]"#,
        ],
    );
    check_all(
        &all(&target, Gateway::PrescaleGate),
        &[
            r#"{__name__=~"prescale_gate_requests_in_flight|prescale_gate_requests_held|prescale_gate_requests_total",exported_namespace="llm",name="llama"}[150s]"#,
            r#"{__name__=~"prescale_gate_requests_in_flight|prescale_gate_requests_held|prescale_gate_requests_total",namespace="llm",exported_namespace="",name="llama"}[150s]"#,
        ],
    );
    check_all(
        &all(&target, Gateway::Knative),
        &[
            r#"{__name__=~"kn_revision_request_concurrency|kn_revision_request_queued",k8s_namespace_name="llm"}[150s]"#,
            r#"{__name__="activator_request_concurrency",namespace_name="llm"}[150s]"#,
        ],
    );
    target.gateway_selector = vec![matcher("destination_service_name", MatchOp::Equal, "llama")];
    check_all(
        &all(&target, Gateway::Istio),
        &[
            r#"{__name__="istio_requests_total",destination_service_namespace="llm",reporter="source",destination_service_name="llama"}[150s]"#,
        ],
    );
}

#[test]
fn a_model_is_compared_where_the_gateway_says_it_and_asks_nothing_of_those_who_mix() {
    let mut target = target();
    target.model = Some("Org/M.1".to_owned());
    check_all(
        &all(&target, Gateway::Litellm),
        &[
            r#"{__name__="litellm_proxy_total_requests_metric_total",namespace="llm",requested_model="Org/M.1"}[150s]"#,
            r#"{__name__="litellm_in_flight_requests",namespace="llm"}[150s]"#,
        ],
    );
    check_all(
        &all(&target, Gateway::Dynamo),
        &[
            r#"{__name__=~"dynamo_frontend_requests_started_total|dynamo_frontend_requests_total",namespace="llm",model=~"(?i)Org/M\\.1"}[150s]"#,
            r#"{__name__="dynamo_frontend_disconnected_clients",namespace="llm"}[150s]"#,
        ],
    );
    // Without its cluster, Envoy's series of a whole namespace are not asked.
    check_all(
        &all(&target, Gateway::EnvoyAi),
        &[
            r#"{__name__="gen_ai_server_request_duration_seconds_count",namespace="llm",gen_ai_request_model="Org/M.1"}[150s]"#,
        ],
    );
    target.model = None;
    target.gateway_selector =
        vec![matcher("envoy_cluster_name", MatchOp::Regex, "httproute/llm/llama/.*")];
    assert_eq!(
        all(&target, Gateway::EnvoyAi)[0],
        r#"{__name__=~"envoy_cluster_upstream_rq_active|envoy_cluster_upstream_cx_none_healthy",envoy_cluster_name=~"(?:httproute/|grpcroute/)llm/.+",envoy_cluster_name=~"httproute/llm/llama/.*"}[150s]"#
    );
    target.gateway_selector = vec![matcher("job", MatchOp::Equal, "litellm")];
    assert_eq!(all(&target, Gateway::Litellm).len(), 2, "the whole proxy, if the user says so");
}

#[test]
fn a_picker_that_holds_nothing_of_a_pool_shows_that_it_lives_by_the_pools_name() {
    let mut target = target();
    target.gateway_selector = vec![
        matcher("inference_pool", MatchOp::Equal, "p"),
        matcher("model_name", MatchOp::Equal, "m"),
        matcher("job", MatchOp::Equal, "epp"),
    ];
    check_all(
        &gateway(&target, &asked(Gateway::LlmD)[0], SPAN),
        &[
            r#"{__name__=~"llm_d_epp_flow_control_queue_size|inference_extension_flow_control_queue_size|llm_d_epp_request_total|inference_objective_request_total",namespace="llm",inference_pool="p",model_name="m",job="epp"}[150s]"#,
            r#"{__name__=~"llm_d_epp_ready_endpoints|inference_pool_ready_pods",namespace="llm",name="p",job="epp"}[150s]"#,
        ],
    );
}

#[test]
fn hints_and_liveness_are_small_queries() {
    check(
        &candidates(&target(), &["a", "b"], &["server", "server"]),
        r#"group by (pod) ({__name__=~"a|b",namespace="llm",server=""}) or group by (exported_pod) ({__name__=~"a|b",exported_namespace="llm",server=""})"#,
    );
    check(
        &up(&[("namespace", "llm"), ("instance", "10.0.0.1:80")], SPAN),
        r#"{__name__="up",namespace="llm",instance="10.0.0.1:80"}[150s]"#,
    );
}

#[test]
fn windows_follow_slow_scrapes_in_whole_minutes() {
    let rows = [(None, 150, 120), (Some(15), 150, 120), (Some(30), 150, 120), (Some(60), 300, 240)];
    for (interval, raw, rate) in rows {
        let interval = interval.map(Duration::from_secs);
        assert_eq!(window(interval), Duration::from_secs(raw), "{interval:?}");
        assert_eq!(rate_window(interval), Duration::from_secs(rate), "{interval:?}");
    }
    assert_eq!(window(Some(Duration::from_millis(31_500))), Duration::from_secs(180));
    for (interval, expected) in [(1_000, 61), (15_004, 75), (30_000, 90), (60_000, 180)] {
        let interval = Duration::from_millis(interval);
        assert_eq!(minute_window(Some(interval)), Duration::from_secs(expected), "{interval:?}");
    }
    assert_eq!(minute_window(None), Duration::from_secs(120));
}
