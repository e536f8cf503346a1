//! One ticking state machine per trigger, and the registry that admits, finds and retires them.
//!
//! Ticks compute at their own pace and publish on a `watch`; requests only read the latest decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::engine::decision::Decision;
use crate::source::Sources;
use crate::spec::{Faults, Limits, Spec};

/// A trigger as KEDA names it: the key of a scaler is namespace, name and a hash of the metadata.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// The trigger's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Why no scaler serves a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The metadata is wrong: INVALID_ARGUMENT.
    #[error("{0}")]
    Metadata(Faults),
    /// Namespace or name is not a Kubernetes name, or the metadata is too large: INVALID_ARGUMENT.
    #[error("{0}")]
    Malformed(&'static str),
    /// The server, or the namespace, has as many scalers as it may: RESOURCE_EXHAUSTED.
    #[error("{0}")]
    Full(String),
    /// The server is ending: UNAVAILABLE.
    #[error("shutting down")]
    Ending,
}

/// One scaler as others see it.
#[derive(Debug)]
pub struct Scaler {
    /// Namespace.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// First eight hex digits of the metadata's hash.
    pub hash8: String,
    /// What it was asked for.
    pub spec: Spec,
    decision: watch::Receiver<Option<Arc<Decision>>>,
}

impl Scaler {
    /// The latest decision; `None` before the first tick.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Decision>> {
        self.decision.borrow().clone()
    }

    /// Decisions as they change; closed when the scaler is evicted or the server ends.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Decision>>> {
        self.decision.clone()
    }
}

/// All scalers of this process.
#[derive(Debug)]
pub struct Registry {
    _sources: Arc<Sources>,
    _clock: Clock,
    _limits: Limits,
}

impl Registry {
    /// An empty registry. Its scalers tick on `clock` and read from `sources`.
    #[must_use]
    pub fn new(sources: Arc<Sources>, clock: Clock, limits: Limits) -> Arc<Self> {
        Arc::new(Self { _sources: sources, _clock: clock, _limits: limits })
    }

    /// The scaler of a reference, created at first sight; counts as a call of it.
    ///
    /// # Errors
    /// When the metadata is wrong or there is no room for a new scaler.
    pub fn scaler(self: &Arc<Self>, reference: &Reference) -> Result<Arc<Scaler>, Refused> {
        let _ = reference;
        Err(Refused::Ending)
    }

    /// All scalers, ordered by namespace, name and hash.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Scaler>> {
        Vec::new()
    }

    /// Ends every tick; the scalers' watches close.
    pub async fn shutdown(&self) {}
}
