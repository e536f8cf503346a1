//! What one tick read of one workload and its surroundings: plain data, no judgement.
//!
//! Sources fill it; [`crate::engine`] reads it. Everything that could not be read is absent and has
//! a [`Fault`]; absence is never zero. Values keep the unit named at the field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::series::Series;
use crate::engine::units::Timestamp;

/// What a metric family means to the engine, whatever an engine calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Requests accepted and not yet scheduled; gauge.
    Waiting,
    /// Requests being processed; gauge.
    Running,
    /// Share of the KV cache in use; gauge, 0..1.
    KvUsage,
    /// Size of the KV cache in tokens; gauge.
    KvTokens,
    /// Prompt tokens processed; counter.
    PromptTokens,
    /// Prompt tokens answered from the prefix cache; counter.
    CachedTokens,
    /// Output tokens generated; counter.
    GenerationTokens,
    /// Requests finished; counter.
    Finished,
    /// Requests arrived; counter.
    Arrivals,
    /// Requests refused at admission; counter.
    Rejections,
    /// 1 while the engine is awake, 0 while it sleeps with its weights offloaded; gauge.
    Awake,
    /// Share of time the GPU was busy; gauge, 0..1.
    GpuUtilization,
    /// GPU memory in use, bytes; gauge.
    GpuMemoryUsed,
    /// GPU memory in all, bytes; gauge.
    GpuMemoryTotal,
    /// Share of time the GPU's memory was read or written; gauge, 0..1.
    GpuMemoryBandwidth,
    /// Power drawn, watts; gauge.
    GpuPower,
    /// Power limit, watts; gauge.
    GpuPowerLimit,
}

impl Role {
    /// Its name in text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::KvUsage => "kv usage",
            Self::KvTokens => "kv tokens",
            Self::PromptTokens => "prompt tokens",
            Self::CachedTokens => "cached tokens",
            Self::GenerationTokens => "output tokens",
            Self::Finished => "finished requests",
            Self::Arrivals => "arrivals",
            Self::Rejections => "rejections",
            Self::Awake => "awake",
            Self::GpuUtilization => "gpu utilization",
            Self::GpuMemoryUsed => "gpu memory used",
            Self::GpuMemoryTotal => "gpu memory",
            Self::GpuMemoryBandwidth => "gpu memory bandwidth",
            Self::GpuPower => "gpu power",
            Self::GpuPowerLimit => "gpu power limit",
        }
    }

    /// Whether the value only ever grows, except when the process restarts.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        matches!(
            self,
            Self::PromptTokens
                | Self::CachedTokens
                | Self::GenerationTokens
                | Self::Finished
                | Self::Arrivals
                | Self::Rejections
        )
    }

    /// Whether it describes a GPU rather than the engine on it.
    #[must_use]
    pub const fn is_gpu(self) -> bool {
        matches!(
            self,
            Self::GpuUtilization
                | Self::GpuMemoryUsed
                | Self::GpuMemoryTotal
                | Self::GpuMemoryBandwidth
                | Self::GpuPower
                | Self::GpuPowerLimit
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How several series of one role in one pod (ranks, GPUs, processes) become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Added: queues of data-parallel ranks, counters.
    Sum,
    /// Averaged: ratios.
    Mean,
    /// The largest: repeated series of one truth (process ids, tensor-parallel ranks).
    Max,
}

/// The series of one role in one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleSeries {
    /// The metric name that was found.
    pub metric: String,
    /// How the series become one number.
    pub combine: Combine,
    /// Raw samples, already in the unit that the role names.
    pub series: Vec<Series>,
}

/// Where a pod is in its life, as kube-state-metrics or the scrape itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not yet running on a node (unscheduled, pulling).
    Pending,
    /// Running, not ready, never answered a scrape: loading its model.
    Loading,
    /// Ready.
    Ready,
    /// Was ready, is not now: terminating, crashed or drained.
    Unready,
    /// Nobody says; it answers scrapes.
    Unknown,
}

/// One pod of the workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodObservation {
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was created, if known.
    pub created: Option<Timestamp>,
    /// When it was given a node, if known.
    #[serde(default)]
    pub scheduled: Option<Timestamp>,
    /// When the last of its containers started, if known: images are there, the model loads.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it became ready, if known.
    pub ready: Option<Timestamp>,
    /// What it exposes, by role.
    pub roles: BTreeMap<Role, RoleSeries>,
    /// Roles whose family an engine creates lazily and that are absent on a page read successfully.
    pub known_zero: BTreeSet<Role>,
}

impl PodObservation {
    /// A pod in `phase` of which nothing else is known.
    #[must_use]
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            created: None,
            scheduled: None,
            started: None,
            ready: None,
            roles: BTreeMap::new(),
            known_zero: BTreeSet::new(),
        }
    }
}

/// What is known of the scale target and its HPA, each absent when nobody said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// Kind and name, `deployment/vllm`.
    pub workload: Option<String>,
    /// Replicas in the target's specification.
    pub spec_replicas: Option<u32>,
    /// Ready replicas of the target's status.
    pub ready_replicas: Option<u32>,
    /// Replicas the HPA last saw.
    pub hpa_current: Option<u32>,
    /// The HPA's minimum.
    pub hpa_min: Option<u32>,
    /// The HPA's maximum.
    pub hpa_max: Option<u32>,
    /// Addresses behind the headless name; `Some(0)` when the name does not exist.
    pub addresses: Option<u32>,
    /// Whether pod phases and readiness were readable (kube-state-metrics answered).
    pub phases_known: bool,
}

/// Which latency an objective is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Time to first token.
    Ttft,
    /// Time between output tokens.
    InterToken,
    /// The whole request.
    Request,
}

/// A latency quantile over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyReading {
    /// The quantile in seconds; absent with fewer than 20 observations in the window.
    pub seconds: Option<f64>,
    /// The quantile fell into the last bucket: the truth is at least `seconds`.
    pub clamped: bool,
    /// Observations in the window; absent when unreadable.
    pub observations: Option<f64>,
}

/// Demand that shows outside of the pods, where it shows while there are none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GatewayReading {
    /// Requests held or in flight at the gateway; absent when unreadable.
    pub held: Option<f64>,
    /// Requests per second that arrived at the gateway, by the time that its samples cover; absent when it
    /// counts none, and when of some of its replicas nobody knows what they counted.
    pub arrivals_per_second: Option<f64>,
    /// Age of the newest sample behind it.
    pub age: Option<Duration>,
    /// What is held are requests of the last minute that were refused for want of a pod, or all that
    /// came within it: demand at zero, but nobody waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses: bool,
}

/// The result of one of the user's own signals, in the order of the setup.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct OwnReading {
    /// The single value of the query; absent when empty, not finite or more than one.
    pub value: Option<f64>,
    /// Age of the samples behind it, if known.
    pub age: Option<Duration>,
}

/// What kept something from being read: a closed list, so that it can be a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The name does not resolve or the resolver failed.
    Dns,
    /// The address may not be scraped (loopback, link-local, metadata service).
    AddressRefused,
    /// Nobody listens.
    ConnectRefused,
    /// No connection within the time allowed.
    ConnectTimeout,
    /// No complete answer within the time allowed.
    Timeout,
    /// TLS failed.
    Tls,
    /// 401 or 403.
    Forbidden,
    /// 429 or 503: told to wait.
    Overloaded,
    /// 422: the query was read and not executed, for too many samples or a mistake in it.
    QueryFailed,
    /// Another 4xx.
    ClientError,
    /// A page or a call that is not there: 404, of an API 405 as well.
    NotFound,
    /// Another 5xx.
    ServerError,
    /// A redirect, which is never followed.
    Redirect,
    /// Not the promised format, or cut off.
    BadResponse,
    /// Larger than the limit.
    TooLarge,
    /// More result elements than expected.
    TooManySeries,
    /// The answer was empty.
    Empty,
    /// The value is not finite, is negative or is absurd.
    NotFinite,
    /// The samples are too old or from the future.
    OutOfTime,
    /// The backend said that its answer is partial.
    Partial,
    /// The circuit breaker is open after repeated failures.
    CircuitOpen,
    /// The namespace may not use the datasource, or the datasource does not exist.
    NotAllowed,
}

impl FaultKind {
    /// The fixed words for it, as they stand in messages.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Dns => "name does not resolve",
            Self::AddressRefused => "address not allowed",
            Self::ConnectRefused => "connection refused",
            Self::ConnectTimeout => "connect timeout",
            Self::Timeout => "timeout",
            Self::Tls => "TLS handshake failed",
            Self::Forbidden => "access denied",
            Self::Overloaded => "overloaded, told to wait",
            Self::QueryFailed => "query not executed",
            Self::ClientError => "request refused",
            Self::NotFound => "HTTP 404, no such page",
            Self::ServerError => "server error",
            Self::Redirect => "redirect not followed",
            Self::BadResponse => "answer not understood",
            Self::TooLarge => "answer too large",
            Self::TooManySeries => "more than one series",
            Self::Empty => "empty answer",
            Self::NotFinite => "value not usable",
            Self::OutOfTime => "samples out of time",
            Self::Partial => "answer is partial",
            Self::CircuitOpen => "paused after repeated failures",
            Self::NotAllowed => "datasource not available to this namespace",
        }
    }
}

/// One thing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where: `datasource default`, `endpoint vllm-headless:8000`, `signal kafka`. Never a URL.
    pub place: String,
    /// What kept it.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, kind } = self;
        write!(f, "{place}: {}", kind.words())
    }
}

/// A metric that was looked for, and under which name it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// What it was wanted for, `waiting`, `spec replicas`.
    pub role: String,
    /// The names tried, best first.
    pub tried: Vec<String>,
    /// The name found, if any.
    pub found: Option<String>,
}

/// Everything one tick read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The instant the tick stands for; ages are measured against it.
    pub at: Timestamp,
    /// The pods, by name.
    pub pods: BTreeMap<String, PodObservation>,
    /// The scale target and its HPA.
    pub workload: WorkloadFacts,
    /// Latencies that an objective asks for.
    pub latency: BTreeMap<Latency, LatencyReading>,
    /// Demand outside of the pods; `None` when no such place is configured.
    pub gateway: Option<GatewayReading>,
    /// The user's own signals, in the order of the setup.
    pub own: Vec<OwnReading>,
    /// A backend said that its answer is partial: coverage is not known to be complete.
    pub partial: bool,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// Which names were looked for and found.
    pub searched: Vec<Searched>,
    /// Pods of the namespace that could be meant, when none matched; at most five.
    pub candidates: Vec<String>,
}

impl Observation {
    /// An observation at `at` in which nothing was read yet.
    #[must_use]
    pub fn empty(at: Timestamp) -> Self {
        Self {
            at,
            pods: BTreeMap::new(),
            workload: WorkloadFacts::default(),
            latency: BTreeMap::new(),
            gateway: None,
            own: Vec::new(),
            partial: false,
            faults: Vec::new(),
            searched: Vec::new(),
            candidates: Vec::new(),
        }
    }
}
