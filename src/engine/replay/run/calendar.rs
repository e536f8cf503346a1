//! When the law looks, KEDA polls and the HPA syncs.
//!
//! Looks are aligned to the beginning, as prescale's ticks are to the clock. KEDA and the HPA began
//! at some other time: their phases are drawn from the run's seed.

use std::time::Duration;

use crate::engine::replay::hpa::SYNC_PERIOD;
use crate::engine::replay::policy::Actuator;
use crate::engine::replay::random::Random;

/// A law that is looked at inline and acts itself has nobody who reads it: it looks this often.
const ALONE: Duration = Duration::from_secs(1);

/// Set apart from the world's own draws from the same seed.
const SALT: u64 = 0x6b65_6461;

/// Something that comes again and again.
#[derive(Debug, Clone, Copy)]
struct Beat {
    next: Duration,
    every: Duration,
}

impl Beat {
    /// Whether it is due at `now`; if so, it is due next later.
    fn take(&mut self, now: Duration) -> bool {
        let due = self.next <= now;
        while self.next <= now {
            self.next += self.every;
        }
        due
    }
}

/// What is due at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// The law looks.
    pub(super) look: bool,
    /// KEDA polls.
    pub(super) poll: bool,
    /// The HPA syncs.
    pub(super) sync: bool,
}

/// Who acts when.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    look: Option<Beat>,
    poll: Option<Beat>,
    sync: Option<Beat>,
    has_begun: bool,
}

impl Calendar {
    /// A law looked at every `every`, or inline where that is zero.
    pub(super) fn new(every: Duration, actuator: &Actuator, seed: u64) -> Self {
        let mut random = Random::new(seed ^ SALT);
        let mut beat = |every: Duration| {
            // Whole milliseconds, as all instants of a run.
            let phase = every.mul_f64(random.unit()).as_millis();
            let next = Duration::from_millis(u64::try_from(phase).unwrap_or(0));
            Beat { next, every: every.max(Duration::from_millis(1)) }
        };
        let (poll, sync) = match actuator {
            Actuator::Direct => (None, None),
            Actuator::Keda(keda) => (Some(beat(keda.polling)), Some(beat(SYNC_PERIOD))),
        };
        let own = if every.is_zero() { poll.is_none().then_some(ALONE) } else { Some(every) };
        let look = own.map(|every| Beat { next: Duration::ZERO, every });
        Self { look, poll, sync, has_begun: false }
    }

    /// Whether the first instant, the beginning, has passed.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether the law looks when it is read.
    pub(super) const fn is_inline(&self) -> bool {
        self.look.is_none()
    }

    /// The next instant of any.
    pub(super) fn next(&self) -> Duration {
        if !self.has_begun {
            return Duration::ZERO;
        }
        let beats = [self.look, self.poll, self.sync].into_iter().flatten();
        beats.map(|beat| beat.next).min().unwrap_or(Duration::MAX)
    }

    /// What is due at `now`; it is taken for done.
    pub(super) fn take(&mut self, now: Duration) -> Due {
        self.has_begun = true;
        let take = |beat: &mut Option<Beat>| beat.as_mut().is_some_and(|beat| beat.take(now));
        Due { look: take(&mut self.look), poll: take(&mut self.poll), sync: take(&mut self.sync) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Calendar, Due};
    use crate::engine::replay::hpa::Behavior;
    use crate::engine::replay::policy::{Actuator, Keda};

    fn keda() -> Actuator {
        let (polling, cooldown) = (Duration::from_secs(5), Duration::from_mins(1));
        Actuator::Keda(Keda { polling, cooldown, push: true, min: 0, hpa: Behavior::shipped(1, 8) })
    }

    /// How often each comes in ten minutes, the beginning included.
    fn check(every: u64, actuator: &Actuator, expected: (u32, u32, u32)) {
        let mut calendar = Calendar::new(Duration::from_secs(every), actuator, 3);
        let (mut counts, mut now) = ((0, 0, 0), Duration::ZERO);
        while now < Duration::from_mins(10) {
            let Due { look, poll, sync } = calendar.take(now);
            counts.0 += u32::from(look);
            counts.1 += u32::from(poll);
            counts.2 += u32::from(sync);
            assert!(calendar.next() > now);
            now = calendar.next();
        }
        assert_eq!(counts, expected, "{every} s, {actuator:?}");
    }

    #[test]
    fn everyone_comes_at_their_own_pace() {
        check(15, &keda(), (40, 120, 40));
        check(30, &Actuator::Direct, (20, 0, 0));
        check(0, &keda(), (0, 120, 40));
        check(0, &Actuator::Direct, (600, 0, 0));
    }

    #[test]
    fn phases_differ_by_seed_and_stay_within_an_interval() {
        let phases = |seed| {
            let calendar = Calendar::new(Duration::from_secs(15), &keda(), seed);
            [calendar.poll, calendar.sync].map(|beat| beat.unwrap().next)
        };
        assert_eq!(phases(1), phases(1));
        assert_ne!(phases(1), phases(2));
        assert!((0..50).all(|seed| phases(seed)[0] < Duration::from_secs(5)));
    }
}
