//! Replicas that are wanted whatever is measured: the floors under a decision, in every state.
//!
//! Given what the user set, what is foreseen and the lead time; promises one number. A floor that
//! begins before a pod started now would be ready is a demand now.

use std::time::Duration;

use crate::engine::calendar::Ahead;
use crate::engine::decide::ahead::Plan;
use crate::engine::decision::Reason;
use crate::engine::setup::Setup;
use crate::engine::units::Timestamp;

/// The floors of a tick, each with where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Floors {
    /// `instanceBounds`, in force or ahead by less than the lead time.
    pub schedule: Option<Ahead>,
    /// What is wanted ahead of demand; 0 for nothing.
    pub ahead: u32,
}

impl Floors {
    /// The floors at `now`. Where the calendar allows nothing at all now, it asks for nothing either.
    #[must_use]
    pub fn of(setup: &Setup, now: Timestamp, lead: Duration, plan: &Plan) -> Self {
        let schedule = setup.calendar.ahead(now, lead);
        let open = setup.calendar.ceiling(now) != Some(0);
        Self { schedule: schedule.filter(|_| open), ahead: if open { plan.floor() } else { 0 } }
    }

    /// The largest; 0 without any.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.schedule.map_or(0, |floor| floor.replicas).max(self.ahead)
    }

    /// What of this belongs into the decision.
    pub(super) fn reasons(&self) -> impl Iterator<Item = Reason> {
        let scheduled = |Ahead { replicas, begins_in }| Reason::Scheduled { replicas, begins_in };
        self.schedule.map(scheduled).into_iter()
    }
}
