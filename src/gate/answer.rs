//! The body of an answer on its way to the client: passed on frame by frame, watched for silence,
//! and the end of what was counted for the request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};
use tower::BoxError;

use crate::gate::arrival::Arrival;
use crate::gate::endpoint::{Chosen, Sender};
use crate::gate::route::Route;

/// The body broke off; the client's connection does as well, so that it cannot be taken for whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model server fell silent")]
struct Silence;

/// A body from a server.
pub(super) struct Answer {
    inner: Incoming,
    route: Arc<Route>,
    /// `None` for what is not counted as demand, and once it has ended.
    arrival: Option<Arc<Arrival>>,
    with: Option<(Chosen, Sender)>,
    silence: Pin<Box<Sleep>>,
    idle: Duration,
    is_begun: bool,
}

impl Answer {
    /// The body of an answer that `with` gave; `idle` is the longest silence within it.
    pub(super) fn new(
        inner: Incoming,
        (route, arrival): (Arc<Route>, Option<Arc<Arrival>>),
        with: (Chosen, Sender),
        idle: Duration,
    ) -> Self {
        let silence = Box::pin(sleep(idle));
        let with = Some(with);
        let mut answer = Self { inner, route, arrival, with, silence, idle, is_begun: false };
        if answer.inner.is_end_stream() {
            answer.end();
        }
        answer
    }

    fn begin(&mut self) {
        if !self.is_begun {
            self.is_begun = true;
            self.arrival.iter().for_each(|arrival| arrival.first_byte());
        }
    }

    /// It was read to its end: the connection can be used again.
    fn end(&mut self) {
        self.begin();
        self.arrival = None;
        if let Some((chosen, sender)) = self.with.take() {
            chosen.endpoint().give_back(sender);
        }
    }

    fn broken(&mut self) {
        self.route.metrics.broken.inc();
        self.route.look.notify_one();
        self.arrival = None;
        self.with = None;
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(ctx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.begin();
                this.silence.as_mut().set(sleep(this.idle));
                // With a known length nobody asks again after the last frame.
                if this.inner.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.broken();
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if this.with.is_some() && this.silence.as_mut().poll(ctx).is_ready() {
                    this.broken();
                    return Poll::Ready(Some(Err(Silence.into())));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
