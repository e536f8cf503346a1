//! What a server asks a Prometheus for, and what that takes: the program itself as a process of its own, the
//! real source layer, and in this process a Prometheus that answers at once and counts.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use prescale::clock::Clock;
use prescale::grpc::proto::ScaledObjectRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::facts::facts;
use crate::program::{Program, metadata};

const TICK: u32 = 15;
/// What KEDA asks with by default.
const POLL: Duration = Duration::from_secs(30);
/// Polls of all scalers before it is measured, and while it is.
const SETTLED: usize = 2;
const MEASURED: usize = 4;
/// Scalers that are made at the same time.
const CALLERS: usize = 32;

/// What the Prometheus has counted.
#[derive(Debug, Default)]
struct Counts {
    instant: AtomicU64,
    range: AtomicU64,
    bytes: AtomicU64,
}

/// Counts at one instant.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    instant: u64,
    range: u64,
    bytes: u64,
    /// Ticks, and seconds that they took.
    ticks: f64,
    ticking: f64,
    busy: f64,
}

/// A Prometheus in which each workload has one ready pod with a little load.
async fn prometheus(counts: Arc<Counts>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let counts = Arc::clone(&counts);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while answer(&mut stream, &counts).await.is_some() {}
            });
        }
    });
    url
}

/// Answers one request; `None` at the end of the connection.
async fn answer(stream: &mut BufReader<TcpStream>, counts: &Counts) -> Option<()> {
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
        head.push_str(&line.to_ascii_lowercase());
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut form = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut form).await.ok()?;
    let range = head.lines().next()?.contains("query_range");
    let counter = if range { &counts.range } else { &counts.instant };
    counter.fetch_add(1, Ordering::Relaxed);
    let body = body(range, &String::from_utf8_lossy(&form));
    counts.bytes.fetch_add(u64::try_from(body.len()).unwrap(), Ordering::Relaxed);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.ok()
}

/// The answer to a query as it is encoded in a form. Of the past nothing is known.
fn body(range: bool, form: &str) -> String {
    let workload = form.split("wl-").nth(1).map(|rest| {
        format!("wl-{}", rest.chars().take_while(char::is_ascii_digit).collect::<String>())
    });
    let time = form.split("time=").nth(1).and_then(|rest| rest.split('&').next());
    let rows = match (workload, time.and_then(|text| text.parse().ok())) {
        (Some(workload), Some(time)) if !range && form.contains("spec_replicas") => {
            let pod = format!("{workload}-7d9f8b6c5d-abcde");
            return wrapped("vector", &facts(&workload, &pod, &f64::to_string(&time)));
        }
        (Some(workload), Some(time)) if !range && !form.contains("_bucket") => {
            series(&workload, time)
        }
        _ => return wrapped(if range { "matrix" } else { "vector" }, ""),
    };
    wrapped("matrix", &rows)
}

fn wrapped(kind: &str, rows: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{rows}]}}}}"#)
}

/// Ten samples of each series, 15 s apart, the last at `time`; counters have grown since 1970.
fn series(workload: &str, time: f64) -> String {
    let mut rows = String::new();
    for (name, level, counter) in [
        ("vllm:num_requests_waiting", 0.0, false),
        ("vllm:num_requests_running", 8.0, false),
        ("vllm:kv_cache_usage_perc", 0.4, false),
        ("vllm:prompt_tokens_total", 600.0, true),
        ("vllm:generation_tokens_total", 300.0, true),
        ("vllm:request_success_total", 1.2, true),
    ] {
        let comma = if rows.is_empty() { "" } else { "," };
        write!(
            rows,
            r#"{comma}{{"metric":{{"__name__":"{name}","namespace":"ns","pod":"{workload}-7d9f8b6c5d-abcde","engine":"0"}},"values":["#
        )
        .unwrap();
        for back in 0..10_u32 {
            let at = time - f64::from(TICK * (9 - back));
            let value = if counter { level * at } else { level };
            write!(rows, r#"{}[{at},"{value}"]"#, if back > 0 { "," } else { "" }).unwrap();
        }
        rows.push_str("]}");
    }
    rows
}

/// Scaled object `idx`, of one of so many workloads, with an HPA for each of them.
fn object(idx: usize, workloads: usize) -> ScaledObjectRef {
    let workload = format!("wl-{}", idx % workloads);
    let pairs = [
        ("scaleStrategy", "auto"),
        ("workload", &format!("deployment/{workload}")),
        ("hpa", &format!("keda-hpa-{workload}")),
        ("queueDepth", &(idx + 1).to_string()),
        ("ttft", "2s"),
    ];
    // Identical queries are those of one namespace.
    let namespace = if workloads < 40 { idx % workloads } else { idx % 40 };
    metadata(&format!("team-{namespace}"), &format!("so-{idx}"), &pairs)
}

/// Asks every scaler, evenly over one poll interval; says how many had no number.
async fn poll(program: &Program, count: usize, workloads: usize) -> usize {
    let clock = Clock::system();
    let began = clock.elapsed();
    let mut refused = 0;
    for idx in 0..count {
        refused += usize::from(program.ask(object(idx, workloads)).await.is_err());
        let due = POLL * u32::try_from(idx).unwrap() / u32::try_from(count).unwrap();
        let ahead = due.saturating_sub(clock.elapsed() - began);
        if ahead > Duration::from_millis(2) {
            tokio::time::sleep(ahead).await;
        }
    }
    refused
}

async fn read(program: &Program, counts: &Counts, clock: &Clock) -> Reading {
    let page = program.get("/metrics").await;
    let sum = |name: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    Reading {
        at: clock.elapsed(),
        instant: counts.instant.load(Ordering::Relaxed),
        range: counts.range.load(Ordering::Relaxed),
        bytes: counts.bytes.load(Ordering::Relaxed),
        ticks: sum("prescale_tick_duration_seconds_count"),
        ticking: sum("prescale_tick_duration_seconds_sum"),
        busy: program.cpu_seconds(),
    }
}

/// Starts the program, makes `count` scalers of so many workloads, asks as KEDA does, and prints.
pub(crate) async fn measure(count: usize, workloads: usize) {
    let (clock, counts) = (Clock::system(), Arc::new(Counts::default()));
    let url = prometheus(Arc::clone(&counts)).await;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "dataDir: {}\nlimits: {{scalers: {count}, perNamespace: {count}}}\n\
         datasources: {{default: {{url: \"{url}\"}}}}\n",
        dir.path().display()
    );
    let program = Program::start_with(&config, "text", "info").await;
    let made = futures_util::stream::iter(0..count).map(|idx| program.ask(object(idx, workloads)));
    made.buffer_unordered(CALLERS).for_each(|_| std::future::ready(())).await;
    println!(
        "{count} scalers of {workloads} workloads made in {:.0} s",
        clock.elapsed().as_secs_f64()
    );
    for _ in 0..SETTLED {
        poll(&program, count, workloads).await;
    }
    let before = read(&program, &counts, &clock).await;
    let mut refused = 0;
    for _ in 0..MEASURED {
        refused += poll(&program, count, workloads).await;
    }
    let after = read(&program, &counts, &clock).await;
    tell(count, before, after);
    println!(
        "{refused} of {} polls without a number; {:.0} MiB",
        count * MEASURED,
        program.resident_mib()
    );
}

fn tell(count: usize, before: Reading, after: Reading) {
    let seconds = (after.at - before.at).as_secs_f64();
    let per_second =
        |before: u64, after: u64| f64::from(u32::try_from(after - before).unwrap()) / seconds;
    let ticks = after.ticks - before.ticks;
    let due = f64::from(u32::try_from(count).unwrap()) * seconds / f64::from(TICK);
    println!(
        "{:.0} queries/s and {:.1} of the past, {:.2} MB/s of answers",
        per_second(before.instant, after.instant),
        per_second(before.range, after.range),
        per_second(before.bytes, after.bytes) / 1e6,
    );
    println!(
        "{:.1} % of the ticks that were due in {seconds:.0} s, {:.0} ms each; {:.2} cores",
        100.0 * ticks / due,
        1000.0 * (after.ticking - before.ticking) / ticks,
        (after.busy - before.busy) / seconds,
    );
}
