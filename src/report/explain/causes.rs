//! The closed list of what shapes decisions, for sums over a day: one short name for each kind of
//! reason.

use crate::engine::decision::{Block, Early, Limit, Reason};

/// All names. Their place in this list is how they are counted.
pub const CAUSES: [&str; 27] = [
    "demand",
    "forecast",
    "wakes ahead",
    "stays awake",
    "down-window",
    "loading",
    "panic",
    "step down",
    "not idle for long enough",
    "incomplete data",
    "at the minimum",
    "at the maximum",
    "held",
    "stale data",
    "unreadable",
    "distrusted values",
    "stuck pods",
    "capacity unknown",
    "trim at its bound",
    "sleeps",
    "wakes",
    "asleep",
    "no number",
    "leaves the dead band",
    "shadow",
    "scheduled",
    "restored",
];

/// The place of a reason's kind in [`CAUSES`].
#[must_use]
pub const fn cause(reason: &Reason) -> usize {
    match reason {
        Reason::Need { .. } => 0,
        Reason::Early(Early::Forecast { .. }) => 1,
        Reason::Early(Early::WakesAhead { .. }) => 2,
        Reason::Early(Early::StaysAwake { .. } | Early::Relearns) => 3,
        Reason::Kept { block, .. } => match block {
            Block::Window { .. } | Block::Gap { .. } => 4,
            Block::Loading { .. } => 5,
            Block::Panic { .. } => 6,
            Block::Step | Block::Restless => 7,
            Block::NotIdle { .. } => 8,
            Block::Incomplete => 9,
        },
        Reason::Loading { .. } => 5,
        Reason::Unread { .. }
        | Reason::Missing { .. }
        | Reason::OwnMissing { .. }
        | Reason::PartialAnswer
        | Reason::ReplicasUnknown => 9,
        Reason::Limited { limit: Limit::Min, .. } => 10,
        Reason::Limited { limit: Limit::Max | Limit::ScheduledMax, .. } => 11,
        Reason::Held { .. } => 12,
        Reason::Stale { .. } => 13,
        Reason::Fault { .. } | Reason::ActivationUnreadable => 14,
        Reason::Outlier { .. } | Reason::Unconfirmed { .. } => 15,
        Reason::Stuck { .. } => 16,
        Reason::CapacityUnknown => 17,
        Reason::TrimAtBound { .. } => 18,
        Reason::Sleep { .. } => 19,
        Reason::Wake { .. } | Reason::Asked { .. } | Reason::Lease { .. } => 20,
        Reason::NoDemand
        | Reason::NoWakePath
        | Reason::WakeExpired { .. }
        | Reason::EnginesAsleep { .. } => 21,
        Reason::NoNumber | Reason::OnNoData { .. } => 22,
        Reason::Tolerance { .. } => 23,
        Reason::Shadow => 24,
        Reason::Scheduled { .. } => 25,
        Reason::Restored { .. } => 26,
    }
}
