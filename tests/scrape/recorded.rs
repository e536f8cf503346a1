//! Genuine pages: of many engines, and of one vLLM server under rising load.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prescale::engine::observation::{Latency, LatencyReading, Phase, Role};
use prescale::engine::units::Timestamp;
use prescale::source::assemble::RawSeries;
use prescale::source::exposition::{Format, Limits, Page, Parser, Wanted};
use prescale::source::preset::{Family, Histogram, Preset};
use prescale::source::ring::Memory;
use prescale::source::scrape::{PageResult, Reading, wanted};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pages").join(name)
}

fn parse(text: &[u8], format: Format, wanted: Wanted) -> Page {
    let mut parser = Parser::new(format, wanted, Limits::default());
    text.chunks(1400).try_for_each(|chunk| parser.feed(chunk)).unwrap();
    parser.finish(true).unwrap()
}

/// Lines of `text` that hold a sample, told without the parser.
fn sample_lines(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count()
}

#[test]
fn every_sample_of_every_page_is_read() {
    // Page, and lines that are no samples: a hexadecimal number, and what documentation adds.
    let rows: &[(&str, u32)] = &[
        ("amd-device-metrics-exporter-mini.prom", 0),
        ("dcgm-exporter-k8s.prom", 0),
        ("dynamo-frontend.prom", 0),
        ("keda-http-add-on-interceptor.prom", 0),
        ("llamacpp.prom", 0),
        ("nim-1.x.prom", 0),
        ("parser-torture.prom", 1),
        ("sglang-0.4.0.prom", 0),
        ("tgi-3.prom", 0),
        ("torchserve.prom", 0),
        ("triton-trtllm.prom", 0),
        ("vllm-live-overload.prom", 0),
        ("vllm-production-stack-router.prom", 0),
        ("vllm-rust-frontend-0.33.0.openmetrics.prom", 0),
        ("vllm-v1-0.33.0.prom", 0),
    ];
    for (name, skipped) in rows {
        let text = std::fs::read_to_string(data(name)).unwrap();
        let openmetrics = name.contains("openmetrics");
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        let page = parse(text.as_bytes(), format, Wanted::All);
        let read = page.series.len() + usize::try_from(*skipped).unwrap();
        assert_eq!((read, page.skipped), (sample_lines(&text), *skipped), "{name}");
        assert!(!page.truncated, "{name}");
    }
    let listed: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    for entry in std::fs::read_dir(data("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            !name.ends_with(".prom") || listed.contains(&name.as_str()),
            "{name} is not listed"
        );
    }
}

#[test]
fn a_declared_family_without_samples_is_told_from_one_that_is_absent() {
    let text = std::fs::read(data("vllm-production-stack-router.prom")).unwrap();
    let wanted =
        Wanted::names(["vllm:num_requests_waiting", "vllm:num_requests_running", "absent"]);
    let page = parse(&text, Format::Text, wanted);
    let declared: Vec<String> = page.declared_only.into_iter().collect();
    assert_eq!(declared, ["vllm:num_requests_waiting"]);
}

const ITL: &str = "vllm:inter_token_latency_seconds_bucket";

/// As much of a preset as these tests need.
const PRESET: Preset = Preset {
    families: &[Family::sum(Role::GenerationTokens, &["vllm:generation_tokens_total"])],
    identity: &[],
    model_any_case: false,
    histograms: &[
        Histogram {
            latency: Latency::Ttft,
            names: &["vllm:ttft_of_no_server", "vllm:time_to_first_token_seconds"],
            scale: 1.0,
        },
        Histogram {
            latency: Latency::InterToken,
            names: &["vllm:inter_token_latency_seconds"],
            scale: 1.0,
        },
    ],
    model_label: Some("model_name"),
    alive: &[],
};

fn result(series: &[RawSeries], answered: bool) -> PageResult {
    PageResult {
        series: series.to_vec(),
        answered,
        answered_ever: true,
        phase: Phase::Ready,
        ready: None,
        fault: None,
    }
}

#[derive(serde::Deserialize)]
struct Row {
    t: f64,
    page: String,
}

/// Ten pages, 15 s apart.
fn run() -> Vec<(Timestamp, String)> {
    let file = std::fs::File::open(data("real-vllm-run.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let rows = text.lines().skip(1).map(|line| serde_json::from_str::<Row>(line).unwrap());
    rows.map(|Row { t, page }| {
        let since = Duration::from_secs_f64(t);
        (Timestamp::from_unix_ms(0).plus(since), page)
    })
    .collect()
}

fn named<'a>(series: &'a [RawSeries], name: &str) -> Vec<&'a RawSeries> {
    series.iter().filter(|raw| raw.name == name).collect()
}

#[test]
fn a_real_run_is_remembered_and_its_latency_is_read() {
    let tokens = "vllm:generation_tokens_total";
    let ttft = "vllm:time_to_first_token_seconds_bucket";
    let wanted = wanted(&PRESET, &[Latency::Ttft]);
    assert!(wanted.contains(tokens) && wanted.contains(ttft) && !wanted.contains(ITL));
    let mut memory = Memory::new(Duration::from_secs(150));
    let pages = run();
    for (at, text) in &pages {
        let page = parse(text.as_bytes(), Format::Text, wanted.clone());
        assert!(memory.absorb(&page, *at) && page.skipped == 0);
    }
    let (last, _) = pages[pages.len() - 1];
    let series = memory.series(last);
    let values: Vec<f64> =
        named(&series, tokens)[0].series.samples().iter().map(|sample| sample.value).collect();
    assert_eq!(values.len(), 10);
    assert!((values[0] - 22_422.0).abs() < 0.5 && (values[9] - 118_180.0).abs() < 0.5);

    // Of the 382 first tokens of the window the buckets up to 1, 2.5, 7.5, 10 and 20 s hold 188,
    // 259, 325, 368 and 382; interpolated by hand.
    let reading = Reading {
        pages: [("read", true), ("silent", false)]
            .map(|(name, answered)| (name.to_owned(), result(&series, answered)))
            .into(),
        ..Reading::default()
    };
    let rows = [
        (0.50, 1.0 + 1.5 * (191.0 - 188.0) / 71.0),
        (0.95, 7.5 + 2.5 * (362.9 - 325.0) / 43.0),
        (0.99, 10.0 + 10.0 * (378.18 - 368.0) / 14.0),
    ];
    for (quantile, expected) in rows {
        let reading = reading.latency(&PRESET, Latency::Ttft, quantile, &|_| true);
        // The ranks are products of decimal fractions: right to the last digits only.
        assert!((reading.seconds.unwrap() - expected).abs() < 1e-9, "{reading:?} {expected}");
        assert_eq!((reading.observations, reading.clamped), (Some(382.0), false));
    }
    let nothing = LatencyReading { seconds: None, clamped: false, observations: None };
    let other = |raw: &RawSeries| raw.labels.get("model_name").is_some_and(|name| name == "other");
    assert_eq!(reading.latency(&PRESET, Latency::Ttft, 0.95, &other), nothing);
    assert_eq!(reading.latency(&PRESET, Latency::InterToken, 0.95, &|_| true), nothing);
}

#[test]
fn of_a_page_only_what_is_wanted_is_kept() {
    let text = std::fs::read(data("vllm-live-overload.prom")).unwrap();
    let names = ["vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"];
    let page = parse(&text, Format::Text, Wanted::names(names));
    let found: BTreeMap<&str, f64> =
        page.series.iter().map(|series| (series.name.as_str(), series.value)).collect();
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        ["vllm:kv_cache_usage_perc", "vllm:num_requests_waiting"]
    );
    assert!(found["vllm:num_requests_waiting"] > 0.0);
}
