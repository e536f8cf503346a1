//! What the handlers read: reports, metrics, readiness and the token.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::units::Timestamp;
use crate::http::token::Token;
use crate::report::Report;
use crate::telemetry::Metrics;

/// Scalers per answer: some megabytes at most, whoever asks.
pub(super) const LIMIT: usize = 500;

/// Which scalers are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Of this namespace only.
    pub namespace: Option<String>,
    /// Of this name only.
    pub name: Option<String>,
    /// Leave out so many of the first.
    pub skip: usize,
    /// No more than so many.
    pub limit: usize,
    /// With everything that there is to see of each, and not only what a table shows.
    pub detail: bool,
}

/// The scalers that were found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Those within `skip` and `limit`, ordered by namespace, name and trigger.
    pub reports: Vec<Report>,
    /// How many there are in all.
    pub total: usize,
    /// When they were looked at.
    pub now: Timestamp,
}

/// Reads reports; one call per request.
pub struct Reports(Box<dyn Fn(&Ask) -> Found + Send + Sync>);

impl Reports {
    /// Reports that `read` takes.
    pub fn new(read: impl Fn(&Ask) -> Found + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    /// The scalers asked for.
    #[must_use]
    pub fn read(&self, ask: &Ask) -> Found {
        (self.0)(ask)
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Listeners are not up yet.
    Starting,
    /// Answers.
    Ready,
    /// Asked to end: still answers, wants no new callers.
    Ending,
}

/// The phase, shared between who sets it and who tells it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<Phase>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl Readiness {
    /// Sets the phase.
    pub fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// The phase.
    #[must_use]
    pub fn get(&self) -> Phase {
        *self.0.borrow()
    }
}

/// Everything that the handlers read.
#[derive(Debug, Clone)]
pub struct App {
    /// The scalers.
    pub reports: Arc<Reports>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The phase.
    pub readiness: Readiness,
    /// Asked of whoever looks at scalers; `None`: nothing is asked.
    pub token: Option<Token>,
}
