//! Faults put into a series, to see how long a forecast suffers from them.
//!
//! Each begins in the middle between the first origin and the end, so that there is as much before it
//! as behind. Given the same series, the same faults: chance is a fixed seed.

use std::fmt;
use std::time::Duration;

use crate::engine::replay::random::Random;
use crate::engine::score::series::{Series, steps};
use crate::engine::units::Timestamp;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// From the middle on, this share of the steps is missing, by chance.
    Gaps(f64),
    /// All steps of this time are missing.
    Hole(Duration),
    /// From the middle on, every value is this many times as large.
    Shift(f64),
    /// One value is this many times as large.
    Outlier(f64),
    /// From the middle on, the timestamps are this many milliseconds later; less than zero: earlier.
    Clock(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gaps(share) => write!(f, "{} % of the steps missing", share * 100.0),
            Self::Hole(span) => write!(f, "a hole of {}", told(*span)),
            Self::Shift(factor) => write!(f, "a shift to {factor} times the level"),
            Self::Outlier(factor) => write!(f, "one value {factor} times as large"),
            Self::Clock(by) => {
                let way = if *by < 0 { "back" } else { "ahead" };
                write!(f, "a clock set {way} by {}", told(Duration::from_millis(by.unsigned_abs())))
            }
        }
    }
}

/// Whole hours as such, everything else in seconds.
fn told(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds > 0 && seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ => format!("{} s", span.as_secs_f64()),
    }
}

/// A series with a fault in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Faulty {
    /// What a model sees, step by step.
    pub seen: Vec<(Timestamp, Option<f64>)>,
    /// What it is held to; `None`: not scored.
    pub held_to: Vec<Option<f64>>,
    /// The same for a model that sees the series as it was: the same steps.
    pub held_to_before: Vec<Option<f64>>,
    /// The first step that is disturbed: the first origin.
    pub begins: usize,
    /// Steps of a hole; 0 of the others.
    pub lasts: usize,
}

/// The seed of all chance.
const SEED: u64 = 1;

/// `series` with `fault` between step `first` and the end.
///
/// Scored is what was not itself disturbed: no step that is missing, not the outlier. After a shift
/// the targets are shifted, so that loss over mean demand is compared with the same of the series
/// before.
#[must_use]
pub fn put(fault: Fault, series: &Series, first: usize) -> Faulty {
    let n = series.values.len();
    let begins = first + n.saturating_sub(first) / 2;
    let mut seen: Vec<(Timestamp, Option<f64>)> =
        series.values.iter().enumerate().map(|(idx, value)| (series.at(idx), *value)).collect();
    let mut before = series.values.clone();
    let mut lasts = 0;
    match fault {
        Fault::Gaps(share) => {
            let mut random = Random::new(SEED);
            for idx in begins..n {
                if random.unit() < share {
                    seen[idx].1 = None;
                    before[idx] = None;
                }
            }
        }
        Fault::Hole(span) => {
            lasts = steps(span, series.step).min(n - begins);
            for idx in begins..begins + lasts {
                seen[idx].1 = None;
                before[idx] = None;
            }
        }
        Fault::Shift(factor) => {
            seen[begins..].iter_mut().for_each(|(_, value)| *value = value.map(|it| it * factor));
        }
        Fault::Outlier(factor) => {
            if let Some((_, value)) = seen.get_mut(begins) {
                *value = value.map(|it| it * factor);
                before[begins] = None;
            }
        }
        Fault::Clock(by) => {
            for (at, _) in &mut seen[begins..] {
                *at = Timestamp::from_unix_ms(at.unix_ms().saturating_add(by));
            }
        }
    }
    let kept = seen.iter().zip(&before).map(|((_, value), kept)| kept.and(*value));
    let held_to = kept.collect();
    Faulty { seen, held_to, held_to_before: before, begins, lasts }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fault, put};
    use crate::engine::score::series::Series;
    use crate::engine::units::Timestamp;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Ten minutes of twos; the middle of the last six is step 7.
    fn check(fault: Fault, seen: &[Option<f64>], held_to: &[Option<f64>]) {
        let values = vec![Some(2.0); 10];
        let series = Series { begins: Timestamp::default(), step: MINUTE, values };
        let faulty = put(fault, &series, 4);
        assert_eq!(faulty.begins, 7, "{fault}");
        let values: Vec<_> = faulty.seen.iter().map(|(_, value)| *value).collect();
        assert_eq!(values[..7], [Some(2.0); 7], "{fault}");
        assert_eq!(&values[7..], seen, "{fault}");
        assert_eq!(&faulty.held_to[7..], held_to, "{fault}");
        let before: Vec<_> = held_to.iter().map(|value| value.map(|_| 2.0)).collect();
        assert_eq!(&faulty.held_to_before[7..], before, "{fault}");
    }

    #[test]
    fn what_is_disturbed_is_not_scored_and_a_shift_is() {
        let two = Some(2.0);
        check(Fault::Hole(2 * MINUTE), &[None, None, two], &[None, None, two]);
        check(Fault::Hole(60 * MINUTE), &[None; 3], &[None; 3]);
        check(Fault::Shift(3.0), &[Some(6.0); 3], &[Some(6.0); 3]);
        check(Fault::Outlier(50.0), &[Some(100.0), two, two], &[None, two, two]);
        check(Fault::Gaps(1.0), &[None; 3], &[None; 3]);
        check(Fault::Clock(-3_600_000), &[two; 3], &[two; 3]);
    }

    #[test]
    fn a_clock_is_set_once_and_stays() {
        let values = vec![Some(2.0); 10];
        let series = Series { begins: Timestamp::default(), step: MINUTE, values };
        let faulty = put(Fault::Clock(-120_000), &series, 4);
        let minutes: Vec<i64> = faulty.seen.iter().map(|(at, _)| at.unix_ms() / 60_000).collect();
        assert_eq!(minutes, [0, 1, 2, 3, 4, 5, 6, 5, 6, 7]);
    }

    #[test]
    fn chance_is_the_same_every_time() {
        let values = vec![Some(2.0); 1000];
        let series = Series { begins: Timestamp::default(), step: MINUTE, values };
        let [one, two] = [0, 1].map(|_| put(Fault::Gaps(0.1), &series, 0));
        assert_eq!(one, two);
        let gaps = one.seen.iter().filter(|(_, value)| value.is_none()).count();
        assert!((30..=70).contains(&gaps), "{gaps} of 500");
    }
}
