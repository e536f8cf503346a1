//! What came around the same time of day on the last seven days: a forecast that only repeats.
//!
//! Given the values of a series step by step, gaps said as gaps; promises those that came around the
//! time of a target, sorted, and memory that does not grow. Which of them is the forecast is left to
//! its users.

use std::collections::VecDeque;

/// Days that count: AHPA's documents ask for seven.
const DAYS: usize = 7;

/// Steps before and after the same time that count as well: one value a day says nothing of its spread.
const AROUND: usize = 5;

/// The newest steps of a series, a week and a little.
#[derive(Debug, Clone)]
pub struct TimeOfDay {
    day: usize,
    came: VecDeque<Option<f64>>,
}

impl TimeOfDay {
    /// Most values that count for one target.
    pub const MOST: usize = DAYS * (2 * AROUND + 1);

    /// Nothing came yet; a day has `day` steps.
    #[must_use]
    pub const fn new(day: usize) -> Self {
        Self { day, came: VecDeque::new() }
    }

    /// The next step; `None` is a gap.
    pub fn push(&mut self, came: Option<f64>) {
        if self.came.len() > DAYS * self.day + AROUND {
            self.came.pop_front();
        }
        self.came.push_back(came);
    }

    /// Replaces `pool` by what came around the time of the step that is `ahead` of the newest, in
    /// ascending order; none while no day is known.
    pub fn around(&self, ahead: usize, pool: &mut Vec<f64>) {
        pool.clear();
        for days in 1..=DAYS {
            // Steps back from the newest to the same time, so many days before the target.
            let Some(back) = (days * self.day).checked_sub(ahead) else { continue };
            let around = back.saturating_sub(AROUND)..=back.saturating_add(AROUND);
            let at = |back: usize| {
                let idx = self.came.len().checked_sub(back.saturating_add(1))?;
                self.came.get(idx).copied().flatten()
            };
            pool.extend(around.filter_map(at));
        }
        pool.sort_by(f64::total_cmp);
    }
}

#[cfg(test)]
mod tests {
    use super::TimeOfDay;

    /// A series of hours that rise from 0, with a gap in hour 7.
    fn check(hours: u32, ahead: usize, expected: &[f64]) {
        let mut days = TimeOfDay::new(24);
        for hour in 0..hours {
            days.push((hour != 7).then(|| f64::from(hour)));
        }
        let mut pool = vec![9.0];
        days.around(ahead, &mut pool);
        assert_eq!(pool, expected, "{ahead} after {hours}");
    }

    #[test]
    fn five_steps_to_each_side_of_the_same_time_count() {
        // Hour 30 is the newest, 32 the target: 8 a day before.
        check(31, 2, &[3.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]);
        check(0, 1, &[]);
        check(12, 2, &[]);
    }

    #[test]
    fn only_seven_days_are_remembered() {
        let mut days = TimeOfDay::new(24);
        (0..24 * 30).for_each(|hour| days.push(Some(f64::from(hour))));
        let mut pool = Vec::new();
        days.around(1, &mut pool);
        // The target is hour 720; the first of them is five hours before hour 552.
        assert_eq!((pool.len(), pool[0]), (TimeOfDay::MOST, 547.0));
    }
}
