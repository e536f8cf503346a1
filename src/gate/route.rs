//! One route while the gate runs: who is ready, who waits, what prescale said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use tokio::sync::{Notify, watch};
use tracing::info;

use crate::clock::Clock;
use crate::gate::config::Route as Settings;
use crate::gate::endpoint::{Chosen, Endpoint};
use crate::gate::metrics::RouteMetrics;

/// Told to whoever cannot wait, when prescale has not said how long a start takes.
const RETRY: Duration = Duration::from_secs(10);

/// Longest that anybody is told to stay away: clients of the OpenAI API obey up to a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What prescale said of the last wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    /// It is not woken before this reading of the clock.
    pub(super) refused_until: Option<Duration>,
    /// It should be ready at this reading of the clock.
    pub(super) expected_at: Option<Duration>,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    /// What was configured.
    pub(super) settings: Settings,
    /// What its servers are called in a Host header.
    pub(super) host: HeaderValue,
    /// What is counted.
    pub(super) metrics: RouteMetrics,
    /// Servers that are ready.
    pub(super) ready: watch::Sender<Arc<[Arc<Endpoint>]>>,
    /// What prescale said last.
    pub(super) verdict: watch::Sender<Verdict>,
    /// Somebody should look at the servers now.
    pub(super) look: Notify,
    /// Somebody waits.
    pub(super) wanted: Notify,
    held: AtomicUsize,
    turn: AtomicUsize,
    clock: Clock,
}

/// One request that waits; counted until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    route: Arc<Route>,
    is_over: bool,
}

impl Route {
    /// A route without a ready server.
    pub(super) fn new(settings: Settings, metrics: RouteMetrics, clock: Clock) -> Self {
        let authority = settings.upstream.authority().replace(".:", ":");
        // What was configured consists of visible ASCII.
        let host = HeaderValue::try_from(authority)
            .unwrap_or_else(|_| HeaderValue::from_static("upstream"));
        Self {
            settings,
            host,
            metrics,
            ready: watch::Sender::new(Arc::from([])),
            verdict: watch::Sender::default(),
            look: Notify::new(),
            wanted: Notify::new(),
            held: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            clock,
        }
    }

    /// `namespace/name`, for logs.
    pub(super) fn scaler(&self) -> String {
        format!("{}/{}", self.settings.namespace, self.settings.name)
    }

    /// A ready server, if there is one.
    pub(super) fn pick(&self) -> Option<Chosen> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Chosen::from(&self.ready.borrow(), turn)
    }

    /// Whether any server is ready.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Requests that wait.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// A server could not be reached: it gets nothing until it was looked at again.
    pub(super) fn lost(&self, endpoint: &Arc<Endpoint>) {
        let is_other = |other: &&Arc<Endpoint>| !Arc::ptr_eq(other, endpoint);
        self.ready.send_if_modified(|ready| {
            let left: Arc<[_]> = ready.iter().filter(is_other).cloned().collect();
            let modified = left.len() < ready.len();
            *ready = left;
            modified
        });
        self.look.notify_one();
    }

    /// A place among those that wait, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Held> {
        let max = self.settings.held;
        let entered = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held < max).then_some(held + 1)
        });
        let before = entered.ok()?;
        self.metrics.held.inc();
        // While others wait, somebody looks every second anyway.
        if before == 0 {
            info!(scaler = self.scaler(), held = 1, "a request waits: nothing is ready");
            self.look.notify_one();
        }
        self.wanted.notify_one();
        Some(Held { route: Arc::clone(self), is_over: false })
    }

    /// When to come back.
    pub(super) fn retry(&self) -> Duration {
        let left = |at: Duration| at.saturating_sub(self.clock.elapsed());
        let expected = self.verdict.borrow().expected_at.map(left).filter(|left| !left.is_zero());
        expected.unwrap_or(RETRY).min(RETRY_MAX)
    }

    /// For how long prescale does not wake it, if so.
    pub(super) fn backing_off(&self) -> Option<Duration> {
        let until = self.verdict.borrow().refused_until?;
        let left = until.saturating_sub(self.clock.elapsed());
        (!left.is_zero()).then_some(left)
    }
}

impl Held {
    /// The wait has ended with a result; without this the client went away.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.route.held.fetch_sub(1, Ordering::Relaxed);
        self.route.metrics.held.dec();
        if !self.is_over {
            self.route.metrics.abandoned.inc();
        }
    }
}
