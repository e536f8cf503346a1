//! Bodies of requests: passed on as they come, or kept in memory within bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Request;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::StreamExt;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::timeout;

use crate::gate::error::Refusal;

/// Longest pause within a body that is being kept; whoever is slower keeps memory from others.
const PAUSE: Duration = Duration::from_secs(30);

/// Longest time for a whole body that is being kept: 32 MiB at a megabit a second. Without it a byte
/// every half minute would keep a place for days.
const WHOLE: Duration = Duration::from_mins(5);

/// Told to whoever finds the memory full.
const RETRY: Duration = Duration::from_secs(10);

/// Bytes that may be kept in all.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicU64,
    /// Longest body that may be kept.
    body_max: u64,
    kept: Gauge,
}

/// Bytes that are kept for one request; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    budget: Arc<Budget>,
    bytes: AtomicU64,
}

/// A whole body. What it takes of the memory set aside is given back with its last byte: as soon as it
/// is written, not when the server answers.
struct Counted {
    bytes: Box<[u8]>,
    _kept: Arc<Kept>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Budget {
    /// `total` bytes for bodies of at most `body_max` each.
    pub(super) fn new(total: u64, body_max: u64, kept: Gauge) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(total), body_max, kept })
    }
}

impl Kept {
    fn none(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), bytes: AtomicU64::new(0) })
    }

    fn grow(&self, more: u64) -> Result<(), Refusal> {
        let left = &self.budget.left;
        let taken =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more));
        taken.map_err(|_| Refusal::HeldBytes { retry: RETRY })?;
        self.bytes.fetch_add(more, Ordering::Relaxed);
        self.budget.kept.inc_by(i64::try_from(more).unwrap_or(0));
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.budget.left.fetch_add(bytes, Ordering::Relaxed);
        self.budget.kept.dec_by(i64::try_from(bytes).unwrap_or(0));
    }
}

#[derive(Debug)]
enum Payload {
    Stream(Body),
    Whole(Bytes),
}

/// A request on its way to a server.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) head: Parts,
    payload: Payload,
    kept: Arc<Kept>,
}

impl Outgoing {
    /// A request whose body is still to come.
    pub(super) fn new(head: Parts, body: Body, budget: &Arc<Budget>) -> Self {
        Self { head, payload: Payload::Stream(body), kept: Kept::none(budget) }
    }

    /// The whole body, read now if it was not yet.
    ///
    /// # Errors
    /// When it is too long, too slow or cut short, or there is no memory left for it.
    pub(super) async fn keep(&mut self) -> Result<&Bytes, Refusal> {
        if let Payload::Stream(body) = &mut self.payload {
            let body = std::mem::take(body);
            let whole = timeout(WHOLE, read(body, &self.kept)).await;
            self.payload = Payload::Whole(whole.map_err(|_| Refusal::BodySlow)??);
        }
        match &self.payload {
            Payload::Whole(bytes) => Ok(bytes),
            Payload::Stream(_) => Err(Refusal::BodyBroken),
        }
    }

    /// The request to send, and what of it is kept until it is written.
    pub(super) fn into_request(self) -> (Request<Body>, Weak<Kept>) {
        let Self { head, payload, kept } = self;
        let body = match payload {
            Payload::Stream(body) => body,
            Payload::Whole(bytes) => Body::from(bytes),
        };
        (Request::from_parts(head, body), Arc::downgrade(&kept))
    }

    /// A request that was not sent after all.
    pub(super) fn again(request: Request<Body>, kept: &Weak<Kept>, budget: &Arc<Budget>) -> Self {
        let (head, body) = request.into_parts();
        // A body that was kept still is, and is not counted twice.
        let kept = kept.upgrade().unwrap_or_else(|| Kept::none(budget));
        Self { head, payload: Payload::Stream(body), kept }
    }
}

async fn read(body: Body, kept: &Arc<Kept>) -> Result<Bytes, Refusal> {
    let limit = kept.budget.body_max;
    let too_large = || Refusal::BodyTooLarge { limit };
    let hint = body.size_hint();
    if hint.lower() > limit {
        return Err(too_large());
    }
    // What was kept already, when a request comes back, is the same body again.
    let mut counted = kept.bytes.load(Ordering::Relaxed);
    let mut total = 0_u64;
    // What is announced is not believed before it comes.
    let expected = usize::try_from(hint.lower().min(64 * 1024)).unwrap_or(0);
    let mut whole = Vec::with_capacity(expected);
    let mut frames = body.into_data_stream();
    loop {
        let next = timeout(PAUSE, frames.next()).await.map_err(|_| Refusal::BodySlow)?;
        let Some(frame) = next else { break };
        let frame = frame.map_err(|_| Refusal::BodyBroken)?;
        total += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        if total > limit {
            return Err(too_large());
        }
        if total > counted {
            kept.grow(total - counted)?;
            counted = total;
        }
        whole.extend_from_slice(&frame);
    }
    // Exactly its size: a frame would keep the connection's whole buffer.
    Ok(Bytes::from_owner(Counted { bytes: whole.into_boxed_slice(), _kept: Arc::clone(kept) }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use bytes::Bytes;
    use prometheus_client::metrics::gauge::Gauge;

    use super::{Budget, Outgoing};

    #[tokio::test]
    async fn what_is_kept_is_counted_and_given_back() {
        let gauge = Gauge::default();
        let budget = Budget::new(10, 8, gauge.clone());
        let outgoing = |text: &'static str| {
            let (head, body) = Request::new(Body::from(text)).into_parts();
            Outgoing::new(head, body, &budget)
        };
        let mut first = outgoing("12345678");
        assert_eq!(first.keep().await, Ok(&Bytes::from("12345678")));
        assert_eq!(gauge.get(), 8);
        let code = |refusal: super::Refusal| refusal.code();
        let mut second = outgoing("123");
        assert_eq!(second.keep().await.map_err(code), Err("held_bytes"));
        let (request, kept) = first.into_request();
        let mut again = Outgoing::again(request, &kept, &budget);
        assert!(again.keep().await.is_ok());
        assert_eq!(gauge.get(), 8, "counted once");
        drop(second);
        // Until the server answers, only the head waits.
        let (request, kept) = again.into_request();
        let (_head, body) = request.into_parts();
        assert_eq!(axum::body::to_bytes(body, 8).await.unwrap(), "12345678");
        assert_eq!(gauge.get(), 0, "what was written is no longer kept");
        assert!(kept.upgrade().is_none());
        assert_eq!(outgoing("123456789").keep().await.map_err(code), Err("body_too_large"));
    }
}
