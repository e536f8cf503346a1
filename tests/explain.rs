//! Why there are as many replicas as there are: the explanation in words, the page with its charts,
//! and the commands that ask a running server for them.
//!
//! `UPDATE_GOLDEN=1 cargo test --test explain` writes the golden files anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a page that no browser opened is said loudly")]

#[path = "backtest_report/browser.rs"]
mod browser;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/program.rs"]
mod program;
#[path = "explain/sample.rs"]
mod sample;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use prescale::engine::units::Timestamp;
use prescale::http::{App, Ask, Found, Readiness, Reports, Token, router, serve};
use prescale::report::Report;
use prescale::report::explain::html;
use prescale::telemetry::{Build, Metrics, Readings, Snapshot};
use program::{Program, metadata};
use sample::{Case, NOW, named, report};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const HOSTILE: &str = "</td><script>alert(1)</script>";

fn app(token: Option<&str>) -> App {
    let build = Build { version: "1.2.3", commit: None, started: NOW };
    let readings = Readings::new(|| Snapshot { now: NOW, scalers: Vec::new() });
    App {
        reports: Arc::new(Reports::new(find)),
        metrics: Arc::new(Metrics::new(&build, readings)),
        readiness: Readiness::default(),
        token: token.map(|text| Token::try_new(text).unwrap()),
    }
}

/// The objects are called as their case is.
fn find(ask: &Ask) -> Found {
    let wanted = |(name, _): &&(&str, Case)| ask.name.as_deref().is_none_or(|it| it == *name);
    let cases: Vec<_> = Case::ALL.iter().filter(wanted).collect();
    let other = ask.namespace.as_deref().is_some_and(|it| it != "team-a");
    let (total, taken) = if other { (0, 0) } else { (cases.len(), ask.limit) };
    let one = |(name, case): &&(&'static str, Case)| {
        let mut report = named(*case, "team-a", name);
        report.insight = report.insight.filter(|_| ask.detail);
        report
    };
    let reports = cases.iter().skip(ask.skip).take(taken).map(one).collect();
    Found { reports, total, now: NOW }
}

/// The command against a server that shows every case.
async fn run(args: &[&str], token: Option<&str>) -> Output {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let end = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router(app(token), None), end.clone()));
    let output = prescale(args, Some(&url)).await;
    end.cancel();
    drop(server.await);
    output
}

async fn prescale(args: &[&str], server: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.args(args).env_clear().stdin(Stdio::null());
    if let Some(url) = server {
        command.env("PRESCALE_SERVER", url);
    }
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/explain").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name}; UPDATE_GOLDEN=1 writes it anew");
}

#[tokio::test]
async fn each_state_is_explained_in_the_words_of_its_golden_file() {
    for (name, _) in Case::ALL {
        let output = run(&["explain", &format!("team-a/{name}")], None).await;
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        golden(&format!("{name}.txt"), &text(&output.stdout));
    }
}

#[tokio::test]
async fn the_table_has_a_row_for_each_scaler() {
    let output = run(&["top"], None).await;
    golden("top.txt", &text(&output.stdout));
    let output = run(&["top", "-n", "team-a", "-o", "json"], None).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = json["scalers"].as_array().unwrap();
    assert_eq!(rows.len(), Case::ALL.len());
    assert_eq!((&rows[1]["strategy"], &rows[1]["max"]), (&"observer".into(), &40.into()));
    let output = run(&["top", "-n", "team-b"], None).await;
    assert!(text(&output.stdout).starts_with("no scaler yet"), "{:?}", output);
}

#[tokio::test]
async fn what_goes_wrong_is_one_line_and_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    let file = file.to_str().unwrap();
    let other = dir.path().join("other");
    fs::write(&other, "fedcba9876543210\n").unwrap();
    let other = other.to_str().unwrap();
    let token = Some("0123456789abcdef");
    let rows: [(&[&str], Option<&str>, i32, &str); 8] = [
        (&["explain", "team-a/none"], None, 1, "says 404: no scaler team-a/none"),
        (&["explain", "llama"], None, 2, "\"llama\" must be NAMESPACE/NAME"),
        (&["explain", "a/b/c"], None, 2, "must be NAMESPACE/NAME"),
        (&["top"], token, 1, "asks for a token: give --token-file"),
        (&["top", "--token-file", file], token, 0, ""),
        (&["top", "--token-file", "/no/such"], token, 2, "/no/such: failed to read: No such file"),
        (&["top", "--token-file", other], token, 1, "refuses the token that was given"),
        (&["top", "--server", "here"], None, 2, "--server \"here\" must be a URL"),
    ];
    for (args, token, code, expected) in rows {
        let output = run(args, token).await;
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {expected} in\n{stderr}");
        assert!(stderr.lines().count() <= 1, "{args:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_once_and_clearly() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let output = prescale(&["top"], Some(&format!("http://{address}"))).await;
    let expected = format!(
        "error: no answer from http://{address}/: connection refused; is `prescale serve` there? \
         --server or PRESCALE_SERVER says where else\n"
    );
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), expected));
}

#[tokio::test]
async fn a_server_without_any_data_explains_that() {
    let nobody = "datasources: {default: {url: 'http://127.0.0.1:9', tenancy: none}}";
    let server = Program::start(nobody, "json").await;
    server.ask(metadata("team-a", "llama", &[("scaleStrategy", "observer")])).await.unwrap_err();
    let log = server.log();
    let ready = log.iter().find(|line| line.contains("\"ready\"")).unwrap();
    let ready: Value = serde_json::from_str(ready).unwrap();
    let url = format!("http://{}", ready["http"].as_str().unwrap());
    let output = prescale(&["explain", "team-a/llama", "-o", "json"], Some(&url)).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["strategy"], &json["reference"]), (&"observer".into(), &"llama".into()));
    let points = json["course"]["points"].as_array().unwrap();
    assert!((1..=2).contains(&points.len()), "{points:?}");
    assert!(points[0]["wanted"].is_null() && points[0]["current"].is_null(), "{points:?}");
    assert_eq!(json["verdict"]["readiness"], "not_yet");
    let output = prescale(&["explain", "team-a/llama"], Some(&url)).await;
    let told = text(&output.stdout);
    assert!(told.contains("state        cold: no data came so far"), "{told}");
    assert!(told.contains("connection refused"), "{told}");
    let output = prescale(&["top"], Some(&url)).await;
    assert!(text(&output.stdout).contains("team-a/llama"), "{output:?}");
    let page = server.get("/scalers/team-a/llama").await;
    assert!(page.contains("class=\"course narrow\"") && !page.contains("NaN"), "{page}");
    assert!(page.contains("format=file") && page.contains("Not yet:"), "{page}");
    let file = server.get("/scalers/team-a/llama?format=file").await;
    assert!(!file.contains("href=") && file.contains("Content-Security-Policy"), "{file}");
}

#[test]
fn the_api_tells_what_the_page_shows() {
    let json = serde_json::to_value(report(Case::Observer)).unwrap();
    assert_eq!(json["foreseen"]["replicas"], 14);
    assert_eq!(json["course"]["points"].as_array().unwrap().len(), 288);
    assert_eq!(json["course"]["stepSeconds"], 300);
    assert!(json["coverage"]["share"].as_f64().unwrap() > 0.9, "{}", json["coverage"]);
    let bands = json["bands"]["points"].as_array().unwrap();
    assert_eq!((bands.len(), &json["bands"]["unit"]), (9, &"requests".into()));
    assert!(bands[8]["upperReplicas"].as_f64() >= bands[0]["upperReplicas"].as_f64());
    assert_eq!(json["verdict"]["readiness"], "ready");
    // Fields from before are where they were.
    assert_eq!(
        (&json["desired"], &json["current"], &json["state"]),
        (&12.into(), &11.into(), &"fresh".into())
    );
    let json = serde_json::to_value(report(Case::Starting)).unwrap();
    for key in ["desired", "current", "foreseen", "coverage", "bands", "stage", "skill"] {
        assert!(json[key].is_null(), "{key}: {}", json[key]);
    }
}

#[test]
fn every_page_is_small_escaped_and_whole() {
    let links = [("/".to_owned(), "All scalers")];
    for (name, case) in Case::ALL {
        let page = html(&named(case, "team-a", HOSTILE), NOW, &links);
        assert!(!page.contains("<script") && !page.contains("[no slot"), "{name}");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{name}");
        assert!(page.len() < 300_000, "{name}: {}", page.len());
        assert!(page.contains("&lt;script&gt;"), "{name}");
    }
    let page = html(&report(Case::Auto), Timestamp::from_unix_ms(0), &[]);
    assert!(!page.contains("NaN"), "before everything that is drawn");
}

#[test]
fn a_browser_draws_the_page_and_fetches_nothing() {
    let page = html(&report(Case::Auto), NOW, &[]);
    // For who wants to look: PRESCALE_PAGES=folder.
    if let Some(folder) = std::env::var_os("PRESCALE_PAGES") {
        for (name, case) in Case::ALL {
            let page = html(&report(case), NOW, &[("/".to_owned(), "All scalers")]);
            fs::write(Path::new(&folder).join(format!("{name}.html")), page).unwrap();
        }
    }
    let Some(seen) = browser::open(&page) else { return };
    assert!(!seen.log.contains("CONSOLE"), "{}", seen.log);
    assert!(seen.dom.contains("class=\"course narrow\"") && seen.dom.contains("<desc>"));
}

/// Whatever breaks out of a text, an attribute, a comment, a style or a template, in one string.
const SMUGGLED: &str = "</script><img src=x onerror=\"document.title='hit'\">\"'><iframe srcdoc=x></iframe>\
                        <script>document.title='hit'</script></style></td></pre>--><!--{{style}}\u{202e}\n";

/// T23: as names, pods, keys, values, causes and everything else that somebody may choose.
#[tokio::test]
async fn whatever_anybody_chose_is_text_on_every_page_and_in_its_file() {
    let found = |_: &Ask| Found { reports: vec![sample::said(SMUGGLED)], total: 1, now: NOW };
    let served = router(App { reports: Arc::new(Reports::new(found)), ..app(None) }, None);
    let get = |path: &str| {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let served = served.clone();
        async move {
            let answer = tower::ServiceExt::oneshot(served, request).await.unwrap();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            text(&body)
        }
    };
    for path in ["/", "/scalers/a/b", "/scalers/a/b?format=file"] {
        let page = get(path).await;
        for tag in ["<img", "<iframe", "<script", "<!--", "\u{202e}", "[no slot"] {
            assert!(!page.contains(tag), "{path}: {tag} in {page}");
        }
        let times = page.matches("&lt;img").count();
        assert!(times >= if path == "/" { 2 } else { 8 }, "{path}: it shows {times} times");
        let Some(seen) = browser::open(&page) else { continue };
        for tag in ["<img", "<iframe", "<script", "<title>hit"] {
            assert!(!seen.dom.contains(tag), "{path}: {tag} became an element");
        }
        assert!(
            seen.dom.contains("&lt;img") && !seen.log.contains("CONSOLE"),
            "{path}: {}",
            seen.log
        );
    }
    // In JSON it is a string, on one line; the answer's type and `nosniff` say that it is no page.
    let json = get("/api/v1/scalers/a/b").await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["name"].as_str().is_some_and(|name| name.starts_with("</script><img")), "{json}");
}

fn assert_same(a: &Report, b: &Report) {
    assert_eq!(serde_json::to_string(a).unwrap(), serde_json::to_string(b).unwrap());
}

#[test]
fn equal_scalers_give_equal_bytes() {
    let (a, b) = (report(Case::Auto), report(Case::Auto));
    assert_same(&a, &b);
    assert_eq!(html(&a, NOW, &[]), html(&b, NOW, &[]));
}
