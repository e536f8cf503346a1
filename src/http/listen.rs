//! The listeners: connections in, each with its bounds, and their end. On one of them callers show a
//! certificate, and whoever has an allowed name in it is known by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::grpc::places::{Places, address_of};
use crate::grpc::tls::{self, Loaded, TlsFiles};
use crate::grpc::{self, peer};
use crate::http::wake::Identity;

/// Open connections: probes, two scrapers, people; a crowd waits in the backlog.
const CONNECTIONS: usize = 256;

/// Of them, of one address: a quarter. Others, the probes of the kubelet among them, find a place whatever one
/// pod does.
const OF_ADDRESS: usize = CONNECTIONS / 4;

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

/// Time for a TLS handshake: two round trips and a signature.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// What stands before the requests of a connection.
#[derive(Debug, Clone)]
enum Door {
    Plain,
    Mutual { loaded: watch::Receiver<Loaded>, allowed_sans: Arc<[String]> },
}

/// Serves `router` until `ending`; returns when the open connections have ended or 0.8 s have passed.
pub async fn serve(listener: TcpListener, router: Router, ending: CancellationToken) {
    accept_all(listener, router, Door::Plain, ending).await;
}

/// The same to callers with a certificate of `files`' client authority; the files are read again when
/// they change.
///
/// # Errors
/// When the files cannot be used.
pub async fn serve_mutual(
    listener: TcpListener,
    router: Router,
    files: TlsFiles,
    ending: CancellationToken,
) -> Result<(), tls::Error> {
    // The gRPC listener counts and shows the same files.
    let metrics = grpc::Metrics::default();
    let (publisher, loaded) = watch::channel(tls::load(&files, &metrics).await?);
    let allowed_sans = Arc::from(files.allowed_sans.clone());
    let door = Door::Mutual { loaded, allowed_sans };
    tokio::select! {
        () = accept_all(listener, router, door, ending) => {}
        () = tls::reload(files, Clock::system(), publisher, metrics) => {}
    }
    Ok(())
}

async fn accept_all(listener: TcpListener, router: Router, door: Door, ending: CancellationToken) {
    let mut connections = JoinSet::new();
    let places = Places::new(CONNECTIONS, OF_ADDRESS);
    loop {
        tokio::select! {
            () = ending.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer) = accept(&listener), if connections.len() < CONNECTIONS => {
                let Ok(place) = places.take(address_of(peer)) else {
                    debug!("http connection refused: too many of its address");
                    continue;
                };
                let serving = connection(stream, router.clone(), door.clone(), ending.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
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
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                warn!(%error, "http connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, door: Door, ending: CancellationToken) {
    let (loaded, allowed_sans) = match door {
        Door::Plain => return requests(stream, router, ending).await,
        Door::Mutual { loaded, allowed_sans } => (loaded, allowed_sans),
    };
    let mut config = (*loaded.borrow().config).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let handshake = TlsAcceptor::from(Arc::new(config)).accept(stream);
    let Ok(Ok(stream)) = timeout(HANDSHAKE_MAX, handshake).await else {
        debug!("TLS handshake failed or took too long");
        return;
    };
    let chain = stream.get_ref().1.peer_certificates();
    let name = chain.and_then(<[_]>::first).and_then(|it| peer::name_of(it, &allowed_sans));
    let router = match name {
        Some(name) => router.layer(Extension(Identity(Arc::from(name)))),
        None => router,
    };
    requests(stream, router, ending).await;
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    ending: CancellationToken,
) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::{OF_ADDRESS, serve};

    /// What comes back to a request from this address; empty: the connection was ended.
    async fn ask(from: &str, to: std::net::SocketAddr) -> (TcpStream, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        let sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut told = vec![0; 1024];
        let read = match sent {
            Ok(()) => tokio::time::timeout(Duration::from_secs(5), stream.read(&mut told)).await,
            Err(error) => Ok(Err(error)),
        };
        told.truncate(read.unwrap().unwrap_or(0));
        (stream, String::from_utf8(told).unwrap())
    }

    #[tokio::test]
    async fn one_address_leaves_places_to_the_probes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let ending = CancellationToken::new();
        let router = Router::new().route("/healthz", get(async || "well"));
        let serving = tokio::spawn(serve(listener, router, ending.clone()));
        let mut held = Vec::new();
        for _ in 0..OF_ADDRESS {
            let (stream, told) = ask("127.0.0.1", to).await;
            assert!(told.ends_with("well"), "{told}");
            held.push(stream);
        }
        assert_eq!(ask("127.0.0.1", to).await.1, "", "one too many");
        assert!(ask("127.0.0.2", to).await.1.ends_with("well"), "a probe");
        held.clear();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(ask("127.0.0.1", to).await.1.ends_with("well"), "places come back");
        ending.cancel();
        serving.await.unwrap();
    }
}
