//! From a wake to its message: `POST /wake` until KEDA's push stream says `true`, with 10 000 open push
//! streams on one connection, the way KEDA holds them.
//!
//! `cargo bench --bench wake`. The server is a process of its own (this program again): HTTP, registry,
//! engine, ticks and gRPC are the real ones; every scaler sleeps, its world says so at once, and all
//! tick every 5 s, three times as often as by default, so that wakes meet bursts of ticks. Wakes come one
//! after another at a fixed pace, whatever the last one took. Without cargo's `--bench` (as `cargo
//! test` runs it) it only shows that it works.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![expect(clippy::print_stdout, reason = "a benchmark reports by printing")]

#[path = "wake/server.rs"]
mod server;
#[expect(dead_code, reason = "each user takes a part of it")]
#[path = "../tests/store/world.rs"]
mod world;

use std::time::Duration;

use futures_util::future::join_all;
use prescale::clock::Clock;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{IsActiveResponse, ScaledObjectRef};
use server::{Child, TOKEN};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// How much to do.
struct Plan {
    scalers: usize,
    wakes: usize,
    /// Between the begins of two wakes.
    pace: Duration,
    /// Calls without a token.
    refused: usize,
}

/// Callers that open streams.
const OPENERS: usize = 32;

/// Scalers of one namespace: no more than may be woken in an hour.
const PER_NAMESPACE: usize = 50;

fn names(idx: usize) -> (String, String) {
    (format!("team-{}", idx / PER_NAMESPACE), format!("llm-{idx}"))
}

fn object(idx: usize) -> ScaledObjectRef {
    let metadata = [("gateway", "keda-http"), ("queueDepth", "5"), ("tick", "5s")];
    let (namespace, name) = names(idx);
    let scaler_metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    ScaledObjectRef { name, namespace, scaler_metadata }
}

/// Opens a push stream for each scaler, all on one connection, after it has been polled.
async fn open(channel: &Channel, scalers: usize) -> Vec<Streaming<IsActiveResponse>> {
    let openers: Vec<_> = (0..OPENERS)
        .map(|opener| {
            let mut client = ExternalScalerClient::new(channel.clone());
            tokio::spawn(async move {
                let mut open = Vec::new();
                for idx in (opener..scalers).step_by(OPENERS) {
                    while client
                        .is_active(object(idx))
                        .await
                        .map(|it| it.into_inner().result)
                        .unwrap_or(true)
                    {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    let stream = client.stream_is_active(object(idx)).await.unwrap();
                    open.push((idx, stream.into_inner()));
                }
                open
            })
        })
        .collect();
    let mut open: Vec<_> =
        join_all(openers).await.into_iter().flat_map(|opener| opener.unwrap()).collect();
    open.sort_by_key(|(idx, _)| *idx);
    open.into_iter().map(|(_, stream)| stream).collect()
}

/// What one wake took, until the stream said `true` and until the call was answered.
async fn wake(
    client: reqwest::Client,
    url: String,
    mut stream: Streaming<IsActiveResponse>,
) -> (Duration, Duration) {
    let clock = Clock::system();
    let answered = async {
        let response = client.post(url).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 202, "{}", response.text().await.unwrap());
        clock.elapsed()
    };
    let said = async {
        let message = timeout(Duration::from_secs(30), stream.message()).await.unwrap().unwrap();
        assert!(message.unwrap().result);
        clock.elapsed()
    };
    let (answered, said) = tokio::join!(answered, said);
    (said, answered)
}

async fn run(plan: Plan) {
    let clock = Clock::system();
    let child = Child::start();
    let endpoint = Endpoint::from_shared(format!("http://{}", child.grpc)).unwrap();
    let channel = endpoint.tcp_nodelay(true).connect().await.unwrap();
    let mut streams = open(&channel, plan.scalers).await;
    println!("{} push streams open after {:.1} s", streams.len(), clock.elapsed().as_secs_f64());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let begin = clock.elapsed();
    let step = plan.scalers / plan.wakes;
    let mut tasks = Vec::new();
    // From the back, so that what is taken moves nothing that comes later.
    for number in 0..plan.wakes {
        let idx = (plan.wakes - 1 - number) * step;
        let (namespace, name) = names(idx);
        let url = format!("http://{}/wake/{namespace}/{name}", child.http);
        let due = begin + plan.pace * u32::try_from(number).unwrap();
        tokio::time::sleep(due.saturating_sub(clock.elapsed())).await;
        tasks.push(tokio::spawn(wake(client.clone(), url, streams.remove(idx))));
    }
    let took: Vec<_> = join_all(tasks).await.into_iter().map(|task| task.unwrap()).collect();
    let seconds = (clock.elapsed() - begin).as_secs_f64();
    println!("{} wakes in {seconds:.1} s, ms           p50     p90     p99     max", took.len());
    show("until the stream said true", took.iter().map(|it| it.0).collect());
    show("until the call was answered", took.iter().map(|it| it.1).collect());
    refused(&child, &client, plan.refused).await;
}

/// What a call without a token costs the server.
async fn refused(child: &Child, client: &reqwest::Client, calls: usize) {
    let (clock, before) = (Clock::system(), child.processor_seconds());
    let url = format!("http://{}/wake/team-0/llm-0", child.http);
    let callers = (0..OPENERS).map(|_| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            for _ in 0..calls / OPENERS {
                let response = client.post(&url).bearer_auth("wrong").send().await.unwrap();
                assert_eq!(response.status().as_u16(), 401);
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
    let (seconds, used) = (clock.elapsed().as_secs_f64(), child.processor_seconds() - before);
    let each = used * 1e6 / f64::from(u32::try_from(calls).unwrap());
    println!(
        "{calls} calls without a token in {seconds:.1} s: {each:.0} us of processor time each"
    );
    println!("  (ticks of that time included)");
}

fn show(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    let ms = |percent| at(percent).as_secs_f64() * 1e3;
    println!("{what:<32}{:>8.1}{:>8.1}{:>8.1}{:>8.1}", ms(50), ms(90), ms(99), ms(100));
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some(server::WORD) {
        return server::serve();
    }
    let full =
        Plan { scalers: 10_000, wakes: 2_000, pace: Duration::from_millis(20), refused: 64_000 };
    let short = Plan { scalers: 20, wakes: 10, pace: Duration::from_millis(5), refused: 64 };
    let plan = if std::env::args().any(|arg| arg == "--bench") { full } else { short };
    tokio::runtime::Runtime::new().unwrap().block_on(run(plan));
}
