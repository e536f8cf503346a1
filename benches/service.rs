//! What a call of KEDA costs: GetMetrics over gRPC on loopback beside a server that does nothing,
//! and the memory of 10 000 scalers and of as many open push streams.
//!
//! `cargo bench --bench service`. The server is a process of its own (this program again): the
//! service, the registry and the ticks are the real ones, in a world that is a script, so what a
//! tick costs in queries and parsing is not in here; `benches/keda` has that. The baseline is the
//! same transport with constant answers, measured in turns with ours. Without cargo's `--bench`
//! (as `cargo test` runs it) it only shows that it works.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark reports by printing")]

#[expect(dead_code, reason = "each user takes a part of it")]
#[path = "../tests/support/scripted.rs"]
mod scripted;
#[path = "service/server.rs"]
mod server;

use std::time::Duration;

use futures_util::future::join_all;
use prescale::clock::Clock;
use prescale::grpc::METRIC_NAME;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use server::{Child, Kind};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

type Client = ExternalScalerClient<Channel>;

/// How much to do.
struct Plan {
    scalers: Vec<usize>,
    callers: Vec<usize>,
    /// Turns of each server; the median counts. Together they last longer than a tick.
    turns: usize,
    turn: Duration,
}

/// The callers that create scalers and open streams.
const CREATORS: usize = 32;

/// What KEDA would send for a trigger with four targets.
fn object(idx: usize) -> ScaledObjectRef {
    let metadata = [
        ("scalerAddress", "prescale.prescale:6000"),
        ("workload", "deployment/llm"),
        ("maxReplicas", "20"),
        ("queueDepth", "5"),
        ("concurrency", "16"),
        ("ttft", "2s"),
        // The shortest that a trigger may ask for: ticks weigh three times what they do by default.
        ("tick", "5"),
    ];
    ScaledObjectRef {
        name: format!("llm-{idx}"),
        namespace: format!("team-{}", idx % 100),
        scaler_metadata: metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    }
}

async fn client(child: &Child) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", child.address)).unwrap();
    Client::new(endpoint.tcp_nodelay(true).connect().await.unwrap())
}

async fn get(client: &mut Client, idx: usize) -> bool {
    let metric_name = METRIC_NAME.to_owned();
    let request = GetMetricsRequest { scaled_object_ref: Some(object(idx)), metric_name };
    client.get_metrics(request).await.is_ok()
}

/// Asks for every scaler from `from` to `to` until it has answered.
async fn create(client: &Client, from: usize, to: usize) {
    let callers = (0..CREATORS).map(|caller| {
        let mut client = client.clone();
        async move {
            for idx in (from + caller..to).step_by(CREATORS) {
                while !get(&mut client, idx).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    for caller in callers.map(tokio::spawn).collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// One turn: calls per second, p50 and p99 in microseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// A closed loop: each caller asks for the next scaler when it has its answer.
async fn turn(client: &Client, scalers: usize, callers: usize, length: Duration) -> Seen {
    let clock = Clock::system();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (mut client, clock) = (client.clone(), clock.clone());
            tokio::spawn(async move {
                let (mut took, mut idx) = (Vec::new(), caller);
                while clock.elapsed() < length {
                    let began = clock.elapsed();
                    assert!(get(&mut client, idx % scalers).await, "an answer is refused");
                    took.push(clock.elapsed() - began);
                    idx += callers;
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in join_all(tasks).await {
        took.extend(task.unwrap());
    }
    let seconds = clock.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100].as_secs_f64() * 1e6;
    Seen { rate: f64::from(u32::try_from(took.len()).unwrap()) / seconds, p50: at(50), p99: at(99) }
}

/// The median of each figure on its own.
fn median(turns: &[Seen]) -> Seen {
    let middle = |of: fn(&Seen) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Seen { rate: middle(|t| t.rate), p50: middle(|t| t.p50), p99: middle(|t| t.p99) }
}

async fn compare(plan: &Plan, scalers: usize, ours: &Client, baseline: &Client) {
    for &callers in &plan.callers {
        let (mut seen, mut base) = (Vec::new(), Vec::new());
        for _ in 0..plan.turns {
            base.push(turn(baseline, scalers, callers, plan.turn).await);
            seen.push(turn(ours, scalers, callers, plan.turn).await);
        }
        let (seen, base) = (median(&seen), median(&base));
        for (name, it) in [("prescale", seen), ("baseline", base)] {
            println!(
                "{scalers:>7}  {callers:>7}  {name:<9}  {:>7.0}  {:>7.0}  {:>7.0}",
                it.rate, it.p50, it.p99
            );
        }
        println!(
            "{scalers:>7}  {callers:>7}  {:<9}  {:>7.2}  {:>7.2}  {:>7.2}   load {}",
            "ratio",
            seen.rate / base.rate,
            seen.p50 / base.p50,
            seen.p99 / base.p99,
            load()
        );
    }
}

/// Load average of the last minute; on other systems than Linux a dash.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|word| !word.is_empty()).unwrap_or("-").to_owned()
}

/// Opens a push stream for each scaler; all on one connection, as KEDA does.
async fn streams(client: &Client, scalers: usize) -> Vec<Streaming<IsActiveResponse>> {
    let openers: Vec<_> = (0..CREATORS)
        .map(|caller| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let mut open = Vec::new();
                for idx in (caller..scalers).step_by(CREATORS) {
                    let mut stream =
                        client.stream_is_active(object(idx)).await.unwrap().into_inner();
                    // Every scaler of the script is active, which is said at once.
                    assert!(stream.message().await.unwrap().is_some(), "a stream ended");
                    open.push(stream);
                }
                open
            })
        })
        .collect();
    let mut open = Vec::new();
    for opener in openers {
        open.extend(opener.await.unwrap());
    }
    open
}

async fn run(plan: Plan) {
    let clock = Clock::system();
    let (ours, constant) = (Child::start(Kind::Scripted), Child::start(Kind::Constant));
    let (client, baseline) = (client(&ours).await, self::client(&constant).await);
    let empty = ours.memory();
    println!("scalers  callers  server     calls/s   p50 us   p99 us");
    let mut created = 0;
    for &scalers in &plan.scalers {
        let began = clock.elapsed();
        create(&client, created, scalers).await;
        let took = (clock.elapsed() - began).as_secs_f64();
        println!("{} more scalers created in {took:.1} s", scalers - created);
        created = scalers;
        compare(&plan, scalers, &client, &baseline).await;
    }
    let full = ours.memory();
    let began = clock.elapsed();
    let open = streams(&client, created).await;
    let took = (clock.elapsed() - began).as_secs_f64();
    println!("{} push streams opened, each has said true, in {took:.1} s", open.len());
    let streaming = ours.memory();
    println!("memory of the server, MiB: {empty:.1} at start, {full:.1} with {created} scalers,");
    println!("  {streaming:.1} with {created} push streams as well");
    compare(&plan, created, &client, &baseline).await;
}

fn main() {
    let mut args = std::env::args().skip(1);
    if let Some(kind) = args.next().as_deref().and_then(Kind::of) {
        return server::serve(kind);
    }
    let full = Plan {
        scalers: vec![1, 100, 10_000],
        callers: vec![1, 32],
        turns: 5,
        turn: Duration::from_millis(1200),
    };
    let short =
        Plan { scalers: vec![1, 20], callers: vec![2], turns: 1, turn: Duration::from_millis(50) };
    let plan = if std::env::args().any(|arg| arg == "--bench") { full } else { short };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(plan));
}
