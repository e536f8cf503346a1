//! Reasons as types: log line, page, API and golden files print the same ones.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which demand a term measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermKind {
    /// KV-cache tokens in use and queued.
    KvCache,
    /// One of the user's own signals.
    Own(String),
}

/// One term of demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// What it measures.
    pub kind: TermKind,
    /// Replica-equivalents; finite, not negative.
    pub replicas: f64,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, replicas } = self;
        write!(f, "{kind} {replicas:.2} replicas")
    }
}

impl fmt::Display for TermKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KvCache => f.write_str("kv cache"),
            Self::Own(name) => write!(f, "signal {name}"),
        }
    }
}

/// Something that shaped the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `scaleStrategy: shadow` sends 0 and inactive.
    Shadow,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shadow => f.write_str("shadow: sends 0 and inactive"),
        }
    }
}
