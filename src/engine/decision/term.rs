//! One term of demand with the numbers it was computed from, so that it explains itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which demand a term measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TermKind {
    /// KV cache in use and queued, in full caches.
    KvCache,
    /// Arriving requests per second and the backlog.
    Rate,
    /// Prompt tokens per second to be computed, and the backlog.
    Prefill,
    /// Running requests against the most a replica ran without a queue.
    Running,
    /// A queue that stays while capacity is unknown: one replica per cold start.
    Queue,
    /// Tokens per second fall while requests wait: one replica more.
    Degradation,
    /// The user's `queueDepth`.
    QueueDepth,
    /// The user's `concurrency`.
    Concurrency,
    /// The user's `requestRate`.
    RequestRate,
    /// The user's `tokenRate`.
    TokenRate,
    /// GPU utilisation, summed.
    GpuUtilization,
    /// GPU memory in use, summed.
    GpuMemory,
    /// GPU memory bandwidth, summed.
    GpuMemoryBandwidth,
    /// GPU power, summed.
    GpuPower,
    /// A GPU above its target beside an LLM engine that is short as well: one replica more.
    GpuGuard,
    /// Requests held while there are no pods.
    Activation,
    /// One of the user's own signals.
    Own(String),
}

impl TermKind {
    /// Its name in text and metrics; an own signal's is `own`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::KvCache => "kv cache",
            Self::Rate => "rate",
            Self::Prefill => "prefill",
            Self::Running => "running",
            Self::Queue => "lasting queue",
            Self::Degradation => "degradation",
            Self::QueueDepth => "queue",
            Self::Concurrency => "concurrency",
            Self::RequestRate => "request rate",
            Self::TokenRate => "token rate",
            Self::GpuUtilization => "gpu utilization",
            Self::GpuMemory => "gpu memory",
            Self::GpuMemoryBandwidth => "gpu memory bandwidth",
            Self::GpuPower => "gpu power",
            Self::GpuGuard => "gpu guard",
            Self::Activation => "activation",
            Self::Own(_) => "own",
        }
    }

    /// What its value counts.
    const fn unit(&self) -> &'static str {
        match self {
            Self::KvCache => "caches",
            Self::Rate | Self::RequestRate => "req/s",
            Self::Prefill | Self::TokenRate => "tokens/s",
            Self::Running => "running",
            Self::Queue | Self::QueueDepth => "waiting",
            Self::Degradation => "of earlier tokens/s",
            Self::Concurrency => "in flight",
            Self::GpuUtilization | Self::GpuMemory | Self::GpuMemoryBandwidth => "gpus",
            Self::GpuPower => "power",
            Self::GpuGuard => "busy",
            Self::Activation => "held",
            Self::Own(_) => "total",
        }
    }

    /// Whether the user set what one replica should carry, rather than the engine learning it.
    #[must_use]
    pub const fn is_users(&self) -> bool {
        match self {
            Self::QueueDepth
            | Self::Concurrency
            | Self::RequestRate
            | Self::TokenRate
            | Self::GpuUtilization
            | Self::GpuMemory
            | Self::GpuMemoryBandwidth
            | Self::GpuPower
            | Self::Own(_) => true,
            Self::KvCache
            | Self::Rate
            | Self::Prefill
            | Self::Running
            | Self::Queue
            | Self::Degradation
            | Self::GpuGuard
            | Self::Activation => false,
        }
    }
}

impl fmt::Display for TermKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Own(name) = self {
            return write!(f, "signal {}", name.chars().take(40).collect::<String>());
        }
        f.write_str(self.name())
    }
}

/// One term of demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// What it measures.
    pub kind: TermKind,
    /// Replica-equivalents; finite, not negative.
    pub replicas: f64,
    /// The demand it was computed from, in the unit of its kind.
    #[serde(default)]
    pub value: f64,
    /// What one replica should carry, in the same unit; absent where nothing is divided.
    #[serde(default)]
    pub per_replica: Option<f64>,
    /// Replica-equivalents added for the backlog, included in `replicas`.
    #[serde(default)]
    pub backlog: f64,
    /// The latency trim it was multiplied with, included in `replicas`; 1 when there is none.
    #[serde(default = "one")]
    pub trim: f64,
}

const fn one() -> f64 {
    1.0
}

impl Term {
    /// `value / per_replica`; `None` when that is no usable number.
    #[must_use]
    pub fn ratio(kind: TermKind, value: f64, per_replica: f64) -> Option<Self> {
        let replicas = crate::engine::numeric::share(value, per_replica)?;
        let per_replica = Some(per_replica);
        Some(Self { kind, replicas, value, per_replica, backlog: 0.0, trim: 1.0 })
    }

    /// A term that asks for `replicas` outright because of `value`.
    #[must_use]
    pub const fn flat(kind: TermKind, value: f64, replicas: f64) -> Self {
        Self { kind, replicas, value, per_replica: None, backlog: 0.0, trim: 1.0 }
    }

    /// With the replica-equivalents of a backlog added; nothing is added when that is no number.
    #[must_use]
    pub fn with_backlog(mut self, backlog: f64) -> Self {
        if backlog.is_finite() && backlog > 0.0 {
            self.backlog = backlog;
            self.replicas += backlog;
        }
        self
    }

    /// Limited to `replicas` at most.
    #[must_use]
    pub const fn at_most(mut self, replicas: f64) -> Self {
        self.replicas = self.replicas.min(replicas);
        self
    }

    /// With the latency trim applied: what the user set is only ever tightened by it.
    #[must_use]
    pub const fn trimmed(mut self, trim: f64) -> Self {
        self.trim = if self.kind.is_users() { trim.max(1.0) } else { trim };
        self.replicas *= self.trim;
        self
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, replicas, value, per_replica, backlog, trim } = self;
        write!(f, "{kind} {} {}", Short(*value), kind.unit())?;
        if let Some(per_replica) = per_replica {
            write!(f, " / {} per replica", Short(*per_replica))?;
        }
        if *backlog > 0.0 {
            write!(f, " + {} backlog", Short(*backlog))?;
        }
        if (*trim - 1.0).abs() > 0.005 {
            write!(f, " x trim {}", Short(*trim))?;
        }
        write!(f, " -> {}", Short(*replicas))
    }
}

/// A number as people read it: at most two decimals, thousands and millions shortened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        let (scaled, suffix) = match value.abs() {
            size if size >= 1e15 => return write!(f, "{value:.1e}"),
            size if size >= 1e9 => (value / 1e9, "G"),
            size if size >= 1e6 => (value / 1e6, "M"),
            size if size >= 1e4 => (value / 1e3, "k"),
            _ => (value, ""),
        };
        let text = format!("{scaled:.2}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{text}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Short, Term, TermKind};

    #[test]
    fn a_term_explains_itself() {
        let rows = [
            (
                Term::ratio(TermKind::QueueDepth, 38.0, 5.0),
                "queue 38 waiting / 5 per replica -> 7.6",
            ),
            (
                Term::ratio(TermKind::Rate, 12.0, 1.5)
                    .map(|term| term.with_backlog(0.25).trimmed(1.1)),
                "rate 12 req/s / 1.5 per replica + 0.25 backlog x trim 1.1 -> 9.08",
            ),
            (Some(Term::flat(TermKind::Queue, 7.0, 3.0)), "lasting queue 7 waiting -> 3"),
            (
                Term::ratio(TermKind::Own("kafka".to_owned()), 12_345.0, 1000.0),
                "signal kafka 12.35k total / 1000 per replica -> 12.35",
            ),
        ];
        for (term, expected) in rows {
            assert_eq!(term.unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_term_without_a_usable_number_is_no_term() {
        for (value, per_replica) in [(1.0, 0.0), (f64::NAN, 1.0), (-1.0, 1.0), (1.0, f64::NAN)] {
            assert_eq!(Term::ratio(TermKind::Rate, value, per_replica), None);
        }
    }

    #[test]
    fn what_the_user_set_is_never_loosened_by_the_trim() {
        let term = |kind| Term::ratio(kind, 10.0, 1.0).unwrap().trimmed(0.8).replicas;
        assert!((term(TermKind::QueueDepth) - 10.0).abs() < 1e-9);
        assert!((term(TermKind::Rate) - 8.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_short() {
        let rows = [(7.6, "7.6"), (0.0, "0"), (9999.0, "9999"), (2.5e7, "25M"), (1e300, "1.0e300")];
        for (value, expected) in rows {
            assert_eq!(Short(value).to_string(), expected);
        }
    }
}
