//! A request to a server and its answer back.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, Version};
use hyper::body::Incoming;

use crate::gate::answer::Answer;
use crate::gate::arrival::Arrival;
use crate::gate::endpoint::{Chosen, Sender, Sent};
use crate::gate::error::Refusal;
use crate::gate::headers::{X_HELD_SECONDS, to_client};
use crate::gate::hold;
use crate::gate::payload::Outgoing;
use crate::gate::route::Route;
use crate::gate::state::Gate;

/// Sends work to a ready server, waiting for one if need be. What was never sent is sent elsewhere;
/// what may have been is not sent twice.
///
/// # Errors
/// When it could not wait, or the server gave no answer.
pub(super) async fn work(
    gate: Arc<Gate>,
    arrival: Arc<Arrival>,
    mut outgoing: Outgoing,
) -> Result<Response<Body>, Refusal> {
    let route = Arc::clone(arrival.route());
    loop {
        let chosen = match route.pick() {
            Some(chosen) => chosen,
            None => Box::pin(hold::ready(&gate, &arrival, &mut outgoing)).await?,
        };
        match send(&gate, &route, chosen, outgoing).await? {
            Outcome::Answered(response, with) => {
                let whose = (Arc::clone(&route), Some(Arc::clone(&arrival)));
                let mut response = to_response(response, whose, with, &gate);
                let held_ms = arrival.held_ms();
                if held_ms > 0 {
                    let seconds = format!("{}.{:03}", held_ms / 1000, held_ms % 1000);
                    let value = HeaderValue::try_from(seconds);
                    value.into_iter().for_each(|value| {
                        response.headers_mut().insert(X_HELD_SECONDS, value);
                    });
                }
                return Ok(response);
            }
            Outcome::Back(back) => outgoing = back,
        }
    }
}

/// Sends what asks for no work to a ready server; it neither waits nor counts as demand.
///
/// # Errors
/// When nothing is ready, or the server gave no answer.
pub(super) async fn read(
    gate: Arc<Gate>,
    route: Arc<Route>,
    mut outgoing: Outgoing,
) -> Result<Response<Body>, Refusal> {
    loop {
        let Some(chosen) = route.pick() else {
            return Err(Refusal::Asleep { retry: route.retry() });
        };
        match send(&gate, &route, chosen, outgoing).await? {
            Outcome::Answered(response, with) => {
                route.metrics.passed.inc();
                return Ok(to_response(response, (route, None), with, &gate));
            }
            Outcome::Back(back) => outgoing = back,
        }
    }
}

enum Outcome {
    Answered(Response<Incoming>, (Chosen, Sender)),
    /// Not sent: to be tried elsewhere.
    Back(Outgoing),
}

async fn send(
    gate: &Gate,
    route: &Arc<Route>,
    chosen: Chosen,
    outgoing: Outgoing,
) -> Result<Outcome, Refusal> {
    let endpoint = chosen.endpoint();
    let Ok(connection) = endpoint.connection().await else {
        route.lost(endpoint);
        return Ok(Outcome::Back(outgoing));
    };
    let (request, kept) = outgoing.into_request();
    match connection.send(request, gate.idle).await {
        Sent::Answered(response, sender) => Ok(Outcome::Answered(response, (chosen, sender))),
        Sent::Unsent(request, is_used) => {
            // Of an old connection it says nothing that the server closed it.
            if !is_used {
                route.lost(endpoint);
            }
            Ok(Outcome::Back(Outgoing::again(*request, &kept, &gate.budget)))
        }
        Sent::Broken => {
            route.look.notify_one();
            Err(Refusal::Broken)
        }
        Sent::Silent => Err(Refusal::Silent { idle: gate.idle }),
    }
}

fn to_response(
    response: Response<Incoming>,
    whose: (Arc<Route>, Option<Arc<Arrival>>),
    with: (Chosen, Sender),
    gate: &Gate,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    to_client(&mut head.headers);
    Response::from_parts(head, Body::new(Answer::new(body, whose, with, gate.idle)))
}
