//! What every term of demand is computed from, and the quantities that several terms share.

use std::time::Duration;

use crate::engine::capacity::Capacity;
use crate::engine::demand::pressure::Pressure;
use crate::engine::observation::Role;
use crate::engine::setup::Setup;
use crate::engine::signals::{Bound, Signals};
use crate::engine::units::Ratio;

/// A backlog is never drained faster than this, however quick the cold start: new replicas would
/// come and go with single bursts.
const DRAIN_MIN: Duration = Duration::from_secs(30);

/// Standard deviations of a Poisson count by which the last half minute must exceed the minute. Down to
/// a half, constant arrivals are as calm; below one, batches that only shift seem to grow.
const CHANCE: f64 = 1.0;

/// Standard deviations by which a minute may have been poor by chance, so that the way down does not
/// follow it. With one, constant arrivals of twelve replicas' worth wander by two of them in two seeds
/// of ten; with one and a half in none.
const CHANCE_DOWN: f64 = 1.5;

/// Standard deviations by which the last half minute must fall short of the minute: more than chance
/// takes from it, so that a fall shows half a minute earlier, too.
const CHANCE_FALLEN: f64 = 2.0;

/// What a term may look at. Capacity is what was known before this tick.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the user asked for.
    pub setup: &'a Setup,
    /// The tick in numbers.
    pub signals: &'a Signals,
    /// How missing pods are read.
    pub bound: Bound,
    /// What one replica carries.
    pub capacity: &'a Capacity,
    /// How long requests have been waiting, and what that asks for.
    pub pressure: &'a Pressure,
    /// Usable share of a replica's rate capacity that is in force.
    pub headroom: Ratio,
    /// P90 of cold starts.
    pub cold_start: Duration,
    /// A latency objective is missed.
    pub slow: bool,
}

impl Input<'_> {
    /// A gauge over all ready pods.
    #[must_use]
    pub fn level(&self, role: Role) -> Option<f64> {
        self.signals.totals.level(role, self.bound)
    }

    /// A counter's rate over all ready pods.
    #[must_use]
    pub fn rate(&self, role: Role) -> Option<f64> {
        self.signals.totals.rate(role, self.bound)
    }

    /// Ready replicas that carry load.
    #[must_use]
    pub fn ready(&self) -> Option<f64> {
        self.signals.supply.ready.map(f64::from)
    }

    /// Seconds in which a backlog should be drained: max(30 s, cold start).
    #[must_use]
    pub fn drain_seconds(&self) -> f64 {
        self.cold_start.max(DRAIN_MIN).as_secs_f64()
    }

    /// Waiting requests: in the engines, and at the gateway beyond what the engines know of. The
    /// gateway's number may include what is in flight, so only the excess is a queue; where it refuses,
    /// nobody waits.
    #[must_use]
    pub fn backlog(&self) -> Option<f64> {
        let waiting = self.level(Role::Waiting)?;
        let held = self.signals.outside.waits.unwrap_or(0.0);
        let running = self.level(Role::Running).unwrap_or(held);
        Some(waiting.max(held - running))
    }

    /// Arriving requests per second: the gateway's count of a minute or what came to the engines, whichever
    /// is more. The gateway knows of those that it holds; in the engines a rise shows sooner. Refused
    /// requests are demand as well.
    #[must_use]
    pub fn arrivals(&self) -> Option<f64> {
        let most = [self.signals.outside.arrivals, self.came()].into_iter().flatten();
        Some(most.reduce(f64::max)? + self.refused())
    }

    /// Refused requests per second beside those that are counted: who counts requests as they come has
    /// counted them.
    fn refused(&self) -> f64 {
        let counted =
            self.signals.outside.arrivals.is_some() || self.rate(Role::Arrivals).is_some();
        let refused = self.rate(Role::Rejections).filter(|_| !counted);
        refused.unwrap_or(0.0)
    }

    /// The same as a plain count of the last minute, which is what history has: what is added against
    /// chance and for steps would make each minute of a tick a few percent larger than the same minute
    /// of a back-fill.
    #[must_use]
    pub fn counted(&self) -> Option<f64> {
        let steady = || self.signals.came.steady.read(self.bound).map(|rate| rate.max(0.0));
        Some(self.signals.outside.arrivals.or_else(steady)? + self.refused())
    }

    /// What came to the engines per second: the mean of a minute, or what came lately, less what
    /// chance may have added to it, where that is more. A step shows half a minute earlier so, and
    /// constant arrivals do not look like steps. The high reading adds what chance may have
    /// taken from the minute: it would be back with the next. Neither is more than what came lately and what
    /// chance may have taken from that, so that a fall shows half a minute earlier, too.
    fn came(&self) -> Option<f64> {
        let came = &self.signals.came;
        let steady = came.steady.read(self.bound)?.max(0.0);
        let seen = came.lately.read(self.bound).map(|rate| rate.max(0.0));
        let lately = seen.unwrap_or(0.0);
        let added = CHANCE * deviation(lately, came.lately_seconds);
        let taken = match self.bound {
            Bound::Low => 0.0,
            Bound::High => CHANCE_DOWN * deviation(steady, came.steady_seconds),
        };
        // A pod that was not read lately has not fallen.
        let whole = seen.filter(|_| came.lately.known >= came.steady.known);
        let fallen = whole.map_or(f64::INFINITY, |seen| fallen(seen, came.lately_seconds));
        Some((steady + taken).min(fallen).max(lately - added))
    }
}

/// The most that a rate may be of which `seen` was counted over so many seconds. Where nothing was, a
/// request may just not have come.
fn fallen(seen: f64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        CHANCE_FALLEN.mul_add(deviation(seen.max(1.0 / seconds), seconds), seen)
    } else {
        f64::INFINITY
    }
}

/// Standard deviation of a rate that was counted over so many seconds, if requests come at random.
fn deviation(rate: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { (rate / seconds).sqrt() } else { 0.0 }
}
