//! `prescale backtest --prometheus-url` as the real binary, against a real Prometheus that remembers
//! days of two pods.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod server;

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use serde_json::Value;

use crate::server::{Prometheus, installed};

/// Seconds between scrapes of the history.
const SCRAPED: i64 = 30;

/// How far back it goes: the range that is asked for, and a window of the query before it.
const SECONDS: i64 = 2 * 86_400 + 900;

/// Requests per second of a pod in the mean, and at most: low in the night, three times as many at
/// noon.
const MEAN: f64 = 0.1;

const QUERY: &str = r#"sum(rate(vllm:request_success_total{namespace="chat"}[5m]))"#;

/// Requests that a pod has finished after so many seconds of the epoch: the integral of
/// `MEAN * (1 - cos(day) / 2)`.
fn finished(second: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of the epoch are far below 2^53")]
    let days = second as f64 / 86_400.0;
    let day = 86_400.0;
    MEAN * day * (days - (TAU * days).sin() / (2.0 * TAU))
}

/// Whole requests, as a counter has them; each pod began at zero.
fn history(now: i64) -> String {
    let mut text = "# TYPE vllm:request_success counter\n".to_owned();
    let begins = now - SECONDS;
    for pod in ["chat-a", "chat-b"] {
        for at in (begins..=now).step_by(usize::try_from(SCRAPED).unwrap()) {
            let count = (finished(at) - finished(begins)).floor();
            let labels = format!(r#"namespace="chat",pod="{pod}",finished_reason="stop""#);
            writeln!(text, "vllm:request_success_total{{{labels}}} {count} {at}").unwrap();
        }
    }
    text + "# EOF\n"
}

/// A Prometheus that remembers [`history`] up to `now`.
async fn remembering(now: i64) -> Option<Prometheus> {
    if !installed("promtool") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.om");
    std::fs::write(&file, history(now)).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([file, dir.path().join("data")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Prometheus::start_in(dir, &[]).await
}

fn now() -> i64 {
    Clock::system().now().since(Timestamp::default()).as_secs().try_into().unwrap()
}

fn backtest(url: &str, query: &str, rest: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.args(["backtest", "--prometheus-url", url, "--query", query]).args(rest);
    command.env_clear().stdin(Stdio::null()).output().unwrap()
}

/// Whether `found` is within so many hundredths of `expected`.
fn near(found: &Value, expected: f64, hundredths: f64) {
    let found = found.as_f64().unwrap();
    let far = (found / expected - 1.0).abs() * 100.0;
    assert!(far < hundredths, "{found} is not {expected}");
}

fn replayed(url: &str, rest: &[&str]) -> Value {
    let policies = ["static-peak", "keda-queue", "prescale-reactive"];
    let policies = policies.iter().flat_map(|name| ["--policy", name]);
    let args = ["--range", "2d", "--prompt-tokens", "1200", "--output-tokens", "100"];
    let args: Vec<&str> = args.into_iter().chain(["--seeds", "1", "-o", "json"]).collect();
    let args: Vec<&str> = args.into_iter().chain(policies).chain(rest.iter().copied()).collect();
    let output = backtest(url, QUERY, &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("invariant broken"), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn two_days_of_two_pods_are_replayed_as_they_were() {
    let now = now();
    let Some(prometheus) = remembering(now).await else { return };
    let told = replayed(&prometheus.url(), &["--gpu-price", "2.49"]);
    let trace = &told["trace"];
    assert_eq!(trace["name"], QUERY);
    assert_eq!(trace["seconds"], 172_800.0);
    // Two whole days, whatever the time of the day. Chance rounds to requests and spreads them:
    // 34,560 give or take 190.
    near(&trace["requests"], 2.0 * MEAN * 172_800.0, 3.0);
    near(&trace["rate_mean"], 2.0 * MEAN, 3.0);
    // At noon, half as many again, within what a float rounds; the busiest minute may have more.
    let peak = trace["rate_peak"].as_f64().unwrap();
    assert!((2.9 * MEAN..9.0 * MEAN).contains(&peak), "{peak}");
    near(&trace["prompt_mean"], 1200.0, 0.1);
    let begins = trace["begins_unix_ms"].as_i64().unwrap() / 1000;
    assert!((now - 172_800 - 120..=now - 172_800 + 60).contains(&begins), "{begins} and {now}");
    let names: Vec<&Value> =
        told["policies"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["static-peak", "keda-queue", "prescale-reactive"]);
    for row in told["policies"].as_array().unwrap() {
        assert!(
            row["gpu_hours"].as_f64().unwrap() >= 95.9,
            "two GPUs for two days at least: {row}"
        );
        near(&row["cost"], row["gpu_hours"].as_f64().unwrap() * 2.49, 0.001);
        assert!(row["slo_attainment"].as_f64().unwrap() > 0.9, "{row}");
    }
}

#[tokio::test]
async fn a_range_that_ended_is_the_same_whenever_it_is_asked_for() {
    let now = now();
    let Some(prometheus) = remembering(now).await else { return };
    let until = chrono::DateTime::from_timestamp(now - 3 * 3600, 0).unwrap().to_rfc3339();
    let rest = ["--range", "6h", "--until", &until];
    let one = replayed_range(&prometheus.url(), &rest);
    assert_eq!(one, replayed_range(&prometheus.url(), &rest));
    let begins = one["trace"]["begins_unix_ms"].as_i64().unwrap() / 1000;
    assert_eq!(begins, (now - 9 * 3600).div_euclid(60) * 60);
}

fn replayed_range(url: &str, rest: &[&str]) -> Value {
    let args = ["--policy", "static-peak", "--seeds", "1", "-o", "json"];
    let args: Vec<&str> = args.iter().chain(rest).copied().collect();
    let output = backtest(url, QUERY, &args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ends with 2, and one line on standard error that says `words`.
fn refused(url: &str, query: &str, words: &str) {
    let output = backtest(url, query, &["--range", "2d"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{query}: {stderr}");
    assert!(output.stdout.is_empty(), "{query}");
    assert_eq!(stderr.lines().count(), 1, "{query}: {stderr}");
    assert!(stderr.contains(words), "{query}: {words} in {stderr}");
}

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_in_one_sentence() {
    let Some(prometheus) = remembering(now()).await else { return };
    let url = prometheus.url();
    let rows = [
        ("sum(rate(no_such_metric_total[5m]))", "the query has no value from"),
        ("0 * sum(vllm:request_success_total)", "the query has no value above 0 from"),
        ("rate(vllm:request_success_total[5m])", "2 series from"),
        ("sum(rate(vllm:request_success_total[5m])", "is it a valid query"),
        ("0 - sum(vllm:request_success_total)", "accepted are arrivals per second"),
    ];
    for (query, words) in rows {
        refused(&url, query, words);
    }
}

#[test]
fn a_url_of_nobody_is_refused_in_one_sentence() {
    let words = "connection refused";
    refused("http://127.0.0.1:9", QUERY, words);
    for url in ["not a url", "ftp://127.0.0.1", "http://user:canary@127.0.0.1:9"] {
        let output = backtest(url, QUERY, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}: {stderr}");
        assert!(!stderr.contains("canary") && !stderr.is_empty(), "{stderr}");
    }
}
