//! `prescale backtest` as a user meets it: the real binary on small histories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// Policies that cover KEDA, a controller of its own, ours and the search.
const POLICIES: [&str; 4] = ["static-peak", "keda-queue", "prescale-reactive", "oracle"];

/// Keys of a policy in the JSON: the contract.
const KEYS: [&str; 14] = [
    "slo_attainment",
    "gpu_hours",
    "replicas_mean",
    "replicas_min",
    "replicas_max",
    "desired_min",
    "desired_max",
    "cold_starts",
    "scale_events",
    "ttft_p50",
    "ttft_p95",
    "ttft_p99",
    "failed_requests",
    "cost",
];

fn backtest(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.arg("backtest").args(args).env_clear().stdin(Stdio::null());
    command.current_dir(folder.path()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it on `args` with all of [`POLICIES`]; the JSON.
fn told(folder: &TempDir, args: &[&str]) -> Value {
    let policies = POLICIES.iter().flat_map(|name| ["--policy", name]);
    let args: Vec<&str> = args.iter().copied().chain(policies).chain(["-o", "json"]).collect();
    let output = backtest(folder, &args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    assert!(!stderr.contains("invariant broken"), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Half an hour that doubles in the middle, one request a line.
fn requests() -> String {
    let mut csv = "arrival_ms,prompt_tokens,output_tokens\n".to_owned();
    let mut at = 0;
    while at < 1_800_000 {
        writeln!(csv, "{at},{},{}", 800 + at % 700, 50 + at % 130).unwrap();
        at += if (600_000..1_200_000).contains(&at) { 400 } else { 800 };
    }
    csv
}

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let csv = requests();
    fs::write(folder.path().join("a.csv"), &csv).unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(csv.as_bytes()).unwrap();
    fs::write(folder.path().join("a.csv.gz"), gz.finish().unwrap()).unwrap();
    folder
}

fn row<'a>(told: &'a Value, name: &str) -> &'a Value {
    let rows = told["policies"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap()
}

#[test]
fn a_file_is_replayed_alike_plain_and_compressed_and_every_key_of_the_contract_is_there() {
    let folder = folder();
    let rest = ["--gpu-price", "2.5", "--seeds", "2", "--slo-target", "95%"];
    let [plain, packed] = ["a.csv", "a.csv.gz"].map(|file| {
        let args: Vec<&str> = ["--trace", file].iter().chain(&rest).copied().collect();
        told(&folder, &args)
    });
    assert_eq!(plain["policies"], packed["policies"]);
    assert_eq!(plain["trace"]["name"], "a.csv");
    let expected = requests().lines().count() - 1;
    assert_eq!(plain["trace"]["requests"], expected);
    assert_eq!(plain["sweep"], Value::Array(Vec::new()));
    for name in POLICIES {
        let row = row(&plain, name);
        for key in KEYS {
            assert!(row[key].is_number(), "{name} {key}: {}", row[key]);
            assert!(row[format!("{key}_sd")].is_number(), "{name} {key}_sd");
        }
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&number("slo_attainment")), "{name}");
        assert!((number("cost") / number("gpu_hours") - 2.5).abs() < 1e-9, "{name}");
        assert!(number("replicas_min") <= number("replicas_mean"), "{name}");
        assert!(number("replicas_mean") <= number("replicas_max"), "{name}");
    }
    let oracle = row(&plain, "oracle")["slo_attainment"].as_f64().unwrap();
    assert!(oracle >= 0.95, "the clairvoyant's setting is searched until it attains: {oracle}");
}

#[test]
fn equal_runs_give_equal_bytes_on_any_number_of_threads() {
    let folder = folder();
    let run = |threads: &str| {
        let html = format!("{threads}.html");
        let args = ["--generate", "flash-crowd", "--days", "0.02", "--seeds", "2", "--sweep"];
        let mut args = args.to_vec();
        args.extend(["--policy", "keda-queue", "--policy", "oracle", "--threads", threads]);
        args.extend(["--html", &html]);
        let output = backtest(&folder, &args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), fs::read_to_string(folder.path().join(html)).unwrap())
    };
    let [one, again, many] = ["1", "1", "5"].map(run);
    assert_eq!(one, again);
    assert_eq!(one, many);
    assert!(one.1.starts_with("<!doctype html>") || one.1.starts_with("<!DOCTYPE html>"));
    assert!(one.1.len() < 1_000_000);
    assert!(one.0.contains("keda-queue") && one.0.contains("oracle"));
}

#[test]
fn a_knob_and_the_triggers_metadata_change_whom_they_are_meant_for() {
    let folder = folder();
    let plain = told(&folder, &["--trace", "a.csv", "--seeds", "1"]);
    let turned = ["--trace", "a.csv", "--seeds", "1", "--knob", "prescale-reactive=0.35"];
    let turned = told(&folder, &turned);
    assert_eq!(row(&turned, "prescale-reactive")["knob"]["value"], 0.35);
    assert_eq!(row(&plain, "keda-queue"), row(&turned, "keda-queue"));
    let eager = told(&folder, &["--trace", "a.csv", "--seeds", "1", "--metadata", "concurrency=1"]);
    let most = |told: &Value| row(told, "prescale-reactive")["replicas_max"].as_f64().unwrap();
    assert!(most(&eager) > most(&plain), "{} and {}", most(&eager), most(&plain));
    assert_eq!(row(&plain, "keda-queue"), row(&eager, "keda-queue"));
}

#[test]
fn what_can_be_chosen_is_listed_without_a_history() {
    let folder = tempdir().unwrap();
    let rows = [
        ("--list-policies", ["prescale-reactive *", "source:", "simplified:", "ahpa-like"]),
        ("--list-generators", ["llm-d-ramp", "flash-crowd", "dev-cluster", "nightly-batch"]),
        ("--list-profiles", ["llama-3-8b-a100", "qwen3-32b-tp2-h100", "bert-gpu", "KV tokens"]),
    ];
    for (flag, expected) in rows {
        let output = backtest(&folder, &[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        let stdout = text(&output.stdout);
        for part in expected {
            assert!(stdout.contains(part), "{flag}: {part} in\n{stdout}");
        }
    }
}

#[test]
fn all_policies_are_compared_at_a_word() {
    let folder = folder();
    let args = ["--trace", "a.csv", "--seeds", "1", "--policy", "all", "-o", "json"];
    let output = backtest(&folder, &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = told["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    let table: Vec<&str> =
        prescale::engine::replay::policy::POLICIES.iter().map(|it| it.name).collect();
    assert_eq!(names, table);
}

#[test]
fn always_on_pays_for_no_cold_start_and_whoever_may_sleep_is_woken() {
    let folder = folder();
    // Nobody for an hour, then a request a second: everybody but always-on begins with nothing.
    let mut csv = "arrival_ms,prompt_tokens,output_tokens\n".to_owned();
    (3600..5400).for_each(|second| writeln!(csv, "{second}000,1000,100").unwrap());
    fs::write(folder.path().join("late.csv"), csv).unwrap();
    let policies = ["--policy", "all", "--seeds", "1", "--min-replicas", "0", "-o", "json"];
    let args: Vec<&str> = ["--trace", "late.csv"].iter().chain(&policies).copied().collect();
    let output = backtest(&folder, &args);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let constant = row(&told, "static-peak");
    assert_eq!((&constant["cold_starts"], &constant["scale_events"]), (&0.0.into(), &0.0.into()));
    assert_eq!(constant["replicas_min"], constant["replicas_max"]);
    for row in told["policies"].as_array().unwrap() {
        assert!(row["slo_attainment"].as_f64().unwrap() > 0.5, "{row}");
    }
}

/// Ctrl-C while a history of weeks is replayed.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_it_at_once_and_leaves_no_page() {
    use std::os::unix::process::ExitStatusExt;

    const SIGINT: i32 = 2;
    let folder = folder();
    // Whoever runs tests in the background may have them ignore interrupts, and children inherit it.
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_prescale"), "backtest"]);
    command.args(["--trace", "/dev/stdin", "--html", "page.html"]).env_clear();
    command.current_dir(folder.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"timestamp,requests\n").unwrap();
    // More than a pipe holds: once it is written, it is being read. Four million requests take
    // minutes, whatever the machine.
    let rows = (0..40_000).map(|idx| format!("{},100\n", idx * 60)).collect::<String>();
    stdin.write_all(rows.as_bytes()).unwrap();
    drop(stdin);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGINT), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    let mut left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a.csv", "a.csv.gz"]);
}

/// Files that cannot be replayed, by name.
fn bad_files(folder: &Path) {
    let rows = [
        ("empty.csv", ""),
        ("header.csv", "arrival_ms,prompt_tokens,output_tokens\n"),
        ("columns.csv", "when,what\n1,2\n"),
        ("number.csv", "arrival_ms,prompt_tokens,output_tokens\n0,10,5\nsoon,10,5\n"),
        ("zero.csv", "timestamp,requests\n0,0\n60,0\n120,0\n"),
        ("profile.yaml", "name: mine\ngpus: 1\nbase: -1\n"),
    ];
    for (name, text) in rows {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Whether each of `rows` ends with 2 and these words, and nothing is told as a result.
fn refused(folder: &TempDir, rows: &[(&[&str], &str)]) {
    for (args, expected) in rows {
        let output = backtest(folder, args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {expected} in\n{stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_input_ends_with_2_and_one_sentence_that_says_what_is_accepted() {
    let folder = folder();
    bad_files(folder.path());
    let rows: &[(&[&str], &str)] = &[
        (&[], "--trace <FILE>"),
        (&["--trace", "a.csv", "--generate", "constant"], "cannot be used with"),
        (&["--prometheus-url", "http://127.0.0.1:9"], "--query"),
        (
            &["--prometheus-url", "http://127.0.0.1:9", "--query", "up", "--until", "now"],
            "2026-01-31T",
        ),
        (
            &[
                "--prometheus-url",
                "http://[::1]:9",
                "--query",
                "up",
                "--until",
                "2999-01-01T00:00:00Z",
            ],
            "--until 2999-01-01T00:00:00Z lies in the future",
        ),
        (&["--trace", "missing.csv"], "missing.csv"),
        (&["--trace", "empty.csv"], "empty.csv"),
        (&["--trace", "header.csv"], "header.csv"),
        (&["--trace", "columns.csv"], "arrival_ms"),
        (&["--trace", "number.csv"], "line 3"),
        (&["--trace", "zero.csv"], "zero.csv"),
        (&["--generate", "flash-crwd"], "flash-crowd"),
        (&["--trace", "a.csv", "--policy", "keda-que"], "keda-queue"),
        (&["--trace", "a.csv", "--profile", "llama-3-8b-h10"], "did you mean llama-3-8b-"),
        (
            &["--trace", "a.csv", "--profile", "profile.yaml"],
            "is not a profile (line 3): perToken is missing",
        ),
        (&["--trace", "a.csv", "--profile", "missing.yaml"], "cannot be opened"),
        (&["--trace", "a.csv", "--min-replicas", "5", "--max-replicas", "4"], "--min-replicas 5"),
        (&["--trace", "a.csv", "--initial-replicas", "0"], "--initial-replicas 0"),
        (&["--trace", "a.csv", "--max-replicas", "0"], "must be a whole number from 1 to 1000"),
        (&["--trace", "a.csv", "--gpu-price", "0"], "must be a number from 0.000001 to 1000000"),
        (&["--trace", "a.csv", "--gpu-price", "NaN"], "must be a number from 0.000001"),
        (&["--trace", "a.csv", "--rate-scale", "-1"], "--rate-scale"),
        (&["--trace", "a.csv", "--slo-target", "99"], "write 99% or 0.99"),
        (&["--trace", "a.csv", "--ttft", "fast"], "must be a duration"),
        (&["--trace", "a.csv", "--cold-start", "icy"], "hot, warm or cold"),
        (&["--trace", "a.csv", "--metadata", "endpoints=x"], "does not act in a backtest"),
        (&["--trace", "a.csv", "--knob", "keda-queue"], "POLICY=VALUE"),
        (&["--trace", "a.csv", "--html", "no/such/folder.html"], "is not there"),
    ];
    refused(&folder, rows);
}

#[test]
fn what_means_nothing_beside_another_flag_and_numbers_below_zero_are_refused_by_name() {
    let folder = folder();
    let rows: &[(&[&str], &str)] = &[
        (&["--trace", "a.csv", "--until", "2026-01-31T00:00:00Z"], "cannot be used with '--until"),
        (&["--trace", "a.csv", "--range", "7d"], "cannot be used with '--range"),
        (&["--trace", "a.csv", "--query", "up"], "cannot be used with '--query"),
        (&["--trace", "a.csv", "--days", "7"], "cannot be used with '--days"),
        (
            &["--generate", "constant", "--days", "-1"],
            "'--days <DAYS>': must be a number from 0.01",
        ),
        (&["--generate", "constant", "--days", "500"], "must be a number from 0.01 to 400"),
        (&["--generate", "constant", "--prompt-tokens", "360000"], "smaller --prompt-tokens"),
        (&["--prometheus-url", "http://127.0.0.1:9", "--query", " "], "must be a query such as"),
        (&["--trace", "a.csv", "--seed", "99999999999999999999"], "from 0 to 9007199254740992"),
        (&["--trace", "a.csv", "--threads", "0"], "must be a whole number from 1 to 4096"),
        (&["--trace", "a.csv", "--seeds", "-1"], "'--seeds <N>': must be a whole number from 1"),
        (&["--trace", "a.csv", "--tpot", "-1ms"], "'--tpot <DURATION>': must be a duration"),
        (&["--trace", "a.csv", "--min-replicas", "-1"], "'--min-replicas <N>': must be a whole"),
    ];
    refused(&folder, rows);
}
