//! The gRPC server on its listener, from the first connection to the last.
//!
//! Promises to survive ten thousand streams in one burst on one connection, idle and hostile
//! clients, and to end within 10 s: health first, then all streams with OK, then the connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower::layer::util::{Identity, Stack};
use tracing::{info, warn};

use crate::grpc::accept::{self, Door, Tls};
use crate::grpc::connection::Connection;
use crate::grpc::metrics::Metrics;
use crate::grpc::peer;
use crate::grpc::places::Places;
use crate::grpc::proto::DESCRIPTORS;
use crate::grpc::proto::external_scaler_server::ExternalScalerServer;
use crate::grpc::service::Service;
use crate::grpc::tls::{self, TlsFiles};
use crate::scaler::Registry;

/// Connections at once. KEDA needs one for each of its replicas, probes come and go; this bounds
/// sockets and the windows behind them.
const CONNECTIONS: usize = 1024;

/// Of one address: a quarter, so that no single pod can take them all, while everything behind one
/// proxy still fits.
const OF_ADDRESS: usize = CONNECTIONS / 4;

/// h2 budgets small DATA frames to half of the connection window and closes the connection of all
/// tenants beyond that: 10 000 streams opened in one burst need 4 MiB, so four times that.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// One stream carries one small request: the metadata cap several times over.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// Largest message, both ways. Metadata beyond 16 KiB is answered by the parser, in words.
const MESSAGE_MAX: usize = 1024 * 1024;

/// Headers of one request; KEDA sends its user agent and no more.
const HEADERS_MAX: u32 = 16 * 1024;

/// Between pings, and for their answer: a dead node is noticed within half a minute.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// After this the connection is asked to end, for KEDA to see new replicas. No grace is set: with
/// one, tonic 0.14 drops the connection without a GOAWAY. Streams end by themselves before.
const CONNECTION_AGE: Duration = Duration::from_secs(2 * 3600);

/// Resets of streams not yet accepted (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;

/// Streams that we reset, remembered per connection.
const LOCAL_RESETS_MAX: usize = 1024;

/// Streams for unary calls beside the two that each scaler may hold.
const SPARE_STREAMS: usize = 1024;

/// Connections between handshake and service; more wait in their handshake task.
const READY_MAX: usize = 16;

/// At shutdown all streams have ended with OK after 2 s; meanwhile calls are still answered.
const STREAMS_END_MAX: Duration = Duration::from_secs(4);

/// Time left for connections to end by themselves, of the 10 s in all.
const CONNECTIONS_END_MAX: Duration = Duration::from_secs(4);

/// Name of the service in health checks.
const SERVICE: &str = "externalscaler.ExternalScaler";

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Certificates; `None`: plaintext.
    pub tls: Option<TlsFiles>,
    /// Whether the reflection service answers.
    pub reflection: bool,
    /// Counters, shared with whoever registers them.
    pub metrics: Metrics,
}

/// Why the server cannot start or ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] tls::Error),
    /// The listener has no address.
    #[error("failed to read the listener's address")]
    Listener(#[source] io::Error),
    /// Reflection could not be built from the descriptors.
    #[error("failed to set up reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("gRPC transport failed")]
    Transport(#[from] tonic::transport::Error),
    /// A task of the server ended although nobody asked it to.
    #[error("gRPC server ended unasked")]
    Ended,
}

/// Serves `registry` on `listener` until `shutdown`; returns at most 10 s after it. The registry is
/// left running.
///
/// # Errors
/// When certificates cannot be used, or the server ends unasked.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    registry: Arc<Registry>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Options { tls, reflection, metrics } = options;
    let mut tasks = JoinSet::new();
    warn_if_open(&listener, tls.as_ref(), &metrics)?;
    let tls = match tls {
        Some(files) => Some(secured(files, &registry, &metrics, &mut tasks).await?),
        None => None,
    };
    let ends = Ends::default();
    let (ready, connections) = mpsc::channel(READY_MAX);
    let door = Door {
        tls,
        places: Places::new(CONNECTIONS, OF_ADDRESS),
        kill: ends.kill.clone(),
        metrics: metrics.clone(),
    };
    let no_more = ends.goaway.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = no_more.cancelled() => {}
            () = accept::accept(listener, door, ready) => {}
        }
    });
    let (health, router) = routes(&registry, &metrics, reflection, &ends).await?;
    let goaway = ends.goaway.clone();
    let incoming = ReceiverStream::<io::Result<Connection>>::new(connections);
    let mut server =
        std::pin::pin!(router.serve_with_incoming_shutdown(incoming, goaway.cancelled_owned()));
    tokio::select! {
        ended = &mut server => ended.map_err(Error::from).and(Err(Error::Ended)),
        _ = tasks.join_next() => Err(Error::Ended),
        () = shutdown.cancelled() => {
            info!("gRPC server ends");
            end(&health, &ends, server).await
        }
    }
}

/// The three steps of the end.
#[derive(Debug, Default)]
struct Ends {
    /// Streams end with OK.
    streams: CancellationToken,
    /// Counts the streams that have not.
    open: TaskTracker,
    /// Connections are asked to end.
    goaway: CancellationToken,
    /// Connections are cut.
    kill: CancellationToken,
}

async fn end<E>(
    health: &HealthReporter,
    ends: &Ends,
    server: std::pin::Pin<&mut impl Future<Output = Result<(), E>>>,
) -> Result<(), Error>
where
    Error: From<E>,
{
    for service in ["", SERVICE] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    ends.streams.cancel();
    ends.open.close();
    let mut server = server;
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        waited = tokio::time::timeout(STREAMS_END_MAX, ends.open.wait()) => {
            if waited.is_err() {
                warn!(open = ends.open.len(), "streams did not end in time");
            }
        }
    }
    ends.goaway.cancel();
    let ended = tokio::time::timeout(CONNECTIONS_END_MAX, server).await;
    ends.kill.cancel();
    match ended {
        Ok(ended) => Ok(ended?),
        Err(_) => {
            warn!("connections did not end in time and were cut");
            Ok(())
        }
    }
}

type Guarded = Stack<InterceptorLayer<Guard>, Identity>;

/// All services behind the check of the peer, and the health of the server.
async fn routes(
    registry: &Arc<Registry>,
    metrics: &Metrics,
    reflection: bool,
    ends: &Ends,
) -> Result<(HealthReporter, Router<Guarded>), Error> {
    let (health, health_service) = health_reporter();
    for service in ["", SERVICE] {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let service = Service::new(
        Arc::clone(registry),
        metrics.clone(),
        ends.streams.clone(),
        ends.open.clone(),
    );
    let service = ExternalScalerServer::new(service)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    let guard = InterceptorLayer::new(Guard { metrics: metrics.clone() });
    let mut router = builder(registry.limits().scalers)
        .layer(guard)
        .add_service(health_service)
        .add_service(service);
    if reflection {
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        router = router
            .add_service(descriptors().build_v1()?)
            .add_service(descriptors().build_v1alpha()?);
    }
    Ok((health, router))
}

fn builder(scalers: usize) -> Server {
    let streams = scalers.saturating_mul(2).saturating_add(SPARE_STREAMS);
    let (ping, pong) = PING;
    Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX))
        .http2_keepalive_interval(Some(ping))
        .http2_keepalive_timeout(Some(pong))
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .max_connection_age(CONNECTION_AGE)
}

/// Checks the peer of every request, before any service sees it.
#[derive(Debug, Clone)]
struct Guard {
    metrics: Metrics,
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        peer::check(request, &self.metrics)
    }
}

/// Loads the certificates and looks after them from then on.
async fn secured(
    files: TlsFiles,
    registry: &Registry,
    metrics: &Metrics,
    tasks: &mut JoinSet<()>,
) -> Result<Tls, Error> {
    let loaded = tls::load(&files, metrics).await?;
    let allowed_sans = Arc::from(files.allowed_sans.clone());
    let (publisher, loaded) = watch::channel(loaded);
    tasks.spawn(tls::reload(files, registry.clock().clone(), publisher, metrics.clone()));
    Ok(Tls { loaded, allowed_sans })
}

/// The namespace in a request is worth nothing when anybody may send it.
fn warn_if_open(
    listener: &TcpListener,
    tls: Option<&TlsFiles>,
    metrics: &Metrics,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::Listener)?;
    let open = tls.is_none() && !address.ip().is_loopback();
    metrics.insecure(open);
    if open {
        warn!(%address, "plaintext: anybody who reaches the port can ask for any namespace");
    }
    Ok(())
}
