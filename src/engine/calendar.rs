//! Replicas by the calendar: limits that hold in the minutes of an expression, or from one to another.
//!
//! Given the entries of `instanceBounds` and an instant; promises the limits in force then, and the
//! largest floor that begins within a lead time. Overlaps are resolved upwards: of floors the largest,
//! of ceilings the largest. A ceiling wins over a floor; that is left to the decision.
//!
//! A minute that the clock shows twice holds, or begins and ends, twice. One that it skips never
//! holds; a start or end that falls into it comes when the skipped time ends, in its order.
//!
//! Cost: no cache and no walk over minutes. An entry takes two to four look-ups of its zone's offset;
//! a bound then takes a step per day ahead, a start and its end a step per day or unnamed month back
//! to the last of them: one or two for a daily one, at most some hundred for the rarest, 29 February.

mod schedule;
mod wall;

use std::cmp::Reverse;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::engine::calendar::wall::Stretch;
use crate::engine::units::{Replicas, Timestamp};

pub use schedule::{Fields, Schedule};
pub(crate) use wall::offset;

/// The farthest that is looked ahead: the longest lead time a user may give.
const AHEAD_MAX: Duration = Duration::from_hours(24);
/// The farthest that is looked back for a start, in minutes: nine years, since 29 February may take
/// eight to come again.
const BACK_MAX: i64 = 9 * 366 * 1440;

/// Limits by the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Calendar {
    entries: Vec<Entry>,
}

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The local time that its expressions are read in.
    pub zone: Tz,
    /// What it says.
    pub rule: Rule,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// AHPA's form: each bound holds in every minute that its expression matches.
    Matching {
        /// The first instant it holds; always, if absent.
        from: Option<Timestamp>,
        /// The first instant it holds no more; for ever, if absent.
        until: Option<Timestamp>,
        /// The bounds; at least one.
        bounds: Vec<Bound>,
    },
    /// KEDA's form: so many replicas from each start to the next end. In a minute that is both, it
    /// starts.
    Between {
        /// When it begins.
        start: Schedule,
        /// When it ends.
        end: Schedule,
        /// A floor while it lasts.
        desired: Replicas,
    },
}

/// Limits that hold in the minutes of an expression; at least one of them is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The minutes.
    pub cron: Schedule,
    /// Lower limit.
    pub min: Option<Replicas>,
    /// Upper limit; not below `min`.
    pub max: Option<Replicas>,
}

/// The limits of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The largest floor in force, in replicas.
    pub min: Option<u32>,
    /// The largest ceiling in force, in replicas; it wins.
    pub max: Option<u32>,
}

/// A floor in force, or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Replicas; at least one.
    pub replicas: u32,
    /// Time until it begins; zero when it is in force.
    pub begins_in: Duration,
}

impl Calendar {
    /// The calendar of these entries.
    #[must_use]
    pub const fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Its entries, as the user gave them.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The largest floor that it ever asks for, in replicas; 0 without any.
    #[must_use]
    pub fn floor_max(&self) -> u32 {
        let floors = self.entries.iter().filter_map(|entry| match &entry.rule {
            Rule::Matching { bounds, .. } => bounds.iter().filter_map(|bound| bound.min).max(),
            Rule::Between { desired, .. } => Some(*desired),
        });
        floors.max().map_or(0, Replicas::get)
    }

    /// The limits in force at `now`; a floor of nothing is none.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Limits {
        let min = self.ahead(now, Duration::ZERO).map(|floor| floor.replicas);
        Limits { min, max: self.ceiling(now) }
    }

    /// The largest ceiling in force at `now`.
    #[must_use]
    pub fn ceiling(&self, now: Timestamp) -> Option<u32> {
        self.entries.iter().filter_map(|entry| entry.ceiling(now)).max().map(Replicas::get)
    }

    /// The largest floor in force at any instant from `now` to `lead` later, both included; of equal
    /// ones the first to begin. A lead beyond a day counts as a day.
    #[must_use]
    pub fn ahead(&self, now: Timestamp, lead: Duration) -> Option<Ahead> {
        let until = now.plus(lead.min(AHEAD_MAX));
        let floors = self.entries.iter().filter_map(|entry| entry.floor(now, until));
        let (replicas, Reverse(begin)) =
            floors.max().filter(|(floor, _)| *floor > Replicas::ZERO)?;
        let begin = Timestamp::from_unix_ms(begin.saturating_mul(1000));
        Some(Ahead { replicas: replicas.get(), begins_in: begin.since(now) })
    }
}

/// A floor and the second it begins, as they compare: the larger, then the earlier.
type Floor = (Replicas, Reverse<i64>);

impl Entry {
    fn ceiling(&self, now: Timestamp) -> Option<Replicas> {
        let Rule::Matching { from, until, bounds } = &self.rule else { return None };
        if from.is_some_and(|from| now < from) || until.is_some_and(|until| now >= until) {
            return None;
        }
        let minute = wall::shown(self.zone, second(now));
        let capped = bounds.iter().filter(|bound| bound.max.is_some());
        let named = capped.filter(|bound| bound.cron.first(minute..=minute).is_some());
        named.filter_map(|bound| bound.max).max()
    }

    /// The largest floor from `now` to `until`, both included.
    fn floor(&self, now: Timestamp, until: Timestamp) -> Option<Floor> {
        match &self.rule {
            Rule::Matching { from, until: end, bounds } => {
                let from = from.map_or(now, |from| from.max(now));
                let last = end.map(|end| end.minus(Duration::from_millis(1)));
                let until = last.map_or(until, |last| last.min(until));
                let stretches = wall::stretches(self.zone, second(from), second(until));
                let floors = bounds.iter().filter_map(|bound| {
                    Some((bound.min?, Reverse(first(&bound.cron, stretches.clone())?)))
                });
                floors.max().filter(|_| from <= until)
            }
            Rule::Between { start, end, desired } => {
                let (now, until) = (second(now), second(until));
                let begin = self.begin(start, end, (now, until))?;
                Some((*desired, Reverse(begin)))
            }
        }
    }

    /// The first second from `now` to `until` that lies between a start and its end.
    fn begin(&self, start: &Schedule, end: &Schedule, (now, until): (i64, i64)) -> Option<i64> {
        // A start that the clock skips shows in the state after the skipped time.
        wall::stretches(self.zone, now, until).find_map(|stretch| {
            let begun = self.is_between(start, end, stretch.from).then_some(stretch.from);
            begun.or_else(|| first(start, std::iter::once(stretch)))
        })
    }

    /// Whether the last start up to `now` has had no end yet.
    fn is_between(&self, start: &Schedule, end: &Schedule, now: i64) -> bool {
        let shown = wall::shown(self.zone, now);
        let back = shown.saturating_sub(BACK_MAX);
        // What the clock has shown, the latest first: when it was put back, it has shown more than now.
        let parts = match wall::repeated(self.zone, now).map(std::ops::RangeInclusive::into_inner) {
            None => [Some(back..=shown), None, None],
            Some((first, last)) => {
                [Some(first..=shown), Some(shown + 1..=last), Some(back..=first - 1)]
            }
        };
        let started = parts.into_iter().flatten().find_map(|minutes| {
            let to = *minutes.end();
            match start.last(minutes.clone()) {
                Some(begin) => Some(end.last(begin + 1..=to).is_none()),
                None => end.last(minutes).map(|_| false),
            }
        });
        started.unwrap_or(false)
    }
}

/// The first second of `stretches` in a minute that `schedule` names.
fn first(schedule: &Schedule, mut stretches: impl Iterator<Item = Stretch>) -> Option<i64> {
    stretches.find_map(|stretch| schedule.first(stretch.minutes()).map(|at| stretch.begin(at)))
}

const fn second(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(1000)
}

#[cfg(test)]
mod tests;
