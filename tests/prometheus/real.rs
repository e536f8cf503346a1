//! A real Prometheus scrapes genuine pages; what comes out is what the pages say.

use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::observation::{Combine, Latency, Observation, Phase, Role, RoleSeries};
use prescale::source::config::DatasourceConfig;
use prescale::source::{Reader, Sources};
use prescale::spec::{
    Engine, Gateway, LabelMatcher, MatchOp, OwnQuery, Target, WorkloadKind, WorkloadRef,
};

use crate::pages::Pages;
use crate::server::{Prometheus, Scraped};
use crate::{sources, target};

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../data/prometheus/", $name, ".prom"))
    };
}

/// Data must be there after this; a loaded machine needs most of it to start.
const DEADLINE: Duration = Duration::from_secs(60);

fn value(role: &RoleSeries) -> f64 {
    let values = role.series.iter().filter_map(|series| series.latest());
    let values: Vec<f64> = values.map(|sample| sample.value).collect();
    match role.combine {
        Combine::Sum => values.iter().sum(),
        Combine::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Combine::Mean => {
            values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap())
        }
    }
}

fn read(observation: &Observation, pod: &str, role: Role) -> Option<f64> {
    observation.pods.get(pod)?.roles.get(&role).map(value)
}

/// Observes until `enough`, and gives the last observation.
async fn observed(reader: &mut Reader, enough: impl Fn(&Observation) -> bool) -> Observation {
    let clock = Clock::system();
    let began = clock.now();
    loop {
        let observation = reader.observe(clock.now()).await;
        if enough(&observation) {
            return observation;
        }
        assert!(clock.now().since(began) < DEADLINE, "not enough: {observation:#?}");
        clock.sleep(Duration::from_millis(300)).await;
    }
}

fn close(read: Option<f64>, expected: f64) -> bool {
    read.is_some_and(|read| (read - expected).abs() <= 1e-9 * expected.abs().max(1.0))
}

/// What kube-state-metrics says of Deployment `llama`: one pod ready, one loading, one pending.
const CLUSTER: &str = r#"
kube_horizontalpodautoscaler_info{namespace="llm",horizontalpodautoscaler="keda-hpa-chat",scaletargetref_kind="Deployment",scaletargetref_name="llama"} 1
kube_horizontalpodautoscaler_spec_min_replicas{namespace="llm",horizontalpodautoscaler="keda-hpa-chat"} 1
kube_horizontalpodautoscaler_spec_max_replicas{namespace="llm",horizontalpodautoscaler="keda-hpa-chat"} 9
kube_horizontalpodautoscaler_status_current_replicas{namespace="llm",horizontalpodautoscaler="keda-hpa-chat"} 3
kube_deployment_spec_replicas{namespace="llm",deployment="llama"} 3
kube_deployment_status_replicas_ready{namespace="llm",deployment="llama"} 1
kube_deployment_spec_replicas{namespace="llm",deployment="asleep"} 0
kube_pod_created{namespace="llm",pod="llama-7d9f6b5c4-abcde",uid="a"} 1.7e+09
kube_pod_status_ready_time{namespace="llm",pod="llama-7d9f6b5c4-abcde",uid="a"} 1.70000009e+09
kube_pod_status_phase{namespace="llm",pod="llama-7d9f6b5c4-abcde",uid="a",phase="Running"} 1
kube_pod_status_phase{namespace="llm",pod="llama-7d9f6b5c4-abcde",uid="a",phase="Pending"} 0
kube_pod_status_ready{namespace="llm",pod="llama-7d9f6b5c4-abcde",uid="a",condition="true"} 1
kube_pod_created{namespace="llm",pod="llama-7d9f6b5c4-fghij",uid="b"} 1.7e+09
kube_pod_status_phase{namespace="llm",pod="llama-7d9f6b5c4-fghij",uid="b",phase="Running"} 1
kube_pod_status_ready{namespace="llm",pod="llama-7d9f6b5c4-fghij",uid="b",condition="true"} 0
kube_pod_created{namespace="llm",pod="llama-7d9f6b5c4-klmno",uid="c"} 1.7e+09
kube_pod_status_phase{namespace="llm",pod="llama-7d9f6b5c4-klmno",uid="c",phase="Pending"} 1
kube_pod_status_ready{namespace="llm",pod="llama-7d9f6b5c4-klmno",uid="c",condition="true"} 0
"#;

/// The same exporter scraped without `honorLabels`: its labels become `exported_...`.
const RENAMED: &str = r#"
kube_statefulset_replicas{namespace="llm",statefulset="renamed"} 2
kube_statefulset_status_replicas_ready{namespace="llm",statefulset="renamed"} 1
kube_pod_created{namespace="llm",pod="renamed-0",uid="d"} 1.7e+09
kube_pod_status_phase{namespace="llm",pod="renamed-0",uid="d",phase="Running"} 1
kube_pod_status_ready{namespace="llm",pod="renamed-0",uid="d",condition="true"} 1
"#;

const POD: &str = "llama-7d9f6b5c4-abcde";

struct World {
    pages: Pages,
    _prometheus: Prometheus,
    sources: std::sync::Arc<Sources>,
}

/// Pages of one cluster, each scraped as an operator would have it scraped.
async fn world() -> Option<World> {
    let pages = Pages::start().await;
    pages.set("/new", data!("vllm-v1-0.33.0-dp2"));
    pages.set("/old", data!("vllm-v0-0.6.6"));
    pages.set("/sglang", data!("sglang-0.5.23"));
    let gpu = data!("dcgm-exporter-k8s")
        .replace("namespace=\"default\"", "namespace=\"llm\"")
        .replace("cuda-75454ffb9f-8ljq7", POD);
    pages.set("/dcgm", gpu);
    pages.set("/cluster", CLUSTER);
    pages.set("/renamed", RENAMED);
    pages.set("/epp", data!("llm-d-epp-flow-control-zero-replicas"));
    pages.set("/interceptor", data!("keda-http-add-on-interceptor").replace("my-ns", "llm"));
    pages.set("/router", data!("vllm-production-stack-router"));
    let address = pages.address();
    let plain = |path, labels| Scraped { address, path, labels, honor_labels: false };
    let scraped = [
        plain("/new", &[("namespace", "llm"), ("pod", "llama-7d9f6b5c4-abcde")]),
        plain("/old", &[("namespace", "llm"), ("pod", "older-0")]),
        plain("/sglang", &[("namespace", "llm"), ("pod", "sgl-0")]),
        plain("/dcgm", &[("namespace", "gpu-operator"), ("pod", "dcgm-exporter-x")]),
        Scraped {
            address,
            path: "/cluster",
            labels: &[("namespace", "monitoring"), ("pod", "kube-state-metrics-0")],
            honor_labels: true,
        },
        plain("/renamed", &[("namespace", "monitoring"), ("pod", "kube-state-metrics-1")]),
        plain("/epp", &[("namespace", "llm"), ("pod", "epp-0")]),
        plain("/interceptor", &[("namespace", "keda"), ("pod", "interceptor-0")]),
        plain("/router", &[("namespace", "llm"), ("pod", "router-0")]),
    ];
    let prometheus = Prometheus::start(&scraped).await?;
    let sources = sources(DatasourceConfig::at(prometheus.url()), Clock::system());
    Some(World { pages, _prometheus: prometheus, sources })
}

#[tokio::test]
async fn pages_scraped_by_prometheus_read_as_they_say() {
    let Some(world) = world().await else { return };
    a_new_engine_with_its_cluster_and_gpu(&world).await;
    latencies_of_a_page_that_moves(&world).await;
    facts_under_renamed_labels(&world).await;
    an_old_engine(&world).await;
    sglang(&world).await;
    gateways(&world).await;
    own_signals(&world).await;
    nothing_found_names_what_could_be_meant(&world).await;
    a_stopped_page_grows_old(&world).await;
}

async fn a_new_engine_with_its_cluster_and_gpu(world: &World) {
    // The scaled object is `chat`; that it scales Deployment `llama` only the HPA says.
    let mut target = target(Engine::Vllm, "chat");
    target.gpu = true;
    target.latencies = vec![Latency::Ttft];
    let mut reader = world.sources.reader(&target);
    let enough = |seen: &Observation| {
        seen.pods.len() == 3
            && read(seen, POD, Role::GpuMemoryUsed).is_some()
            && seen.latency[&Latency::Ttft].observations.is_some()
    };
    let seen = observed(&mut reader, enough).await;
    assert!(seen.faults.is_empty(), "{:?}", seen.faults);
    let expected = [
        (Role::Waiting, 7.0),
        (Role::Running, 21.0),
        (Role::KvUsage, f64::midpoint(0.427_187_5, 0.636 / 2.0)),
        (Role::KvTokens, 2.0 * 27_838.0 * 16.0),
        (Role::Finished, 660.0),
        (Role::GpuUtilization, 0.0),
        (Role::GpuMemoryUsed, 420.0 * 1_048_576.0),
        (Role::GpuMemoryTotal, 20_020.0 * 1_048_576.0),
        (Role::GpuPower, 15.237),
    ];
    for (role, expected) in expected {
        let read = read(&seen, POD, role);
        assert!(close(read, expected), "{role:?}: {read:?}, not {expected}");
    }
    let phases: Vec<Phase> = seen.pods.values().map(|pod| pod.phase).collect();
    assert_eq!(phases, [Phase::Ready, Phase::Loading, Phase::Pending]);
    assert_eq!(seen.pods[POD].created.map(|at| at.unix_ms()), Some(1_700_000_000_000));
    assert_eq!(seen.pods[POD].ready.map(|at| at.unix_ms()), Some(1_700_000_090_000));
    let facts = &seen.workload;
    assert_eq!(facts.workload.as_deref(), Some("deployment/llama"));
    assert_eq!((facts.spec_replicas, facts.ready_replicas), (Some(3), Some(1)));
    assert_eq!((facts.hpa_min, facts.hpa_max, facts.hpa_current), (Some(1), Some(9), Some(3)));
    assert!(facts.phases_known);
    // The page stands still: observations there are none, and so no quantile of them.
    let ttft = seen.latency[&Latency::Ttft];
    assert_eq!((ttft.seconds, ttft.observations), (None, Some(0.0)));
    let waiting = seen.searched.iter().find(|searched| searched.role == "waiting").unwrap();
    assert_eq!(waiting.found.as_deref(), Some("vllm:num_requests_waiting"));
    let age = seen.at.since(newest(&seen, POD));
    assert!(age < Duration::from_secs(10), "{age:?}");
}

fn newest(seen: &Observation, pod: &str) -> prescale::engine::units::Timestamp {
    let series = seen.pods[pod].roles[&Role::Waiting].series.iter();
    series.filter_map(|series| series.latest()).map(|sample| sample.at).max().unwrap()
}

/// Ten times the observations, all of them in the buckets where they were.
async fn latencies_of_a_page_that_moves(world: &World) {
    let mut target = target(Engine::Vllm, "chat");
    target.latencies = vec![Latency::Ttft, Latency::InterToken];
    let mut reader = world.sources.reader(&target);
    let grown = |line: &str| match line.rsplit_once(' ') {
        Some((head, count)) if line.contains("_token_") && line.contains("_seconds_") => {
            format!("{head} {}\n", 10.0 * count.parse::<f64>().unwrap())
        }
        _ => format!("{line}\n"),
    };
    let page: String = data!("vllm-v1-0.33.0-dp2").lines().map(grown).collect();
    world.pages.set("/new", page);
    let read = |seen: &Observation, latency| {
        seen.latency.get(&latency).and_then(|reading| reading.seconds)
    };
    let seen = observed(&mut reader, |seen| read(seen, Latency::Ttft).is_some()).await;
    let seconds = read(&seen, Latency::Ttft).unwrap();
    assert!((0.001..=2560.0).contains(&seconds), "{seconds}");
    assert!(read(&seen, Latency::InterToken).is_some());
    assert!(seen.latency[&Latency::Ttft].observations.unwrap() >= 20.0);
}

async fn facts_under_renamed_labels(world: &World) {
    let mut reader = world.sources.reader(&target(Engine::Vllm, "renamed"));
    let seen = observed(&mut reader, |seen| seen.workload.spec_replicas.is_some()).await;
    assert_eq!(seen.workload.workload.as_deref(), Some("statefulset/renamed"));
    assert_eq!((seen.workload.spec_replicas, seen.workload.ready_replicas), (Some(2), Some(1)));
    assert_eq!(seen.pods["renamed-0"].phase, Phase::Ready);
    assert!(seen.workload.phases_known);
}

async fn an_old_engine(world: &World) {
    let mut reader = world.sources.reader(&target(Engine::Vllm, "older"));
    let seen = observed(&mut reader, |seen| !seen.pods.is_empty()).await;
    assert_eq!(read(&seen, "older-0", Role::Waiting), Some(5.0));
    assert_eq!(read(&seen, "older-0", Role::Running), Some(12.0));
    assert!(close(read(&seen, "older-0", Role::KvUsage), 0.427_187_5));
    assert_eq!(seen.pods["older-0"].phase, Phase::Unknown);
    // The cluster said nothing about it: that is not zero replicas.
    assert_eq!(seen.workload.spec_replicas, None);
    assert!(!seen.workload.phases_known);
}

async fn sglang(world: &World) {
    let mut target = target(Engine::Sglang, "any");
    target.workload =
        Some(WorkloadRef { kind: Some(WorkloadKind::StatefulSet), name: "sgl".to_owned() });
    let mut reader = world.sources.reader(&target);
    let seen = observed(&mut reader, |seen| !seen.pods.is_empty()).await;
    assert_eq!(read(&seen, "sgl-0", Role::Waiting), Some(26.0));
    assert_eq!(read(&seen, "sgl-0", Role::Running), Some(162.0));
    assert!(close(read(&seen, "sgl-0", Role::KvUsage), 0.28));
}

fn matching(label: &str, value: &str) -> LabelMatcher {
    LabelMatcher { label: label.to_owned(), op: MatchOp::Equal, value: value.to_owned() }
}

async fn gateways(world: &World) {
    let asleep = |gateway| {
        let mut target = target(Engine::Vllm, "asleep");
        target.workload =
            Some(WorkloadRef { kind: Some(WorkloadKind::Deployment), name: "asleep".to_owned() });
        target.gateway = Some(gateway);
        target
    };
    let held = |seen: &Observation| seen.gateway.and_then(|gateway| gateway.held);
    for (gateway, expected) in
        [(Gateway::LlmD, 20.0), (Gateway::KedaHttp, 5.0), (Gateway::ProductionStack, 0.0)]
    {
        let mut reader = world.sources.reader(&asleep(gateway));
        let seen = observed(&mut reader, |seen| held(seen) == Some(expected)).await;
        assert!(seen.gateway.unwrap().age.unwrap() < Duration::from_secs(10), "{gateway:?}");
        assert_eq!(seen.workload.spec_replicas, Some(0));
        assert!(seen.workload.phases_known && seen.candidates.is_empty());
    }
    // The picker lives and its flows are gone: nothing is held.
    let alive = "llm_d_epp_ready_endpoints{name=\"llama-pool\"} 0\n";
    world.pages.set("/epp", alive);
    let mut pool = asleep(Gateway::LlmD);
    pool.gateway_selector = vec![matching("inference_pool", "llama-pool")];
    for target in [asleep(Gateway::LlmD), pool.clone()] {
        let mut reader = world.sources.reader(&target);
        observed(&mut reader, |seen| held(seen) == Some(0.0)).await;
    }
    // Another pool's picker proves nothing.
    pool.gateway_selector = vec![matching("inference_pool", "other-pool")];
    let seen = world.sources.reader(&pool).observe(Clock::system().now()).await;
    assert_eq!(held(&seen), None);
    // The router refuses three requests: the edge is seen.
    let router = data!("vllm-production-stack-router").replace("} 331.0", "} 334.0");
    world.pages.set("/router", router);
    let mut reader = world.sources.reader(&asleep(Gateway::ProductionStack));
    observed(&mut reader, |seen| held(seen) == Some(3.0)).await;
    // A first request of another model creates its counter: that is an edge too.
    let born = data!("vllm-production-stack-router").replace("} 331.0", "} 334.0")
        + "vllm:num_incoming_requests_total{model=\"other\"} 2\n";
    world.pages.set("/router", born);
    let mut target: Target = asleep(Gateway::ProductionStack);
    target.gateway_selector = vec![matching("model", "other")];
    let mut reader = world.sources.reader(&target);
    observed(&mut reader, |seen| held(seen) == Some(2.0)).await;
}

async fn own_signals(world: &World) {
    let mut target = target(Engine::Custom, "own");
    let queries = ["sum(vllm:num_requests_running)", "vllm:num_requests_running", "absent_metric"];
    target.own =
        queries.map(|query| OwnQuery { name: "s".to_owned(), query: query.to_owned() }).to_vec();
    target.activation_query = Some("sum(tgi_queue_size) or vector(4)".to_owned());
    let mut reader = world.sources.reader(&target);
    let seen = observed(&mut reader, |seen| seen.own[0].value.is_some()).await;
    // Two engines of the new page, one old, two seen by the router.
    assert_eq!(seen.own[0].value, Some(21.0 + 12.0 + 21.0));
    assert!(seen.own[0].age.unwrap() < Duration::from_secs(10), "{:?}", seen.own[0].age);
    assert_eq!((seen.own[1].value, seen.own[2].value), (None, None));
    assert_eq!(seen.gateway.map(|gateway| (gateway.held, gateway.age)), Some((Some(4.0), None)));
}

async fn nothing_found_names_what_could_be_meant(world: &World) {
    let mut reader = world.sources.reader(&target(Engine::Vllm, "lama"));
    let seen = observed(&mut reader, |seen| !seen.candidates.is_empty()).await;
    assert_eq!(seen.candidates, [POD, "older-0"]);
    assert!(seen.pods.is_empty());
    let waiting = seen.searched.iter().find(|searched| searched.role == "waiting").unwrap();
    assert_eq!(
        (waiting.tried.as_slice(), &waiting.found),
        (["vllm:num_requests_waiting".to_owned()].as_slice(), &None)
    );
}

async fn a_stopped_page_grows_old(world: &World) {
    let mut reader = world.sources.reader(&target(Engine::Vllm, "older"));
    observed(&mut reader, |seen| !seen.pods.is_empty()).await;
    let stopped = Clock::system().now();
    world.pages.remove("/old");
    let old = |seen: &Observation| seen.at.since(newest(seen, "older-0")) > Duration::from_secs(4);
    let seen = observed(&mut reader, old).await;
    let last = newest(&seen, "older-0");
    assert!(last <= stopped.plus(Duration::from_secs(1)), "scraped after it stopped");
    assert!(stopped.since(last) < Duration::from_secs(10), "lost before it stopped");
    assert_eq!(read(&seen, "older-0", Role::Waiting), Some(5.0));
}
