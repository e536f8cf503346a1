//! `check --prometheus-url` against servers that are told what to answer: what is found, what is not,
//! whose fault it is, and that nothing hangs or leaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use http::{Reply, Request, Server};
use prescale::cli::check::{Format, Level, Outcome, Report, check, check_at, write};
use prescale::clock::Clock;

/// A ScaledObject with a trigger of ours, in a folder that lives as long as the test.
struct Object {
    folder: tempfile::TempDir,
}

impl Object {
    fn with(metadata: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = metadata.lines().map(|line| format!("      {line}\n")).collect();
        let text = format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: chat, namespace: llm}}\n\
             spec:\n  scaleTargetRef: {{name: llama}}\n  minReplicaCount: 1\n  maxReplicaCount: 8\n  \
             triggers:\n  - type: external-push\n    metadata:\n      \
             scalerAddress: prescale.prescale.svc:6000\n{lines}"
        );
        std::fs::write(folder.path().join("object.yaml"), text).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("object.yaml")
    }
}

/// `level key: message` of the findings that only a server can cause.
fn said(report: &Report, without: &Report) -> Vec<String> {
    let new = report.findings.iter().skip(without.findings.len());
    new.map(|finding| format!("{} {}: {}", finding.level, finding.key, finding.message)).collect()
}

async fn tried(metadata: &str, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Tried {
    let object = Object::with(metadata);
    let server = Server::start(reply).await;
    let files = [object.file()];
    let report = check_at(&files, &server.url()).await.unwrap();
    let said = said(&report, &check(&files));
    let outcome = write(&report, Format::Table, &mut Vec::new()).unwrap();
    Tried { said, outcome, asked: server.requests().len() }
}

struct Tried {
    said: Vec<String>,
    outcome: Outcome,
    asked: usize,
}

impl Tried {
    fn expect(&self, outcome: Outcome, expected: &[&str]) {
        assert_eq!(self.outcome, outcome, "{:#?}", self.said);
        assert_eq!(self.said, expected, "{:#?}", self.said);
    }
}

fn answer(kind: &str, elements: &[String]) -> Reply {
    let elements = elements.join(",");
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{elements}]}}}}"#
    ))
}

fn now() -> i64 {
    Clock::system().now().unix_ms() / 1000
}

/// An element of an instant vector.
fn element(name: &str, labels: &str, value: &str) -> String {
    let comma = if labels.is_empty() { "" } else { "," };
    format!(r#"{{"metric":{{"__name__":"{name}"{comma}{labels}}},"value":[{},"{value}"]}}"#, now())
}

/// A series of pod `llama-7d9f6b5c4-abcde`.
fn series(name: &str, more: &str, value: &str) -> String {
    let pod = r#""namespace":"llm","pod":"llama-7d9f6b5c4-abcde""#;
    let at = now() - 5;
    format!(r#"{{"metric":{{"__name__":"{name}",{pod}{more}}},"values":[[{at},"{value}"]]}}"#)
}

/// A cluster in which Deployment `llama` runs vLLM.
fn cluster(request: &Request) -> Reply {
    let query = request.form["query"].as_str();
    let within = r#""namespace":"llm""#;
    if query.contains("exported_namespace") && !query.contains("kube_") {
        return answer("matrix", &[]);
    }
    if query.contains("kube_deployment_spec_replicas") {
        let hpa = format!(r#"{within},"horizontalpodautoscaler":"keda-hpa-chat""#);
        let deployment = format!(r#"{within},"deployment":"llama""#);
        return answer(
            "vector",
            &[
                element("kube_horizontalpodautoscaler_spec_min_replicas", &hpa, "1"),
                element("kube_horizontalpodautoscaler_spec_max_replicas", &hpa, "8"),
                element("kube_deployment_spec_replicas", &deployment, "3"),
                element("kube_deployment_status_replicas_ready", &deployment, "2"),
            ],
        );
    }
    if query.contains("vllm:num_requests_waiting") {
        let found = ["vllm:num_requests_waiting", "vllm:num_requests_running"];
        return answer("matrix", &found.map(|name| series(name, "", "3")));
    }
    answer("vector", &[])
}

#[tokio::test]
async fn what_is_found_is_told_and_what_a_decision_needs_is_missed() {
    let metadata = "queueDepth: \"5\"\ntokenRate: \"500\"\nttft: 2s";
    tried(metadata, cluster).await.expect(
        Outcome::Fine,
        &[
            "info workload: deployment/llama: 3 replicas, 2 ready",
            "info hpa: HPA keda-hpa-chat: 1 to 8 replicas",
            "info engine: found running as vllm:num_requests_running, waiting as \
             vllm:num_requests_waiting",
            "warning engine: kv usage: no pod exports vllm:kv_cache_usage_perc or \
             vllm:gpu_cache_usage_perc",
            "warning engine: output tokens: no pod exports vllm:generation_tokens_total",
            "warning engine: prompt tokens: no pod exports vllm:prompt_tokens_total",
            "info engine: not found, not required: awake, cached tokens, finished requests, kv tokens, \
             rejections",
            "warning ttft: the engine's histogram is not found",
        ],
    );
}

#[tokio::test]
async fn where_nothing_matches_the_keys_to_give_are_named() {
    let elsewhere = |request: &Request| {
        let query = request.form["query"].as_str();
        if query.starts_with("group by (pod)") {
            let pods = ["lama-7d9f6b5c4-abcde", "other-0"];
            let pods = pods.map(|pod| format!(r#"{{"metric":{{"pod":"{pod}"}},"value":[1,"1"]}}"#));
            return answer("vector", &pods);
        }
        answer(if query.ends_with("s]") { "matrix" } else { "vector" }, &[])
    };
    tried("gateway: llm-d", elsewhere).await.expect(
        Outcome::Fine,
        &[
            "warning workload: no replica facts: kube-state-metrics shows neither HPA keda-hpa-chat \
             nor a deployment or statefulset llama in llm; give hpa or workload",
            "warning engine: no pod of the workload exports vllm:num_requests_waiting, \
             vllm:num_requests_running, vllm:kv_cache_usage_perc, vllm:gpu_cache_usage_perc; other \
             pods do: lama-7d9f6b5c4-abcde, other-0; give workload",
            "warning gateway: no series llm_d_epp_flow_control_queue_size or \
             inference_extension_flow_control_queue_size or llm_d_epp_request_total or \
             inference_objective_request_total for this namespace",
        ],
    );
}

#[tokio::test]
async fn own_queries_are_told_whose_fault_it_is() {
    let metadata = "engine: custom\nsignals: |\n  - {name: one, query: one, target: 1}\n  \
                    - {name: many, query: many, target: 1}\n  - {name: none, query: none, target: 1}\n  \
                    - {name: nan, query: nan, target: 1}\n  - {name: wrong, query: wrong, target: 1}\n  \
                    - {name: range, query: 'range[5m]', target: 1}";
    let replies = |request: &Request| {
        let query = request.form["query"].as_str();
        let one = |value| element("x", "", value);
        match query {
            "one" => answer("vector", &[one("4")]),
            "many" => answer("vector", &[one("1"), element("y", "", "2")]),
            "nan" => answer("vector", &[one("NaN")]),
            "wrong" => Reply::status(400),
            "range[5m]" => answer("matrix", &[]),
            _ if query.contains("kube_") => cluster(request),
            _ => answer("vector", &[]),
        }
    };
    tried(metadata, replies).await.expect(
        Outcome::Errors,
        &[
            "info workload: deployment/llama: 3 replicas, 2 ready",
            "info hpa: HPA keda-hpa-chat: 1 to 8 replicas",
            "info signals one: is 4 now",
            "error signals many: more than one series: sum it",
            "warning signals none: empty answer: nothing is selected, which is not zero",
            "warning signals nan: value not usable: NaN, infinite or negative just now",
            "error signals wrong: request refused: the server does not accept the query",
            "error signals range: answer not understood: it must result in one number",
        ],
    );
}

#[tokio::test]
async fn what_is_known_in_the_cluster_only_is_not_tried() {
    let tried_env = tried("gatewayFromEnv: GATEWAY", cluster).await;
    let text = "info FromEnv: is not known here: the trigger's queries were not tried";
    tried_env.expect(Outcome::Fine, &[text]);
    assert_eq!(tried_env.asked, 0);
    tried("endpoints: dns://llama:8000/metrics\nttft: 2s", cluster).await.expect(
        Outcome::Fine,
        &[
            "info endpoints: pages are reached from within the cluster only: not tried",
            "info workload: deployment/llama: 3 replicas, 2 ready",
            "info hpa: HPA keda-hpa-chat: 1 to 8 replicas",
        ],
    );
}

#[tokio::test]
async fn a_datasource_by_another_name_is_the_server_given() {
    let tried = tried("datasource: thanos", cluster).await;
    assert!(tried.said[0].starts_with("info workload: deployment/llama"), "{:?}", tried.said);
}

#[tokio::test]
async fn what_a_server_says_stays_on_its_line() {
    let hostile = |request: &Request| {
        let query = request.form["query"].as_str();
        if query.starts_with("group by (pod)") {
            let pod = r#"{"metric":{"pod":"a\u001b[2J\nerror: b"},"value":[1,"1"]}"#;
            return answer("vector", &[pod.to_owned()]);
        }
        answer(if query.ends_with("s]") { "matrix" } else { "vector" }, &[])
    };
    let tried = tried("queueDepth: \"5\"", hostile).await;
    assert!(tried.said.iter().any(|line| line.contains("other pods do: a")), "{:?}", tried.said);
    assert!(tried.said.iter().all(|line| !line.contains(char::is_control)), "{:?}", tried.said);
}

#[tokio::test]
async fn a_server_of_no_use_is_one_error() {
    let rows = [
        (Reply::status(404), "HTTP 404, no such page"),
        (Reply::status(401), "access denied"),
        (Reply::status(500), "server error"),
        (Reply::status(302), "redirect not followed"),
        (Reply::ok("<html>"), "answer not understood"),
    ];
    for (reply, words) in rows {
        let tried = tried("queueDepth: \"5\"", move |_| reply.clone()).await;
        tried.expect(Outcome::Unreadable, &[&format!("error : {words}: no query was tried")]);
    }
}

/// A paused clock passes whenever nothing else happens: a silent server costs no time.
#[tokio::test(start_paused = true)]
async fn a_silent_server_ends_by_the_clock() {
    let tried = tried("queueDepth: \"5\"", |_| Reply::Silence).await;
    assert_eq!(tried.outcome, Outcome::Unreadable);
    assert_eq!(tried.said.len(), 1, "{:?}", tried.said);
    assert!(tried.said[0].contains("timeout: no query was tried"), "{:?}", tried.said);
}

#[tokio::test]
async fn a_file_without_triggers_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.yaml");
    std::fs::write(&file, "kind: Service\n").unwrap();
    let server = Server::start(|_| Reply::Close).await;
    let report = check_at(&[file], &server.url()).await.unwrap();
    assert_eq!((report.unreadable, server.requests().len()), (0, 0));
}

fn prescale(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.args(args).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_url_with_credentials_is_refused_and_not_repeated() {
    let object = Object::with("queueDepth: \"5\"");
    let file = object.file();
    for url in ["http://u:canary-4711@localhost:9090", "ftp://canary-4711", "canary-4711"] {
        let output = prescale(&["check", "--prometheus-url", url, file.to_str().unwrap()]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains("must be http:// or https://"), "{err}");
        assert!(!out.contains("canary") && !err.contains("canary"), "{out}{err}");
    }
}

#[test]
fn nobody_listening_ends_with_2_and_one_error() {
    // The port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (object, url) = (Object::with("queueDepth: \"5\""), format!("http://127.0.0.1:{port}"));
    let file = object.file();
    let args = ["check", "--prometheus-url", &url, "-o", "json", file.to_str().unwrap()];
    let output = prescale(&args);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let errors: Vec<_> = findings.iter().filter(|one| one["level"] == "error").collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["message"], "connection refused: no query was tried");
    assert_eq!(report["unreadable"], 1);
}

#[test]
fn the_keys_are_printed_without_a_file() {
    let output = prescale(&["check", "--keys"]);
    assert_eq!(output.status.code(), Some(0));
    let page = text(&output.stdout);
    for key in prescale::spec::keys() {
        assert!(page.lines().any(|line| line == key.name), "{}", key.name);
    }
    for args in [&["check"][..], &["check", "--keys", "a.yaml"], &["check", "--keys", "-o", "json"]]
    {
        assert_eq!(prescale(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_gateway_that_counts_all_models_together_must_be_told_which_is_meant() {
    for (gateway, needs) in [
        ("production-stack", false),
        ("llm-d", false),
        ("keda-http", false),
        ("knative", false),
        ("envoy-ai", true),
        ("litellm", true),
        ("dynamo", false),
        ("ray", false),
        ("ingress-nginx", false),
        ("istio", false),
        ("prescale-gate", false),
    ] {
        let rows =
            [("", needs), ("\nmodel: llama", false), ("\ngatewaySelector: job=\"proxy\"", false)];
        for (also, refused) in rows {
            let object = Object::with(&format!("gateway: {gateway}{also}"));
            let report = check(&[object.file()]);
            let errors: Vec<&str> = report
                .findings
                .iter()
                .filter(|finding| finding.level == Level::Error)
                .map(|finding| finding.message.as_str())
                .collect();
            let message =
                "counts the requests of all models together: give model, or gatewaySelector";
            assert_eq!(errors.len(), usize::from(refused), "{gateway}{also}: {errors:?}");
            assert!(errors.iter().all(|error| error.contains(message)), "{errors:?}");
        }
    }
}
