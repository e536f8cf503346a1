//! Trigger metadata to types that cannot be wrong: all faults at once, each with key, value and what
//! would be accepted.

mod fault;
mod target;

use std::collections::BTreeMap;

use crate::engine::setup::Setup;

pub use fault::{Fault, Faults};
pub use target::{
    Endpoint, Engine, Gateway, LabelMatcher, MatchOp, OwnQuery, SourceRef, Target, WorkloadKind,
    WorkloadRef,
};

/// The server's limits that metadata is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Scalers in all; more are refused.
    pub scalers: usize,
    /// Scalers of one namespace.
    pub per_namespace: usize,
    /// Largest `maxReplicas`.
    pub max_replicas: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { scalers: 10_000, per_namespace: 500, max_replicas: 1000 }
    }
}

/// One trigger, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What to read, and from where.
    pub target: Target,
    /// What the engine needs to know.
    pub setup: Setup,
    /// Keys that are valid and do not act in this version, each with its value.
    pub not_acting: Vec<(String, String)>,
}

/// Understands one trigger.
///
/// # Errors
/// Every fault of the metadata at once.
pub fn parse(
    namespace: &str,
    name: &str,
    metadata: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<Spec, Faults> {
    let _ = (namespace, name, metadata, limits);
    Err(Faults(Vec::new()))
}
