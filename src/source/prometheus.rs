//! Prometheus-compatible servers, asked politely.
//!
//! Given text and an instant, a [`Datasource`] promises an answer or the kind of what kept it, within
//! its timeout, whatever the server does. Identical questions of one instant are asked once; few at a
//! time, and each namespace in its turn; not while the server said to wait. What to ask is left to
//! [`crate::source::plan`].

pub mod answer;
mod client;
mod credentials;
mod flight;
mod health;
pub mod metrics;
mod turns;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turns, Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::engine::observation::{Fault, FaultKind};
use crate::engine::units::Timestamp;
use crate::source::config::{DatasourceConfig, Error, Tenancy};
use crate::source::prometheus::answer::Answer;
use crate::source::prometheus::client::{Api, Failure};
use crate::source::prometheus::flight::Flights;
use crate::source::prometheus::health::{Health, Leave};
use crate::source::prometheus::metrics::Metrics;
use crate::source::prometheus::turns::NamespaceTurns;

/// Time for one query where the configuration says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Queries at once where the configuration says nothing: a Prometheus runs 20 at once for everybody.
const CONCURRENCY: usize = 8;

/// More at once would be an attack on the server.
const CONCURRENCY_MAX: usize = 256;

/// After a question about the past the server rests for as long as the answer took, and at least this
/// long: back-fills together never keep it busy for more than half of the time of one query.
const REST_MIN: Duration = Duration::from_millis(100);

/// Back-fills at once. One query is under way at a time, whoever asks it: more only means more memory
/// for what is not complete yet, fewer that one waits for another's large answers.
const BACKFILLS: usize = 4;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// What kept it.
    pub kind: FaultKind,
    /// Nothing was sent: the breaker is open because of `kind`.
    pub open: bool,
}

/// One server, shared by every scaler that reads it.
#[derive(Debug)]
pub struct Datasource {
    name: String,
    api: Api,
    tenancy: Option<Vec<String>>,
    namespaces: Option<Vec<String>>,
    timeout: Duration,
    slots: Semaphore,
    turns: NamespaceTurns,
    /// Of them, for queries of the user's own.
    own_turns: NamespaceTurns,
    backfills: Semaphore,
    past: Turns<()>,
    flights: Flights<Unanswered>,
    health: Mutex<Health>,
    metrics: Metrics,
    clock: Clock,
}

impl Datasource {
    /// Opens a datasource: reads its files, does no network I/O.
    ///
    /// # Errors
    /// When its URL, files, headers or limits cannot be used.
    pub fn open(
        name: &str,
        config: &DatasourceConfig,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let timeout = config.timeout.unwrap_or(TIMEOUT);
        let concurrency = config.concurrency.unwrap_or(CONCURRENCY);
        if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
            return Err(Error::Setting {
                name: name.to_owned(),
                problem: format!("concurrency {concurrency} must be 1 to {CONCURRENCY_MAX}"),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            api: Api::open(name, config, timeout)?,
            tenancy: tenancy(name, config)?,
            namespaces: config.namespaces.clone(),
            timeout,
            slots: Semaphore::new(concurrency),
            turns: NamespaceTurns::new(concurrency),
            own_turns: NamespaceTurns::new(concurrency.div_ceil(2)),
            backfills: Semaphore::new(BACKFILLS),
            past: Turns::new(()),
            flights: Flights::default(),
            health: Mutex::new(Health::default()),
            metrics,
            clock,
        })
    }

    /// The labels of which a tenant's selector must carry one; `None` without tenancy.
    #[must_use]
    pub fn tenant_labels(&self) -> Option<&[String]> {
        self.tenancy.as_deref()
    }

    /// Whether scaled objects of `namespace` may read it.
    #[must_use]
    pub fn allows(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.iter().any(|name| name == namespace))
    }

    /// A fault of this datasource.
    #[must_use]
    pub fn fault(&self, kind: FaultKind) -> Fault {
        Fault { place: format!("datasource {}", self.name), kind }
    }

    /// The faults of an unanswered question: the cause, and the open breaker after it.
    #[must_use]
    pub fn faults(&self, unanswered: Unanswered) -> Vec<Fault> {
        let mut faults = vec![self.fault(unanswered.kind)];
        if unanswered.open && unanswered.kind != FaultKind::CircuitOpen {
            faults.push(self.fault(FaultKind::CircuitOpen));
        }
        faults
    }

    /// The answer to `query` as of `at`, for a scaler of `namespace`.
    ///
    /// # Errors
    /// With what kept it.
    pub async fn ask(
        &self,
        query: &str,
        at: Timestamp,
        namespace: &str,
    ) -> Result<Arc<Answer>, Unanswered> {
        let ask = || self.ask_in_turn(query, at, namespace, Failures::Count);
        self.flights.answer(query, at, ask).await
    }

    /// The same for a query that a user wrote: of the queries at once those of one namespace take half at
    /// most, and one that is slow or answered with nonsense does not have the server paused for everybody.
    ///
    /// # Errors
    /// With what kept it.
    pub async fn ask_own(
        &self,
        query: &str,
        at: Timestamp,
        namespace: &str,
    ) -> Result<Arc<Answer>, Unanswered> {
        let ask = async || {
            let turn = tokio::time::timeout(self.timeout, self.own_turns.take(namespace)).await;
            let Ok(_turn) = turn else {
                return Err(Unanswered { kind: FaultKind::Timeout, open: false });
            };
            self.ask_in_turn(query, at, namespace, Failures::OfServer).await
        };
        self.flights.answer(query, at, ask).await
    }

    /// The answer to `query` at every `step` of `span`, both ends included; never from memory.
    ///
    /// # Errors
    /// With what kept it.
    pub async fn ask_range(
        &self,
        query: &str,
        span: (Timestamp, Timestamp),
        step: Duration,
    ) -> Result<Arc<Answer>, Unanswered> {
        self.send(self.api.range(query, span, step), Failures::Count).await
    }

    /// The same for a question that nobody waits for: one at a time, and after each the server rests
    /// for as long as the answer took. Of the queries at once it takes one, so ticks keep the others;
    /// and a server that does not answer it is not paused for them.
    ///
    /// # Errors
    /// With what kept it.
    pub async fn ask_past(
        &self,
        query: &str,
        span: (Timestamp, Timestamp),
        step: Duration,
    ) -> Result<Arc<Answer>, Unanswered> {
        let _turn = self.past.lock().await;
        let asked = self.clock.elapsed();
        let answer = self.send(self.api.range(query, span, step), Failures::Overlook).await;
        let took = self.clock.elapsed().saturating_sub(asked);
        self.clock.sleep(took.clamp(REST_MIN, self.timeout.max(REST_MIN))).await;
        answer
    }

    /// A seat among the back-fills at once; `None` when the datasource is closed, which it never is.
    pub async fn backfill_seat(&self) -> Option<SemaphorePermit<'_>> {
        self.backfills.acquire().await.ok()
    }

    /// The clock that its pauses go by.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long this datasource is not to be asked, as of now; at most a minute.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.pause(self.clock.now())
    }

    async fn ask_in_turn(
        &self,
        query: &str,
        at: Timestamp,
        namespace: &str,
        failures: Failures,
    ) -> Result<Arc<Answer>, Unanswered> {
        // A tenant that asks more than is answered in time keeps itself waiting, and nobody else.
        let turn = tokio::time::timeout(self.timeout, self.turns.take(namespace)).await;
        let Ok(_turn) = turn else {
            return Err(Unanswered { kind: FaultKind::Timeout, open: false });
        };
        self.send(self.api.query(query, at), failures).await
    }

    /// Sends `request` when there is a slot and leave, and counts how it ends.
    async fn send(
        &self,
        request: impl Future<Output = Result<Answer, Failure>>,
        failures: Failures,
    ) -> Result<Arc<Answer>, Unanswered> {
        let asked = self.clock.now();
        // Our own queue is bounded like the query itself, and is not the server's failure.
        let slot = tokio::time::timeout(self.timeout, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(Unanswered { kind: FaultKind::Timeout, open: false });
        };
        let leave = Guard::take(self)?;
        let outcome = request.await;
        let failure = outcome.as_ref().err().copied();
        if failure.is_none_or(|failure| failures.count(failure.kind)) {
            leave.settle(failure);
        }
        let took = self.clock.real(self.clock.now().since(asked));
        self.metrics.sent(&self.name, failure.map(|failure| failure.kind), took);
        outcome.map(Arc::new).map_err(|failure| Unanswered { kind: failure.kind, open: false })
    }
}

/// What failures say of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failures {
    /// It may have to be left alone.
    Count,
    /// The same, but for what may be the query's own fault: a tenant could have it paused for all others.
    OfServer,
    /// Nothing: it may only be slow to read days, or tired of being asked for them.
    Overlook,
}

impl Failures {
    const fn count(self, kind: FaultKind) -> bool {
        match self {
            Self::Count => true,
            Self::OfServer => !matches!(kind, FaultKind::Timeout | FaultKind::BadResponse),
            Self::Overlook => false,
        }
    }
}

/// Leave to ask that is given back whatever happens to the question.
struct Guard<'a> {
    datasource: &'a Datasource,
    leave: Option<Leave>,
}

impl<'a> Guard<'a> {
    fn take(datasource: &'a Datasource) -> Result<Self, Unanswered> {
        let now = datasource.clock.now();
        let mut health = datasource.health.lock().unwrap_or_else(PoisonError::into_inner);
        health
            .leave(now)
            .map(|leave| Self { datasource, leave: Some(leave) })
            .map_err(|paused| Unanswered { kind: paused.cause, open: paused.open })
    }

    fn settle(mut self, failure: Option<Failure>) {
        let Some(leave) = self.leave.take() else { return };
        let now = self.datasource.clock.now();
        let mut health = self.datasource.health.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(Failure { kind, retry_after, of_datasource: true }) => {
                health.failed(leave, now, (kind, retry_after), chance());
            }
            // A server that judges one query is up.
            Some(_) | None => health.answered(),
        }
        self.datasource.metrics.up(&self.datasource.name, health.up());
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            let health = &self.datasource.health;
            health.lock().unwrap_or_else(PoisonError::into_inner).abandoned(leave);
        }
    }
}

/// A number in 0..1 from the hasher's random keys: jitter needs no better.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// The labels of a confined datasource.
fn tenancy(name: &str, config: &DatasourceConfig) -> Result<Option<Vec<String>>, Error> {
    if config.tenancy == Tenancy::None {
        return Ok(None);
    }
    let default = || TENANT_LABELS.map(str::to_owned).to_vec();
    let labels = config.tenant_labels.clone().unwrap_or_else(default);
    let fits = |label: &String| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if labels.is_empty() || !labels.iter().all(fits) {
        return Err(Error::Setting {
            name: name.to_owned(),
            problem: "tenantLabels must be label names, at least one".to_owned(),
        });
    }
    Ok(Some(labels))
}

const TENANT_LABELS: [&str; 5] = [
    "namespace",
    "exported_namespace",
    "k8s_namespace_name",
    "route_namespace",
    "destination_service_namespace",
];
