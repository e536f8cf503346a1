//! Latency quantiles as `histogram_quantile(q, sum by (le) (rate(.._bucket[window])))` gives them.
//!
//! `rate` extrapolates to the ends of its window as Prometheus 3 does (`extrapolatedRate` in
//! `promql/functions.go`). Pods that went away within the window still count, as they do there.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::histogram::{never_falling, reading};
use crate::engine::observation::{Latency, LatencyReading};
use crate::engine::replay::histogram::Histogram;
use crate::engine::replay::replica::float;
use crate::engine::replay::scrape::page::Page;
use crate::engine::units::Timestamp;

/// Beyond this many gaps between samples an end of the window is taken to be without samples.
const GAPS: f64 = 1.1;

/// Each latency over `window` before `at`.
pub(super) fn latencies<'a, I>(
    pods: impl Fn() -> I,
    at: Timestamp,
    window: Duration,
    quantile: f64,
) -> BTreeMap<Latency, LatencyReading>
where
    I: Iterator<Item = &'a VecDeque<Page>>,
{
    let ends: Vec<(&Page, &Page, Span)> =
        pods().filter_map(|pages| ends(pages, at, window)).collect();
    [Latency::Ttft, Latency::InterToken, Latency::Request]
        .into_iter()
        .map(|latency| (latency, one(latency, &ends, window, quantile)))
        .collect()
}

fn one(
    latency: Latency,
    pods: &[(&Page, &Page, Span)],
    window: Duration,
    quantile: f64,
) -> LatencyReading {
    let histograms = pods
        .iter()
        .map(|(first, last, span)| (first.histogram(latency), last.histogram(latency), *span));
    let buckets = rates(histograms);
    reading(&buckets, window.as_secs_f64(), quantile)
}

/// `sum by (le) (rate(..))` over the histograms of pods, each as it was and as it is; pods of one
/// fleet have the same bounds.
fn rates<'a>(pods: impl Iterator<Item = (&'a Histogram, &'a Histogram, Span)>) -> Vec<(f64, f64)> {
    let mut sum: Vec<(f64, f64)> = Vec::new();
    for (first, last, span) in pods {
        let after = last.cumulative().chain([(f64::INFINITY, last.count())]);
        let before = first.cumulative().map(|(_, count)| count).chain([first.count()]);
        let rate = |((bound, after), before)| (bound, span.rate(float(before), float(after)));
        let rates = after.zip(before).map(rate);
        if sum.is_empty() {
            sum.extend(rates);
        } else {
            sum.iter_mut().zip(rates).for_each(|(bucket, (_, rate))| bucket.1 += rate);
        }
    }
    never_falling(&mut sum);
    sum
}

/// The first and last page within the window, where there are two.
fn ends(pages: &VecDeque<Page>, at: Timestamp, window: Duration) -> Option<(&Page, &Page, Span)> {
    let from = at.minus(window);
    let begin = pages.partition_point(|page| page.at <= from);
    let end = pages.partition_point(|page| page.at <= at);
    let (first, last) = (pages.get(begin)?, pages.get(end.checked_sub(1)?)?);
    let gaps = u32::try_from(end.checked_sub(begin + 1)?).ok().filter(|gaps| *gaps > 0)?;
    Some((first, last, Span::new((first.at, last.at), gaps, (from, at))))
}

/// How far the samples of one pod reach within a window, in seconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    sampled: f64,
    to_start: f64,
    to_end: f64,
    window: f64,
}

impl Span {
    fn new(
        (first, last): (Timestamp, Timestamp),
        gaps: u32,
        (from, to): (Timestamp, Timestamp),
    ) -> Self {
        let sampled = last.since(first).as_secs_f64();
        let gap = sampled / f64::from(gaps);
        let reach = |rest: Duration| {
            let rest = rest.as_secs_f64();
            if rest >= gap * GAPS { gap / 2.0 } else { rest }
        };
        Self {
            sampled,
            to_start: reach(first.since(from)),
            to_end: reach(to.since(last)),
            window: to.since(from).as_secs_f64(),
        }
    }

    /// Growth per second of a counter that showed `first` and `last`; it is not taken further back
    /// than to where it would have been zero.
    fn rate(&self, first: f64, last: f64) -> f64 {
        let grown = last - first;
        if grown <= 0.0 {
            return 0.0;
        }
        let to_zero = self.sampled * (first / grown);
        let reached = self.sampled + self.to_start.min(to_zero) + self.to_end;
        grown * reached / self.sampled / self.window
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Span, rates, reading};
    use crate::engine::replay::histogram::{Histogram, TTFT_BOUNDS};
    use crate::engine::units::Timestamp;

    /// The quantile over pods of which each observed these milliseconds, so many times each, evenly
    /// over the window.
    fn check_quantile(
        pods: &[&[(u64, u64)]],
        quantile: f64,
        expected: (Option<f64>, bool, Option<f64>),
    ) {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let span = Span::new((at(0), at(120)), 8, (at(0), at(120)));
        let before = Histogram::new(&TTFT_BOUNDS);
        let after: Vec<Histogram> = pods
            .iter()
            .map(|pod| {
                let mut histogram = before;
                pod.iter().for_each(|(value, times)| {
                    histogram.observe(Duration::from_millis(*value), *times);
                });
                histogram
            })
            .collect();
        let buckets = rates(after.iter().map(|after| (&before, after, span)));
        let found = reading(&buckets, 120.0, quantile);
        // Sums and quotients of small numbers.
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        };
        let (seconds, clamped, observations) = expected;
        assert!(near(found.seconds, seconds), "{pods:?}: {found:?}");
        assert!(near(found.observations, observations), "{pods:?}: {found:?}");
        assert_eq!(found.clamped, clamped, "{pods:?}: {found:?}");
    }

    #[test]
    fn quantiles_lie_within_buckets_and_say_when_they_do_not_know() {
        // Twenty in (0.25, 0.5]: half of them are taken to lie below the middle.
        check_quantile(&[&[(300, 20)]], 0.5, (Some(0.375), false, Some(20.0)));
        check_quantile(&[&[(300, 10)], &[(300, 10)]], 0.5, (Some(0.375), false, Some(20.0)));
        check_quantile(&[&[(300, 90)], &[(3000, 10)]], 0.95, (Some(3.75), false, Some(100.0)));
        check_quantile(&[&[(300, 19)]], 0.5, (None, false, Some(19.0)));
        check_quantile(&[&[(300, 10), (3_000_000, 10)]], 0.95, (Some(2560.0), true, Some(20.0)));
        check_quantile(&[&[]], 0.95, (None, false, Some(0.0)));
        check_quantile(&[], 0.95, (None, false, None));
    }

    /// Samples from `first` to `last` in `gaps` gaps, in a window of 120 s that ends at 120 s.
    fn check((first, last): (i64, i64), gaps: u32, values: (f64, f64), expected: f64) {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let to = at(120);
        let span = Span::new((at(first), at(last)), gaps, (to.minus(Duration::from_mins(2)), to));
        let rate = span.rate(values.0, values.1);
        // Quotients of small whole numbers.
        assert!((rate - expected).abs() < 1e-12, "{first}..{last} {values:?}: {rate}");
    }

    #[test]
    fn a_rate_reaches_to_the_ends_of_its_window_as_prometheus_does() {
        // 7 gaps of 15 s and both ends near: all of the 120 s.
        check((10, 115), 7, (1000.0, 1105.0), 105.0 * 120.0 / 105.0 / 120.0);
        // It began within the window: half a gap before the first sample.
        check((60, 120), 4, (1000.0, 1060.0), 60.0 * 67.5 / 60.0 / 120.0);
        // ... but not further back than to zero.
        check((60, 120), 4, (2.0, 62.0), 60.0 * 62.0 / 60.0 / 120.0);
        // It ended within the window.
        check((5, 50), 3, (1000.0, 1045.0), 45.0 * 57.5 / 45.0 / 120.0);
        check((5, 50), 3, (7.0, 7.0), 0.0);
    }
}
