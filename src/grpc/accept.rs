//! The accept loop: from a listener to connections, whatever happens on the way.
//!
//! Promises never to end by itself: running out of file descriptors is waited out, a failed or slow
//! handshake costs its own connection only and delays no other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::grpc::connection::{Bytes, Connection};
use crate::grpc::metrics::{Closed, Metrics};
use crate::grpc::peer::Peer;
use crate::grpc::places::{Place, Places, address_of};
use crate::grpc::tls::Loaded;

/// Time for a TLS handshake: two round trips and a signature.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// First pause after a failed accept; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause: descriptors come back when connections end, which a second notices soon enough.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Encryption of the connections to come.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// The configuration in force.
    pub(crate) loaded: watch::Receiver<Loaded>,
    /// Names of which a client certificate must carry one.
    pub(crate) allowed_sans: Arc<[String]>,
}

/// What makes connections of sockets.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// `None`: plaintext.
    pub(crate) tls: Option<Tls>,
    /// Who holds how many connections.
    pub(crate) places: Places,
    /// Cancelled to end all connections at once.
    pub(crate) kill: CancellationToken,
    /// Counters.
    pub(crate) metrics: Metrics,
}

/// Accepts connections into `ready` for ever; handshakes end with the returned future.
pub(crate) async fn accept(
    listener: TcpListener,
    door: Door,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    let mut handshakes = JoinSet::new();
    loop {
        let (socket, address) = patiently(|| listener.accept(), &door.metrics).await;
        while handshakes.try_join_next().is_some() {}
        match door.places.take(address_of(address)) {
            Ok(place) => {
                let (door, ready) = (door.clone(), ready.clone());
                handshakes.spawn(async move {
                    if let Some(connection) = door.open(socket, place).await {
                        // Nobody listens any more: the server ends.
                        drop(ready.send(Ok(connection)).await);
                    }
                });
            }
            Err(cause) => door.metrics.closed(cause),
        }
    }
}

/// Calls `accept` until it succeeds. A connection that the client gave up is no reason to wait;
/// anything else (EMFILE, ENFILE, ENOBUFS, ENOMEM) is waited out, longer each time.
async fn patiently<T, F>(mut accept: impl FnMut() -> F, metrics: &Metrics) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut pause = PAUSE_MIN;
    loop {
        let error = match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => error,
        };
        if is_of_one_connection(&error) {
            continue;
        }
        metrics.closed(Closed::accept);
        if pause == PAUSE_MIN {
            warn!(%error, "cannot accept connections");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

impl Door {
    /// The connection of a socket; `None` when its handshake failed or took too long.
    async fn open(self, socket: TcpStream, place: Place) -> Option<Connection> {
        // Answers are small and KEDA waits for each: never held back for more to come.
        drop(socket.set_nodelay(true));
        let (bytes, peer) = match &self.tls {
            None => (Bytes::Plain(socket), Peer::of(None, &[])),
            Some(tls) => self.shake(tls, socket).await?,
        };
        let open = self.metrics.connection();
        Some(Connection::new(bytes, peer, self.kill, place, open))
    }

    async fn shake(&self, tls: &Tls, socket: TcpStream) -> Option<(Bytes, Peer)> {
        let config = Arc::clone(&tls.loaded.borrow().config);
        let handshake = TlsAcceptor::from(config).accept(socket);
        match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate: Option<&CertificateDer<'_>> = chain.and_then(<[_]>::first);
                let peer = Peer::of(certificate, &tls.allowed_sans);
                Some((Bytes::Tls(Box::new(stream)), peer))
            }
            Ok(Err(error)) => {
                self.metrics.closed(Closed::handshake);
                debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => {
                self.metrics.closed(Closed::handshake);
                debug!("TLS handshake took too long");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::time::Duration;

    use super::patiently;
    use crate::clock::Clock;
    use crate::engine::units::Timestamp;
    use crate::grpc::metrics::Metrics;

    const EMFILE: i32 = 24;

    async fn check(what: &str, errors: Vec<io::Error>, waited_ms: u128) {
        let clock = Clock::scaled(Timestamp::from_unix_ms(0), 1.0);
        let mut errors = VecDeque::from(errors);
        let accept = || std::future::ready(errors.pop_front().map_or(Ok(7), Err));
        assert_eq!(patiently(accept, &Metrics::default()).await, 7, "{what}");
        assert_eq!(clock.elapsed().as_millis(), waited_ms, "{what}");
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_survives_every_error() {
        let no_files = || io::Error::from_raw_os_error(EMFILE);
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        check("none", vec![], 0).await;
        check("clients that gave up", vec![gone(), gone(), gone()], 0).await;
        check("no descriptors for a moment", vec![no_files(), no_files()], 30).await;
        let long: Vec<io::Error> = (0..10).map(|_| no_files()).collect();
        check("no descriptors for long", long, 1270 + 3 * 1000).await;
        assert!(super::PAUSE_MAX <= Duration::from_secs(1));
    }
}
