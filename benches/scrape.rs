//! What one scraped page costs: resolved, vetted, fetched over loopback, parsed and added to its series,
//! beside a bare HTTP client that fetches the same page and looks at nothing.
//!
//! Two pages: that of the gate, which is looked at each second while a model sleeps, and that of a busy
//! vLLM server. Both sides talk to the same server in this process, which takes its part of the time.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::source::config::ScrapePolicy;
use prescale::source::exposition::Wanted;
use prescale::source::scrape::{Limits, Pages, Scraper};
use prescale::spec::Endpoint;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const TICK: Duration = Duration::from_secs(15);

/// A gate of ten models.
fn gate() -> String {
    let families = ["requests_held", "requests_in_flight", "requests_total"];
    let series = families.iter().flat_map(|family| {
        (0..10).map(move |model| {
            format!("prescale_gate_{family}{{namespace=\"ml\",name=\"m{model}\",model=\"m{model}\"}} 0\n")
        })
    });
    series.collect()
}

fn vllm() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("tests/data/pages/vllm-live-overload.prom")).unwrap()
}

/// Serves both pages.
async fn serve() -> SocketAddr {
    let (gate, vllm) = (gate(), vllm());
    let router = Router::new()
        .route("/gate", get(|| async move { gate.clone() }))
        .route("/vllm", get(|| async move { vllm.clone() }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn pages(clock: &Clock, port: u16, path: &str, wanted: Wanted) -> Pages {
    let policy = ScrapePolicy { allow_loopback: true, names: None };
    let scraper: Arc<Scraper> = Scraper::new(&policy, Limits::default(), clock.clone()).unwrap();
    let host = "127.0.0.1".to_owned();
    let endpoint = Endpoint { every_address: false, host, port, path: path.to_owned() };
    Pages::new(scraper, "ml", vec![endpoint], wanted, TICK)
}

fn scrape(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let address = runtime.block_on(serve());
    // Faster than time, so that two answers are two instants.
    let clock = Clock::scaled(Timestamp::from_unix_ms(1_790_000_000_000), 20.0);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut group = criterion.benchmark_group("scrape");
    let held = Wanted::names(["prescale_gate_requests_held", "prescale_gate_requests_in_flight"]);
    let busy = Wanted::names([
        "vllm:generation_tokens_total",
        "vllm:kv_cache_usage_perc",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:prompt_tokens_total",
        "vllm:request_success_total",
    ]);
    for (path, wanted) in [("/gate", held), ("/vllm", busy)] {
        let mut pages = pages(&clock, address.port(), path, wanted);
        group.bench_function(BenchmarkId::new("page", path), |bencher| {
            bencher.iter(|| {
                let reading = runtime.block_on(pages.read(clock.now()));
                assert!(reading.faults.is_empty(), "{:?}", reading.faults);
            });
        });
        let url = format!("http://{address}{path}");
        group.bench_function(BenchmarkId::new("bare client (baseline)", path), |bencher| {
            bencher.iter(|| {
                let fetch = async { client.get(&url).send().await?.bytes().await };
                assert!(!runtime.block_on(fetch).unwrap().is_empty());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
