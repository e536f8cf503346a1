//! Every example under `deploy/examples`, as it is written, against a real Prometheus that scrapes
//! genuine pages: what it decides follows from the numbers on the pages.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[path = "deployed/cases.rs"]
mod cases;
#[path = "deployed/cluster.rs"]
mod cluster;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod prometheus;
#[path = "deployed/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cases::{Case, World, cases};
use prescale::cli::check::{Level, check_at};
use prescale::clock::Clock;
use prescale::engine::decision::{Decision, State, TermKind, Verdict};
use prescale::engine::observation::Latency;
use prescale::engine::step::{Memory, step};
use prescale::scaler::{Reference, Registry};
use prescale::source::Sources;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::{Limits, parse};

/// Rates are measured between scrapes, whose times are those of Prometheus and not of the pages.
const TOLERANCE: f64 = 0.05;

/// New registries before an answer counts as wrong: a loaded machine may miss a query's deadline, and
/// where it scraped late a rate over two minutes is too low until the gap has left the window.
const TRIES: usize = 40;

/// Between two tries; a tick stands for a new instant each 15 s.
const PAUSE: Duration = Duration::from_secs(3);

/// A scaled object of an example: its name, and the metadata of its trigger.
type Examples = BTreeMap<(String, String), BTreeMap<String, String>>;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn examples() -> Examples {
    let mut examples = Examples::new();
    for path in files() {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        for object in documents.iter().filter(|document| document["kind"] == "ScaledObject") {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let [trigger] = object["spec"]["triggers"].as_array().unwrap().as_slice() else {
                panic!("{file} {name}: one trigger each");
            };
            let metadata = serde_json::from_value(trigger["metadata"].clone()).unwrap();
            examples.insert((file.clone(), name), metadata);
        }
    }
    examples
}

#[test]
fn every_example_has_a_case_and_every_case_an_example() {
    let cases: BTreeSet<_> =
        cases().iter().map(|case| (case.file.to_owned(), case.name.to_owned())).collect();
    assert_eq!(cases, examples().into_keys().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_decides_what_the_pages_of_its_cluster_ask_for() {
    let Some(world) = World::start(&cases()).await else { return };
    let config = DatasourceConfig::at(world.url());
    let datasources = BTreeMap::from([("default".to_owned(), config)]);
    let sources = Sources::open(&datasources, ScrapePolicy::default(), Clock::system()).unwrap();
    let examples = examples();
    let mut wrong = Vec::new();
    for case in cases() {
        let metadata = &examples[&(case.file.to_owned(), case.name.to_owned())];
        if let Err(text) = decides(&sources, &case, metadata).await {
            wrong.push(format!("{} {}/{}: {text}", case.file, case.namespace, case.name));
        }
        for (latency, seconds) in &case.latencies {
            measures(&sources, &case, metadata, *latency, *seconds).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    waiting_requests_count_as_the_cache_they_will_need(&sources, &examples).await;
    nothing_is_missed_where_the_examples_are_deployed(&world).await;
}

/// Two looks a moment apart, at the pods of example b with caches 96 % full: 24 running requests hold
/// 1.92 caches, so the 10 that wait will need another 0.8. (1.92 + 0.8) / 0.85 = 3.2.
async fn waiting_requests_count_as_the_cache_they_will_need(
    sources: &Arc<Sources>,
    examples: &Examples,
) {
    let metadata = &examples[&("b-vllm-kv-cache".to_owned(), "llama-kv".to_owned())];
    let spec = parse("llm", "llama-kv", metadata, &Limits::default()).unwrap();
    let mut reader = sources.reader(&spec.target);
    let first = reader.observe(Clock::system().now()).await;
    let learned = step(&spec.setup, &first, Memory::default());
    let second = reader.observe(Clock::system().now()).await;
    let decision = step(&spec.setup, &second, learned.memory).decision;
    let binding = &decision.terms[0];
    assert_eq!(binding.kind, TermKind::KvCache);
    assert!((binding.replicas - 3.2).abs() < 0.01, "{binding}");
    let Verdict::Scale { replicas, .. } = decision.verdict else { panic!("{decision:?}") };
    assert_eq!(replicas.get(), 4);
}

/// `check --prometheus-url` beside the clusters in which the examples are as they are written.
async fn nothing_is_missed_where_the_examples_are_deployed(world: &World) {
    let report = check_at(&files(), &world.url()).await.unwrap();
    let bad: Vec<_> =
        report.findings.iter().filter(|finding| finding.level != Level::Info).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let found = |object: &str, text: &str| {
        let mut of = report.findings.iter().filter(|finding| finding.object.ends_with(object));
        assert!(of.any(|finding| finding.message.contains(text)), "{object}: {text}");
    };
    found("nlp/bert", "gpu utilization as DCGM_FI_DEV_GPU_UTIL");
    found("llm/llama-multi", "kv usage as vllm:kv_cache_usage_perc");
    found("llm/llama-queue", "found as llm_d_epp_flow_control_queue_size; held now: 20");
    found("dev/llama-dev", "found as interceptor_request_concurrency; held now: 3");
    found("ml/scoring", "is 175 now");
}

/// What an example reads from pages behind names of a cluster, its Prometheus has as well.
fn through_prometheus(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    metadata.remove("activationEndpoints");
    metadata
}

/// The first decision of a new scaler, which remembers nothing that was not on the pages.
async fn decides(
    sources: &Arc<Sources>,
    case: &Case,
    metadata: &BTreeMap<String, String>,
) -> Result<(), String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        let registry = Registry::new(Arc::clone(sources), Clock::system(), Limits::default());
        let reference = Reference {
            namespace: case.namespace.to_owned(),
            name: case.name.to_owned(),
            metadata: through_prometheus(metadata),
        };
        let scaler = registry.scaler(&reference).unwrap();
        scaler.first_tick(Duration::from_secs(30)).await;
        let decision = scaler.latest().unwrap();
        registry.shutdown().await;
        match judge(case, &decision) {
            Ok(()) => return Ok(()),
            Err(text) => said = text,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(said)
}

fn judge(case: &Case, decision: &Decision) -> Result<(), String> {
    let terms: Vec<String> = decision.terms.iter().map(ToString::to_string).collect();
    let said = || format!("{}; {terms:?}; {:?}", decision.headline(), decision.reasons);
    let Verdict::Scale { replicas, sent, active } = &decision.verdict else {
        return Err(said());
    };
    let expected = (case.state, case.replicas, case.replicas, case.replicas > 0);
    if (decision.state, replicas.get(), sent.get(), *active) != expected {
        return Err(format!("not {expected:?}: {}", said()));
    }
    let binding = decision.terms.first().map(|term| term.kind.to_string());
    if binding.as_deref() != case.terms.first().map(|(kind, _)| *kind) {
        return Err(format!("binding is {binding:?}: {}", said()));
    }
    for (kind, expected) in &case.terms {
        let term = decision.terms.iter().find(|term| term.kind.to_string() == *kind);
        let close = |replicas: f64| (replicas - expected).abs() <= TOLERANCE * expected;
        if !term.is_some_and(|term| close(term.replicas)) {
            return Err(format!("{kind} is not {expected}: {}", said()));
        }
    }
    let awake = case.state == State::Fresh;
    if awake && decision.ready.map(|ready| ready.get()) != Some(case.pods) {
        return Err(format!("not {} pods ready: {}", case.pods, said()));
    }
    Ok(())
}

async fn measures(
    sources: &Arc<Sources>,
    case: &Case,
    metadata: &BTreeMap<String, String>,
    latency: Latency,
    expected: f64,
) {
    let spec = parse(case.namespace, case.name, metadata, &Limits::default()).unwrap();
    let seen = sources.reader(&spec.target).observe(Clock::system().now()).await;
    let seconds = seen.latency[&latency].seconds.unwrap();
    assert!((seconds / expected - 1.0).abs() < TOLERANCE, "{}: {seconds}", case.file);
}
