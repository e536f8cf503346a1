//! `prescale demo`: the real server in front of a simulated fleet, KEDA and HPA.
//!
//! Given flags, a terminal and a way to start the server, it promises a day of simulated time in
//! minutes, a live table, and a summary; it ends by itself, early when asked to, and with it
//! everything it started. The server is the one that `prescale serve` runs: it scrapes the fleet's
//! pages over HTTP and answers over gRPC, and only its clock and its table of names are given to it.
//!
//! The world is deterministic given the seed; when the server's answers arrive is not, so that two
//! runs differ a little.

mod fleet;
mod keda;
mod options;
mod pages;
mod screen;
mod summary;
mod traffic;
mod view;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::demo::fleet::{Fleet, Names};
use crate::demo::keda::{Keda, NAME, NAMESPACE, REPLICAS_MAX};
use crate::demo::screen::{Frame, Screen};
use crate::demo::view::Viewer;
use crate::engine::replay::profile::Settings;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;
use crate::source::config::ScrapePolicy;

pub use crate::demo::options::{Options, Terminal};
pub use crate::demo::summary::Summary;

/// Monday 2 March 2026, 06:30 UTC: before the morning rise. Fixed, so that runs can be compared.
const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

/// Replicas that serve when the day begins: what its first minutes need.
const REPLICAS_AT_FIRST: u32 = 1;

/// Real time the server and the fleet get to end; the server promises 10 s.
const END: Duration = Duration::from_secs(12);

/// Any error of a server.
pub type ServerError = Box<dyn std::error::Error + Send + Sync>;

/// What the server is given in place of what `prescale serve` would use.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Its clock.
    pub clock: Clock,
    /// Loopback may be scraped, and names come from the demo's table.
    pub scrape: ScrapePolicy,
    /// Where its page and API listen.
    pub http: SocketAddr,
    /// Where KEDA reaches it; port 0: any that is free.
    pub grpc: SocketAddr,
    /// Asks it to end.
    pub shutdown: CancellationToken,
}

/// A server that runs.
#[derive(Debug)]
pub struct Started {
    /// Where its page and API listen.
    pub http: SocketAddr,
    /// Where KEDA reaches it.
    pub grpc: SocketAddr,
    /// The server itself, until it has ended.
    pub task: JoinHandle<Result<(), ServerError>>,
}

/// Why the demo could not run or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A loopback address cannot be listened on (the demo needs all of 127.0.0.0/8, as on Linux).
    #[error("a simulated pod cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server did not start, or failed.
    #[error("the server failed")]
    Server(#[source] ServerError),
    /// The server, or a part of the simulation, ended before the day did.
    #[error("{0} ended before the demo did")]
    Ended(&'static str),
    /// No HTTP or gRPC client could be made.
    #[error("no client for the server")]
    Client(#[source] ServerError),
    /// The terminal or file cannot be written to.
    #[error("the output cannot be written")]
    Write(#[from] io::Error),
}

/// Runs the demo before a server that `start` starts; ends when the day does or `interrupt` is
/// cancelled, and has then written the summary that it returns.
///
/// # Errors
/// When something could not be started, ended by itself or could not be written.
pub async fn run<Start, Starting>(
    options: Options,
    (terminal, out): (Terminal, &mut (dyn Write + Send)),
    start: Start,
    interrupt: CancellationToken,
) -> Result<Summary, Error>
where
    Start: FnOnce(Wiring) -> Starting,
    Starting: Future<Output = Result<Started, ServerError>>,
{
    let (listener, port) = fleet::bind().await.map_err(listen_error)?;
    let names = fleet::names();
    let clock = Clock::scaled(ORIGIN, options.speed);
    let shutdown = CancellationToken::new();
    // Whatever happens from here on, nothing is left running: also when this future is dropped.
    let _guard = shutdown.clone().drop_guard();
    let wiring = wiring(&options, clock.clone(), &names, &shutdown);
    let started = start(wiring).await.map_err(Error::Server)?;

    let world = {
        let arrivals = traffic::day(options.seed, options.duration);
        World::new(Settings::demo(), arrivals, REPLICAS_AT_FIRST, options.seed)
    };
    let fleet = Arc::new(Fleet::new(world, clock.clone(), ORIGIN, options.duration));
    let keda = Keda::new(Arc::clone(&fleet), clock.clone(), started.grpc, &metadata(port))
        .map_err(|error| Error::Client(error.into()))?;
    let viewer = Viewer::new(started.http).map_err(|error| Error::Client(error.into()))?;
    let mut screen = Screen::new(out, terminal);
    screen.say(&greeting(&options, &started, viewer.url()))?;
    if !terminal.interactive {
        screen.say(screen::heading())?;
    }

    let mut parts = Parts {
        tasks: simulate(&fleet, &keda, (listener, names), &shutdown),
        server: started.task,
    };
    let show = watch(&fleet, &clock, &viewer, &mut screen, options.speed);
    let interrupted = tokio::select! {
        shown = show => {
            shown?;
            false
        }
        () = interrupt.cancelled() => true,
        error = parts.first_end() => return Err(error),
    };
    let elapsed = fleet.look(|world| world.now());
    let summary =
        fleet.look(|world| Summary::new(world.ledger(), keda.tally(), elapsed, interrupted));
    shutdown.cancel();
    parts.end().await?;
    screen.say(&format!("\n{summary}\n\n{NEXT}"))?;
    Ok(summary)
}

/// What the demo started.
struct Parts {
    tasks: JoinSet<Result<(), Error>>,
    server: JoinHandle<Result<(), ServerError>>,
}

impl Parts {
    /// Waits for the first part that ends unasked.
    async fn first_end(&mut self) -> Error {
        tokio::select! {
            ended = &mut self.server => match ended {
                Ok(Err(error)) => Error::Server(error),
                Ok(Ok(())) => Error::Ended("the server"),
                Err(error) => Error::Server(error.into()),
            },
            ended = self.tasks.join_next() => match ended {
                Some(Ok(Err(error))) => error,
                Some(Err(_)) | Some(Ok(Ok(()))) | None => Error::Ended("the simulation"),
            },
        }
    }

    /// Waits until all have ended, having been asked; what takes too long is cut off.
    async fn end(mut self) -> Result<(), Error> {
        let ended = tokio::time::timeout(END, async {
            while self.tasks.join_next().await.is_some() {}
            (&mut self.server).await
        });
        match ended.await {
            Ok(Ok(result)) => result.map_err(Error::Server),
            Ok(Err(error)) => Err(Error::Server(error.into())),
            Err(_) => {
                self.server.abort();
                Ok(())
            }
        }
    }
}

fn listen_error((address, source): (SocketAddr, io::Error)) -> Error {
    Error::Listen { address, source }
}

fn wiring(options: &Options, clock: Clock, names: &Names, shutdown: &CancellationToken) -> Wiring {
    let localhost = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Wiring {
        clock,
        scrape: ScrapePolicy { allow_loopback: true, names: Some(Arc::clone(names)) },
        http: localhost(options.port),
        grpc: localhost(0),
        shutdown: shutdown.child_token(),
    }
}

/// The trigger's metadata, as they would stand in a ScaledObject of namespace `demo`.
fn metadata(port: u16) -> BTreeMap<String, String> {
    let (route, namespace) = pages::ROUTE;
    [
        ("engine", "vllm".to_owned()),
        ("profile", "llama-3-8b-h100".to_owned()),
        ("endpoints", format!("dns://vllm-headless:{port}/metrics")),
        ("gateway", "keda-http".to_owned()),
        ("gatewaySelector", format!("route_name=\"{route}\",route_namespace=\"{namespace}\"")),
        ("activationEndpoints", format!("http://gateway:{port}/metrics")),
        ("maxReplicas", REPLICAS_MAX.to_string()),
        ("tick", "5s".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn simulate(
    fleet: &Arc<Fleet>,
    keda: &Arc<Keda>,
    (listener, names): (TcpListener, Names),
    shutdown: &CancellationToken,
) -> JoinSet<Result<(), Error>> {
    let mut tasks = JoinSet::new();
    let serve = fleet::serve(Arc::clone(fleet), listener, names, shutdown.child_token());
    tasks.spawn(async move { serve.await.map_err(listen_error) });
    let run = Arc::clone(keda).run(shutdown.child_token());
    tasks.spawn(async move {
        run.await;
        Ok(())
    });
    tasks
}

/// Shows frames until the day is over.
async fn watch(
    fleet: &Fleet,
    clock: &Clock,
    viewer: &Viewer,
    screen: &mut Screen<'_>,
    speed: f64,
) -> io::Result<()> {
    let end = fleet.end();
    let length = end.since(ORIGIN);
    loop {
        let view = viewer.look().await;
        let now = clock.now().min(end);
        let frame = fleet.look(|world| Frame {
            at: now,
            speed,
            share: now.since(ORIGIN).div_duration_f64(length),
            left: clock.real(end.since(now)),
            census: world.census(),
            arrival_rate: world.ledger().arrival_rate(world.now()),
            ttft_p95: world.ledger().ttft_p95_recent(),
            view,
        });
        screen.show(&frame)?;
        if now >= end {
            return Ok(());
        }
        let left = clock.real(end.since(clock.now()));
        tokio::time::sleep(screen.interval().min(left + Duration::from_millis(1))).await;
    }
}

fn greeting(options: &Options, started: &Started, api: &str) -> String {
    let Started { http, grpc, task: _ } = started;
    let real = screen::span(options.duration.div_f64(options.speed));
    let day = screen::span(options.duration);
    format!(
        "prescale demo: {day} of a simulated vLLM fleet in {real}; Ctrl-C ends it\n\
         page  http://{http}/scalers/{NAMESPACE}/{NAME}\n\
         API   {api}\n\
         gRPC  {grpc}\n"
    )
}

/// Where to look after the demo.
const NEXT: &str = "\
Fleet, requests, KEDA and HPA were simulated; every decision was made by the
server that `prescale serve` runs. What each part does and leaves out:
docs/demo.md. Your own workload: docs/getting-started.md.";
