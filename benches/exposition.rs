//! Parsing a page of a busy vLLM server: what a scaler wants of it, against everything on it.
//!
//! `cargo bench --bench exposition` prints time and throughput of both, and before them the samples,
//! the bytes of text kept, and the memory of a parsed page: the growth of this process while it keeps
//! many of them, divided by their number. What a parse allocates and gives back is not in it.
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

/// Pages kept at once to weigh one: enough to drown what the process does otherwise.
const WEIGHED: u32 = 400;

/// Resident memory of this process in KiB; `None` on other systems than Linux.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// KiB of memory that one parsed page takes.
fn weight(text: &[u8], wanted: &Wanted) -> Option<f64> {
    let before = resident()?;
    let pages: Vec<Page> = (0..WEIGHED).map(|_| parse(text, wanted)).collect();
    let grown = resident()? - before;
    drop(black_box(pages));
    Some(grown / f64::from(WEIGHED))
}

fn exposition(criterion: &mut Criterion) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages/vllm-live-overload.prom");
    let text = std::fs::read(path).unwrap();
    let mut group = criterion.benchmark_group("exposition");
    group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap()));
    for (name, wanted) in [("wanted", wanted()), ("all", Wanted::All)] {
        let page = parse(&text, &wanted);
        let (samples, text_kept) = (page.series.len(), kept(&page));
        let weight = weight(&text, &wanted);
        let memory = weight.map_or_else(String::new, |kib| format!(", {kib:.1} KiB of memory"));
        println!(
            "{name}: {} bytes read, {samples} samples, {text_kept} bytes of text kept{memory}",
            text.len()
        );
        group.bench_with_input(BenchmarkId::from_parameter(name), &wanted, |bencher, wanted| {
            bencher.iter(|| parse(black_box(&text), wanted));
        });
    }
    group.finish();
}

criterion_group!(benches, exposition);
criterion_main!(benches);
