//! The examples pass `check` and mean what they claim; `check` finds the traps it knows.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prescale::cli::check::{
    Finding, Format, Level, Outcome, Report, check, check_text, run, write_keys,
};

/// Keys and values that an example claims.
type Claims<'a> = &'a [(&'a str, &'a str)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("deploy/examples")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// The given settings of every trigger in one example, by object.
fn given(example: &str) -> BTreeMap<String, BTreeMap<&'static str, String>> {
    let report = check(&[root().join("deploy/examples").join(example)]);
    let triggers = report.triggers.into_iter().map(|trigger| {
        let given = trigger.settings.into_iter().filter(|setting| setting.given);
        (trigger.object, given.map(|setting| (setting.key, setting.value.unwrap())).collect())
    });
    triggers.collect()
}

#[test]
fn every_example_is_without_errors_and_warnings() {
    let files = examples();
    assert_eq!(files.len(), 17);
    let report = check(&files);
    let bad: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.level != Level::Info).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(report.triggers.len(), 18);
    // Nothing is left to say.
    let info: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert!(info.is_empty(), "{info:#?}");
}

#[test]
fn every_example_has_the_pieces_that_a_gpu_workload_needs() {
    let needed = [
        "kind: Deployment",
        "startupProbe:",
        "preStop:",
        "terminationGracePeriodSeconds:",
        "kind: PodDisruptionBudget",
        "nodeAffinity:",
        "tolerations:",
        "nvidia.com/gpu: ",
        "cooldownPeriod: 60",
        "tolerance: \"0\"",
    ];
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        for piece in needed {
            assert!(text.contains(piece), "{} lacks {piece}", file.display());
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{}", file.display());
    }
}

#[test]
fn every_example_means_what_it_claims() {
    let own = "requests: demand, target 1; kafka: demand, target 50; errors: latency, target 0.05; \
               cpu: demand, target 0.7";
    let fg = [("tokenRate", "500"), ("gpuUtilization", "0.75")];
    let rows: [(&str, &str, Claims); 10] = [
        ("a-vllm-queue", "llm/llama-queue", &[("queueDepth", "5"), ("activation", "2")]),
        ("b-vllm-kv-cache", "llm/llama-kv", &[("kvCache", "0.85")]),
        (
            "c-vllm-token-throughput",
            "llm/llama-tokens",
            &[("tokenRate", "2500"), ("interTokenLatency", "50ms")],
        ),
        (
            "d-vllm-multi-signal",
            "llm/llama-multi",
            &[
                ("queueDepth", "5"),
                ("requestLatency", "5s"),
                ("latencyQuantile", "0.95"),
                ("gpuUtilization", "0.85"),
            ],
        ),
        (
            "e-bert-gpu-utilization",
            "nlp/bert",
            &[("engine", "gpu"), ("gpuUtilization", "0.2"), ("gateway", "keda-http")],
        ),
        ("f-vllm-gpu-and-tokens", "llm/qwen", &fg),
        ("f-vllm-gpu-and-tokens", "llm/mistral", &fg),
        (
            "g-gpu-memory-and-power",
            "nlp/rerank",
            &[("gpuMemoryBandwidth", "0.7"), ("gpuMemory", "0.9"), ("gpuPower", "0.95")],
        ),
        ("h-requests-and-kafka", "ml/scoring", &[("engine", "custom"), ("signals", own)]),
        (
            "i-dev-scale-to-zero",
            "dev/llama-dev",
            &[("gateway", "keda-http"), ("idleAfter", "10m"), ("scaleStrategy", "reactive")],
        ),
    ];
    claims(&rows);
}

#[test]
fn every_example_of_scale_to_zero_means_what_it_claims() {
    let jobs = "jobs: demand, target 20; waiting: activation, target 1";
    let queue = |signals| ("signals", signals);
    let rows: [(&str, &str, Claims); 8] = [
        (
            "j-dev-gate",
            "dev/coder-dev",
            &[("gateway", "prescale-gate"), ("idleAfter", "10m"), ("activationTimeout", "20m")],
        ),
        (
            "k-dev-llm-d",
            "dev/llama-pool",
            &[("gateway", "llm-d"), ("idleAfter", "10m"), ("activationTimeout", "20m")],
        ),
        (
            "l-dev-http-add-on",
            "dev/chat-dev",
            &[("gateway", "keda-http"), ("scaleStrategy", "reactive")],
        ),
        ("m-batch-queue", "batch/embedder", &[("engine", "custom"), ("signals", jobs)]),
        (
            "n-kafka",
            "ml/embed-kafka",
            &[queue("lag: demand, target 50; written: activation, target 1")],
        ),
        (
            "o-rabbitmq",
            "ml/embed-rabbitmq",
            &[queue("messages: demand, target 20; ready: activation, target 1")],
        ),
        (
            "p-nats-jetstream",
            "ml/embed-nats",
            &[queue("pending: demand, target 20; waiting: activation, target 1")],
        ),
        (
            "q-redis-list",
            "ml/embed-redis",
            &[queue("documents: demand, target 20; waiting: activation, target 1")],
        ),
    ];
    claims(&rows);
}

/// Holds each example, file and object, to what it claims.
fn claims(rows: &[(&str, &str, Claims)]) {
    for (file, object, expected) in rows {
        let objects = given(&format!("{file}.yaml"));
        let settings = &objects[&format!("scaledobject/{object}")];
        for (key, value) in *expected {
            assert_eq!(settings.get(key).map(String::as_str), Some(*value), "{file} {key}");
        }
    }
}

#[test]
fn the_limits_of_the_examples_are_those_of_the_issue() {
    for (file, limits) in [
        ("a-vllm-queue", "minReplicaCount: 0\n  maxReplicaCount: 8\n"),
        ("e-bert-gpu-utilization", "minReplicaCount: 0\n  maxReplicaCount: 100\n"),
        ("i-dev-scale-to-zero", "minReplicaCount: 0\n  maxReplicaCount: 1\n"),
    ] {
        let path = root().join(format!("deploy/examples/{file}.yaml"));
        assert!(std::fs::read_to_string(path).unwrap().contains(limits), "{file}");
    }
}

#[test]
fn every_trap_is_found_and_told_as_reviewed() {
    let folder = root().join("tests/data/scaledobjects");
    let text = std::fs::read_to_string(folder.join("traps.yaml")).unwrap();
    let mut report = Report::default();
    check_text("traps.yaml", &text, &mut report);
    let mut page = String::new();
    let mut last = String::new();
    for Finding { level, object, trigger, key, message, .. } in &report.findings {
        if *object != last {
            writeln!(page, "{object}").unwrap();
            last.clone_from(object);
        }
        writeln!(page, "  {level} {trigger} {key}: {message}").unwrap();
    }
    assert!(report.recommended_behavior.is_some());
    let path = folder.join("traps.txt");
    #[expect(clippy::disallowed_methods, reason = "the switch that renews golden files")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(page == golden, "run with UPDATE_GOLDEN=1 and review the change:\n{page}");
}

#[test]
fn outcomes_have_the_documented_codes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let fine = examples()[0].clone();
    let wrong = root().join("tests/data/scaledobjects/traps.yaml");
    let broken = write("broken.yaml", "kind: ScaledObject\nspec: [\n");
    let foreign = write("foreign.yaml", "kind: Service\n---\n---\n- just\n- a list\n");
    let missing = folder.path().join("missing.yaml");
    let rows = [
        (vec![fine.clone()], Outcome::Fine, 0),
        (vec![foreign], Outcome::Fine, 0),
        (vec![fine.clone(), wrong.clone()], Outcome::Errors, 1),
        (vec![wrong, broken.clone()], Outcome::Unreadable, 2),
        (vec![missing], Outcome::Unreadable, 2),
    ];
    for (files, outcome, code) in rows {
        for format in [Format::Table, Format::Json] {
            let mut out = Vec::new();
            let result = run(&files, format, &mut out).unwrap();
            assert_eq!((result, result.code()), (outcome, code), "{files:?}");
        }
    }
    let mut out = Vec::new();
    run(&[broken], Format::Table, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("broken.yaml: line "), "{text}");
}

#[test]
fn the_keys_are_listed_with_what_they_accept() {
    let mut out = Vec::new();
    write_keys(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let entry = "queueDepth\n    waiting requests one replica should carry\n    must be a number \
                 above 0; default: unset\n";
    assert!(text.contains(entry), "{text}");
    for key in prescale::spec::keys() {
        assert!(text.lines().any(|line| line == key.name), "{}", key.name);
    }
}

#[test]
fn both_formats_show_findings_and_settings() {
    let files = [examples()[0].clone()];
    let mut out = Vec::new();
    run(&files, Format::Table, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for piece in ["queueDepth", "given", "kvCache", "default", "1 trigger understood, 0 errors"] {
        assert!(text.contains(piece), "{text}");
    }
    let mut out = Vec::new();
    run(&files, Format::Json, &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let settings = json["triggers"][0]["settings"].as_array().unwrap();
    let queue = settings.iter().find(|setting| setting["key"] == "queueDepth").unwrap();
    assert_eq!((queue["value"].as_str(), queue["given"].as_bool()), (Some("5"), Some(true)));
    assert_eq!(json["unreadable"], 0);
}
