//! `POST /wake/NAMESPACE/NAME`: somebody who holds a request asks for a pod.
//!
//! Off unless configured. Given a token or a verified certificate, a limit that is not used up and a
//! scaler that exists, promises that the wake is held here when 202 is sent, and that all peers were
//! asked to hold it too. Whoever is not allowed costs a comparison of digests and nothing else. A wake
//! makes a workload active, for as long as its lease; how many replicas that are is left to the engine.

mod answer;
mod keys;
mod limits;
mod metrics;
mod peers;

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tracing::info;

use crate::http::guard::bearer;
use crate::http::wake::answer::{Answer, Count, Problem};
use crate::http::wake::keys::{Denied, permits};
use crate::http::wake::limits::Limits;
use crate::http::wake::metrics::Outcome;
use crate::http::wake::peers::{HEADER, Peers, Said};
use crate::scaler::{Held, Registry, Woken};

pub use keys::{KeyFile, Keys};
pub use metrics::Metrics;
pub use peers::PeersAt;

/// A caller whose certificate was verified and carries an allowed name.
#[derive(Debug, Clone)]
pub struct Identity(pub Arc<str>);

/// Who may wake, and who else is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tokens.
    pub keys: Arc<Keys>,
    /// Namespaces in which an allowed certificate may wake; empty: all.
    pub namespaces: Vec<String>,
    /// The other processes.
    pub peers: Option<PeersAt>,
}

/// Everything that a wake needs.
#[derive(Debug)]
pub struct Wakes {
    registry: Arc<Registry>,
    keys: Arc<Keys>,
    namespaces: Vec<String>,
    peers: Option<Peers>,
    limits: Limits,
    metrics: Metrics,
}

impl Wakes {
    /// Wakes of the scalers of `registry`.
    ///
    /// # Errors
    /// When the system gives no HTTP client to ask peers with.
    pub fn new(
        registry: Arc<Registry>,
        options: Options,
        metrics: Metrics,
    ) -> Result<Self, reqwest::Error> {
        let Options { keys, namespaces, peers } = options;
        let peers = peers.map(|at| Peers::new(at, metrics.clone())).transpose()?;
        Ok(Self { registry, keys, namespaces, peers, limits: Limits::default(), metrics })
    }

    /// Who asks, in words for the log, if he may wake in `namespace`.
    fn caller(
        &self,
        headers: &HeaderMap,
        identity: Option<&Identity>,
        namespace: &str,
    ) -> Result<String, Problem> {
        if let Some(Identity(name)) = identity {
            let may = permits(&self.namespaces, namespace);
            return if may { Ok(name.to_string()) } else { Err(Problem::Forbidden) };
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let now = self.registry.clock().elapsed();
        self.keys.allow(given, namespace, now).map(|number| format!("token {number}")).map_err(
            |denied| match denied {
                Denied::Unknown => Problem::Unauthorized,
                Denied::Namespace => Problem::Forbidden,
            },
        )
    }

    /// Wakes here; `None`: no scaler here has the name.
    async fn wake(&self, namespace: &str, name: &str) -> Option<Result<Held, Problem>> {
        let scalers = self.registry.named(namespace, name);
        if scalers.is_empty() {
            return None;
        }
        let now = self.registry.clock().elapsed();
        if let Err(wait) = self.limits.target(namespace, name, now) {
            return Some(Err(self.limited("of this scaler", wait)));
        }
        let active = |told: Arc<crate::engine::decision::Decision>| told.active() == Some(true);
        let begins = !scalers.iter().any(|scaler| scaler.answer().is_ok_and(active));
        if begins && let Err(wait) = self.limits.begin(namespace, now) {
            return Some(Err(self.limited("in this namespace", wait)));
        }
        let woken = self.registry.wake(namespace, name).await;
        if begins && !matches!(woken, Some(Woken::Held(Held { begun: true, .. }))) {
            self.limits.did_not_begin(namespace);
        }
        Some(match woken? {
            Woken::Held(held) => Ok(held),
            Woken::BacksOff { retry } => {
                let until = self.registry.clock().now().plus(retry);
                Err(Problem::BackingOff { wait: retry, until })
            }
            Woken::Refused(why) => Err(Problem::Refused(why)),
        })
    }

    fn limited(&self, what: &'static str, wait: std::time::Duration) -> Problem {
        Problem::Limited { what, wait, until: self.registry.clock().now().plus(wait) }
    }

    /// Hands a wake on; nobody is asked with what would be refused.
    async fn hand(
        &self,
        namespace: &str,
        name: &str,
        given: Option<&HeaderValue>,
    ) -> Option<Vec<Said>> {
        let peers = self.peers.as_ref()?;
        let now = self.registry.clock().elapsed();
        let authorization = given.cloned().or_else(|| self.keys.header(namespace, now))?;
        Some(peers.hand((namespace, name), &authorization, now).await)
    }

    /// The answer to a caller who may wake: here, then by the others.
    async fn everywhere(
        &self,
        namespace: &str,
        name: &str,
        given: Option<&HeaderValue>,
    ) -> Result<(Answer, Outcome), Problem> {
        match self.wake(namespace, name).await {
            Some(held) => {
                let held = held?;
                let outcome = if held.begun { Outcome::woken } else { Outcome::renewed };
                let said = self.hand(namespace, name, given).await;
                let peers = said.as_deref().map(count);
                Ok((Answer { peers, ..Answer::of(namespace, name, &held) }, outcome))
            }
            None => {
                let now = self.registry.clock().elapsed();
                if self.peers.is_none() {
                    return Err(Problem::Unknown);
                }
                self.limits.unseen(now).map_err(|wait| self.limited("of unknown scalers", wait))?;
                let said = self.hand(namespace, name, given).await.unwrap_or_default();
                let answer = elsewhere(said)?;
                self.registry.expect_wake(namespace, name);
                Ok((answer, Outcome::elsewhere))
            }
        }
    }

    /// The answer to a peer that hands a wake on.
    async fn handed(&self, namespace: &str, name: &str) -> Result<(Answer, Outcome), Problem> {
        let Some(held) = self.wake(namespace, name).await else {
            self.registry.expect_wake(namespace, name);
            return Err(Problem::Unknown);
        };
        let held = held?;
        let outcome = if held.begun { Outcome::woken } else { Outcome::renewed };
        Ok((Answer::of(namespace, name, &held), outcome))
    }
}

fn count(said: &[Said]) -> Count {
    let holding = said.iter().filter(|said| matches!(said, Said::Holds(_))).count();
    Count { known: said.len(), holding }
}

/// What the others say of a scaler that is not known here: the best of it.
fn elsewhere(said: Vec<Said>) -> Result<Answer, Problem> {
    let peers = Some(count(&said));
    let mut problem = Problem::Unknown;
    let mut best: Option<Answer> = None;
    for said in said {
        match said {
            Said::Holds(answer) if best.as_ref().is_none_or(|best| !best.active) => {
                best = Some(Answer { peers, ..answer });
            }
            Said::Later(wait, text, limited) => {
                problem = Problem::Elsewhere { wait, text, limited }
            }
            Said::Refuses(text) if problem == Problem::Unknown => problem = Problem::Refused(text),
            Said::Holds(_) | Said::Refuses(_) | Said::Unknown | Said::Silent => {}
        }
    }
    best.ok_or(problem)
}

/// The one path. Its body is not read.
pub(super) async fn wake(
    State(wakes): State<Arc<Wakes>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let Ok(Path((namespace, name))) = path else { return Problem::Unknown.into_response() };
    let headers = request.headers();
    let identity = request.extensions().get::<Identity>();
    let from = headers.get(HEADER).cloned();
    let answered = match wakes.caller(headers, identity, &namespace) {
        Err(problem) => Err(problem),
        Ok(by) => {
            let own = |peers: &Peers| from.as_ref().is_some_and(|it| peers.is_own(it.as_bytes()));
            if wakes.peers.as_ref().is_some_and(own) {
                return StatusCode::NO_CONTENT.into_response();
            }
            let given = headers.get(AUTHORIZATION).filter(|_| identity.is_none()).cloned();
            let answered = match &from {
                Some(_) => wakes.handed(&namespace, &name).await,
                None => wakes.everywhere(&namespace, &name, given.as_ref()).await,
            };
            if matches!(answered, Ok((_, Outcome::woken))) {
                let handed = from.is_some();
                info!(namespace, name, by, handed, "wake asked for");
            }
            answered
        }
    };
    match answered {
        Ok((answer, outcome)) => {
            wakes.metrics.called(outcome);
            (StatusCode::ACCEPTED, Json(answer)).into_response()
        }
        Err(problem) => {
            wakes.metrics.called(outcome(&problem));
            problem.into_response()
        }
    }
}

const fn outcome(problem: &Problem) -> Outcome {
    match problem {
        Problem::Unauthorized => Outcome::unauthorized,
        Problem::Forbidden => Outcome::forbidden,
        Problem::Unknown => Outcome::unknown,
        Problem::Limited { .. } | Problem::Elsewhere { limited: true, .. } => Outcome::limited,
        Problem::BackingOff { .. } | Problem::Elsewhere { limited: false, .. } => {
            Outcome::backing_off
        }
        Problem::Refused(_) => Outcome::refused,
    }
}
