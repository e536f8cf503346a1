//! Reasons as types: log line, page, API and golden files print the same ones, one line each.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::decision::early::Early;
use crate::engine::decision::term::Short;
use crate::engine::observation::{FaultKind, Role};

/// What keeps a decision from going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A larger need was seen within the down-window.
    Window {
        /// Replicas needed at its peak.
        peak: u32,
        /// How long it looks back.
        window: Duration,
    },
    /// There is no full down-window of data since the start or the last gap.
    Gap {
        /// Time until there is.
        remaining: Duration,
    },
    /// Required signals are not known on all ready pods.
    Incomplete,
    /// Pods are pending or loading.
    Loading {
        /// How many.
        pods: u32,
    },
    /// Twice the ready replicas were needed a moment ago.
    Panic {
        /// Replicas needed at the peak.
        peak: u32,
    },
    /// At most half of the replicas per minute.
    Step,
    /// One replica per minute: load came back within the last hour soon after it went, or too little was
    /// seen to tell.
    Restless,
    /// Not idle for long enough to sleep.
    NotIdle {
        /// How long it was idle.
        idle: Duration,
        /// How long it has to be.
        needed: Duration,
    },
}

/// Which limit cut a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `minReplicas`.
    Min,
    /// `maxReplicas`, the HPA's maximum or the server's limit.
    Max,
    /// A `maxReplicas` of `instanceBounds`.
    ScheduledMax,
}

/// Something that shaped the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `scaleStrategy: shadow` sends 0 and inactive.
    Shadow,
    /// The terms of demand give this need.
    Need {
        /// Replicas.
        replicas: u32,
    },
    /// The data is old.
    Stale {
        /// Age of the newest trustworthy sample.
        age: Duration,
    },
    /// The last good decision stands.
    Held {
        /// What it was.
        replicas: u32,
    },
    /// Some ready pods were not read.
    Unread {
        /// How many.
        pods: u32,
        /// Ready pods in all.
        ready: u32,
        /// One of them, if it has a name.
        example: Option<String>,
    },
    /// A required signal is not known on all ready pods.
    Missing {
        /// The signal.
        role: Role,
    },
    /// One of the user's own signals has no usable value.
    OwnMissing {
        /// Its name.
        name: String,
    },
    /// The data source said that its answer is partial.
    PartialAnswer,
    /// Something could not be read.
    Fault {
        /// Where.
        place: String,
        /// What kept it.
        kind: FaultKind,
    },
    /// One pod reports out of all proportion to the others and counts less.
    Outlier {
        /// The pod.
        pod: String,
        /// The signal.
        role: Role,
        /// What it reports.
        read: f64,
        /// What counts.
        counted: f64,
    },
    /// A value jumped and waits for a second sample.
    Unconfirmed {
        /// The pod.
        pod: String,
        /// The signal.
        role: Role,
        /// What it reports.
        read: f64,
        /// What counts.
        counted: f64,
    },
    /// Pods whose engine sleeps carry nothing.
    EnginesAsleep {
        /// How many.
        pods: u32,
    },
    /// Pods are pending or loading.
    Loading {
        /// How many.
        pods: u32,
    },
    /// Pods are pending or loading for so long that they no longer block.
    Stuck {
        /// How many.
        pods: u32,
        /// One of them.
        example: String,
        /// Twice the P90 of cold starts.
        limit: Duration,
    },
    /// What a replica carries is not known yet.
    CapacityUnknown,
    /// The latency trim is as far as it may go.
    TrimAtBound {
        /// The trim.
        trim: f64,
    },
    /// The number of replicas is unknown.
    ReplicasUnknown,
    /// Something keeps the decision up.
    Kept {
        /// What was wanted.
        wanted: u32,
        /// What is decided.
        kept: u32,
        /// What keeps it.
        block: Block,
    },
    /// `instanceBounds` ask for a floor, now or before a pod started now would be ready.
    Scheduled {
        /// Replicas.
        replicas: u32,
        /// Time until it begins; zero when it is in force.
        begins_in: Duration,
    },
    /// A limit cut the decision.
    Limited {
        /// Which one.
        limit: Limit,
        /// What was wanted.
        wanted: u32,
        /// What the limit allows.
        allowed: u32,
    },
    /// Idle for all of the idle window: sleeps.
    Sleep {
        /// How long it was idle.
        idle: Duration,
    },
    /// Demand shows while there are no pods: wakes.
    Wake {
        /// The demand.
        demand: f64,
        /// The threshold it is above.
        activation: f64,
    },
    /// Somebody asked for a wake (POST /wake).
    Asked {
        /// How long ago.
        age: Duration,
    },
    /// A wake is held until a pod serves.
    Lease {
        /// How much longer at most.
        remaining: Duration,
    },
    /// No pod served within the time a wake is held; it is tried again later.
    WakeExpired {
        /// Time until the next try.
        retry: Duration,
    },
    /// Nothing asks for a replica.
    NoDemand,
    /// Demand while asleep cannot be seen: nothing is configured to show it.
    NoWakePath,
    /// Demand while asleep cannot be read.
    ActivationUnreadable,
    /// `onNoData` replaces the error.
    OnNoData {
        /// What is sent.
        replicas: u32,
    },
    /// The number sent leaves the HPA's dead band.
    Tolerance {
        /// What is wanted.
        wanted: u32,
        /// What is sent.
        sent: u32,
    },
    /// No number can be given.
    NoNumber,
    /// Something is wanted ahead of demand.
    Early(Early),
    /// Of the process before this one: it stands until the first reading has ended.
    Restored {
        /// How old the decision was when it was taken over.
        age: Duration,
    },
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { peak, window } => {
                write!(f, "{peak} needed within the last {} s", window.as_secs())
            }
            Self::Gap { remaining } => {
                write!(f, "{} s more data needed to go down", remaining.as_secs())
            }
            Self::Incomplete => f.write_str("required signals incomplete"),
            Self::Loading { pods } => write!(f, "{} pending or loading", Pods(*pods)),
            Self::Panic { peak } => write!(f, "panic: {peak} needed at the peak"),
            Self::Step => f.write_str("at most half of the replicas per minute"),
            Self::Restless => f.write_str("one replica per minute while load may come back"),
            Self::NotIdle { idle, needed } => {
                write!(f, "idle {} s of {} s", idle.as_secs(), needed.as_secs())
            }
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Min => "minimum",
            Self::Max => "maximum",
            Self::ScheduledMax => "scheduled maximum",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shadow => f.write_str("shadow: sends 0 and inactive"),
            Self::Need { replicas } => write!(f, "demand needs {replicas}"),
            Self::Stale { age } => write!(f, "newest sample {} s old", age.as_secs()),
            Self::Held { replicas } => write!(f, "last good decision {replicas} stands"),
            Self::Fault { place, kind } => write!(f, "{}: {}", cut(place), kind.words()),
            Self::PartialAnswer => f.write_str("data source says its answer is partial"),
            Self::EnginesAsleep { pods } => write!(f, "{} with a sleeping engine", Pods(*pods)),
            Self::Loading { pods } => write!(f, "{} pending or loading", Pods(*pods)),
            Self::CapacityUnknown => f.write_str("capacity of a replica not known yet"),
            Self::TrimAtBound { trim } => {
                write!(f, "latency trim at its bound {}: check target or profile", Short(*trim))
            }
            Self::ReplicasUnknown => f.write_str("number of replicas unknown"),
            Self::Kept { wanted, kept, block } => write!(f, "{wanted} kept at {kept}: {block}"),
            Self::Scheduled { replicas, begins_in } if begins_in.is_zero() => {
                write!(f, "schedule: at least {replicas}")
            }
            Self::Scheduled { replicas, begins_in } => {
                write!(f, "schedule: at least {replicas} in {} s", begins_in.as_secs())
            }
            Self::Limited { limit, wanted, allowed } => {
                write!(f, "{wanted} cut to {allowed}: {limit}")
            }
            Self::Sleep { idle } => write!(f, "idle for {} s: sleeps", idle.as_secs()),
            Self::Wake { demand, activation } => {
                write!(f, "wakes: {} held > activation {}", Short(*demand), Short(*activation))
            }
            Self::Asked { age } => write!(f, "asked to wake {} s ago (POST /wake)", age.as_secs()),
            Self::Lease { remaining } => {
                write!(f, "wake held until a pod serves, at most {} s", remaining.as_secs())
            }
            Self::WakeExpired { retry } => {
                write!(f, "no pod served in time: wake tried again in {} s", retry.as_secs())
            }
            Self::NoDemand => f.write_str("asleep: nothing asks for a replica"),
            Self::NoWakePath => f.write_str(
                "demand cannot be seen at zero replicas: set gateway or activationQuery",
            ),
            Self::ActivationUnreadable => f.write_str("demand at zero replicas cannot be read"),
            Self::OnNoData { replicas } => write!(f, "onNoData: sends {replicas}"),
            Self::Tolerance { wanted, sent } => {
                write!(f, "sends {sent} for {wanted} to leave the HPA's tolerance")
            }
            Self::Early(early) => early.fmt(f),
            Self::Restored { age } => write!(f, "decided {} s before this start", age.as_secs()),
            Self::NoNumber => f.write_str("no trustworthy number: an error is sent, KEDA holds"),
            Self::Unread { pods, ready, example } => {
                write!(f, "{pods} of {ready} ready pods unread")?;
                example.as_ref().map_or(Ok(()), |name| write!(f, " ({})", cut(name)))
            }
            Self::Missing { role } => write!(f, "{role} not known on all ready pods"),
            Self::OwnMissing { name } => write!(f, "signal {} has no usable value", cut(name)),
            Self::Outlier { pod, role, read, counted } => {
                let (read, counted) = (Short(*read), Short(*counted));
                write!(f, "outlier {}: {role} {read} counts as {counted}", cut(pod))
            }
            Self::Unconfirmed { pod, role, read, counted } => {
                let (read, counted) = (Short(*read), Short(*counted));
                write!(f, "jump at {}: {role} {read} counts as {counted} for now", cut(pod))
            }
            Self::Stuck { pods, example, limit } => {
                let (limit, name, pods) = (limit.as_secs(), cut(example), Pods(*pods));
                write!(f, "{pods} stuck for over {limit} s ({name}): no nodes?")
            }
        }
    }
}

/// A number of pods as people write it.
struct Pods(u32);

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pod{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

fn cut(name: &str) -> String {
    name.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Block, Reason};
    use crate::engine::observation::{FaultKind, Role};

    #[test]
    fn a_pod_is_named_where_one_is_known() {
        let reason = |example| Reason::Unread { pods: 1, ready: 2, example };
        assert_eq!(reason(None).to_string(), "1 of 2 ready pods unread");
        let named = reason(Some("llama-0".to_owned())).to_string();
        assert_eq!(named, "1 of 2 ready pods unread (llama-0)");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let (name, span) = ("p".repeat(253), Duration::MAX);
        let (read, counted, pods) = (f64::MAX, 1e14 / 3.0, u32::MAX);
        let role = Role::GpuMemoryBandwidth;
        let rows = [
            Reason::Outlier { pod: name.clone(), role, read, counted },
            Reason::Unconfirmed { pod: name.clone(), role, read, counted },
            Reason::Unread { pods, ready: pods, example: Some(name.clone()) },
            Reason::Stuck { pods, example: name.clone(), limit: span },
            Reason::Fault { place: name.clone(), kind: FaultKind::NotAllowed },
            Reason::OwnMissing { name },
            Reason::Missing { role },
            Reason::NoWakePath,
            Reason::Restored { age: span },
            Reason::Kept {
                wanted: pods,
                kept: pods,
                block: Block::NotIdle { idle: span, needed: span },
            },
            Reason::WakeExpired { retry: span },
            Reason::Asked { age: span },
            Reason::Scheduled { replicas: pods, begins_in: span },
            Reason::Wake { demand: f64::MAX, activation: f64::MAX },
        ];
        for reason in rows {
            let line = reason.to_string();
            assert!(!line.is_empty() && line.len() <= 120 && !line.contains('\n'), "{line}");
        }
    }
}
