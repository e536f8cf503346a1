//! The listener for clients: connections in, each with its bounds, and their end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::gate::proxy::handle;
use crate::gate::stall::Stall;
use crate::gate::state::Gate;

/// For a whole request head, and for an idle connection: longer than clients and gateways keep idle
/// ones by default (Go 90 s), so that it is them who close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of a request head, and of what is read ahead of a body; longer heads are answered with 431.
const BUFFER_BYTES: usize = 64 * 1024;

/// Headers of a request.
const HEADERS: usize = 128;

/// Serves until `ending`, then until every connection has ended: those that are idle at once, the
/// others after the answer that they are at.
pub(super) async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    connections_max: usize,
    ending: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ending.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer) = accept(&listener), if connections.len() < connections_max => {
                connections.spawn(connection(stream, peer, Arc::clone(&gate), ending.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection. An error is one caller's, or want of file handles, which a pause may cure.
async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            Err(error) => {
                warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// An open connection; counted until this is dropped.
struct Open(Gauge);

impl Open {
    fn new(count: &Gauge) -> Self {
        count.inc();
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, gate: Arc<Gate>, ending: CancellationToken) {
    let _open = Open::new(gate.metrics.connections());
    // A token of a stream is a small packet that must not wait for the next.
    drop(stream.set_nodelay(true));
    let idle = gate.idle;
    let answer = service_fn(|request| {
        let gate = Arc::clone(&gate);
        async move { Ok::<_, Infallible>(handle(gate, peer, request).await) }
    });
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS);
    // Whoever takes nothing of his answer is as silent as a server that gives nothing.
    let stream = Stall::new(stream, idle);
    let serving = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = ending.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}
