//! What is usual at a time of the day and of the week, in local time.
//!
//! Two profiles of square roots of demand: by slot of the day, and what a day of the week differs by.
//! Both fade: a slot's newest day counts a fifth, its newest week two fifths, so that a habit that
//! ends is forgotten within days. Given values with their place; promises `None` where nothing is known.

use serde::{Deserialize, Serialize};

use crate::engine::forecast::local::{Place, SLOTS};

/// A slot is read with its neighbours, which halves the noise and hides no rise: they span 25 minutes.
const KERNEL: [(isize, f32); 5] = [(-2, 1.0), (-1, 2.0), (0, 3.0), (1, 2.0), (2, 1.0)];
/// Least weight of a slot's newest day, and of its newest week.
const NEWEST_DAY: f32 = 0.2;
const NEWEST_WEEK: f32 = 0.4;
/// A weekday that was seen once is believed by 1 / (1 + 0.7).
const DOUBT: f32 = 0.7;

/// A fading mean over visits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Usual {
    mean: f32,
    /// Visits so far, up to 255.
    visits: u8,
}

impl Usual {
    /// Takes one of about `per_visit` values of a visit; `is_new` when it is the first of its visit.
    fn learn(&mut self, value: f32, is_new: bool, per_visit: f32, newest: f32) {
        if is_new || self.visits == 0 {
            self.visits = self.visits.saturating_add(1);
        }
        let is_first = self.visits == 1;
        let share = if is_first && is_new { 1.0 } else { self.share(newest) / per_visit };
        self.mean += share * (value - self.mean);
    }

    fn share(self, newest: f32) -> f32 {
        (1.0 / f32::from(self.visits)).max(newest)
    }
}

/// Profiles of day and week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    day: Vec<Usual>,
    week: Vec<Usual>,
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
            day: vec![Usual::default(); SLOTS],
            week: vec![Usual::default(); 7 * SLOTS],
            per_visit,
            slot: None,
        }
    }

    /// Takes the value at `place`.
    pub(super) fn learn(&mut self, place: Place, value: f32) {
        let is_new = self.slot != Some(place.slot);
        self.slot = Some(place.slot);
        let day = &mut self.day[place.slot];
        day.learn(value, is_new, self.per_visit, NEWEST_DAY);
        let differs = value - day.mean;
        self.week[place.weekday * SLOTS + place.slot].learn(
            differs,
            is_new,
            self.per_visit,
            NEWEST_WEEK,
        );
    }

    /// What is usual at `place`; `None` where no day has been seen.
    pub(super) fn usual(&self, place: Place) -> Option<f32> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for (by, weight) in KERNEL {
            let near = place.beside(by);
            let day = self.day[near.slot];
            if day.visits > 0 {
                let week = self.week[near.weekday * SLOTS + near.slot];
                let visits = f32::from(week.visits);
                sum += weight * (day.mean + week.mean * visits / (visits + DOUBT));
                weights += weight;
            }
        }
        (weights > 0.0).then(|| (sum / weights).max(0.0))
    }

    /// Everything `factor` times as large.
    pub(super) fn scale(&mut self, factor: f32) {
        self.day.iter_mut().chain(&mut self.week).for_each(|usual| usual.mean *= factor);
    }
}
