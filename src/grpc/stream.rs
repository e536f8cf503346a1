//! The two streams: when they speak and how they end.
//!
//! A stream is pulled by the transport: it looks at the latest decision when the last message is
//! on its way, so nothing queues. It ends with OK at its own age, when its scaler is evicted and
//! when the server ends; never with an error, which KEDA would answer with a growing back-off.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Status;

use crate::clock::Clock;
use crate::engine::decision::{Decision, State};
use crate::grpc::age::Ages;
use crate::grpc::metrics::Open;
use crate::grpc::proto::IsActiveResponse;
use crate::grpc::push::{Push, View};
use crate::scaler::{OpenStream, Scaler};

/// A stream as tonic takes it.
pub(crate) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What every stream carries: its end, and the counts that its drop gives back.
#[derive(Debug)]
pub(crate) struct Life {
    /// Clock of ages and repetitions.
    pub(crate) clock: Clock,
    /// When it opened, by [`Clock::elapsed`].
    pub(crate) opened: Duration,
    /// Age at which it ends.
    pub(crate) age: Duration,
    /// Its draws.
    pub(crate) ages: Ages,
    /// Cancelled when the server ends.
    pub(crate) ending: CancellationToken,
    /// Gauge of open streams.
    pub(crate) _open: Open,
    /// Held until the stream is dropped, for the server to wait for.
    pub(crate) _token: TaskTrackerToken,
}

impl Life {
    /// Returns when the stream has to end.
    async fn end(&self) {
        let lived = self.clock.elapsed().saturating_sub(self.opened);
        tokio::select! {
            () = self.clock.sleep(self.age.saturating_sub(lived)) => {}
            () = self.ending.cancelled() => tokio::time::sleep(self.ages.last_moment()).await,
        }
    }
}

/// A stream that says `first`, if anything, and is silent for the rest of its life.
pub(crate) fn quiet<T: Send + 'static>(first: Option<T>, life: Life) -> Messages<T> {
    let end = stream::once(async move { life.end().await }).filter_map(|()| async { None });
    Box::pin(stream::iter(first.map(Ok)).chain(end))
}

/// The same, ending also when the scaler is evicted.
pub(crate) fn quiet_with<T: Send + 'static>(
    first: T,
    scaler: OpenStream,
    life: Life,
) -> Messages<T> {
    let mut decision = scaler.scaler().watch();
    let end = stream::once(async move {
        tokio::select! {
            () = life.end() => {}
            () = closed(&mut decision) => {}
        }
        drop(scaler);
    });
    Box::pin(stream::iter([Ok(first)]).chain(end.filter_map(|()| async { None })))
}

/// The push stream of a scaler.
pub(crate) fn activity(scaler: OpenStream, life: Life) -> Messages<IsActiveResponse> {
    let decision = scaler.scaler().watch();
    let teller = Teller { scaler, life, decision, push: Push::default() };
    Box::pin(stream::unfold(teller, |mut teller| async move {
        teller.spoken().await.then(|| (Ok(IsActiveResponse { result: true }), teller))
    }))
}

struct Teller {
    scaler: OpenStream,
    life: Life,
    decision: watch::Receiver<Option<Arc<Decision>>>,
    push: Push,
}

impl Teller {
    /// Waits until `true` is to be said; false: the stream has to end.
    async fn spoken(&mut self) -> bool {
        let Self { scaler, life, decision, push } = self;
        let scaler = scaler.scaler();
        tokio::select! {
            // The end comes first: a scaler that has something to say all the time ends as well.
            biased;
            () = life.end() => false,
            said = next_true(scaler, &life.clock, decision, push) => said,
        }
    }
}

async fn next_true(
    scaler: &Scaler,
    clock: &Clock,
    decision: &mut watch::Receiver<Option<Arc<Decision>>>,
    push: &mut Push,
) -> bool {
    loop {
        drop(decision.borrow_and_update());
        let view = view(scaler);
        if push.say(view, clock.elapsed()) {
            scaler.announced(view.activity.period);
            return true;
        }
        let again = push.next(view);
        tokio::select! {
            changed = decision.changed() => if changed.is_err() { return false },
            () = sleep_until(clock, again) => {}
        }
    }
}

async fn sleep_until(clock: &Clock, instant: Option<Duration>) {
    match instant {
        Some(instant) => clock.sleep(instant.saturating_sub(clock.elapsed())).await,
        None => std::future::pending().await,
    }
}

async fn closed(decision: &mut watch::Receiver<Option<Arc<Decision>>>) {
    while decision.changed().await.is_ok() {}
}

/// What may be pushed now: nothing that a unary call would not say at the same instant.
fn view(scaler: &Scaler) -> View {
    let answer = scaler.answer().ok();
    let activity = scaler.activity();
    View {
        activity,
        active: activity.active && answer.as_ref().and_then(|it| it.active()) == Some(true),
        waking: answer.as_ref().is_some_and(|it| it.state == State::Waking),
        serving: answer.as_ref().is_some_and(|it| it.serving),
    }
}
