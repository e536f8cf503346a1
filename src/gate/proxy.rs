//! What happens to one request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use tracing::{Level, debug, enabled};

use crate::gate::arrival::Arrival;
use crate::gate::error::Refusal;
use crate::gate::headers::{X_MODEL, X_REQUEST_ID, id, to_upstream};
use crate::gate::payload::Outgoing;
use crate::gate::route::Route;
use crate::gate::state::Gate;
use crate::gate::{ask, forward, models, sse};

/// The answer to a request from `peer`. It is dropped when the client goes away, and everything
/// that it holds with it.
pub(super) async fn handle(
    gate: Arc<Gate>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let at = gate.clock.elapsed();
    let (head, body) = request.into_parts();
    let id = id(&head.headers);
    let method = head.method.clone();
    let whence = Whence { peer, at, id: id.clone() };
    let is_read = is_read(&head);
    let outgoing = Outgoing::new(head, Body::new(body), &gate.budget);
    let result = if method == Method::CONNECT {
        Err(unrouted(&gate, Refusal::Method))
    } else if is_read {
        read(&gate, whence, outgoing).await
    } else {
        work(&gate, whence, outgoing).await
    };
    let mut response = result.unwrap_or_else(Refusal::into_response);
    response.headers_mut().entry(X_REQUEST_ID).or_insert(id);
    let Passed { scaler, held_ms } = response.extensions_mut().remove().unwrap_or_default();
    // Paths and headers may hold what should not be read.
    debug!(%method, scaler, status = response.status().as_u16(), held_ms, "request");
    response
}

/// What the log says of a request beside its answer.
#[derive(Clone, Default)]
struct Passed {
    /// Empty: it belongs to no route.
    scaler: String,
    held_ms: u64,
}

/// Where and when a request came from.
struct Whence {
    peer: IpAddr,
    at: Duration,
    id: HeaderValue,
}

/// Whether it asks for no work: GET, HEAD, and OPTIONS, with which `HAProxy` checks servers unless told
/// otherwise. A browser's preflight does: what it asks for comes next, and only if this is answered.
fn is_read(head: &Parts) -> bool {
    let preflight = || head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    head.method.is_safe() && !(head.method == Method::OPTIONS && preflight())
}

/// Pages about the server, health checks, monitors. They neither wake a model, nor wait for it, nor
/// count as demand: a monitor would keep it awake.
async fn read(
    gate: &Arc<Gate>,
    whence: Whence,
    mut outgoing: Outgoing,
) -> Result<Response<Body>, Refusal> {
    let several = gate.table.routes().len() > 1;
    let asleep = gate.table.routes().iter().all(|route| !route.is_ready());
    let Parts { method, uri, .. } = &outgoing.head;
    let own = (several || asleep) && matches!(*method, Method::GET | Method::HEAD);
    if let Some(response) =
        own.then(|| models::answer(&gate.table, uri.path(), gate.started)).flatten()
    {
        return Ok(response);
    }
    let route = match gate.table.routes() {
        [only] => Arc::clone(only),
        _ => Arc::clone(gate.table.find(named(&outgoing.head.headers))?),
    };
    address(&mut outgoing.head, &route, &whence);
    forward::read(Arc::clone(gate), route, outgoing).await
}

async fn work(
    gate: &Arc<Gate>,
    whence: Whence,
    mut outgoing: Outgoing,
) -> Result<Response<Body>, Refusal> {
    let route = match gate.table.only() {
        Some(only) => Arc::clone(only),
        None => found(gate, &mut outgoing).await.map_err(|refusal| unrouted(gate, refusal))?,
    };
    let arrival = Arrival::new(Arc::clone(&route), gate.clock.clone(), whence.at);
    address(&mut outgoing.head, &route, &whence);
    let result = passed_on(gate, &arrival, outgoing).await;
    if let Err(refusal) = &result {
        route.metrics.refused(refusal.code());
    }
    let mut response = result.unwrap_or_else(Refusal::into_response);
    if enabled!(Level::DEBUG) {
        let passed = Passed { scaler: route.scaler(), held_ms: arrival.held_ms() };
        response.extensions_mut().insert(passed);
    }
    Ok(response)
}

/// Passes it on, with comments meanwhile where that is wanted and the client waits for a stream.
async fn passed_on(
    gate: &Arc<Gate>,
    arrival: &Arc<Arrival>,
    mut outgoing: Outgoing,
) -> Result<Response<Body>, Refusal> {
    let stream = match gate.keep_alive_sse {
        Some(every) if !arrival.route().is_ready() && is_json(&outgoing.head.headers) => {
            // What is no JSON is for the server to refuse.
            let asked = ask::read(outgoing.keep().await?).unwrap_or_default();
            asked.stream.unwrap_or(false).then_some(every)
        }
        _ => None,
    };
    let waiting = forward::work(Arc::clone(gate), Arc::clone(arrival), outgoing);
    match stream {
        Some(every) => sse::answered(Box::pin(waiting), Arc::clone(arrival), every).await,
        None => waiting.await,
    }
}

/// The route of the model that is asked for: by header, else by the body.
async fn found(gate: &Gate, outgoing: &mut Outgoing) -> Result<Arc<Route>, Refusal> {
    let model = match named(&outgoing.head.headers) {
        Some(model) => Some(model.to_owned()),
        None if is_json(&outgoing.head.headers) => ask::read(outgoing.keep().await?)?.model,
        None => None,
    };
    gate.table.find(model.as_deref()).cloned()
}

fn named(headers: &HeaderMap) -> Option<&str> {
    headers.get(X_MODEL)?.to_str().ok()
}

/// Whether the body is JSON; so it is taken where nothing is said.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_none_or(|kind| kind.to_ascii_lowercase().windows(4).any(|part| part == b"json"))
}

fn address(head: &mut Parts, route: &Route, whence: &Whence) {
    to_upstream(head, whence.peer, &route.host, &whence.id);
}

fn unrouted(gate: &Gate, refusal: Refusal) -> Refusal {
    gate.metrics.unrouted(refusal.code());
    refusal
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Request};

    use super::is_read;

    #[test]
    fn work_is_what_changes_something_and_a_preflight_for_it() {
        let rows = [
            (Method::GET, false, true),
            (Method::GET, true, true),
            (Method::HEAD, false, true),
            (Method::OPTIONS, false, true),
            (Method::OPTIONS, true, false),
            (Method::POST, false, false),
            (Method::DELETE, false, false),
        ];
        for (method, preflight, expected) in rows {
            let mut request = Request::builder().method(method.clone());
            if preflight {
                request = request.header("access-control-request-method", "POST");
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_read(&head), expected, "{method} {preflight}");
        }
    }
}
