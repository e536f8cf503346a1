//! A history's figures: how many requests, how fast, how large; and what they need.

use std::time::Duration;

use crate::engine::replay::request::Arrival;
use crate::report::backtest::Trace;

/// Requests from which the mix is learned. The measurement takes some 2000 to 3000 in turns: of more
/// it would see the beginning only. The mean of sizes that spread as those of the public traces do
/// (a coefficient of variation of about 1 to 2) is known to some percent.
const SAMPLE: usize = 2000;

const MINUTE: Duration = Duration::from_mins(1);

/// How fast requests arrive, per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    /// In the first minute.
    pub(super) first: f64,
    /// In the mean.
    pub(super) mean: f64,
    /// In the busiest minute.
    pub(super) peak: f64,
}

/// The rates of `arrivals` within `length`. A history shorter than a minute is one minute of its own
/// length.
pub(super) fn rates(arrivals: &[Arrival], length: Duration) -> Rates {
    let minute = MINUTE.min(length).as_secs_f64();
    let of = |arrival: &Arrival| arrival.at.as_secs() / MINUTE.as_secs();
    let minutes = || arrivals.chunk_by(|a, b| of(a) == of(b));
    let per_second = |count: usize| number(count) / minute;
    let first = minutes().next().filter(|chunk| chunk.first().is_some_and(|one| of(one) == 0));
    Rates {
        first: per_second(first.map_or(0, <[Arrival]>::len)),
        mean: number(arrivals.len()) / length.as_secs_f64(),
        peak: per_second(minutes().map(<[Arrival]>::len).max().unwrap_or(0)),
    }
}

/// The figures that are told.
pub(super) fn told(name: &str, begins_unix_ms: i64, length: Duration, all: &[Arrival]) -> Trace {
    let Rates { mean, peak, .. } = rates(all, length);
    let size = |read: fn(&Arrival) -> u32| {
        all.iter().map(|arrival| f64::from(read(arrival))).sum::<f64>() / number(all.len()).max(1.0)
    };
    Trace {
        name: name.to_owned(),
        begins_unix_ms,
        seconds: length.as_secs_f64(),
        requests: u64::try_from(all.len()).unwrap_or(u64::MAX),
        rate_mean: mean,
        rate_peak: peak,
        prompt_mean: size(|arrival| arrival.prompt),
        output_mean: size(|arrival| arrival.output),
    }
}

/// The mix: requests from all over the history, evenly spaced, in order.
pub(super) fn sample(arrivals: &[Arrival]) -> Vec<Arrival> {
    arrivals.iter().step_by(arrivals.len().div_ceil(SAMPLE).max(1)).copied().collect()
}

/// Replicas that carry `rate` when each may be used to `share` of its `knee`, at most `most`.
pub(super) fn need(rate: f64, knee: f64, share: f64, most: u32) -> u32 {
    let need = (rate / (knee * share)).ceil();
    // Counting up is exact and short: at most the 1000 replicas that are ever allowed.
    (0..most).find(|count| f64::from(*count) >= need).unwrap_or(most)
}

/// Exact: no history that fits into memory has 2^32 requests.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rates, SAMPLE, need, rates, sample, told};
    use crate::engine::replay::request::Arrival;

    fn at(seconds: f64) -> Arrival {
        Arrival { at: Duration::from_secs_f64(seconds), prompt: 100, cached: 0, output: 20 }
    }

    #[test]
    fn the_busiest_minute_and_the_first_one_are_found() {
        let hour = Duration::from_hours(1);
        let rows: [(&[f64], Duration, [f64; 3]); 4] = [
            (&[0.0, 59.0, 61.0], hour, [2.0 / 60.0, 3.0 / 3600.0, 2.0 / 60.0]),
            (&[120.0, 121.0, 122.0], hour, [0.0, 3.0 / 3600.0, 3.0 / 60.0]),
            (&[1.0, 2.0], Duration::from_secs(10), [0.2, 0.2, 0.2]),
            (&[], hour, [0.0, 0.0, 0.0]),
        ];
        for (instants, length, [first, mean, peak]) in rows {
            let arrivals: Vec<_> = instants.iter().map(|seconds| at(*seconds)).collect();
            assert_eq!(rates(&arrivals, length), Rates { first, mean, peak }, "{instants:?}");
        }
    }

    #[test]
    fn sizes_are_means_over_the_requests() {
        let mut arrivals = vec![at(1.0), at(2.0)];
        arrivals[1].prompt = 300;
        let trace = told("x", 5, Duration::from_mins(1), &arrivals);
        assert!(
            (trace.prompt_mean - 200.0).abs() < 1e-9 && (trace.output_mean - 20.0).abs() < 1e-9
        );
        assert_eq!((trace.requests, trace.begins_unix_ms), (2, 5));
    }

    #[test]
    fn the_mix_is_taken_from_the_whole_history() {
        let arrivals: Vec<_> = (0..3 * SAMPLE).map(|_| at(1.0)).collect();
        assert_eq!(sample(&arrivals).len(), SAMPLE);
        assert_eq!(sample(&arrivals[..7]).len(), 7);
        assert!(sample(&[]).is_empty());
    }

    #[test]
    fn the_need_is_rounded_up_and_limited() {
        let rows = [(0.0, 0), (0.1, 1), (7.0, 1), (7.1, 2), (700.0, 20), (f64::INFINITY, 20)];
        for (rate, expected) in rows {
            assert_eq!(need(rate, 10.0, 0.7, 20), expected, "{rate}");
        }
    }
}
