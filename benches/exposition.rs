//! Parsing a page of a busy vLLM server: what a scaler wants of it, against everything on it.
//!
//! `cargo bench --bench exposition` prints time and throughput of both, and before them the samples
//! and the bytes of text kept.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark reports by printing")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prescale::source::exposition::{Format, Limits, Page, Parser, Wanted};

/// As much as a connection gives at once.
const CHUNK: usize = 16 << 10;

fn parse(text: &[u8], wanted: &Wanted) -> Page {
    let mut parser = Parser::new(Format::Text, wanted.clone(), Limits::default());
    text.chunks(CHUNK).try_for_each(|chunk| parser.feed(chunk)).unwrap();
    parser.finish(true).unwrap()
}

/// What a scaler of the `vllm` preset reads without a latency objective.
fn wanted() -> Wanted {
    Wanted::names([
        "process_start_time_seconds",
        "vllm:cache_config_info",
        "vllm:engine_sleep_state",
        "vllm:generation_tokens_total",
        "vllm:gpu_cache_usage_perc",
        "vllm:kv_cache_usage_perc",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:prefix_cache_hits_total",
        "vllm:prompt_tokens_total",
        "vllm:request_success_total",
    ])
}

/// Bytes of names and labels kept, which is what grows with the number of samples.
fn kept(page: &Page) -> usize {
    let labels = page.series.iter().flat_map(|series| &series.labels);
    let names: usize = page.series.iter().map(|series| series.name.len()).sum();
    names + labels.map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn exposition(criterion: &mut Criterion) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/vllm-live-overload.prom");
    let text = std::fs::read(path).unwrap();
    let mut group = criterion.benchmark_group("exposition");
    group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
    for (name, wanted) in [("wanted", wanted()), ("all", Wanted::All)] {
        let page = parse(&text, &wanted);
        println!("{name}: {} samples, {} bytes of text kept", page.series.len(), kept(&page));
        group.bench_with_input(BenchmarkId::from_parameter(name), &wanted, |bencher, wanted| {
            bencher.iter(|| parse(black_box(&text), wanted));
        });
    }
    group.finish();
}

criterion_group!(benches, exposition);
criterion_main!(benches);
