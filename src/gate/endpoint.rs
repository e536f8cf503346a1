//! One server of a route: its connections, and how many requests are with it.
//!
//! Promises to tell apart what was never sent, which may be sent elsewhere, from what may have been,
//! which may not: a completion paid for twice is worse than an error.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::Clock;

/// For a connection within a cluster; a packet lost twice takes 3 s.
const CONNECT: Duration = Duration::from_secs(2);

/// For an answer to a probe. An engine's event loop may hang for a second while it tokenizes.
const PROBE: Duration = Duration::from_secs(2);

/// An idle connection is not used after this: vLLM's server closes idle ones after 5 s, and a POST
/// that crosses the close cannot be repeated.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Idle connections that are kept; more than a replica's batch are seldom used again.
const IDLE_CONNECTIONS: usize = 512;

/// Connections being made at once: held requests are let go together, and the backlog of a Python
/// server is 2048 at best.
const CONNECTS: usize = 128;

/// A connection that can take a request.
pub(super) type Sender = SendRequest<Body>;

/// A server.
pub(super) struct Endpoint {
    address: SocketAddr,
    in_flight: AtomicUsize,
    idle: Mutex<Vec<Idle>>,
    connects: Semaphore,
    clock: Clock,
}

struct Idle {
    sender: Sender,
    since: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection, and whether it was used before.
pub(super) struct Connection {
    sender: Sender,
    is_used: bool,
}

/// What became of a request.
pub(super) enum Sent {
    /// The head of an answer; the connection is free once the body has ended.
    Answered(Response<Incoming>, Sender),
    /// Nothing was sent; the request comes back. `true`: the connection was an old one.
    Unsent(Box<Request<Body>>, bool),
    /// Something may have been sent, and the connection is gone.
    Broken,
    /// No head within the time.
    Silent,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probed {
    /// Ready.
    Ready,
    /// Nobody listens, or the connection broke.
    Refused,
    /// It answered, but not with 2xx.
    Status(u16),
    /// It did not answer in time.
    Slow,
}

impl Endpoint {
    /// The server at `address`.
    pub(super) fn new(address: SocketAddr, clock: Clock) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            idle: Mutex::default(),
            connects: Semaphore::new(CONNECTS),
            clock,
        }
    }

    /// Requests that are with it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A connection: an idle one, else a new one.
    ///
    /// # Errors
    /// When none can be made in time.
    pub(super) async fn connection(&self) -> io::Result<Connection> {
        while let Some(mut sender) = self.pop() {
            // Its last answer has just ended, and its task may not have noticed yet.
            let usable = sender.is_ready()
                || matches!(timeout(Duration::from_millis(5), sender.ready()).await, Ok(Ok(())));
            if usable {
                return Ok(Connection { sender, is_used: true });
            }
        }
        let _permit = self.connects.acquire().await.map_err(io::Error::other)?;
        let sender = timeout(CONNECT, self.connect()).await??;
        Ok(Connection { sender, is_used: false })
    }

    fn pop(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let Idle { sender, since } = idle.pop()?;
        if self.clock.elapsed().saturating_sub(since) > IDLE_MAX {
            // The others wait longer still.
            idle.clear();
            return None;
        }
        Some(sender)
    }

    async fn connect(&self) -> io::Result<Sender> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Not in a JoinSet: it ends with its sender, which is owned by a request or by this value.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Takes back a connection whose answer has been read to its end.
    pub(super) fn give_back(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let since = self.clock.elapsed();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle { sender, since });
        }
    }

    /// Closes what is idle: nobody will be sent here any more.
    pub(super) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks it whether it is ready, on a connection of its own.
    pub(super) async fn probe(&self, path: Option<&str>, host: &HeaderValue) -> Probed {
        let ask = async {
            let Ok(mut sender) = self.connect().await else { return Probed::Refused };
            let Some(path) = path else { return Probed::Ready };
            let mut request = Request::new(Body::empty());
            // Paths were checked when they were configured.
            *request.uri_mut() = path.parse().unwrap_or_default();
            request.headers_mut().insert(HOST, host.clone());
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            match sender.send_request(request).await {
                Ok(answer) if answer.status().is_success() => Probed::Ready,
                Ok(answer) => Probed::Status(answer.status().as_u16()),
                Err(_) => Probed::Refused,
            }
        };
        timeout(PROBE, ask).await.unwrap_or(Probed::Slow)
    }
}

impl Connection {
    /// Sends `request` and waits for the head of the answer, `silence` at most.
    pub(super) async fn send(mut self, request: Request<Body>, silence: Duration) -> Sent {
        let sending = self.sender.try_send_request(request);
        match timeout(silence, sending).await {
            Ok(Ok(response)) => Sent::Answered(response, self.sender),
            Ok(Err(mut error)) => match error.take_message() {
                Some(request) => Sent::Unsent(Box::new(request), self.is_used),
                None => Sent::Broken,
            },
            Err(_) => Sent::Silent,
        }
    }
}

/// An endpoint that a request was assigned to; counted until this is dropped.
#[derive(Debug)]
pub(super) struct Chosen(Arc<Endpoint>);

impl Chosen {
    /// Assigns a request to the endpoint with the fewest; `turn` decides among equals.
    pub(super) fn from(ready: &[Arc<Endpoint>], turn: usize) -> Option<Self> {
        let start = turn.checked_rem(ready.len())?;
        let (before, after) = ready.split_at(start);
        let least = after.iter().chain(before).min_by_key(|endpoint| endpoint.in_flight())?;
        least.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(least)))
    }

    /// The endpoint.
    pub(super) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Chosen, Endpoint};
    use crate::clock::Clock;

    #[test]
    fn the_endpoint_with_the_fewest_requests_is_chosen_and_equals_take_turns() {
        let endpoint =
            |port| Arc::new(Endpoint::new(([127, 0, 0, 1], port).into(), Clock::system()));
        let ready = [endpoint(1), endpoint(2), endpoint(3)];
        assert!(Chosen::from(&[], 7).is_none());
        let chosen: Vec<Chosen> = (0..9).filter_map(|turn| Chosen::from(&ready, turn)).collect();
        assert_eq!(chosen.len(), 9);
        assert_eq!(ready.each_ref().map(|e| e.in_flight()), [3, 3, 3]);
        drop(chosen);
        let first = Chosen::from(&ready, 1).unwrap();
        assert_eq!(first.endpoint().address.port(), 2);
        let second = Chosen::from(&ready, 1).unwrap();
        assert_eq!(second.endpoint().address.port(), 3);
    }
}
