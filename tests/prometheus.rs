//! Prometheus-compatible datasources: a hostile server of our own, and a real Prometheus.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[path = "support/http.rs"]
mod http;
#[path = "support/pages.rs"]
mod pages;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod server;

#[path = "prometheus/hostile.rs"]
mod hostile;
#[path = "prometheus/real.rs"]
mod real;

use std::collections::BTreeMap;
use std::sync::Arc;

use prescale::clock::Clock;
use prescale::source::Sources;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::{Engine, SourceRef, Target};

/// A target of namespace `llm` that reads datasource `main`.
fn target(engine: Engine, name: &str) -> Target {
    Target {
        namespace: "llm".to_owned(),
        scaled_object: name.to_owned(),
        hpa: format!("keda-hpa-{name}"),
        workload: None,
        engine,
        selector: Vec::new(),
        model: None,
        source: SourceRef::Datasource("main".to_owned()),
        gateway: None,
        gateway_selector: Vec::new(),
        activation_query: None,
        activation_endpoints: Vec::new(),
        own: Vec::new(),
        latencies: Vec::new(),
        latency_quantile: 0.95,
        gpu: false,
        tick: std::time::Duration::from_secs(15),
    }
}

/// Sources with one datasource, `main`.
fn sources(config: DatasourceConfig, clock: Clock) -> Arc<Sources> {
    let datasources = BTreeMap::from([("main".to_owned(), config)]);
    Sources::open(&datasources, ScrapePolicy::default(), clock).unwrap()
}
