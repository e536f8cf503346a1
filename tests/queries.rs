//! What many scalers cost the Prometheus behind them: identical queries of one tick are sent once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "its figures stand in docs/benchmarks.md")]

#[path = "support/facts.rs"]
mod facts;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::{Reply, Request, Server};
use prescale::clock::Clock;
use prescale::engine::decision::State;
use prescale::engine::units::Timestamp;
use prescale::scaler::{Reference, Registry, Scaler};
use prescale::source::Sources;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::Limits;

use crate::facts::facts;

/// A Monday, on the grid of 15 s.
const START: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);

/// A tick of 15 s takes 3 s: long enough for a debug build on a busy machine.
const SPEED: f64 = 5.0;

/// Complete ticks to see.
const TICKS: usize = 2;

/// Engine pods, replica facts, and one latency objective.
const QUERIES: usize = 3;

/// A Prometheus in which each workload `w-N` has one ready pod with a little load.
fn prometheus(request: &Request) -> Reply {
    let (query, time) = (&request.form["query"], &request.form["time"]);
    let Some(workload) = (0..10).map(|idx| format!("w-{idx}")).find(|name| query.contains(name))
    else {
        return answer("vector", "");
    };
    let pod = format!("{workload}-7d9f8b6c5d-abcde");
    if query.contains("kube_deployment_spec_replicas") {
        return answer("vector", &facts(&workload, &pod, time));
    }
    if query.contains("_bucket") {
        return answer("vector", "");
    }
    answer("matrix", &gauges(&pod, time.parse().unwrap()))
}

fn answer(kind: &str, rows: &str) -> Reply {
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{rows}]}}}}"#
    ))
}

/// Ten samples of each gauge, 15 s apart, the last at `time`.
fn gauges(pod: &str, time: f64) -> String {
    let mut rows = String::new();
    for (name, value) in [
        ("vllm:num_requests_waiting", "12"),
        ("vllm:num_requests_running", "8"),
        ("vllm:kv_cache_usage_perc", "0.4"),
    ] {
        let samples: Vec<String> = (0..10_u32)
            .map(|back| format!(r#"[{},"{value}"]"#, time - f64::from(15 * (9 - back))))
            .collect();
        let comma = if rows.is_empty() { "" } else { "," };
        write!(
            rows,
            r#"{comma}{{"metric":{{"__name__":"{name}","namespace":"ns","pod":"{pod}","engine":"0"}},"values":[{}]}}"#,
            samples.join(",")
        )
        .unwrap();
    }
    rows
}

/// Scaled object `idx`: of ten workloads, with thresholds of its own.
fn reference(idx: usize, own_hpa: bool) -> Reference {
    let workload = format!("w-{}", idx % 10);
    // A new scaler that forecasts reads its past beside the ticks: those queries are not about these.
    let mut metadata = BTreeMap::from([
        ("scaleStrategy".to_owned(), "reactive".to_owned()),
        ("workload".to_owned(), format!("deployment/{workload}")),
        ("queueDepth".to_owned(), (idx + 1).to_string()),
        ("ttft".to_owned(), "2s".to_owned()),
    ]);
    if !own_hpa {
        metadata.insert("hpa".to_owned(), format!("keda-hpa-{workload}"));
    }
    Reference { namespace: "ns".to_owned(), name: format!("so-{idx}"), metadata }
}

/// Queries sent, by the instant they were asked for: every text once, or it fails.
fn by_instant(server: &Server) -> BTreeMap<String, usize> {
    let mut asked: BTreeMap<(String, String), usize> = BTreeMap::new();
    for request in server.requests() {
        let form = |name: &str| request.form[name].clone();
        *asked.entry((form("time"), form("query"))).or_default() += 1;
    }
    let mut instants = BTreeMap::new();
    for ((time, query), times) in asked {
        assert_eq!(times, 1, "asked again at {time}: {query}");
        *instants.entry(time).or_default() += 1;
    }
    instants
}

/// The most queries of any tick, once `TICKS` ticks had as many as expected.
async fn most(server: &Server, expected: usize) -> usize {
    for _ in 0..120 {
        let instants = by_instant(server);
        let complete = instants.values().filter(|count| **count == expected).count();
        let most = instants.values().copied().max().unwrap_or_default();
        if complete >= TICKS || most > expected {
            return most;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{expected} queries a tick were expected: {:?}", by_instant(server));
}

async fn check(scalers: usize, own_hpa: bool, expected: usize) {
    let server = Server::start(prometheus).await;
    let clock = Clock::scaled(START, SPEED);
    let datasources = BTreeMap::from([("default".to_owned(), DatasourceConfig::at(server.url()))]);
    let sources = Sources::open(&datasources, ScrapePolicy::default(), clock.clone()).unwrap();
    let limits = Limits { per_namespace: scalers, ..Limits::default() };
    let registry = Registry::new(sources, clock, limits);
    let all: Vec<Arc<Scaler>> =
        (0..scalers).map(|idx| registry.scaler(&reference(idx, own_hpa)).unwrap()).collect();
    let most = most(&server, expected).await;
    println!("{scalers} scalers of {} workloads: {most} queries per tick", scalers.min(10));
    assert_eq!(most, expected, "{scalers} scalers");
    for scaler in all {
        // All have read the same answers, each with thresholds of its own.
        let decision = scaler.latest().unwrap();
        assert_eq!(decision.state, State::Fresh, "{}: {decision:?}", scaler.name);
    }
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_grow_with_workloads_and_not_with_scalers() {
    check(1, false, QUERIES).await;
    check(10, false, 10 * QUERIES).await;
    check(1000, false, 10 * QUERIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_facts_are_asked_for_each_hpa() {
    // By default each scaled object has an HPA of its own name, which its facts come from.
    check(100, true, 10 * (QUERIES - 1) + 100).await;
}
