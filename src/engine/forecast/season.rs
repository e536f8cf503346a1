//! What is usual at a time of the day and of the week, in local time.
//!
//! Two profiles of square roots of demand: by slot of the day, and what a day of the week differs by.
//! Both fade: a slot's newest day counts a fifth, its newest week two fifths, so that a habit that
//! ends is forgotten within days. Given values with their place; promises `None` where nothing is known.

use serde::{Deserialize, Serialize};

use crate::engine::forecast::local::{Place, SLOTS};
use crate::engine::rough::Rough;

/// A slot is read with its neighbours, which halves the noise and hides no rise: they span 25 minutes.
const KERNEL: [(isize, f32); 5] = [(-2, 1.0), (-1, 2.0), (0, 3.0), (1, 2.0), (2, 1.0)];
/// Least weight of a slot's newest day, and of its newest week.
const NEWEST_DAY: f32 = 0.2;
const NEWEST_WEEK: f32 = 0.4;
/// A weekday that was seen once is believed by 1 / (1 + 0.7).
const DOUBT: f32 = 0.7;
/// Visits are counted up to this: many more would be believed by a twentieth more.
const MOST_VISITS: u8 = 15;

/// Fading means over visits, one per slot. Apart from their counts, for the two together would be padded
/// to twice what they hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Profile<M> {
    means: Vec<M>,
    /// Visits so far, two counts in a byte.
    visits: Vec<u8>,
    /// Least weight of the newest visit.
    newest: f32,
}

impl<M: Copy + From<f32> + Into<f32>> Profile<M> {
    fn new(slots: usize, newest: f32) -> Self {
        Self { means: vec![0.0.into(); slots], visits: vec![0; slots.div_ceil(2)], newest }
    }

    /// Takes one of about `per_visit` values of a visit; `is_new` when it is the first of its visit.
    fn learn(&mut self, slot: usize, value: f32, is_new: bool, per_visit: f32) {
        let before = self.visits(slot);
        let is_first = before == 0;
        let is_counted = (is_new || is_first) && before < MOST_VISITS;
        self.visits[slot / 2] += u8::from(is_counted) << half(slot);
        let share = (1.0 / f32::from(self.visits(slot))).max(self.newest) / per_visit;
        let mean: f32 = self.means[slot].into();
        let share = if is_first { 1.0 } else { share };
        self.means[slot] = (mean + share * (value - mean)).into();
    }

    fn at(&self, slot: usize) -> (f32, f32) {
        (self.means[slot].into(), f32::from(self.visits(slot)))
    }

    fn visits(&self, slot: usize) -> u8 {
        (self.visits[slot / 2] >> half(slot)) & MOST_VISITS
    }

    fn scale(&mut self, factor: f32) {
        self.means.iter_mut().for_each(|mean| *mean = (factor * (*mean).into()).into());
    }
}

/// Profiles of day and week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    day: Profile<f32>,
    /// Roughly: it is a small part of what is usual, and most of the memory.
    week: Profile<Rough>,
    /// Steps of one visit to a slot, at least one.
    per_visit: f32,
    slot: Option<usize>,
}

impl Season {
    /// Of steps of which `day` make a day.
    pub(super) fn new(day: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most a few thousand")]
        let per_visit = (day as f32 / SLOTS as f32).max(1.0);
        Self {
            day: Profile::new(SLOTS, NEWEST_DAY),
            week: Profile::new(7 * SLOTS, NEWEST_WEEK),
            per_visit,
            slot: None,
        }
    }

    /// Takes the value at `place`.
    pub(super) fn learn(&mut self, place: Place, value: f32) {
        let is_new = self.slot != Some(place.slot);
        self.slot = Some(place.slot);
        self.day.learn(place.slot, value, is_new, self.per_visit);
        let differs = value - self.day.at(place.slot).0;
        self.week.learn(of_week(place), differs, is_new, self.per_visit);
    }

    /// What is usual at `place`; `None` where no day has been seen.
    pub(super) fn usual(&self, place: Place) -> Option<f32> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (by, weight) in KERNEL {
            let near = place.beside(by);
            let (day, visits) = self.day.at(near.slot);
            if visits > 0.0 {
                let (week, visits) = self.week.at(of_week(near));
                sum += weight * (day + week * visits / (visits + DOUBT));
                weights += weight;
            }
        }
        (weights > 0.0).then(|| (sum / weights).max(0.0))
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        self.day.scale(factor);
        self.week.scale(factor);
    }
}

/// Bits below the count of a slot in its byte.
const fn half(slot: usize) -> usize {
    if slot.is_multiple_of(2) { 0 } else { 4 }
}

const fn of_week(place: Place) -> usize {
    place.weekday * SLOTS + place.slot
}
