//! Comments to a client that waits for a stream, so that proxies in between do not take the silence
//! for death. The price is the status: it is 200 before anybody knows, and a later failure can only
//! be told as an event.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::time::timeout;

use crate::gate::arrival::Arrival;
use crate::gate::error::Refusal;

/// The answer that is waited for.
pub(super) type Waiting =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send + 'static>>;

const COMMENT: Bytes = Bytes::from_static(b": waiting\n\n");

/// Bytes of an error's body that are passed on as an event.
const ERROR_BYTES: usize = 64 * 1024;

/// What is being written.
enum State {
    /// Comments, `true`: the first one at once.
    Waiting(Waiting, bool),
    /// The server's stream.
    Passing(BodyDataStream),
    Ended,
}

/// The answer itself if it comes within `every`, or the request does not wait; else a stream that
/// begins with comments, `every` so often, and goes on with the answer's.
pub(super) async fn answered(
    mut waiting: Waiting,
    arrival: Arc<Arrival>,
    every: Duration,
) -> Result<Response<Body>, Refusal> {
    loop {
        match timeout(every, &mut waiting).await {
            Ok(result) => return result,
            Err(_) if arrival.is_held() => return Ok(early(waiting, arrival, every)),
            Err(_) => {}
        }
    }
}

fn early(waiting: Waiting, arrival: Arc<Arrival>, every: Duration) -> Response<Body> {
    let frames = unfold(State::Waiting(waiting, true), move |state| {
        let arrival = Arc::clone(&arrival);
        async move { next(state, &arrival, every).await }
    });
    let mut response = Response::new(Body::from_stream(frames.map(Ok::<_, Infallible>)));
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        // nginx in between would collect the comments.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn next(state: State, arrival: &Arrival, every: Duration) -> Option<(Bytes, State)> {
    match state {
        State::Waiting(waiting, true) => Some((COMMENT, State::Waiting(waiting, false))),
        State::Waiting(mut waiting, false) => match timeout(every, &mut waiting).await {
            Err(_) => Some((COMMENT, State::Waiting(waiting, false))),
            Ok(Ok(response)) => Box::pin(begun(response)).await,
            Ok(Err(refusal)) => {
                arrival.route().metrics.refused(refusal.code());
                Some((event(&refusal.body()), State::Ended))
            }
        },
        State::Passing(stream) => passed(stream).await,
        State::Ended => None,
    }
}

/// The answer has a head: a stream is passed on, anything else becomes an event.
async fn begun(response: Response<Body>) -> Option<(Bytes, State)> {
    let (head, body) = response.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if head.status == StatusCode::OK && kind.starts_with(b"text/event-stream") {
        return passed(body.into_data_stream()).await;
    }
    let whole = to_bytes(body, ERROR_BYTES).await.unwrap_or_default();
    let told = serde_json::from_slice::<Value>(&whole).ok();
    Some((event(&told.unwrap_or_else(|| Refusal::Broken.body())), State::Ended))
}

async fn passed(mut stream: BodyDataStream) -> Option<(Bytes, State)> {
    match stream.next().await? {
        Ok(bytes) => Some((bytes, State::Passing(stream))),
        Err(_) => {
            // An event may have been cut in two: an empty line ends it.
            let told = event(&Refusal::Broken.body());
            Some((Bytes::from([&b"\n\n"[..], &told].concat()), State::Ended))
        }
    }
}

fn event(body: &Value) -> Bytes {
    Bytes::from(format!("data: {body}\n\n"))
}
