//! Golden queries: what is asked, to the letter, and that it is PromQL.

use std::time::Duration;

use promql_parser::parser::parse;

use super::{Query, Subject, What, queries};
use crate::source::parts::own::Questions;
use crate::spec::{self, Limits, Spec, WorkloadKind, WorkloadRef};

fn spec(metadata: &[(&str, &str)]) -> Spec {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    spec::parse("llm", "llama", &metadata.collect(), &Limits::default()).unwrap()
}

fn asked(metadata: &[(&str, &str)], interval: u64, tenant: Option<&[String]>) -> Vec<Query> {
    let Spec { target, setup, .. } = spec(metadata);
    let kind = Some(WorkloadKind::StatefulSet);
    let workload = WorkloadRef { kind, name: "llama".to_owned() };
    let interval = Some(Duration::from_secs(interval));
    let subject = Subject { target: &target, workload: &workload, interval };
    let questions = Questions::understood(&target, tenant);
    let gateway = target.gateway.is_some();
    let queries = queries(&subject, &setup, &questions, gateway);
    for query in &queries {
        assert!(parse(&query.text).is_ok(), "not PromQL: {}", query.text);
    }
    queries
}

fn check(metadata: &[(&str, &str)], what: What, expected: &str) {
    let queries = asked(metadata, 30, None);
    let found: Vec<&str> = queries
        .iter()
        .filter(|query| query.what == what)
        .map(|query| query.text.as_str())
        .collect();
    assert_eq!(found, [expected], "{metadata:?}");
}

const DEMAND: fn(f64) -> What = |target| What::Demand { target, per_replica: false };

#[test]
fn counters_are_summed_over_pods_under_the_first_name_that_a_pod_has() {
    let vllm: &[_] = &[("engine", "vllm"), ("model", "m")];
    let plain = r#"namespace="llm",pod=~"llama-[0-9]+",model_name="m""#;
    let exported = r#"exported_namespace="llm",exported_pod=~"llama-[0-9]+",model_name="m""#;
    let identity = "model_name, engine, finished_reason, reason, sleep_state";
    let of_pod = |pod: &str, name: &str, matchers: &str| {
        format!(
            "sum by ({pod}) (max by ({pod}, {identity}) \
             (rate({{__name__=\"{name}\",{matchers}}}[90s])))"
        )
    };
    let output = "vllm:generation_tokens_total";
    check(
        vllm,
        What::Output,
        &format!(
            "sum({}) or sum({})",
            of_pod("pod", output, plain),
            of_pod("exported_pod", output, exported)
        ),
    );
    let names = [
        "vllm:prompt_tokens_cached_total",
        "vllm:prefix_cache_hits_total",
        "vllm:gpu_prefix_cache_hits_total",
    ];
    let first_of = |pod: &str, matchers: &str| {
        names.map(|name| of_pod(pod, name, &format!("{matchers},server=\"\""))).join(" or ")
    };
    check(
        vllm,
        What::Cached,
        &format!("sum({}) or sum({})", first_of("pod", plain), first_of("exported_pod", exported)),
    );
}

#[test]
fn a_counter_that_comes_with_the_first_request_is_zero_beside_other_families() {
    let llama: &[_] = &[("engine", "sglang")];
    let half = |pod: &str, prefix: &str| {
        let matchers = format!(r#"{prefix}namespace="llm",{pod}=~"llama-[0-9]+""#);
        let counter = format!(r#"{{__name__="sglang:num_requests_total",{matchers}}}"#);
        let identity = "model_name, engine_type, dp_rank, mode, is_streaming, cache_source";
        let alive = "sglang:num_queue_reqs|sglang:num_running_reqs|sglang:token_usage|\
                     sglang:max_total_num_tokens";
        format!(
            "sum(sum by ({pod}) (max by ({pod}, {identity}) (rate({counter}[90s])))) \
             or 0 * count({{__name__=~\"{alive}\",{matchers}}}) \
             unless count({counter})"
        )
    };
    let expected = format!("{} or {}", half("pod", ""), half("exported_pod", "exported_"));
    check(llama, What::Requests, &expected);
}

#[test]
fn labels_of_a_row_and_a_gateways_namespace_are_matched() {
    let queries = asked(&[("engine", "sglang")], 30, None);
    let output = queries.iter().find(|query| query.what == What::Output).unwrap();
    assert!(output.text.contains(r#"mode=~"|decode""#), "{}", output.text);
    check(
        &[("engine", "vllm"), ("gateway", "llm-d"), ("gatewaySelector", r#"inference_pool="p""#)],
        What::Gateway,
        "sum(rate({__name__=\"llm_d_epp_request_total\",namespace=\"llm\",inference_pool=\"p\"}\
         [90s]) or rate({__name__=\"llm_d_epp_request_total\",namespace=\"llm\",\
         inference_pool=\"p\"}[120s])) or \
         sum(rate({__name__=\"inference_objective_request_total\",namespace=\"llm\",\
         inference_pool=\"p\"}[90s]) or rate({__name__=\"inference_objective_request_total\",\
         namespace=\"llm\",inference_pool=\"p\"}[120s]))",
    );
    let held = asked(&[("engine", "vllm"), ("gateway", "keda-http")], 30, None);
    assert!(held.iter().all(|query| query.what != What::Gateway), "it counts no arrivals");
}

#[test]
fn gpus_are_averaged_by_pod_and_blanks_are_no_values() {
    let queries =
        asked(&[("engine", "gpu"), ("gpuUtilization", "60%"), ("gpuMemory", "80%")], 30, None);
    let [busy, memory] = queries.as_slice() else { panic!("{queries:?}") };
    assert_eq!((busy.what, memory.what), (DEMAND(0.6), DEMAND(0.8)));
    let first = "sum(0.01 * avg by (pod) (max by (pod, UUID, gpu, GPU_I_ID, GPU_UUID, gpu_id, \
                 serial_number, gpu_partition_id, Hostname, hostname) \
                 (avg_over_time({__name__=\"DCGM_FI_DEV_GPU_UTIL\",namespace=\"llm\",\
                 pod=~\"llama-[0-9]+\"}[60s]) <= 105)) or avg by (pod) (";
    assert!(busy.text.starts_with(first), "{}", busy.text);
    let text = &memory.text;
    assert!(text.starts_with("sum(clamp_max((1048576 * sum by (pod) (max by (pod, "), "{text}");
    assert!(text.contains(" < 2147483632)) or 1000000 * sum by (pod)"), "{text}");
    assert!(text.contains(") / (1048576 * (sum by (pod)"), "{text}");
}

#[test]
fn own_signals_are_asked_as_they_are_and_confined_as_ever() {
    let signals = "- {name: q, query: 'sum(depth)', target: 4}\n\
                   - {name: m, query: 'avg(busy)', target: 2, total: false}\n\
                   - {name: w, query: 'sum(held)', role: activation, target: 1}";
    let metadata: &[_] = &[("engine", "custom"), ("signals", signals)];
    let labels = ["namespace".to_owned()];
    let queries = asked(metadata, 30, Some(&labels));
    let texts: Vec<&str> = queries.iter().map(|query| query.text.as_str()).collect();
    let [depth, busy, ready] = texts.as_slice() else { panic!("{queries:?}") };
    assert_eq!(*depth, r#"sum(depth{namespace="llm"})"#);
    assert_eq!(*busy, r#"avg(busy{namespace="llm"})"#);
    assert_eq!(
        *ready,
        "max({__name__=\"kube_statefulset_status_replicas_ready\",namespace=\"llm\",\
         statefulset=\"llama\"} or {__name__=\"kube_statefulset_status_replicas_ready\",\
         exported_namespace=\"llm\",statefulset=\"llama\"})"
    );
    assert_eq!(queries[0].what, DEMAND(4.0));
    assert_eq!(queries[1].what, What::Demand { target: 2.0, per_replica: true });
    let foreign = "- {name: q, query: 'sum(depth{namespace=\"other\"})', target: 4}";
    let metadata: &[_] = &[("engine", "custom"), ("signals", foreign)];
    assert_eq!(asked(metadata, 30, Some(&labels)), []);
}

#[test]
fn a_gateway_that_is_scraped_less_often_is_read_all_the_same() {
    let trigger: &[_] =
        &[("engine", "vllm"), ("gateway", "envoy-ai"), ("gatewaySelector", "a=\"b\"")];
    for (interval, ranges) in [(15, &["[75s]", "[120s]"][..]), (60, &["[180s]"])] {
        let queries = asked(trigger, interval, None);
        let gateway = queries.iter().find(|query| query.what == What::Gateway).unwrap();
        // Each of its series by itself: some may be scraped at a moment that suits.
        let first = gateway.text.strip_prefix("sum(").unwrap();
        for (part, range) in first.split(" or ").zip(ranges) {
            assert!(part.starts_with("rate(") && part.contains(range), "{}", gateway.text);
        }
        let output = queries.iter().find(|query| query.what == What::Output).unwrap();
        assert!(output.text.contains(ranges[0]) && !output.text.contains("[120s]"));
    }
}

#[test]
fn every_engine_tells_its_requests_and_what_they_cost() {
    let rows = [
        ("vllm", 5),
        ("sglang", 4),
        ("tgi", 3),
        ("trtllm", 3),
        ("triton", 2),
        ("llamacpp", 2),
        ("dynamo", 2),
    ];
    for (engine, count) in rows {
        let queries = asked(&[("engine", engine)], 30, None);
        assert_eq!(queries.len(), count, "{engine}");
    }
}
