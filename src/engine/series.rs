//! Samples of one time series as a scrape or a range selector gives them: raw, with their own times.
//!
//! A [`Series`] holds finite samples in ascending time, at most one per instant. Rates, resets and
//! ages are computed here, so that direct scrape and Prometheus share one code path. Which values
//! are sane for which role is left to [`crate::engine::signals`].

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::engine::numeric::{count, median, share};
use crate::engine::units::Timestamp;

/// Samples older than this say nothing about now: five minutes is Prometheus' own lookback.
const OLDEST: Duration = Duration::from_mins(5);
/// Clocks of scraped machines may run ahead by this much; more is a broken clock.
const AHEAD: Duration = Duration::from_mins(1);
/// A rise by more than this factor in one sample counts in full only when a second one confirms it.
const JUMP: f64 = 20.0;
/// A gauge below this is treated as this before the factor applies, so that a queue may go from 0
/// to 80 in one scrape and count at once; a larger one counts as 80 until the next scrape.
const GAUGE_FLOOR: f64 = 4.0;
/// The same for counters, per second: up to 2000 per second never needs a second sample.
const COUNTER_FLOOR: f64 = 100.0;

/// One reading of one series.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// When the page was scraped (never when a query was evaluated).
    pub at: Timestamp,
    /// The value; finite inside a [`Series`].
    pub value: f64,
}

/// A gauge as it counts now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The value that counts.
    pub value: f64,
    /// The value that was read; larger than `value` while a jump waits for its second sample.
    pub read: f64,
}

/// Samples in ascending time; finite; at most one per instant.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Series {
    samples: Vec<Sample>,
}

impl Series {
    /// Builds a series from samples in any order: values that are not finite are dropped (missing,
    /// never zero), of two samples at one instant the later one given wins.
    #[must_use]
    pub fn new(mut samples: Vec<Sample>) -> Self {
        samples.retain(|sample| sample.value.is_finite());
        samples.sort_by_key(|sample| sample.at);
        samples.reverse();
        samples.dedup_by_key(|sample| sample.at);
        samples.reverse();
        Self { samples }
    }

    /// The samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The newest sample.
    #[must_use]
    pub fn latest(&self) -> Option<Sample> {
        self.samples.last().copied()
    }

    /// The samples whose value lies in `sane` and whose time in `now - 5 min ..= now + 1 min`; the
    /// others are missing. Deserialised series need not have passed [`Series::new`], so finiteness
    /// and order are established again.
    #[must_use]
    pub fn trusted(&self, now: Timestamp, sane: &RangeInclusive<f64>) -> Self {
        let times = now.minus(OLDEST)..=now.plus(AHEAD);
        let keep = |sample: &&Sample| sane.contains(&sample.value) && times.contains(&sample.at);
        Self::new(self.samples.iter().filter(keep).copied().collect())
    }

    /// Age of the newest sample; zero if it is from the future.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.latest().map(|sample| now.since(sample.at))
    }

    /// The newest sample, if it is at most `age` old.
    #[must_use]
    pub fn latest_within(&self, now: Timestamp, age: Duration) -> Option<Sample> {
        self.latest().filter(|sample| now.since(sample.at) <= age)
    }

    /// The median time between samples; `None` with fewer than two.
    #[must_use]
    pub fn scrape_interval(&self) -> Option<Duration> {
        let gaps: Vec<f64> =
            self.pairs().map(|(before, after)| after.at.since(before.at).as_secs_f64()).collect();
        median(&gaps).map(Duration::from_secs_f64)
    }

    /// The largest value at or after `from`; `None` when there is no sample.
    #[must_use]
    pub fn max_since(&self, from: Timestamp) -> Option<f64> {
        self.since(from).map(|sample| sample.value).reduce(f64::max)
    }

    /// The smallest value at or after `from`; `None` when there is no sample.
    #[must_use]
    pub fn min_since(&self, from: Timestamp) -> Option<f64> {
        self.since(from).map(|sample| sample.value).reduce(f64::min)
    }

    /// The mean of the samples at or after `from`; `None` when there is no sample.
    #[must_use]
    pub fn mean_since(&self, from: Timestamp) -> Option<f64> {
        let values: Vec<f64> = self.since(from).map(|sample| sample.value).collect();
        share(values.iter().sum(), f64::from(count(values.len())))
    }

    /// The first value at or after `from`.
    #[must_use]
    pub fn first_since(&self, from: Timestamp) -> Option<Sample> {
        self.since(from).next().copied()
    }

    /// The gauge as it counts now: a rise by more than 20 times in the newest sample counts as 20
    /// times the one before (at least 80) until a second sample confirms it. A single sample has
    /// nothing to jump from and counts as it is.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        let read = self.latest()?.value;
        let before = self.pairs().last().map(|(before, _)| before.value);
        let value = before.map_or(read, |before| read.min(JUMP * before.max(GAUGE_FLOOR)));
        Some(Level { value, read })
    }

    /// How much a counter grew per second from the first to the last sample at or after `from`.
    ///
    /// A reset counts from zero (never negative, never a burst); a spike that the next sample takes
    /// back and an unconfirmed jump of the newest sample do not count; what was before `from` tells what is
    /// a jump. `None` with fewer than two samples.
    #[must_use]
    pub fn rate(&self, from: Timestamp) -> Option<f64> {
        let mut steady = self.without_jumps();
        steady.samples.retain(|sample| sample.at >= from);
        let (first, last) = (steady.samples.first()?, steady.samples.last()?);
        let span = last.at.since(first.at).as_secs_f64();
        let grown: f64 = steady.pairs().map(|(before, after)| growth(before, after)).sum();
        (span > 0.0).then(|| grown / span)
    }

    /// How much a counter grew from `from` until `until`, and how much of that time its samples cover;
    /// between two samples it grew steadily. Resets, spikes and jumps as in [`Series::rate`]; `None`
    /// where no two samples enclose any of it.
    #[must_use]
    pub fn grown(&self, from: Timestamp, until: Timestamp) -> Option<(f64, Duration)> {
        let (mut grown, mut covered) = (0.0, Duration::ZERO);
        for (first, second) in self.without_jumps().pairs() {
            let inside = second.at.min(until).since(first.at.max(from));
            let part = inside.as_secs_f64() / second.at.since(first.at).as_secs_f64();
            grown += growth(first, second) * part;
            covered += inside;
        }
        (!covered.is_zero()).then_some((grown, covered))
    }

    /// A gauge at `at`: on the line between the samples around it, else the nearest; the newest sample
    /// as it counts now ([`Series::level`]).
    #[must_use]
    pub fn value_at(&self, at: Timestamp) -> Option<f64> {
        let counted = self.level()?.value;
        let after = self.samples.partition_point(|sample| sample.at < at);
        let Some(next) = self.samples.get(after) else { return Some(counted) };
        let value = if after + 1 == self.samples.len() { counted } else { next.value };
        let Some(before) = after.checked_sub(1).and_then(|idx| self.samples.get(idx)) else {
            return Some(value);
        };
        let part = at.since(before.at).as_secs_f64() / next.at.since(before.at).as_secs_f64();
        Some(part.mul_add(value - before.value, before.value))
    }

    fn pairs(&self) -> impl Iterator<Item = (&Sample, &Sample)> {
        self.samples.iter().zip(self.samples.iter().skip(1))
    }

    fn since(&self, from: Timestamp) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.at >= from)
    }

    /// Drops counter samples that stand alone: spikes taken back, and a newest one out of all
    /// proportion to what came before.
    fn without_jumps(&self) -> Self {
        let mut kept: Vec<Sample> = Vec::with_capacity(self.samples.len());
        let mut fastest = COUNTER_FLOOR;
        for (idx, sample) in self.samples.iter().enumerate() {
            let Some(before) = kept.last() else {
                kept.push(*sample);
                continue;
            };
            let speed = growth(before, sample) / sample.at.since(before.at).as_secs_f64();
            let confirmed =
                self.samples.get(idx + 1).is_some_and(|next| next.value >= sample.value);
            if speed > JUMP * fastest && !confirmed {
                continue;
            }
            fastest = fastest.max(speed);
            kept.push(*sample);
        }
        Self { samples: kept }
    }
}

/// Growth between two counter samples; after a reset all that it shows is new.
fn growth(before: &Sample, after: &Sample) -> f64 {
    if after.value >= before.value { after.value - before.value } else { after.value }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Sample, Series};
    use crate::engine::units::Timestamp;

    const STEP: i64 = 15_000;

    /// Samples 15 s apart, the first at zero.
    fn series(values: &[f64]) -> Series {
        let sample = |(idx, value): (usize, &f64)| Sample {
            at: Timestamp::from_unix_ms(i64::try_from(idx).unwrap() * STEP),
            value: *value,
        };
        Series::new(values.iter().enumerate().map(sample).collect())
    }

    fn check_rate(values: &[f64], expected: Option<f64>) {
        let rate = series(values).rate(Timestamp::default());
        // A millionth: quotients of small integers.
        let near = match (rate, expected) {
            (Some(rate), Some(expected)) => (rate - expected).abs() < 1e-6,
            (rate, expected) => rate == expected,
        };
        assert!(near, "{values:?}: {rate:?} is not {expected:?}");
    }

    #[test]
    fn a_counter_reset_is_not_a_burst() {
        check_rate(&[], None);
        check_rate(&[7.0], None);
        check_rate(&[0.0, 15.0], Some(1.0));
        check_rate(&[1000.0, 1015.0, 15.0, 30.0], Some(1.0));
        check_rate(&[1000.0, 0.0], Some(0.0));
    }

    #[test]
    fn a_counter_that_jumps_waits_for_a_second_sample() {
        check_rate(&[0.0, 15.0, 30.0, 1e12], Some(1.0));
        check_rate(&[0.0, 15.0, 1e12, 45.0], Some(1.0));
        check_rate(&[0.0, 15.0, 150_000.0, 300_000.0], Some(300_000.0 / 45.0));
        check_rate(&[0.0, 1e12], None);
    }

    #[test]
    fn a_fast_counter_of_few_samples_has_a_rate_where_more_are_remembered() {
        // 10 000 tokens per second, scraped every 30 s: a window of 75 s holds two samples half of the time.
        let at = |idx: i32| Timestamp::from_unix_ms(i64::from(idx) * 30_000);
        let samples = (0..5).map(|idx| Sample { at: at(idx), value: f64::from(idx) * 300_000.0 });
        let series = Series::new(samples.collect());
        assert_eq!(series.rate(at(3)), Some(10_000.0));
        assert_eq!(series.grown(at(3), at(4)), Some((300_000.0, Duration::from_secs(30))));
        let two = Series { samples: series.samples[..2].to_vec() };
        assert_eq!(two.rate(at(0)), None, "nothing says that it is no mistake");
    }

    #[test]
    fn a_gauge_that_jumps_counts_in_full_on_the_second_sample() {
        let rows: [(&[f64], f64); 7] = [
            (&[50.0], 50.0),
            (&[0.0, 50.0], 50.0),
            (&[0.0, 500.0], 80.0),
            (&[0.0, 500.0, 500.0], 500.0),
            (&[10.0, 150.0], 150.0),
            (&[10.0, 1e8], 200.0),
            (&[300.0, 0.0], 0.0),
        ];
        for (values, expected) in rows {
            let level = series(values).level().map(|level| level.value);
            assert_eq!(level, Some(expected), "{values:?}");
        }
    }

    #[test]
    fn poison_and_samples_out_of_time_are_missing() {
        let now = Timestamp::from_unix_ms(600_000);
        let rows = [
            (600_000, 3.0, true),
            (660_000, 3.0, true),
            (661_000, 3.0, false),
            (300_000, 3.0, true),
            (299_000, 3.0, false),
            (600_000, -1.0, false),
            (600_000, 2e9, false),
            (600_000, f64::NAN, false),
            (600_000, f64::NEG_INFINITY, false),
        ];
        for (at, value, kept) in rows {
            let sample = Sample { at: Timestamp::from_unix_ms(at), value };
            let series = Series { samples: vec![sample] }.trusted(now, &(0.0..=1e9));
            assert_eq!(series.latest().is_some(), kept, "{value} at {at}");
        }
    }

    #[test]
    fn ages_and_intervals_come_from_the_samples() {
        let series = series(&[1.0, 2.0, 3.0]);
        let now = Timestamp::from_unix_ms(40_000);
        assert_eq!(series.age(now), Some(Duration::from_secs(10)));
        assert_eq!(series.age(Timestamp::default()), Some(Duration::ZERO));
        assert_eq!(series.scrape_interval(), Some(Duration::from_secs(15)));
        assert_eq!(series.latest_within(now, Duration::from_secs(9)), None);
        assert_eq!(series.max_since(Timestamp::from_unix_ms(1)), Some(3.0));
        assert_eq!(series.min_since(Timestamp::from_unix_ms(1)), Some(2.0));
        assert_eq!(series.min_since(now), None);
    }
}
