//! What the gate adds to a request beside nginx, and the memory of 5 000 requests that wait.
//!
//! `cargo bench --bench gate`, with nginx in the path. One trivial upstream, asked directly, through
//! nginx and through the gate in turns, request by request: what the machine does besides hits all
//! alike. Gate and nginx are processes of their own. Without cargo's `--bench` (as `cargo test` runs
//! it) it only shows that it works.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark reports by printing")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response};
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// How much to do.
struct Plan {
    /// Callers, and the requests of each to each target.
    turns: Vec<(usize, usize)>,
    held: usize,
}

/// A process that ends with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Not SIGKILL: nginx's workers would outlive it. The gate cuts at the second signal.
        for _ in 0..2 {
            let pid = self.0.id().to_string();
            drop(Command::new("kill").args(["-TERM", &pid]).status());
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(self.0.wait());
    }
}

fn main() {
    let plan = if std::env::args().any(|arg| arg == "--bench") {
        Plan { turns: vec![(1, 5_000), (16, 1_000)], held: 5_000 }
    } else {
        Plan { turns: vec![(2, 20)], held: 50 }
    };
    let upstream = port();
    // On a thread of its own, so that it answers the same whoever asks.
    std::thread::spawn(move || current().block_on(serve(upstream)));
    current().block_on(bench(&plan, upstream));
}

fn current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const ANSWER: &[u8] = &[b'x'; 600];

async fn serve(address: SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let answer = service_fn(async |request: Request<Incoming>| {
            to_bytes(Body::new(request.into_body()), 1 << 20).await.unwrap();
            Ok::<_, Infallible>(Response::new(Body::from(ANSWER)))
        });
        tokio::spawn(Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn bench(plan: &Plan, upstream: SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let (one, _one) = gate(dir.path(), "one", &one_route(upstream)).await;
    let (two, _two) = gate(dir.path(), "two", &two_routes(upstream)).await;
    let mut targets =
        vec![("direct", upstream), ("gate, one route", one.0), ("gate, by model", two.0)];
    let nginx = nginx(dir.path(), upstream).await;
    match &nginx {
        Some((address, _)) => targets.insert(1, ("nginx", *address)),
        None => println!("nginx is not in the path: without the comparison"),
    }
    for (callers, requests) in &plan.turns {
        println!("{callers} callers, {requests} requests each to each target");
        let all = join_all((0..*callers).map(|idx| caller(&targets, *requests, idx))).await;
        let mut direct = None;
        for (n, (name, _)) in targets.iter().enumerate() {
            let mut times: Vec<Duration> = all.iter().flat_map(|times| times[n].clone()).collect();
            times.sort_unstable();
            let at = |share: usize| times[(times.len() * share / 1000).min(times.len() - 1)];
            let (p50, p99) = (at(500), at(990));
            let base = *direct.get_or_insert((p50, p99));
            let added = (p50.saturating_sub(base.0), p99.saturating_sub(base.1));
            println!(
                "  {name:<16} p50 {p50:>10.1?} p99 {p99:>10.1?}  added {:>10.1?} {:>10.1?}",
                added.0, added.1
            );
        }
    }
    held(plan.held, dir.path()).await;
}

/// One caller's times, per target. Targets take turns, and each begins as often.
async fn caller(targets: &[(&str, SocketAddr)], requests: usize, idx: usize) -> Vec<Vec<Duration>> {
    let connected = targets.iter().map(|(_, address)| connect(*address));
    let mut senders = join_all(connected).await;
    let mut times = vec![Vec::with_capacity(requests); targets.len()];
    for turn in 0..requests {
        for step in 0..targets.len() {
            let n = (idx + turn + step) % targets.len();
            let begun = Instant::now();
            ask(&mut senders[n]).await;
            times[n].push(begun.elapsed());
        }
    }
    times
}

async fn connect(address: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// A chat completion of a kilobyte.
fn request() -> Request<Body> {
    let text = "word ".repeat(190);
    let body = format!(
        "{{\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\"model\":\"llama\"}}"
    );
    Request::post("/v1/chat/completions")
        .header("host", "llama")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

async fn ask(sender: &mut SendRequest<Body>) {
    sender.ready().await.unwrap();
    let response = sender.send_request(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    assert_eq!(body.len(), ANSWER.len());
}

fn one_route(upstream: SocketAddr) -> String {
    format!("routes: [{{scaledObject: a/b, upstream: 'http://{upstream}', ready: connect}}]\n")
}

fn two_routes(upstream: SocketAddr) -> String {
    format!(
        "routes:\n\
         - {{models: [llama], scaledObject: a/b, upstream: 'http://{upstream}', ready: connect}}\n\
         - {{models: [other], scaledObject: a/c, upstream: 'http://{upstream}', ready: connect}}\n"
    )
}

/// The gate as its users run it: where clients come in, where it is asked about itself.
async fn gate(dir: &Path, name: &str, config: &str) -> ((SocketAddr, SocketAddr), Process) {
    let (listen, admin) = (port(), port());
    let path = dir.join(format!("{name}.yaml"));
    std::fs::write(&path, format!("listen: {listen}\nadminListen: {admin}\n{config}")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_prescale"))
        .args(["gate", "--log-level", "error", "--config"])
        .arg(&path)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until(admin).await;
    // Its first look at the upstream.
    tokio::time::sleep(Duration::from_millis(300)).await;
    ((listen, admin), Process(child))
}

async fn until(address: SocketAddr) {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody listens at {address}");
}

/// nginx as a proxy for streams is usually set up.
async fn nginx(dir: &Path, upstream: SocketAddr) -> Option<(SocketAddr, Process)> {
    let listen = port();
    let dir_text = dir.display();
    let config = format!(
        "daemon off; worker_processes auto; pid {dir_text}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {dir_text}; proxy_temp_path {dir_text};\n\
           keepalive_requests 1000000;\n\
           upstream model {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}\n\
           server {{ listen {listen}; location / {{ proxy_pass http://model;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
             proxy_set_header X-Request-Id $request_id; }} }} }}\n"
    );
    let path = dir.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let child = Command::new("nginx").arg("-c").arg(&path).arg("-p").arg(dir).spawn().ok()?;
    let process = Process(child);
    until(listen).await;
    Some((listen, process))
}

/// Resident memory of a process, KiB.
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Requests that wait, until their model is there and answers all of them.
async fn held(count: usize, dir: &Path) {
    let upstream = port();
    let config = format!("limits: {{held: {count}, connections: 20000}}\n{}", one_route(upstream));
    let ((listen, admin), process) = gate(dir, "held", &config).await;
    let before = memory(&process);
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for _ in 0..count {
        let mut sender = connect(listen).await;
        waiting.push(tokio::spawn(async move { ask(&mut sender).await }));
    }
    while metric(admin, "prescale_gate_requests_held{").await < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (after, took) = (memory(&process), begun.elapsed());
    println!(
        "{count} requests held: {before} KiB before, {after} KiB with them, {:.1} KiB each; all there after {took:.1?}",
        kib_each(after.saturating_sub(before), count)
    );
    std::thread::spawn(move || current().block_on(serve(upstream)));
    until(upstream).await;
    let begun = Instant::now();
    for answered in waiting {
        answered.await.unwrap();
    }
    println!("all answered {:.1?} after the model was there", begun.elapsed());
}

#[expect(clippy::cast_precision_loss, reason = "small numbers, to be printed")]
fn kib_each(kib: u64, count: usize) -> f64 {
    kib as f64 / count as f64
}

/// The sum of the series that begin so.
async fn metric(admin: SocketAddr, series: &str) -> usize {
    let mut sender = connect(admin).await;
    let request = Request::get("/metrics").header("host", "x").body(Body::empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let page: Bytes = to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    let lines = page.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
}
