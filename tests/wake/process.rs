//! One process as others see it: gRPC for KEDA, HTTP for wakes, in a world with a mood.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{IsActiveResponse, ScaledObjectRef};
use prescale::grpc::transport;
use prescale::http::wake::{KeyFile, Keys, Metrics, Options, PeersAt, Wakes};
use prescale::http::{self, App, Found, Readiness, Reports};
use prescale::scaler::{Registry, Scaler};
use prescale::spec::Limits;
use prescale::store::Store;
use prescale::telemetry::{Build, Readings, Snapshot};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::world::{Mood, Moody};

/// May wake everywhere.
pub(crate) const TOKEN: &str = "all-0123456789abcdef";
/// May wake in `team-b` only.
pub(crate) const TOKEN_B: &str = "team-b-0123456789abcdef";

/// A trigger that sleeps when the gateway holds nothing.
pub(crate) const SLEEPER: &[(&str, &str)] = &[("gateway", "keda-http"), ("queueDepth", "5")];

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_790_000_007_000);

/// How a process is started.
#[derive(Default)]
pub(crate) struct Start<'a> {
    /// Where to listen for HTTP, bound before the others had to know it.
    pub(crate) http: Option<TcpListener>,
    /// Base URLs of the others.
    pub(crate) peers: Vec<String>,
    /// Where memory is kept.
    pub(crate) dir: Option<&'a Path>,
    /// Seconds since the origin.
    pub(crate) at: u64,
    /// How fast its clock goes; 0: as fast as others.
    pub(crate) speed: f64,
}

/// A running process; dropping it ends it as a kill would.
pub(crate) struct Process {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Option<Arc<Store>>,
    metrics: Arc<prescale::telemetry::Metrics>,
    mood: Arc<Mutex<Mood>>,
    client: reqwest::Client,
    _tokens: TempDir,
    _end: DropGuard,
}

/// Status, `Retry-After` and body.
pub(crate) type Told = (u16, Option<u64>, Value);

impl Process {
    pub(crate) async fn start(start: Start<'_>) -> Self {
        let speed = if start.speed > 0.0 { start.speed } else { 1.0 };
        let clock = Clock::scaled(ORIGIN.plus(Duration::from_secs(start.at)), speed);
        let mood = Arc::new(Mutex::new(Mood::Zero(0)));
        let world = Arc::new(Moody(Arc::clone(&mood)));
        let store = start.dir.map(|dir| Arc::new(Store::open(dir, clock.clone()).unwrap()));
        let registry = match &store {
            Some(store) => Registry::keeping(world, clock, Limits::default(), Arc::clone(store)),
            None => Registry::in_world(world, clock, Limits::default()),
        };
        let tokens = tempfile::tempdir().unwrap();
        let wake_metrics = Metrics::default();
        let peers = PeersAt::parse(&start.peers.join(",")).ok();
        let options = Options { keys: keys(tokens.path()), namespaces: Vec::new(), peers };
        let wakes = Wakes::new(Arc::clone(&registry), options, wake_metrics.clone()).unwrap();
        let app = app(&wake_metrics);
        let metrics = Arc::clone(&app.metrics);
        let listener = match start.http {
            Some(listener) => listener,
            None => TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let http = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let router = http::router(app, Some(Arc::new(wakes)));
        tokio::spawn(http::serve(listener, router, end.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = listener.local_addr().unwrap();
        let (ours, ending) = (Arc::clone(&registry), end.clone());
        tokio::spawn(async move {
            let serving = transport::serve(listener, transport::Options::default(), ours, ending);
            drop(serving.await);
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let _end = end.drop_guard();
        Self { grpc, http, registry, store, metrics, mood, client, _tokens: tokens, _end }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// A scaler of which KEDA has asked, after its first tick.
    pub(crate) async fn scaler(
        &self,
        namespace: &str,
        name: &str,
        metadata: &[(&str, &str)],
    ) -> Arc<Scaler> {
        let mut reference = crate::world::reference(name, metadata);
        namespace.clone_into(&mut reference.namespace);
        let scaler = self.registry.scaler(&reference).unwrap();
        scaler.first_tick(Duration::from_secs(5)).await;
        scaler
    }

    /// A push stream, as KEDA opens it.
    pub(crate) async fn push(
        &self,
        namespace: &str,
        name: &str,
        metadata: &[(&str, &str)],
    ) -> Streaming<IsActiveResponse> {
        let mut client = self.keda().await;
        client.stream_is_active(object(namespace, name, metadata)).await.unwrap().into_inner()
    }

    /// `IsActive`, as KEDA asks.
    pub(crate) async fn is_active(&self, namespace: &str, name: &str) -> bool {
        let object = object(namespace, name, SLEEPER);
        self.keda().await.is_active(object).await.unwrap().into_inner().result
    }

    async fn keda(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::connect(format!("http://{}", self.grpc)).await.unwrap()
    }

    /// `POST /wake/PATH` with this token.
    pub(crate) async fn wake(&self, path: &str, token: Option<&str>) -> Told {
        self.call(reqwest::Method::POST, path, token).await
    }

    pub(crate) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        token: Option<&str>,
    ) -> Told {
        let request = self.client.request(method, format!("http://{}/wake/{path}", self.http));
        let request = token.into_iter().fold(request, |it, token| it.bearer_auth(token));
        let response = request.body("{\"ignored\":true}").send().await.unwrap();
        let wait = response.headers().get("retry-after").cloned();
        let wait = wait.map(|it| it.to_str().unwrap().parse().unwrap());
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, wait, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// The count of one result in the metrics.
    pub(crate) fn counted(&self, result: &str) -> u64 {
        let line = format!("prescale_wakes_total{{result=\"{result}\"}} ");
        let page = self.metrics.page().unwrap();
        let found = page.lines().find_map(|it| it.strip_prefix(line.as_str()).map(str::to_owned));
        found.unwrap_or_else(|| panic!("{line} in\n{page}")).parse().unwrap()
    }
}

fn object(namespace: &str, name: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let pairs = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    ScaledObjectRef { name, namespace, scaler_metadata: pairs.collect() }
}

fn keys(dir: &Path) -> Arc<Keys> {
    let file = |name: &str, token: &str, namespaces: &[&str]| {
        let path = dir.join(name);
        std::fs::write(&path, token).unwrap();
        KeyFile { path, namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect() }
    };
    Arc::new(Keys::open(vec![file("all", TOKEN, &[]), file("b", TOKEN_B, &["team-b"])]).unwrap())
}

fn app(metrics: &Metrics) -> App {
    let now = Timestamp::from_unix_ms(0);
    let build = Build { version: "1.2.3", commit: None, started: now };
    let readings = Readings::new(move || Snapshot { now, scalers: Vec::new() });
    let mut page = prescale::telemetry::Metrics::new(&build, readings);
    metrics.register(page.registry_mut());
    App {
        reports: Arc::new(Reports::new(|_| Found::default())),
        metrics: Arc::new(page),
        readiness: Readiness::default(),
        token: None,
    }
}
