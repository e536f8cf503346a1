//! Kedastral's baseline model: the present continued by slope and acceleration, and the mean of the hour.
//!
//! Given the rows of a range query in steps of a minute, promises a rate, not negative, for each
//! minute ahead. It copies the source also where that is odd: the acceleration is over minutes, its
//! use over seconds squared; and within a horizon below an hour the hour is always the present one,
//! of which a first minute knows only yesterday's last two.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::units::Timestamp;

/// `--step`.
pub(super) const STEP: Duration = Duration::from_mins(1);
/// Rows over which a slope is taken, at most.
const TREND: usize = 10;
/// Fewer rows have no acceleration.
const MOMENTUM: usize = 6;
const HOUR_MS: i64 = 3_600_000;

/// One step of history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// When it was so.
    pub(super) at: Timestamp,
    /// Requests per second.
    pub(super) value: f64,
}

impl Row {
    fn hour(&self) -> usize {
        let hour = self.at.unix_ms().div_euclid(HOUR_MS).rem_euclid(24);
        usize::try_from(hour).unwrap_or(0)
    }
}

/// What was usual in an hour of the day when it was last seen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pattern {
    mean: f64,
    most: f64,
}

/// The model, with what it learned.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    hours: [Option<Pattern>; 24],
}

impl Baseline {
    /// Learns each hour of which there are two rows or more; others stay as they were.
    pub(super) fn train(&mut self, rows: &[Row]) {
        for (hour, pattern) in self.hours.iter_mut().enumerate() {
            let of_hour = rows.iter().filter(|row| row.hour() == hour);
            let values: Vec<f64> = of_hour.map(|row| row.value).collect();
            if values.len() >= 2 {
                let mean = values.iter().sum::<f64>() / f64::from(count(values.len()));
                let most = values.iter().copied().fold(0.0, f64::max);
                *pattern = Some(Pattern { mean, most });
            }
        }
    }

    /// The rates of the next `steps` minutes; `None` without rows.
    pub(super) fn predict(&self, rows: &[Row], steps: usize) -> Option<Vec<f64>> {
        let newest = rows.last()?;
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        let (slope, momentum) = (slope(&values), momentum(&values));
        let usual = self.hours.get(newest.hour()).copied().flatten();
        let usual = usual.map(|pattern| pattern.expected(momentum));
        let ahead = |step: usize| {
            let seconds = STEP.saturating_mul(count(step)).as_secs_f64();
            let bend = 0.5 * momentum * seconds * seconds / 60.0;
            let base = newest.value + slope * seconds + bend;
            let blended = usual.map_or(base, |usual| blend(base, usual));
            // Not a number is none.
            blended.max(0.0)
        };
        Some((1..=steps).map(ahead).collect())
    }
}

impl Pattern {
    /// While the rate accelerates, some of the largest counts.
    fn expected(&self, momentum: f64) -> f64 {
        if momentum > 0.0 { 0.7 * self.mean + 0.3 * self.most } else { self.mean }
    }
}

/// What is usual counts the more, the more it differs.
fn blend(base: f64, usual: f64) -> f64 {
    let ratio = usual / (base + 1.0);
    let weight = if ratio > 1.5 {
        0.8
    } else if ratio > 1.2 {
        0.7
    } else if ratio < 0.8 {
        0.6
    } else {
        0.5
    };
    (1.0 - weight) * base + weight * usual
}

/// Change per second of the newest ten, by least squares.
fn slope(values: &[f64]) -> f64 {
    let values = &values[values.len().saturating_sub(TREND)..];
    let n = f64::from(count(values.len()));
    if values.len() < 2 {
        return 0.0;
    }
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n;
    let points = || (0_u32..).map(|idx| f64::from(idx) - middle).zip(values);
    let covariance: f64 = points().map(|(x, y)| x * (y - mean)).sum();
    let variance: f64 = points().map(|(x, _)| x * x).sum();
    covariance / variance / STEP.as_secs_f64()
}

/// How much steeper the newer half is than the older one.
fn momentum(values: &[f64]) -> f64 {
    if values.len() < MOMENTUM {
        return 0.0;
    }
    let (older, newer) = values.split_at(values.len() / 2);
    slope(newer) - slope(older)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Baseline, Row, blend, momentum, slope};
    use crate::engine::units::Timestamp;

    /// A billionth: sums of a handful of numbers.
    fn near(found: f64, expected: f64, what: &str) {
        assert!((found - expected).abs() < 1e-9, "{what}: {found}, not {expected}");
    }

    /// Rows a minute apart, the first one at a minute of the day.
    fn rows(minute: u32, values: &[f64]) -> Vec<Row> {
        let begin = Timestamp::from_unix_ms(1_700_179_200_000);
        let at = |minute: u32| begin.plus(Duration::from_mins(u64::from(minute)));
        (minute..)
            .zip(values)
            .map(|(minute, value)| Row { at: at(minute), value: *value })
            .collect()
    }

    #[test]
    fn slopes_are_per_second_over_ten_rows_and_momentum_their_change() {
        let rising: Vec<f64> = (0_u32..20).map(|idx| 60.0 * f64::from(idx)).collect();
        let bent = [0.0, 0.0, 0.0, 60.0, 120.0, 180.0];
        let table: [(&[f64], f64, f64); 5] = [
            (&[], 0.0, 0.0),
            (&[5.0], 0.0, 0.0),
            (&rising, 1.0, 0.0),
            (&[60.0, 0.0], -1.0, 0.0),
            // Least squares over 0, 0, 0, 60, 120, 180: 660 / 17.5 per minute; halves: 0 and 60.
            (&bent, 660.0 / 17.5 / 60.0, 1.0),
        ];
        for (values, expected, bend) in table {
            near(slope(values), expected, "slope");
            near(momentum(values), bend, "momentum");
        }
    }

    #[test]
    fn what_is_usual_counts_by_how_far_it_is_off() {
        // Base 9: plus one it is 10.
        let table = [(16.0, 14.6), (13.0, 11.8), (10.0, 9.5), (7.0, 7.8), (8.0, 8.5)];
        for (usual, expected) in table {
            near(blend(9.0, usual), expected, "blend");
        }
    }

    #[test]
    fn hours_are_learned_from_two_rows_and_kept() {
        let mut model = Baseline::default();
        // TestBaselineModel_Train_Seasonality of the source: 200, 210 and 190 in an hour.
        model.train(&rows(9 * 60, &[200.0, 210.0, 190.0]));
        model.train(&rows(10 * 60, &[5.0]));
        let nine = model.hours[9].unwrap();
        near(nine.mean, 200.0, "mean");
        near(nine.most, 210.0, "most");
        assert_eq!(model.hours.iter().flatten().count(), 1);
    }

    #[test]
    fn flat_rates_stay_falling_ones_end_at_zero_and_nothing_is_nothing() {
        let mut model = Baseline::default();
        assert_eq!(model.predict(&[], 5), None);
        let flat = rows(0, &[100.0, 100.0, 100.0]);
        assert_eq!(model.predict(&flat, 5), Some(vec![100.0; 5]));
        let falling = rows(0, &[50.0, 40.0, 30.0, 20.0, 10.0]);
        assert_eq!(model.predict(&falling, 3), Some(vec![0.0; 3]));
        // With the hour known, whose mean is 30: the slope gives 0, which counts a fifth.
        model.train(&falling);
        let found = model.predict(&falling, 1).unwrap();
        near(found[0], 24.0, "the mean of the hour");
    }
}
