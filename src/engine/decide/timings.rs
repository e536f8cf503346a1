//! How long things take for a workload: what waits for what, learned or as the user fixed it.

use std::time::Duration;

use crate::engine::memory::Memory;
use crate::engine::setup::Setup;

/// A shorter window would be one reading, which looks back over a minute.
const WINDOW_MIN: Duration = Duration::from_mins(1);
/// Replicas that are missed for one cold start in five or more were worth taking away.
const SOON_STARTS: u32 = 5;
/// However quick cold starts are: bursts that are further apart are days' shapes.
const SOON_MIN: Duration = Duration::from_mins(15);
/// And however slow: it is also how much is remembered.
const SOON_MAX: Duration = Duration::from_hours(6);

/// The timings of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// P90 of cold starts: what a backlog has to be drained in, and idleness to last for.
    pub cold_start: Duration,
    /// From a decision to a ready pod.
    pub lead: Duration,
    /// The down-window: max(60 s, median cold start). The usual price of a misjudged step down is what
    /// waiting may cost; with the P90, which stays at its seed for long, it cost 3 % more replicas for
    /// the same attainment.
    pub window: Duration,
    /// The down-window where load that goes is not expected back: max(60 s, half of that).
    pub calm_window: Duration,
    /// Load that comes back later than this was worth going down for: five cold starts, or 15 minutes.
    pub soon: Duration,
    /// Idle time before sleep: at least the cold start.
    pub idle_after: Duration,
    /// How long a wake is held.
    pub wake_timeout: Duration,
    /// Pods on their way for longer are stuck: twice the P90, whatever lead the user gave.
    pub stuck_after: Duration,
}

impl Timings {
    /// From what was learned, and what the user fixed.
    #[must_use]
    pub fn of(setup: &Setup, memory: &Memory) -> Self {
        let cold_start = memory.cold_starts.p90(setup.lead);
        let learned = memory.cold_starts.p90(crate::engine::setup::Lead::Learned);
        let lead = memory.cold_starts.lead(setup, setup.tick);
        let timeout = Duration::from_mins(15).max(lead.saturating_mul(3));
        let median = memory.cold_starts.median(setup.lead);
        Self {
            cold_start,
            lead,
            window: WINDOW_MIN.max(median),
            calm_window: WINDOW_MIN.max(median / 2),
            soon: cold_start.saturating_mul(SOON_STARTS).clamp(SOON_MIN, SOON_MAX),
            idle_after: setup.idle_after.max(cold_start),
            wake_timeout: setup.activation_timeout.unwrap_or(timeout),
            stuck_after: learned.max(cold_start).saturating_mul(2),
        }
    }
}
