//! What was said last: what is left of a foresight over a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::arrived::Minute;
use crate::engine::foresight::ahead::Ahead;
use crate::engine::units::Timestamp;

/// A forecast is about the minutes after the newest one; when that is older, it is no forecast.
const AGE_MAX: Duration = Duration::from_mins(5);
/// After a restart thousands of scalers learn their days one after the other; who takes longer has no past to
/// learn from.
const RELEARNED_WITHIN: Duration = Duration::from_mins(30);

/// A forecast of work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Said {
    /// The newest minute that it knew.
    pub(super) known: Timestamp,
    pub(super) ahead: Ahead,
}

/// Whether days that were known at `known` are still to be learned again at `now`.
pub(super) fn was_lately(known: Timestamp, now: Timestamp) -> bool {
    now.since(known) <= RELEARNED_WITHIN
}

/// Whether what was known at `known` still says something at `now`, and is not of a clock that went ahead.
pub(super) fn is_young(known: Timestamp, now: Timestamp) -> bool {
    now.since(known) <= AGE_MAX && known.since(now) <= Minute::LENGTH
}
