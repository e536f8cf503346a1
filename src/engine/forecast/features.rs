//! What is known at a step, as numbers that a regression can weigh.
//!
//! Everything is a difference from the newest value, so that what is unknown is 0: "no different from
//! now". [`Now`] is what all horizons share, [`Ahead`] what one of them adds: what is usual then, and
//! what came after the same time of the last days.

use crate::engine::forecast::past::{DAYS, Past};
use crate::engine::forecast::regression::FEATURES;

/// Steps back whose values are features: dense where oscillations of minutes show, to 48.
const LAGS: [usize; 7] = [1, 2, 4, 8, 16, 32, 48];
/// Today may be at most this many times as large as an earlier day when that day's changes are
/// carried over to it, and as many times as small.
const ALIKE: f32 = 2.0;
/// Days whose changes are carried over: a week less one, so that each has both of its ends.
const CARRIED: usize = DAYS - 1;

/// What is known at a step, whatever the horizon.
#[derive(Debug)]
pub(super) struct Now<'a> {
    past: &'a Past,
    /// Steps back to the same time of the wall clock, of the last days.
    days_back: &'a [usize; DAYS],
    /// Level around that time, of the last days.
    then: [Option<f32>; DAYS],
    /// What is usual now, once a day was seen.
    usual: Option<f32>,
    shared: [f32; 11],
    unrest: [f32; 2],
}

impl<'a> Now<'a> {
    pub(super) fn new(past: &'a Past, days_back: &'a [usize; DAYS], usual: Option<f32>) -> Self {
        let newest = past.newest();
        let mut shared = [0.0; 11];
        for (feature, level) in shared.iter_mut().zip(past.levels()) {
            *feature = level - newest;
        }
        for (feature, lag) in shared[4..].iter_mut().zip(LAGS) {
            *feature = past.along(lag).map_or(0.0, |value| value - newest);
        }
        let then = days_back.map(|back| past.around(back));
        Self { past, days_back, then, usual, shared, unrest: past.unrest() }
    }

    pub(super) const fn past(&self) -> &Past {
        self.past
    }

    /// See [`Past::unrest`].
    pub(super) const fn unrest(&self) -> [f32; 2] {
        self.unrest
    }

    /// What the horizon of `steps` adds; `usual` is what is usual then.
    pub(super) fn ahead(&self, steps: usize, usual: Option<f32>) -> Ahead {
        let newest = self.past.newest();
        let from_newest = |value: Option<f32>| value.map_or(0.0, |value| value - newest);
        let later = |day: usize| self.days_back[day].checked_sub(steps);
        let yesterday = later(0).and_then(|back| self.past.back(back));
        let days = self.days(steps);
        let mut features = [0.0; FEATURES];
        features[..4].copy_from_slice(&self.shared[..4]);
        let (now, then) = self.usual.zip(usual).unwrap_or((newest, newest));
        features[4] = then - newest;
        features[5] = now - newest;
        features[6] = from_newest(yesterday);
        features[7] = from_newest(later(DAYS - 1).and_then(|back| self.past.back(back)));
        features[8..15].copy_from_slice(&self.shared[4..]);
        features[15] = from_newest(later(0).and_then(|back| self.past.around(back)));
        features[16] = from_newest(self.then[0]);
        features[17..].copy_from_slice(&days.means);
        Ahead {
            features,
            usual: then,
            carried: (newest + then - now).max(0.0),
            yesterday: yesterday.unwrap_or(newest),
            days: days.range,
            burst: self.burst(steps),
        }
    }

    /// What the last days did from this time on.
    fn days(&self, steps: usize) -> Days {
        let newest = self.past.newest();
        let level = self.past.levels()[0];
        let (mut sums, mut count) = ([0.0_f32; 3], 0.0_f32);
        let mut range: Option<(f32, f32)> = None;
        for day in 0..CARRIED {
            let later = self.days_back[day].checked_sub(steps);
            let Some(value) = later.and_then(|back| self.past.back(back)) else { continue };
            let Some(then) = self.then[day] else { continue };
            let ratio = if then > 0.0 { (level / then).clamp(1.0 / ALIKE, ALIKE) } else { 1.0 };
            let carried = (value - then) * ratio;
            sums = [sums[0] + value - newest, sums[1] + value - then, sums[2] + carried];
            count += 1.0;
            let said = newest + carried;
            range = Some(range.map_or((said, said), |(low, high)| (low.min(said), high.max(said))));
        }
        let means = if count > 0.0 { sums.map(|sum| sum / count) } else { [0.0; 3] };
        Days { means, range }
    }

    /// The largest value of yesterday within some minutes of then, and of all days kept.
    fn burst(&self, steps: usize) -> Option<(f32, f32)> {
        let yesterday = self.most(0, steps, 2)?;
        let mut week = yesterday;
        for day in 1..DAYS {
            week = self.most(day, steps, 5).map_or(week, |most| most.max(week));
        }
        Some((yesterday, week))
    }

    /// The largest value of every `apart`-th step within five of that time, so many days ago.
    fn most(&self, day: usize, steps: usize, apart: usize) -> Option<f32> {
        let first = (self.days_back[day] + 5).checked_sub(steps)?;
        let mut most: Option<f32> = None;
        let mut by = apart / 2;
        while by <= 10 {
            let value = first.checked_sub(by).and_then(|back| self.past.back(back));
            most = value.map_or(most, |value| Some(most.map_or(value, |most| most.max(value))));
            by += apart;
        }
        most
    }
}

struct Days {
    /// Means over the days, from the newest value: of what came, of what it was more than then, and
    /// of the same in proportion to today's level.
    means: [f32; 3],
    range: Option<(f32, f32)>,
}

/// What is known of one horizon.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Differences from the newest value, unscaled.
    pub(super) features: [f32; FEATURES],
    /// What is usual then; the newest value where nothing is.
    pub(super) usual: f32,
    /// The newest value, moved as usual moves until then.
    pub(super) carried: f32,
    /// What was at that time yesterday; the newest value where that is unknown.
    pub(super) yesterday: f32,
    /// The least and the most that one of the last days would say, carried over to today.
    pub(super) days: Option<(f32, f32)>,
    /// The largest value near that time: of yesterday, of the week.
    pub(super) burst: Option<(f32, f32)>,
}

impl Ahead {
    /// By how much days and profile disagree on the change until then.
    pub(super) fn discord(&self) -> f32 {
        let [newest_to_usual, now_to_usual] = [self.features[4], self.features[5]];
        let usual = newest_to_usual - now_to_usual;
        let yesterday = self.features[15] - self.features[16];
        let days = self.features[18];
        (yesterday - usual).abs().midpoint((days - usual).abs())
    }
}
