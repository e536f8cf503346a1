//! The command line and the running server, as a user meets them: words, exit codes, endpoints.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::server::config::{Overrides, Settings};
use prescale::server::{Error, spawn};
use prescale::source::config::ScrapePolicy;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Longer than the graceful end may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn prescale(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the help without a command names.
const COMMANDS: [&str; 10] = [
    "serve",
    "gate",
    "demo",
    "score",
    "explain",
    "top",
    "wake",
    "check",
    "Exit codes:",
    "  2  wrong flags",
];

#[test]
fn help_names_every_flag_its_variable_its_default_and_the_exit_codes() {
    let rows: [(&[&str], &[&str]); 6] = [
        (&["wake", "--help"], &["PRESCALE_WAKE_TOKEN=", "--token-file", "--wait", "Exit codes:"]),
        (
            &["explain", "--help"],
            &[
                "PRESCALE_SERVER",
                "http://127.0.0.1:8080",
                "PRESCALE_TOKEN_FILE",
                "--trigger <HASH8>",
            ],
        ),
        (&["--help"], &COMMANDS),
        (
            &["serve", "--help"],
            &[
                "--config <FILE>",
                "PRESCALE_CONFIG",
                "--listen <ADDRESS>",
                "PRESCALE_LISTEN",
                "0.0.0.0:6000",
                "--http-listen <ADDRESS>",
                "PRESCALE_HTTP_LISTEN",
                "0.0.0.0:8080",
                "--prometheus-url <URL>",
                "PRESCALE_PROMETHEUS_URL",
                "tenancy none",
                "--reflection",
                "PRESCALE_REFLECTION",
                "--log-format",
                "PRESCALE_LOG_FORMAT",
                "--log-level",
                "PRESCALE_LOG_LEVEL",
                "[default: info]",
                "Exit codes:",
            ],
        ),
        (
            &["gate", "--help"],
            &[
                "--config <FILE>",
                "PRESCALE_GATE_CONFIG",
                "--upstream <URL>",
                "--scaled-object <NAMESPACE/NAME>",
                "--wake-url <URL>",
                "--check",
                "docs/gate.md",
                "0.0.0.0:9091",
                "Exit codes:",
            ],
        ),
        (&["demo", "--help"], &["--speed", "60", "--duration", "3h", "--port", "8080"]),
    ];
    for (args, expected) in rows {
        let output = prescale(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        // The terminal's width must not decide whether a phrase is found.
        let help = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        for phrase in expected {
            let phrase = phrase.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(help.contains(&phrase), "{args:?}: {phrase} in\n{help}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let output = prescale(&["--version"]);
    let expected = format!("prescale {}", env!("CARGO_PKG_VERSION"));
    assert!(text(&output.stdout).starts_with(&expected));
}

#[test]
fn a_completion_script_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = prescale(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("prometheus-url"), "{shell}");
    }
}

#[test]
fn wrong_words_end_with_2_and_say_what_is_accepted() {
    let rows: [(&[&str], &str); 9] = [
        (&["serve", "--prometheus-url", "prom:9090"], "error: --prometheus-url: must be http://"),
        (&["check", "--prometheus-url", "prom:9090", "-"], "error: --prometheus-url cannot be"),
        (&["serv"], "similar subcommand exists: 'serve'"),
        (&["serve", "--listn", "x"], "similar argument exists: '--listen'"),
        (
            &["serve", "--listen", "here"],
            "\"here\" must be an IP address and a port, 0.0.0.0:6000 or [::]:6000",
        ),
        (&["serve", "--log-level", "loud"], "expected off, error, warn, info, debug, trace"),
        (&["serve", "--log-format", "xml"], "[possible values: json, text]"),
        (
            &["serve", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--data-dir=/no/such"],
            "dataDir: /no/such must be a directory that can be written to: No such file",
        ),
        (&["completions", "cmd"], "[possible values: bash"),
    ];
    for (args, expected) in rows {
        let output = prescale(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: {expected} in\n{stderr}");
    }
}

#[test]
fn who_stops_reading_has_read_enough() {
    let mut child = command(&["check", "--keys"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_bad_file_ends_with_2_and_one_line_that_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        ("listen: [", " line "),
        ("- a\n- b\n", "config.yaml"),
        ("listn: 0.0.0.0:1\n", "config.yaml line 1: unknown key listn; did you mean listen?"),
        ("dataDir: {a: b}\n", "config.yaml line 1: "),
        ("wake: {tokenFile: /no/such}\n", "wake token: failed to read /no/such"),
        ("wake: {}\n", "wake: tokenFile, tokens or listen is missing"),
        ("wake: {listen: '127.0.0.1:1'}\n", "wake.listen: needs tls with clientCaFile"),
        ("wake: {allowedSans: [a]}\n", "wake.allowedSans: needs wake.listen"),
        ("peers: dns://a\n", "peers: \"dns://a\" must be dns://NAME:PORT"),
        ("peers: dns://a:8080\n", "peers: needs wake"),
        ("reflection: maybe\n", "config.yaml line 1: reflection: \"maybe\" must be true or false"),
        ("listen: localhost:6000\n", "listen: \"localhost:6000\" must be an IP address and a port"),
        ("tls: {keyFile: k}\n", "tls: certFile is missing beside keyFile"),
        ("tick: 2m\n", "tick: \"2m\" must be a duration from 5s to 1m"),
        ("limits: {perNamespace: 0}\n", "limits.perNamespace: 0 must be from 1 to 100000"),
        (
            "limits: {maxReplicas: -1}\n",
            "line 1: limits.maxReplicas: -1 must be a whole number, 0 or more",
        ),
        ("httpTokenFile: /no/such/file\n", "httpTokenFile: failed to read /no/such/file"),
        ("datasources: {main: {}}\n", "config.yaml line 1: url is missing"),
        (
            "datasources:\n  main: {url: 'http://p', tenansy: none}\n",
            "config.yaml line 2: unknown key tenansy; did you mean tenancy?",
        ),
        (
            "datasources:\n  main: {url: 'http://p', tenancy: cluster}\n",
            "line 2: datasources.main.tenancy: \"cluster\" must be one of none, namespace",
        ),
        (
            "datasources:\n  main: {url: 'http://p', timeout: 5h}\n",
            "datasources.main.timeout: \"5h\" must be a duration from 1ms to 60s, such as 5s",
        ),
    ];
    for (file, expected) in rows {
        let path = dir.path().join("config.yaml");
        fs::write(&path, file).unwrap();
        check_refused(&["serve", "--config", path.to_str().unwrap()], expected, file);
    }
    let missing = "failed to read the configuration file /no/such.yaml: No such file";
    check_refused(&["serve", "--config", "/no/such.yaml"], missing, "");
}

fn check_refused(args: &[&str], expected: &str, file: &str) {
    let output = prescale(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{file}: {stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: ") && last.contains(expected),
        "{file}: {expected} in\n{last}"
    );
}

#[test]
fn a_port_in_use_ends_with_1_and_names_the_key_and_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let rows = [
        (["--listen", address.as_str(), "--http-listen", "127.0.0.1:0"], "listen"),
        (["--listen", "127.0.0.1:0", "--http-listen", address.as_str()], "httpListen"),
    ];
    for (flags, key) in rows {
        let args: Vec<&str> = ["serve"].into_iter().chain(flags).collect();
        let output = prescale(&args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let expected =
            format!("error: failed to listen on {key} {address}: Address already in use");
        assert!(stderr.lines().last().unwrap().starts_with(&expected), "{expected} in\n{stderr}");
    }
}

/// A `prescale serve` of its own, ended with the test.
struct Served {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Served {
    fn start(envs: &[(&str, &str)]) -> Self {
        let flags = ["serve", "--http-listen", "127.0.0.1:0"];
        let mut child =
            command(&flags).envs(envs.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tx, log) = mpsc::sync_channel(1000);
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| tx.send(line))
        });
        Self { child, log }
    }

    /// The first event with this message; all lines before it must be events as well.
    fn event(&self, message: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["message"] == message {
                return event;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_ends_the_server_gracefully_with_0() {
    for signal in ["-TERM", "-INT"] {
        let envs =
            [("PRESCALE_LISTEN", "127.0.0.1:0"), ("PRESCALE_PROMETHEUS_URL", "http://127.0.0.1:9")];
        let mut served = Served::start(&envs);
        let note = served.event("configuration");
        assert!(note["note"].as_str().unwrap().contains("tenancy none"), "{note}");
        let ready = served.event("ready");
        assert_eq!((&ready["level"], &ready["tls"]), (&"INFO".into(), &false.into()));
        let http: SocketAddr = ready["http"].as_str().unwrap().parse().unwrap();
        assert_eq!(raw(http, "GET /readyz HTTP/1.0\r\n\r\n").0, 200);

        let pid = served.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        served.event("shutting down");
        // The line is written just before readiness changes; the server stays for a second after.
        let asked = || raw(http, "GET /readyz HTTP/1.0\r\n\r\n").0;
        let changed = (0..100).map(|_| asked()).find(|status| *status != 200);
        assert_eq!(changed, Some(503), "not ready before the end");
        served.event("ended");
        assert_eq!(served.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// One request on a connection of its own: status and everything after the status line.
fn raw(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = Vec::new();
    // A server that refuses a request may reset what it did not read.
    let _ = stream.read_to_end(&mut response);
    let response = String::from_utf8_lossy(&response).into_owned();
    let status = response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, response)
}

fn loopback(token_file: Option<&Path>) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let token = token_file.map(|path| format!("httpTokenFile: {}\n", path.display()));
    let token = token.unwrap_or_default();
    fs::write(&file, format!("listen: 127.0.0.1:0\nhttpListen: 127.0.0.1:0\n{token}")).unwrap();
    let mut settings = Settings::load(Some(&file), Overrides::default()).unwrap();
    settings.drain = Duration::ZERO;
    settings
}

async fn request(address: SocketAddr, request: String) -> (u16, String) {
    tokio::task::spawn_blocking(move || raw(address, &request)).await.unwrap()
}

async fn get(address: SocketAddr, path: &str, header: &str) -> (u16, String) {
    request(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n"))
        .await
}

#[tokio::test]
async fn a_server_in_this_process_answers_and_ends() {
    let shutdown = CancellationToken::new();
    let (settings, clock) = (loopback(None), Clock::system());
    let (bound, server) =
        spawn(settings, clock, ScrapePolicy::default(), shutdown.clone()).await.unwrap();
    let rows = [
        ("/healthz", 200, "ok\n"),
        ("/readyz", 200, "ready\n"),
        ("/metrics", 200, "# TYPE prescale_build_info gauge\n"),
        ("/api/v1/scalers", 200, "{\"scalers\":[],\"skip\":0,\"total\":0}"),
        ("/api/v1/scalers/team-a/llama", 404, "{\"error\":\"no scaler team-a/llama"),
        ("/", 200, "No scaler yet"),
        ("/none", 404, "{\"error\":\"no such path"),
        ("/wake/team-a/llama", 404, "{\"error\":\"wakes are not configured"),
    ];
    for (path, status, part) in rows {
        let (code, answer) = get(bound.http, path, "").await;
        assert_eq!(code, status, "{path}: {answer}");
        assert!(answer.contains(part), "{path}: {part} in\n{answer}");
    }
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_server_with_a_token_shows_scalers_to_its_bearer_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    let shutdown = CancellationToken::new();
    let (settings, clock) = (loopback(Some(&file)), Clock::system());
    let (bound, server) =
        spawn(settings, clock, ScrapePolicy::default(), shutdown.clone()).await.unwrap();
    let rows = [
        ("/api/v1/scalers", "", 401),
        ("/api/v1/scalers", "Authorization: Bearer wrong\r\n", 401),
        ("/api/v1/scalers", "Authorization: Bearer 0123456789abcdef\r\n", 200),
        ("/metrics", "", 200),
    ];
    for (path, header, status) in rows {
        let (code, answer) = get(bound.http, path, header).await;
        assert_eq!(code, status, "{path} {header}: {answer}");
    }
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn requests_beyond_the_bounds_are_refused() {
    let shutdown = CancellationToken::new();
    let (settings, clock) = (loopback(None), Clock::system());
    let (bound, server) =
        spawn(settings, clock, ScrapePolicy::default(), shutdown.clone()).await.unwrap();
    let rows = [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)), vec![414, 431]),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(20_000)), vec![431]),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(100)), vec![431]),
        ("POST /metrics HTTP/1.0\r\nContent-Length: 9\r\n\r\n".to_owned(), vec![405]),
        ("nonsense\r\n\r\n".to_owned(), vec![400]),
    ];
    for (given, accepted) in rows {
        let shown: String = given.chars().take(60).collect();
        let (code, answer) = request(bound.http, given).await;
        assert!(accepted.contains(&code), "{shown}: {code} {answer}");
    }
    assert_eq!(get(bound.http, "/healthz", "").await.0, 200);
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = loopback(None);
    settings.http_listen = taken.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let started = spawn(settings, Clock::system(), ScrapePolicy::default(), shutdown).await;
    assert!(matches!(started, Err(Error::Listen { key: "httpListen", .. })));
}
