//! How llm-d's autoscaler goes to zero and comes back: nothing for a retention period, something held.

use std::time::Duration;

use crate::engine::observation::Role;
use crate::engine::replay::law::View;
use crate::engine::replay::policy::query;
use crate::engine::units::Timestamp;

/// Requests are counted over this period by default.
const RETENTION: Duration = Duration::from_mins(10);
/// Counters are read over this much of it; the rest is remembered.
const WINDOW: Duration = Duration::from_mins(2);

/// When the workload was last asked for anything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Retention {
    last: Option<Timestamp>,
}

impl Retention {
    /// Whether there was no request for the whole period. What cannot be read counts as a request,
    /// and so does the beginning.
    pub(super) fn is_over(&mut self, view: &View<'_>) -> bool {
        let observation = view.observation;
        let gauges = [Role::Waiting, Role::Running].map(|role| query::sum(observation, role));
        let rate = query::arrivals(observation, WINDOW);
        let silent = gauges.into_iter().chain([rate]).all(|value| value == Some(0.0));
        if !silent || self.last.is_none() {
            self.last = Some(view.at);
        }
        self.last.is_some_and(|last| view.at.since(last) >= RETENTION)
    }
}

/// Replicas from zero: one as soon as the endpoint picker's queue holds anything.
pub(super) fn from_zero(view: &View<'_>) -> u32 {
    u32::from(query::held(view.observation).is_some_and(|held| held > 0.0))
}
