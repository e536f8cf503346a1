//! From settings to a running server, and to its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::grpc;
use crate::grpc::tls::TlsFiles;
use crate::http::wake::Wakes;
use crate::http::{self, App, Phase, Readiness};
use crate::scaler::Registry;
use crate::server::config::{Settings, Tls, Wake};
use crate::server::ticks::Ticks;
use crate::server::{notes, reports};
use crate::source::Sources;
use crate::source::config::ScrapePolicy;
use crate::store::Store;
use crate::telemetry::{Build, Metrics};

/// For calls and streams to end after they were asked to. With the drain before it (1 s) and what
/// the rest takes (1.5 s), the end stays within 10 s.
const GRPC_END: Duration = Duration::from_secs(7);

/// For ticks to end: they only have to be dropped.
const TICKS_END: Duration = Duration::from_millis(500);

/// For HTTP to end, and what waits to be written meanwhile; a little more than HTTP gives its
/// connections.
const HTTP_END: Duration = Duration::from_secs(1);

/// For the store to end, when HTTP was faster than a slow disk.
const STORE_END: Duration = Duration::from_millis(300);

/// The commit this was built from, if the build knew.
pub const COMMIT: Option<&str> = option_env!("PRESCALE_COMMIT");

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The gRPC address, with its real port.
    pub grpc: SocketAddr,
    /// The HTTP address, with its real port.
    pub http: SocketAddr,
    /// The address for wakes with a certificate, with its real port.
    pub wake: Option<SocketAddr>,
}

/// The server could not start, or ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A datasource cannot be used.
    #[error("failed to open the datasources")]
    Sources(#[from] crate::source::config::Error),
    /// An address cannot be listened on.
    #[error("failed to listen on {key} {address}")]
    Listen {
        /// The key that gave the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The system gives no HTTP client to ask peers with.
    #[error("failed to make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The system gives no threads for ticks.
    #[error("failed to start threads")]
    Threads(#[source] std::io::Error),
    /// A task failed.
    #[error("{task} failed")]
    Failed {
        /// Which.
        task: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task ended although nobody asked it to.
    #[error("{task} ended unasked")]
    Ended {
        /// Which.
        task: &'static str,
    },
}

/// The outcome of one task.
type Outcome = (&'static str, Result<(), Box<dyn std::error::Error + Send + Sync>>);

/// Where callers come in.
struct Listeners {
    grpc: TcpListener,
    http: TcpListener,
    /// For wakes with a certificate.
    wake: Option<TcpListener>,
}

/// Everything that runs.
struct Running {
    registry: Arc<Registry>,
    readiness: Readiness,
    tasks: JoinSet<Outcome>,
    grpc_end: CancellationToken,
    http_end: CancellationToken,
    store: Option<Arc<Store>>,
    /// Last, so that it outlives everything above.
    _ticks: Ticks,
}

/// Serves until `shutdown` is cancelled, then ends gracefully. `on_ready` is told where, once both
/// listeners are bound and readiness says so.
///
/// # Errors
/// When a datasource or an address cannot be used, or a task ends unasked.
pub async fn run(
    settings: Settings,
    clock: Clock,
    scrape: ScrapePolicy,
    shutdown: CancellationToken,
    on_ready: impl FnOnce(Bound),
) -> Result<(), Error> {
    notes::at_start(&settings);
    let grpc = listen("listen", settings.listen).await?;
    let http = listen("httpListen", settings.http_listen).await?;
    let mutual = match settings.wake.as_ref().and_then(|wake| wake.mutual.as_ref()) {
        Some(mutual) => Some(listen("wake.listen", mutual.listen).await?),
        None => None,
    };
    let bound = Bound { grpc: grpc.1, http: http.1, wake: mutual.as_ref().map(|it| it.1) };
    let listeners = Listeners { grpc: grpc.0, http: http.0, wake: mutual.map(|it| it.0) };
    let mut running = start(&settings, &clock, scrape, listeners)?;
    running.readiness.set(Phase::Ready);
    notes::at_ready(&settings, (bound.grpc, bound.http), bound.wake);
    on_ready(bound);
    tokio::select! {
        () = shutdown.cancelled() => {
            end(running, settings.drain).await;
            Ok(())
        }
        Some(ended) = running.tasks.join_next() => Err(unasked(ended)),
    }
}

/// [`run`] in a task of its own; returns when it is ready.
///
/// # Errors
/// When it ended before it was ready.
pub async fn spawn(
    settings: Settings,
    clock: Clock,
    scrape: ScrapePolicy,
    shutdown: CancellationToken,
) -> Result<(Bound, JoinHandle<Result<(), Error>>), Error> {
    let (tell, ready) = oneshot::channel();
    let on_ready = move |bound| {
        // Nobody listens any more when this was dropped; the server ends by its token then.
        let _ = tell.send(bound);
    };
    let mut server = tokio::spawn(run(settings, clock, scrape, shutdown, on_ready));
    if let Ok(bound) = ready.await {
        return Ok((bound, server));
    }
    match (&mut server).await {
        Ok(Ok(())) => Err(Error::Ended { task: "the server" }),
        Ok(Err(error)) => Err(error),
        Err(panic) => Err(Error::Failed { task: "the server", source: Box::new(panic) }),
    }
}

/// A listener at `address`, and its real address; `key` is for messages.
pub(crate) async fn listen(
    key: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), Error> {
    let fail = |source| Error::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

fn start(
    settings: &Settings,
    clock: &Clock,
    scrape: ScrapePolicy,
    listeners: Listeners,
) -> Result<Running, Error> {
    let Listeners { grpc, http, wake } = listeners;
    let sources = Sources::open(&settings.datasources, scrape, clock.clone())?;
    let store = open_store(settings, clock)?;
    let ticks = Ticks::start().map_err(Error::Threads)?;
    let registry = Registry::ticking_on(
        ticks.handle(),
        Arc::clone(&sources),
        clock.clone(),
        settings.limits,
        store.clone(),
    );
    let grpc_metrics = grpc::Metrics::default();
    let mut metrics = metrics(clock, &registry, (&sources, &grpc_metrics));
    if settings.tls.is_some() {
        grpc_metrics.register_tls(metrics.registry_mut());
    }
    if let Some(store) = &store {
        store.metrics().register(metrics.registry_mut());
    }
    let wake_metrics = http::wake::Metrics::default();
    if settings.wake.is_some() {
        wake_metrics.register(metrics.registry_mut());
    }
    let metrics = Arc::new(metrics);
    let readiness = Readiness::default();
    let app = App {
        reports: Arc::new(reports::reports(Arc::clone(&registry), clock.clone())),
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        token: settings.http_token.clone(),
    };
    let (grpc_end, http_end) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let options = grpc_options(settings, grpc_metrics);
    let calls = grpc::transport::serve(grpc, options, Arc::clone(&registry), grpc_end.clone());
    tasks.spawn(async { ("grpc", calls.await.map_err(Into::into)) });
    let wakes = wakes(settings, &registry, wake_metrics)?;
    if let (Some(listener), Some(wakes), Some(files)) = (wake, &wakes, mutual_files(settings)) {
        let router = http::wakes_only(Arc::clone(wakes));
        let serving = http::serve_mutual(listener, router, files, http_end.clone());
        tasks.spawn(async { ("wake", serving.await.map_err(Into::into)) });
    }
    let router = http::asked_by_name(http::router(app, wakes), settings.http_hosts.clone());
    let pages = http::serve(http, router, http_end.clone());
    tasks.spawn(async {
        pages.await;
        ("http", Ok(()))
    });
    Ok(Running { registry, readiness, tasks, grpc_end, http_end, store, _ticks: ticks })
}

/// Wakes, where somebody may.
fn wakes(
    settings: &Settings,
    registry: &Arc<Registry>,
    metrics: http::wake::Metrics,
) -> Result<Option<Arc<Wakes>>, Error> {
    let Some(wake) = settings.wake.clone() else { return Ok(None) };
    let Wake { keys, namespaces, peers, mutual: _ } = wake;
    let options = http::wake::Options { keys, namespaces, peers };
    let wakes = Wakes::new(Arc::clone(registry), options, metrics).map_err(Error::Client)?;
    Ok(Some(Arc::new(wakes)))
}

/// The store, if there is a place for one.
fn open_store(settings: &Settings, clock: &Clock) -> Result<Option<Arc<Store>>, Error> {
    let open = |dir: &PathBuf| Store::open(dir, clock.clone());
    Ok(settings.data_dir.as_ref().map(open).transpose()?.map(Arc::new))
}

/// All metrics: ours, and those of the parts that count something.
fn metrics(
    clock: &Clock,
    registry: &Arc<Registry>,
    (sources, grpc): (&Sources, &grpc::Metrics),
) -> Metrics {
    let build = Build { version: env!("CARGO_PKG_VERSION"), commit: COMMIT, started: clock.now() };
    let readings = reports::readings(Arc::clone(registry), clock.clone());
    let mut metrics = Metrics::new(&build, readings);
    registry.metrics().register(metrics.registry_mut());
    sources.register(metrics.registry_mut());
    grpc.register(metrics.registry_mut());
    metrics
}

/// What the gRPC side is told.
fn grpc_options(settings: &Settings, metrics: grpc::Metrics) -> grpc::transport::Options {
    let (tls, reflection) = (settings.tls.clone().map(files), settings.reflection);
    grpc::transport::Options { tls, reflection, metrics }
}

fn files(tls: Tls) -> TlsFiles {
    let Tls { cert_file, key_file, client_ca_file, allowed_sans } = tls;
    TlsFiles { cert_file, key_file, client_ca_file, allowed_sans }
}

/// The same certificates, for wakes: other names are allowed there.
fn mutual_files(settings: &Settings) -> Option<TlsFiles> {
    let mutual = settings.wake.as_ref()?.mutual.as_ref()?;
    let files = settings.tls.clone().map(files)?;
    Some(TlsFiles { allowed_sans: mutual.allowed_sans.clone(), ..files })
}

/// Not ready first, so that nobody new comes; then calls and streams, then ticks, then the pages,
/// which have said all along what is happening.
async fn end(mut running: Running, drain: Duration) {
    running.readiness.set(Phase::Ending);
    tokio::time::sleep(drain).await;
    running.grpc_end.cancel();
    if timeout(GRPC_END, ended(&mut running.tasks, "grpc")).await.is_err() {
        warn!("calls and streams cut off");
    }
    if timeout(TICKS_END, running.registry.shutdown()).await.is_err() {
        warn!("ticks cut off");
    }
    running.http_end.cancel();
    // Every tick has ended, so that nothing comes after what waits now.
    let closed = tokio::task::spawn_blocking(move || running.store.map(|store| store.close()));
    drop(timeout(HTTP_END, ended(&mut running.tasks, "http")).await);
    if timeout(STORE_END, closed).await.is_err() {
        warn!("the last of the store cut off");
    }
    info!("ended");
}

/// Waits for the task named.
async fn ended(tasks: &mut JoinSet<Outcome>, name: &str) {
    while let Some(outcome) = tasks.join_next().await {
        match outcome {
            Ok((task, Err(error))) => warn!(task, %error, "task failed at its end"),
            Ok((task, Ok(()))) if task == name => return,
            Ok((_, Ok(()))) => {}
            Err(error) => warn!(%error, "task panicked at its end"),
        }
    }
}

fn unasked(outcome: Result<Outcome, tokio::task::JoinError>) -> Error {
    match outcome {
        Ok((task, Ok(()))) => Error::Ended { task },
        Ok((task, Err(source))) => Error::Failed { task, source },
        Err(panic) => Error::Failed { task: "a task", source: Box::new(panic) },
    }
}
