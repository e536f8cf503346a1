//! When a workload usually wakes: which slots of which days had any demand.
//!
//! Given demand by the minute, or that it is unknown; promises, for an instant at which nothing is
//! wanted, how likely demand is within a span, how much it usually is, and how long it stays away. The days behind
//! vote. A day counts more when it is the same day of the week or was like the last one of those, when
//! it is recent, and when its hours before this time were like those behind us: on a holiday nobody
//! came at nine either.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::engine::forecast::local::{Local, SLOTS};
use crate::engine::units::Timestamp;

/// Days that vote.
const DAYS: u32 = 14;
/// A slot.
const SLOT: Duration = Duration::from_mins(5);
const SLOT_MS: i64 = 300_000;
/// The same day of the week counts as so many others.
const SAME_WEEKDAY: f64 = 3.0;
/// A day counts this much of the one after it.
const AGED: f64 = 0.95;
/// Two hours slot by slot, a day by quarters of an hour: how many, and every how many slots.
const HOURS: (u64, u64) = (24, 1);
const DAY: (u64, u64) = (96, 3);
const DAY_SLOTS: u32 = 288;
/// What differed in all of them counts exp of minus this much.
const UNLIKE: f64 = 6.0;
/// Days' worth of belief that nobody comes: one day alone does not make a habit.
const DOUBT: f64 = 0.5;
/// Days' worth of belief that idleness lasts as long again as it has lasted: it speaks where no day behind was
/// like this one. Chosen of 0.03, 0.1 and 0.5 on the two histories of scripts/idle.py: each notices the first
/// weekend of a team's cluster; for half hours of traffic at random the smallest costs least.
const INERTIA: f64 = 0.03;

/// A demand in a byte, or that nothing is known: of four significant bits, within a sixteenth. For days are
/// many, and what is usual is a mean over them. Larger where the demand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Level(u8);

impl Level {
    const UNKNOWN: Self = Self(0);
    const ZERO: Self = Self(1);
    /// The least above zero, 2^-9 per second, is the code 2; every eighth is twice as much, up to 6.8 million.
    const LEAST: u32 = 2;
    const LEAST_BITS: u32 = (127 - 9) << 3;
    /// Bits of an `f32` that are left out.
    const LEFT_OUT: u32 = 20;

    fn of(demand: f32) -> Self {
        if demand <= 0.0 {
            return Self::ZERO;
        }
        let nearest = demand.to_bits().saturating_add(1 << (Self::LEFT_OUT - 1)) >> Self::LEFT_OUT;
        let code = nearest.saturating_sub(Self::LEAST_BITS).saturating_add(Self::LEAST);
        Self(u8::try_from(code).unwrap_or(u8::MAX))
    }

    fn get(self) -> Option<f32> {
        let bits = || (u32::from(self.0) - Self::LEAST + Self::LEAST_BITS) << Self::LEFT_OUT;
        match self {
            Self::UNKNOWN => None,
            Self::ZERO => Some(0.0),
            Self(_) => Some(f32::from_bits(bits())),
        }
    }
}

/// The largest demand of each slot of one day.
#[derive(Debug, Clone, PartialEq)]
struct Slots([Level; SLOTS]);

impl Slots {
    const UNKNOWN: Self = Self([Level::UNKNOWN; SLOTS]);

    fn note(&mut self, slot: usize, demand: f32) {
        if let Some(most) = self.0.get_mut(slot) {
            *most = Level::of(demand).max(*most);
        }
    }

    fn at(&self, slot: usize) -> Option<f32> {
        self.0.get(slot).and_then(|level| level.get())
    }
}

/// The last days in slots, of absolute time: the wall clock is applied when they are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Rhythm {
    local: Local,
    /// Days, the newest last; a day begins at 0:00 UTC. Each in a place of its own: as allocators round, one
    /// for all would be a fifth larger than what it holds.
    days: std::collections::VecDeque<Box<Slots>>,
    /// The newest day, since the epoch.
    newest: Option<i64>,
    /// The newest minute with any demand.
    active: Option<Timestamp>,
}

impl Rhythm {
    /// Nothing known yet, in local time of `zone`; `holidays` count as Sundays.
    #[must_use]
    pub const fn new(zone: Tz, holidays: BTreeSet<NaiveDate>) -> Self {
        let days = std::collections::VecDeque::new();
        Self { local: Local::new(zone, holidays), days, newest: None, active: None }
    }

    /// Notes the demand of the minute at `at`; what is unknown is not noted.
    pub fn observe(&mut self, at: Timestamp, demand: Option<f64>) {
        let Some(demand) = demand.filter(|demand| demand.is_finite() && *demand >= 0.0) else {
            return;
        };
        if demand > 0.0 {
            self.active = self.active.max(Some(at));
        }
        #[expect(clippy::cast_possible_truncation, reason = "a float of less precision")]
        let demand = demand as f32;
        let (day, slot) = place(at);
        let newest = *self.newest.get_or_insert(day);
        let ahead = day.saturating_sub(newest);
        let begun = i64::from(self.days.is_empty());
        for _ in 0..ahead.clamp(begun, KEPT_I64) {
            self.begin();
        }
        self.newest = Some(newest.max(day));
        if let Some(slots) = self.slots_mut(day) {
            slots.note(slot, demand);
        }
    }

    /// Begins a day. Room is made for one at a time: growing as usual would double it.
    fn begin(&mut self) {
        if self.days.len() == KEPT {
            self.days.pop_front();
        }
        self.days.reserve_exact(1);
        self.days.push_back(Box::new(Slots::UNKNOWN));
    }

    /// How likely demand comes within `span` after `at`, 0..=1; `None` while no day behind can tell.
    #[must_use]
    pub fn chance(&self, at: Timestamp, span: Duration) -> Option<f64> {
        let slots = span.as_secs().div_ceil(SLOT.as_secs()).clamp(1, 288);
        let votes = self.votes(at, |then| {
            let mut seen = (0..=slots).map(|by| self.slot(after(then, by)));
            let unknown = seen.clone().any(|slot| slot.is_none());
            let active = seen.any(|slot| slot == Some(true));
            (active || !unknown).then_some(if active { 1.0 } else { 0.0 })
        });
        let (sum, weight) = votes?;
        Some(sum / (weight + DOUBT))
    }

    /// The largest demand that usually comes within `span` after `at`, where any comes: the mean of the
    /// days behind; `None` where none of them had any.
    #[must_use]
    pub fn usual(&self, at: Timestamp, span: Duration) -> Option<f64> {
        let slots = span.as_secs().div_ceil(SLOT.as_secs()).clamp(1, 288);
        let (sum, weight) = self.votes(at, |then| {
            let seen = (0..=slots).filter_map(|by| self.demand(after(then, by)));
            seen.reduce(f32::max).filter(|most| *most > 0.0).map(f64::from)
        })?;
        Some(sum / weight.max(f64::MIN_POSITIVE))
    }

    /// Everything `factor` times as large.
    pub fn rescale(&mut self, factor: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a float of less precision")]
        let factor = factor as f32;
        for level in self.days.iter_mut().flat_map(|day| &mut day.0) {
            *level = level.get().map_or(Level::UNKNOWN, |demand| Level::of(demand * factor));
        }
    }

    /// How long nothing usually comes after `at`, up to a day; `None` while no day behind can tell.
    #[must_use]
    pub fn idle(&self, at: Timestamp) -> Option<Duration> {
        let (sum, weight) = self.votes(at, |then| {
            let next = (0..SLOTS as u64).find(|by| self.slot(after(then, *by)) != Some(false));
            let (by, until) =
                next.map_or((SLOTS as u64, None), |by| (by, self.slot(after(then, by))));
            // Where it breaks off nobody knows how long it would have lasted.
            let known = next.is_none() || until == Some(true);
            let span = SLOT.saturating_mul(u32::try_from(by).unwrap_or(u32::MAX));
            known.then_some(span.as_secs_f64())
        })?;
        let so_far = self.active.map_or(0.0, |active| at.since(active).as_secs_f64());
        let mean = INERTIA.mul_add(so_far, sum) / (weight + INERTIA);
        Duration::try_from_secs_f64(mean).ok()
    }

    /// The weighted sum of what the days behind say, and the weights.
    fn votes(&self, at: Timestamp, vote: impl Fn(Timestamp) -> Option<f64>) -> Option<(f64, f64)> {
        let mut local = self.local.clone();
        let today = local.place(at);
        let last = local.days_before(at, 7).plus(SLOT * DAY_SLOTS);
        let (mut sum, mut weights) = (0.0, 0.0);
        for days in 1..=DAYS {
            let then = local.days_before(at, days);
            let Some(said) = vote(then) else { continue };
            let same = local.place(then).weekday == today.weekday;
            let age = AGED.powi(i32::try_from(days).unwrap_or(i32::MAX));
            let same = if same { SAME_WEEKDAY } else { 1.0 };
            let weight = age
                * same
                * self.alike(at, then, HOURS)
                * self.alike(last, then.plus(SLOT * DAY_SLOTS), DAY);
            sum += weight * said;
            weights += weight;
        }
        (weights > 0.0).then_some((sum, weights))
    }

    /// How alike two times were, looked at in these steps of slots back: above 0 and up to 1, which is
    /// also what nothing known comes to.
    fn alike(&self, one: Timestamp, other: Timestamp, (count, every): (u64, u64)) -> f64 {
        let (mut compared, mut unlike) = (0.0, 0.0);
        for by in 1..=count {
            let pair = [one, other].map(|at| self.slot(before(at, by * every)));
            if let [Some(one), Some(other)] = pair {
                compared += 1.0;
                unlike += if one == other { 0.0 } else { 1.0 };
            }
        }
        if compared > 0.0 { (-UNLIKE * unlike / compared).exp() } else { 1.0 }
    }

    fn slot(&self, at: Timestamp) -> Option<bool> {
        self.demand(at).map(|demand| demand > 0.0)
    }

    fn demand(&self, at: Timestamp) -> Option<f32> {
        let (day, slot) = place(at);
        let back = usize::try_from(self.newest?.checked_sub(day)?).ok()?;
        let idx = self.days.len().checked_sub(back + 1)?;
        self.days.get(idx)?.at(slot)
    }

    fn slots_mut(&mut self, day: i64) -> Option<&mut Slots> {
        let back = usize::try_from(self.newest?.checked_sub(day)?).ok()?;
        let idx = self.days.len().checked_sub(back + 1)?;
        self.days.get_mut(idx).map(|slots| &mut **slots)
    }
}

/// Days kept: those that vote, the one before and the one after.
const KEPT: usize = 16;
const KEPT_I64: i64 = 16;

/// The day since the epoch, and the slot in it.
fn place(at: Timestamp) -> (i64, usize) {
    let slot = at.unix_ms().div_euclid(SLOT_MS);
    (slot.div_euclid(288), usize::try_from(slot.rem_euclid(288)).unwrap_or(0))
}

fn after(at: Timestamp, slots: u64) -> Timestamp {
    at.plus(SLOT.saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX)))
}

fn before(at: Timestamp, slots: u64) -> Timestamp {
    at.minus(SLOT.saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use chrono_tz::Tz;

    use super::{Level, Rhythm};
    use crate::engine::units::Timestamp;

    /// 2026-01-05, a Monday, 0:00 UTC.
    const MONDAY: i64 = 1_767_571_200;

    fn at(day: i64, minute: i64) -> Timestamp {
        Timestamp::from_unix_ms((MONDAY + day * 86_400 + minute * 60) * 1000)
    }

    /// Eight to eighteen on working days, until the minute of that day.
    fn worked(until: (i64, i64)) -> Rhythm {
        let mut rhythm = Rhythm::new(Tz::UTC, BTreeSet::new());
        for day in 0..=until.0 {
            let end = if day == until.0 { until.1 } else { 1440 };
            for minute in 0..end {
                let active = day % 7 < 5 && (480..1080).contains(&minute);
                rhythm.observe(at(day, minute), Some(if active { 3.0 } else { 0.0 }));
            }
        }
        rhythm
    }

    #[test]
    fn a_working_day_is_foreseen_and_a_weekend_is_not() {
        let hour = Duration::from_mins(15);
        let rows = [
            // Tuesday of the second week, before eight, long before, and after work.
            ((8, 470), 0.7..=1.0, 0..=400),
            ((8, 300), 0.0..=0.01, 150..=500),
            ((8, 1100), 0.0..=0.01, 700..=1100),
            // Saturday morning.
            ((12, 470), 0.0..=0.3, 600..=1440),
        ];
        for ((day, minute), chance, idle) in rows {
            let rhythm = worked((day, minute));
            let said = rhythm.chance(at(day, minute), hour).unwrap();
            assert!(chance.contains(&said), "{day} {minute}: {said}");
            let lasts = rhythm.idle(at(day, minute)).unwrap().as_secs() / 60;
            assert!(idle.contains(&lasts), "{day} {minute}: {lasts} min");
            let usual = rhythm.usual(at(day, minute), hour);
            assert!(usual.is_none_or(|usual| (usual - 3.0).abs() < 1e-6), "{usual:?}");
        }
    }

    #[test]
    fn a_holiday_is_noticed_when_nobody_came() {
        let mut rhythm = worked((8, 480));
        for minute in 480..600 {
            rhythm.observe(at(8, minute), Some(0.0));
        }
        let lasts = rhythm.idle(at(8, 600)).unwrap().as_secs() / 60;
        assert!(lasts > 600, "{lasts} min");
    }

    #[test]
    fn a_level_is_within_a_sixteenth_and_what_is_little_is_not_nothing() {
        let mut demand = 0.002_f32;
        while demand < 6.8e6 {
            let off = (Level::of(demand).get().unwrap() - demand).abs();
            assert!(off <= demand / 16.0, "{demand}: {off}");
            demand *= 1.037;
        }
        let rows =
            [(0.0, 0.0..=0.0), (1.0, 1.0..=1.0), (1e-9, 0.0019..=0.002), (1e30, 6.8e6..=6.9e6)];
        for (demand, expected) in rows {
            let level = Level::of(demand).get().unwrap();
            assert!(expected.contains(&level), "{demand}: {level}");
        }
        assert_eq!(Level::UNKNOWN.get(), None);
        assert!(Level::of(3.0) > Level::ZERO && Level::ZERO > Level::UNKNOWN);
    }

    #[test]
    fn the_first_saturday_is_noticed_within_the_hour() {
        let mut rhythm = worked((5, 480));
        for minute in 480..540 {
            rhythm.observe(at(5, minute), Some(0.0));
        }
        let lasts = rhythm.idle(at(5, 540)).unwrap().as_secs() / 60;
        assert!(lasts > 60, "{lasts} min");
    }

    #[test]
    fn what_is_not_known_says_nothing() {
        let rhythm = Rhythm::new(Tz::UTC, BTreeSet::new());
        assert_eq!(rhythm.chance(at(0, 0), Duration::from_mins(5)), None);
        let rhythm = worked((0, 700));
        assert_eq!(rhythm.idle(at(0, 700)), None);
    }
}
