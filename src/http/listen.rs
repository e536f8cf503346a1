//! The listener: connections in, each with its bounds, and their end.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Open connections: probes, two scrapers, people; a crowd waits in the backlog.
const CONNECTIONS: usize = 256;

/// For a whole request head, and for an idle connection: slower ones are not waited for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection's age at which it is asked to end, so that slow readers do not keep a place.
const AGE_MAX: Duration = Duration::from_secs(300);

/// From being asked to end to being cut off.
const END_TIMEOUT: Duration = Duration::from_millis(800);

/// Bytes of a request head; longer ones are answered with 431.
const HEAD_BYTES: usize = 16 * 1024;

/// Headers of a request.
const HEADERS: usize = 64;

/// Serves `router` until `ending`; returns when the open connections have ended or 0.8 s have passed.
pub async fn serve(listener: TcpListener, router: Router, ending: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = ending.cancelled() => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < CONNECTIONS => {
                connections.spawn(connection(stream, router.clone(), ending.clone()));
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(END_TIMEOUT, all).await.is_err() {
        debug!("http connections cut off");
    }
}

/// The next connection. An error is one caller's, or want of file handles, which a pause may cure.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                warn!(%error, "http connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, ending: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = ending.cancelled() => None,
        () = tokio::time::sleep(AGE_MAX) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            timeout(END_TIMEOUT, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "http connection ended");
    }
}
