//! A server on a loopback port in a scripted world.

use std::net::SocketAddr;
use std::sync::Arc;

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::grpc::Metrics;
use prescale::grpc::proto::ScaledObjectRef;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::transport::{Error, Options, serve};
use prescale::scaler::Registry;
use prescale::spec::Limits;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use crate::scripted::{Script, Scripted};

/// A client of KEDA's protocol.
pub(crate) type Client = ExternalScalerClient<Channel>;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) registry: Arc<Registry>,
    pub(crate) script: Arc<Script>,
    pub(crate) shutdown: CancellationToken,
    metrics: Metrics,
    task: JoinHandle<Result<(), Error>>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::of(limits, 1.0, Options::default()).await
    }

    pub(crate) async fn at_speed(speed: f64) -> Self {
        Self::of(Limits::default(), speed, Options::default()).await
    }

    pub(crate) async fn reflecting(reflection: bool) -> Self {
        let options = Options { reflection, ..Options::default() };
        Self::of(Limits::default(), 1.0, options).await
    }

    pub(crate) async fn of(limits: Limits, speed: f64, options: Options) -> Self {
        Self::on("127.0.0.1:0", limits, speed, options).await
    }

    pub(crate) async fn on(address: &str, limits: Limits, speed: f64, options: Options) -> Self {
        let script = Arc::new(Script::default());
        let world = Arc::new(Scripted(Arc::clone(&script)));
        let clock = Clock::scaled(Timestamp::from_unix_ms(1_767_571_207_000), speed);
        let registry = Registry::in_world(world, clock, limits);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let metrics = options.metrics.clone();
        let task = tokio::spawn(serve(listener, options, Arc::clone(&registry), shutdown.clone()));
        Self { address, registry, script, shutdown, metrics, task }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        ExternalScalerClient::new(self.channel().await)
    }

    /// What the server says about itself.
    pub(crate) fn page(&self) -> String {
        let mut page = prometheus_client::registry::Registry::default();
        self.metrics.register(&mut page);
        self.metrics.register_tls(&mut page);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &page).unwrap();
        text
    }

    /// Waits for the server's end.
    pub(crate) async fn ended(&mut self) -> Result<(), Error> {
        (&mut self.task).await.unwrap()
    }
}

/// A reference on the wire.
pub(crate) fn message(namespace: &str, name: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let scaler_metadata =
        metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    ScaledObjectRef { name: name.to_owned(), namespace: namespace.to_owned(), scaler_metadata }
}
