//! The server under measurement, in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::grpc::transport;
use prescale::http::wake::{KeyFile, Keys, Metrics, Options, Wakes};
use prescale::http::{self, App, Found, Readiness, Reports};
use prescale::scaler::Registry;
use prescale::spec::Limits;
use prescale::telemetry::{Build, Readings, Snapshot};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{Mood, Moody};

/// The first argument of the child.
pub(crate) const WORD: &str = "serve-sleepers";

/// What it is asked with.
pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A server in a process of its own; it ends with the value.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) grpc: String,
    pub(crate) http: String,
    process: std::process::Child,
}

impl Child {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process = command.arg(WORD).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (grpc, http) = line.trim().split_once(' ').unwrap();
        Self { grpc: grpc.to_owned(), http: http.to_owned(), process }
    }
}

impl Child {
    /// Processor time used so far, in seconds; 0 on other systems than Linux.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.unwrap_or_default();
        // User and system time, in hundredths, are the 12th and 13th after the name.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let times = after.split(' ').skip(11).take(2);
        times.filter_map(|it| it.parse::<u32>().ok()).map(f64::from).sum::<f64>() / 100.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Serves until the process is killed; the first line printed are both addresses.
pub(crate) fn serve() {
    // As the server does it: ticks have threads of their own.
    let ticks = tokio::runtime::Runtime::new().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = Arc::new(Moody(Arc::new(Mutex::new(Mood::Zero(0)))));
        let limits = Limits { scalers: 20_000, ..Limits::default() };
        let registry =
            Registry::in_world_on(ticks.handle().clone(), world, Clock::system(), limits);
        let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{} {}", grpc.local_addr().unwrap(), pages.local_addr().unwrap());
        let wakes = Wakes::new(Arc::clone(&registry), options(), Metrics::default()).unwrap();
        let router = http::router(app(), Some(Arc::new(wakes)));
        let never = CancellationToken::new();
        tokio::spawn(http::serve(pages, router, never.clone()));
        transport::serve(grpc, transport::Options::default(), registry, never).await.unwrap();
    });
}

fn options() -> Options {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    let path = file.path().to_owned();
    let keys = Keys::open(vec![KeyFile { path, namespaces: Vec::new() }]).unwrap();
    Options { keys: Arc::new(keys), namespaces: Vec::new(), peers: None }
}

fn app() -> App {
    let now = Timestamp::from_unix_ms(0);
    let build = Build { version: "bench", commit: None, started: now };
    let readings = Readings::new(move || Snapshot { now, scalers: Vec::new() });
    App {
        reports: Arc::new(Reports::new(|_| Found::default())),
        metrics: Arc::new(prescale::telemetry::Metrics::new(&build, readings)),
        readiness: Readiness::default(),
        token: None,
    }
}
