//! The threat model against the real program: hostile tenants, servers and names, and where secrets
//! may never show. Each test starts `prescale serve` and reads everything that it writes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/hostile.rs"]
mod hostile;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/program.rs"]
mod program;
#[path = "threats/surface.rs"]
mod surface;
#[path = "threats/tenants.rs"]
mod tenants;

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hostile::HOSTILE;
use http::{Reply, Server};
use prescale::clock::Clock;
use prescale::engine::series::Series;
use prescale::source::assemble::{RawSeries, Selection};
use prescale::source::preset::preset;
use prescale::spec::{Limits, keys, parse};
use program::{Program, metadata};
use tonic::Code;

/// Answers everything with no series.
fn empty() -> Reply {
    Reply::ok(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#)
}

/// Keys of other scalers and of our own server's file, as somebody may try them.
const OTHERS: &[&str] = &[
    "serverAddress",
    "url",
    "address",
    "bearerTokenFile",
    "caFile",
    "passwordFile",
    "headers",
    "dataDir",
    "path",
    "tlsCertFile",
    "caCert",
    "scalerAddress",
];

/// KEDA's own keys are ignored, a model may have any name and a query is sent as it is to the
/// datasource, which refuses it: nothing is opened by them.
const FREE: &[&str] = &["activationQuery", "caCert", "model", "scalerAddress", "tlsCertFile"];

#[tokio::test(flavor = "multi_thread")]
async fn t2_t6_no_value_of_any_key_is_connected_to_or_opened() {
    let prometheus = Server::start(|_| empty()).await;
    let canary = Server::start(|_| Reply::ok("canary 1\n")).await;
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("canary");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let port = canary.address.port();
    let (path, file) = (fifo.display().to_string(), format!("file://{}", fifo.display()));
    let ours: Vec<String> = ["http", "https", "gopher", "dns", "unix"]
        .iter()
        .flat_map(|scheme| {
            ["127.0.0.1", "localhost", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
                .map(|host| format!("{scheme}://{host}:{port}/metrics"))
        })
        .chain([canary.address.to_string(), path, file])
        .collect();
    let values: Vec<&str> =
        HOSTILE.iter().copied().chain(ours.iter().map(String::as_str)).collect();
    assert!(values.len() >= 60 + ours.len());
    let config = format!("datasources: {{default: {{url: \"{}\"}}}}", prometheus.url());
    let program = Program::start(&config, "json").await;
    let mut accepted = BTreeSet::new();
    let names = keys().iter().map(|key| key.name).chain(OTHERS.iter().copied());
    for (number, name) in names.enumerate() {
        // A namespace each: none of them fills up.
        let namespace = format!("team-{number}");
        let calls = values.iter().map(|value| {
            let object = metadata(&namespace, "llama", &[(name, value)]);
            let program = &program;
            async move { (value, program.ask(object).await) }
        });
        for (value, answer) in futures_util::future::join_all(calls).await {
            match answer {
                Err(status) if status.code() == Code::InvalidArgument => {
                    let text = status.message();
                    assert!(text.starts_with(name) || text.starts_with("metadata"), "{text}");
                    assert!(!text.contains("canary@"), "{text}");
                }
                other => {
                    assert!(FREE.contains(&name), "{name}: {value}: {other:?}");
                    accepted.insert(name);
                }
            }
        }
    }
    assert_eq!(accepted.into_iter().collect::<Vec<_>>(), FREE);
    assert_eq!(canary.connections(), 0, "{:?}", canary.requests());
    assert!(!is_being_read(&fifo), "{}", fifo.display());
    let asked: BTreeSet<String> = prometheus.requests().into_iter().map(|it| it.line).collect();
    let own = ["POST /api/v1/query", "POST /api/v1/query_range"];
    assert!(asked.iter().all(|line| own.contains(&line.as_str())), "{asked:?}");
}

/// Whether somebody has opened the named pipe: only then can it be opened for writing at once.
fn is_being_read(fifo: &Path) -> bool {
    const NONBLOCK: i32 = 0o4000;
    std::fs::OpenOptions::new().write(true).custom_flags(NONBLOCK).open(fifo).is_ok()
}

/// What may never be seen, by where it comes from.
const CANARIES: [&str; 7] = [
    "canary-token",
    "canary-password",
    "canary-header",
    "canary-body",
    "canary-model",
    "canary-query",
    "canary-value",
];

/// Metadata as KEDA resolves it from a secret; right and wrong.
const SECRET: &[(&str, &str)] = &[
    ("modelFromEnv", "canary-model"),
    ("activationQueryFromEnv", "sum(up{x=\"canary-query\"})"),
    ("queueDepth", "5"),
];
const WRONG: &[(&str, &str)] = &[
    ("kvCacheFromEnv", "canary-value"),
    ("passwordFromEnv", "canary-value"),
    ("password", "canary-value"),
    ("datasource", "http://u:canary-value@prometheus"),
    ("endpointsFromEnv", "http://u:canary-value@vllm:8000/metrics"),
];

#[tokio::test(flavor = "multi_thread")]
async fn t4_t5_t20_t21_secrets_go_to_their_own_datasource_and_show_nowhere() {
    let thief = Server::start(|_| Reply::ok("canary-body")).await;
    let to = format!("{}/api/v1/query?canary-body", thief.url());
    let own = Server::start(move |_| {
        let location = ("location".to_owned(), to.clone());
        Reply::Answer(307, vec![location], b"canary-body".to_vec())
    })
    .await;
    let html = Server::start(|_| Reply::ok("<html>canary-body</html>")).await;
    let failing = Server::start(|_| Reply::Answer(500, vec![], b"canary-body".to_vec())).await;
    let denied = Server::start(|_| Reply::Answer(403, vec![], b"canary-body".to_vec())).await;
    let dir = tempfile::tempdir().unwrap();
    let (token, password) = (dir.path().join("token"), dir.path().join("password"));
    std::fs::write(&token, "canary-token").unwrap();
    std::fs::write(&password, "canary-password").unwrap();
    let secrets =
        format!("bearerTokenFile: {}, headers: {{X-Scope-OrgID: canary-header}}", token.display());
    let basic = format!("basicAuth: {{username: u, passwordFile: {}}}", password.display());
    let config = format!(
        "datasources:\n  default: {{url: \"{}\", {secrets}}}\n  html: {{url: \"{}\", {basic}}}\n  \
         failing: {{url: \"{}\", {secrets}}}\n  \
         theirs: {{url: \"{}\", {secrets}, namespaces: [team-b]}}\n",
        own.url(),
        html.url(),
        failing.url(),
        denied.url(),
    );
    let program = Program::start(&config, "json").await;
    let mut said = Vec::new();
    for datasource in ["default", "html", "failing"] {
        let mut pairs = SECRET.to_vec();
        pairs.push(("datasource", datasource));
        said.push(program.ask(metadata("team-a", datasource, &pairs)).await.unwrap_err());
    }
    for pair in WRONG {
        let status = program.ask(metadata("team-a", "wrong", &[*pair])).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        said.push(status);
    }

    let foreign = metadata("team-a", "foreign", &[("datasource", "theirs"), ("queueDepth", "5")]);
    let refusal = program.ask(foreign).await.unwrap_err();
    assert!(refusal.message().contains("datasource theirs"), "{refusal}");
    assert!(refusal.message().contains("not available to this namespace"), "{refusal}");
    assert_eq!(denied.connections(), 0, "no query of another namespace");
    let owner = metadata("team-b", "owner", &[("datasource", "theirs"), ("queueDepth", "5")]);
    said.extend([refusal, program.ask(owner).await.unwrap_err()]);
    assert!(denied.connections() > 0, "its owner may");

    for server in [&own, &failing, &denied] {
        let sent = server.requests();
        assert!(!sent.is_empty());
        assert!(sent.iter().all(|it| it.headers["authorization"] == "Bearer canary-token"));
    }
    assert!(html.requests().iter().all(|it| it.headers["authorization"].starts_with("Basic ")));
    assert_eq!(thief.connections(), 0, "redirects are not followed");

    let mut sinks = program.sinks(&["default", "html", "failing", "wrong", "foreign"]).await;
    for words in ["redirect not followed", "answer not understood", "server error"] {
        assert!(sinks.iter().any(|sink| sink.contains(words)), "{words} shows somewhere");
    }
    sinks.extend(said.iter().map(|status| format!("{status:?}")));
    assert!(said.iter().all(|status| status.message().chars().count() <= 400));
    for sink in &sinks {
        let found = CANARIES.iter().find(|canary| sink.contains(*canary));
        assert_eq!(found, None, "in {sink}");
        assert!(!sink.contains("dTpjYW5hcnk"), "the password in base64, in {sink}");
    }
}

const FORGED: &str = "x\"\n\u{1b}[31m{\"level\":\"ERROR\",\"message\":\"forged\"}\r\n# HELP forged\n\
                      forged{a=\"b\"} 1\n</script><img src=x onerror=forged()>'";

#[tokio::test(flavor = "multi_thread")]
async fn t22_no_name_of_anybody_writes_a_line_a_label_or_a_tag_of_its_own() {
    let prometheus = Server::start(|request| {
        let query = request.form.get("query").cloned().unwrap_or_default();
        let time: f64 = request.form.get("time").and_then(|it| it.parse().ok()).unwrap_or(0.0);
        if query.contains("num_requests_waiting") { hostile_pods(time) } else { empty() }
    })
    .await;
    let config = format!("datasources: {{default: {{url: \"{}\"}}}}", prometheus.url());
    for format in ["json", "text"] {
        let program = Program::start(&config, format).await;
        let own = serde_json::to_string(FORGED).unwrap();
        let signals = format!("[{{name: {own}, query: up, target: 1}}]");
        let rows: [Trigger<'_>; 7] = [
            ("team-a", FORGED, &[]),
            (FORGED, "llama", &[]),
            ("team-a", "llama", &[("queueDepth", "5")]),
            ("team-a", "model", &[("model", FORGED)]),
            ("team-a", "key", &[(FORGED, "5")]),
            ("team-a", "datasource", &[("datasource", FORGED)]),
            ("team-a", "signals", &[("signals", &signals)]),
        ];
        for (namespace, name, pairs) in rows {
            let answer = program.ask(metadata(namespace, name, pairs)).await;
            if let Err(status) = answer {
                assert!(!status.message().chars().any(char::is_control), "{status:?}");
            }
        }
        drop(program.metric("team-a", FORGED).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let page = program.get("/metrics").await;
        for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok() && line.starts_with("p"), "{line}");
        }
        assert!(!page.contains("forged") && !page.contains('\u{1b}'), "{page}");
        let html = program.get("/scalers/team-a/llama").await + &program.get("/").await;
        assert!(!html.contains("<img") && !html.contains('\u{1b}'), "{html}");
        let log = program.log();
        let api = program.get("/api/v1/scalers/team-a/llama").await;
        assert!(api.contains("forged"), "the names were read: {api}");
        for line in &log {
            assert!(!line.contains('\u{1b}') && !line.contains('\r'), "{line:?}");
            assert!(!line.starts_with("forged") && !line.starts_with('#'), "{line:?}");
            if format == "json" {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_ne!(event["message"], "forged", "{line}");
                let span = event.get("span").filter(|span| span["name"] == "scaler");
                assert!(span.is_none_or(|span| span["object"].is_string()), "{line}");
            }
        }
    }
}

/// Namespace, name and metadata of a trigger.
type Trigger<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Pods whose names and labels are forged, beside one that is not.
fn hostile_pods(time: f64) -> Reply {
    let rows: Vec<serde_json::Value> = [FORGED, "llama-7d9f8b6c5d-aaa00", "llama-../../x"]
        .iter()
        .flat_map(|pod| {
            ["vllm:num_requests_waiting", "vllm:num_requests_running"].map(|name| {
                serde_json::json!({
                    "metric": {"__name__": name, "namespace": "team-a", "pod": pod,
                               "model_name": FORGED, "instance": FORGED, "engine": "0"},
                    "values": [[time - 75.0, "1"], [time - 15.0, "900"], [time, "9e8"]],
                })
            })
        })
        .collect();
    let data = serde_json::json!({"resultType": "matrix", "result": rows});
    Reply::ok(serde_json::json!({"status": "success", "data": data}).to_string())
}

/// T9: 500 patterns made of what explodes in backtracking engines, each against a text that makes
/// it explode. Unoptimised, on a busy machine, the largest that is accepted takes half a second;
/// exponential time is years.
#[test]
fn t9_no_pattern_takes_long() {
    const LIMIT: Duration = Duration::from_secs(3);
    let atoms = ["a", "a|a", "a|aa", "a|b|ab", "[a-z]", ".", "\\\\w", "a?", "a*", "aa+"];
    let forms = [
        "({})+",
        "({})*",
        "(({})+)+",
        "(({})*)*$",
        "({}){20}",
        "({}){1,250}",
        "({})+({})+({})+$",
        "(?:({})+)+b",
        "^({})*[^!]$",
        "(({}){1,30}){1,30}",
    ];
    let ends = ["", "$", "b", "(x+x+)+y", "\\\\b.*"];
    let mut accepted = 0;
    for (atom, form) in atoms.iter().flat_map(|atom| forms.map(|form| (atom, form))) {
        for end in ends {
            let pattern = form.replace("{}", atom) + end;
            let watch = Clock::system();
            accepted += usize::from(is_applied(&pattern));
            assert!(watch.elapsed() < LIMIT, "{pattern}: {:?}", watch.elapsed());
        }
    }
    assert!((300..500).contains(&accepted), "{accepted} of 500");
}

/// Parses a selector with `pattern` and applies it, unless it is refused.
fn is_applied(pattern: &str) -> bool {
    let pairs = [("selector".to_owned(), format!("x=~\"{pattern}\""))];
    let Ok(spec) = parse("team-a", "llama", &pairs.into(), &Limits::default()) else {
        return false;
    };
    let preset = preset(spec.target.engine);
    let selection = Selection::new(&preset, None, &spec.target.selector);
    let labels = [("x".to_owned(), "a".repeat(255) + "!")].into();
    let name = "vllm:num_requests_waiting".to_owned();
    // The text is made not to match most of them: that is when backtracking explodes.
    let _matches = selection.accepts(&RawSeries { name, labels, series: Series::default() });
    true
}
