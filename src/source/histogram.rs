//! Quantiles of classic histograms over the window that direct scrape remembers.
//!
//! Given bucket series of any number of pods, it promises what Prometheus' `histogram_quantile` over
//! increases would say, with the number of observations behind it. Bounds are compared as numbers,
//! and pods whose bounds differ (a rollout, custom buckets) are merged on those that all have.

use std::collections::BTreeMap;

use crate::engine::histogram::{UNREADABLE, never_falling, reading as quantile_of};
use crate::engine::observation::LatencyReading;
use crate::engine::series::Series;
use crate::source::assemble::RawSeries;

/// Cumulative counts by upper bound, ascending, the last one infinite.
type Buckets = Vec<(f64, f64)>;

/// The `quantile` (0..=1) over `pods`, each given by the `_bucket` series of one family; `scale`
/// turns its unit into seconds. Nothing at all is read when no series has an infinite bound.
#[must_use]
pub fn reading(quantile: f64, scale: f64, pods: &[Vec<&RawSeries>]) -> LatencyReading {
    let histograms: Vec<Buckets> = pods.iter().flat_map(|pod| histograms(pod)).collect();
    if histograms.is_empty() {
        return UNREADABLE;
    }
    let found = quantile_of(&merged(&histograms), 1.0, quantile);
    let seconds = found.seconds.map(|value| value * scale).filter(|seconds| seconds.is_finite());
    LatencyReading { seconds, ..found }
}

/// The histograms of one pod: one for each set of labels besides `le`, as increases over the window.
fn histograms(pod: &[&RawSeries]) -> Vec<Buckets> {
    let mut groups: BTreeMap<BTreeMap<&str, &str>, Buckets> = BTreeMap::new();
    for raw in pod {
        let Some(bound) = raw.labels.get("le").and_then(|le| le.parse::<f64>().ok()) else {
            continue;
        };
        if bound.is_nan() {
            continue;
        }
        let rest = raw.labels.iter().filter(|(name, _)| *name != "le");
        let rest = rest.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        groups.entry(rest).or_default().push((bound, increase(&raw.series)));
    }
    let mut all: Vec<Buckets> = groups.into_values().collect();
    for buckets in &mut all {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq());
    }
    all.retain(|buckets| buckets.last().is_some_and(|(bound, _)| *bound == f64::INFINITY));
    all
}

/// What a counter gained over its samples; after a reset it gained what it shows.
fn increase(series: &Series) -> f64 {
    let mut gained = 0.0;
    for pair in series.samples().windows(2) {
        if let [before, after] = pair {
            let fell = after.value < before.value;
            gained += if fell { after.value } else { after.value - before.value };
        }
    }
    gained
}

/// The sum over the bounds that all histograms with observations have; never falling.
fn merged(histograms: &[Buckets]) -> Buckets {
    let mut seen: Vec<&Buckets> = histograms
        .iter()
        .filter(|buckets| buckets.last().is_some_and(|(_, count)| *count > 0.0))
        .collect();
    // Those without observations add nothing, so their bounds need not count either.
    if seen.is_empty() {
        seen.extend(histograms.first());
    }
    let Some((first, rest)) = seen.split_first() else { return Vec::new() };
    let mut sum: Buckets = (*first).clone();
    for other in rest {
        sum.retain_mut(|(bound, count)| {
            let same = other.binary_search_by(|(candidate, _)| candidate.total_cmp(bound));
            let matching = same.ok().and_then(|idx| other.get(idx));
            *count += matching.map_or(0.0, |(_, more)| *more);
            matching.is_some()
        });
    }
    never_falling(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::reading;
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::assemble::RawSeries;

    /// A pod whose buckets went through these values, one page after another.
    fn pod(rank: &str, buckets: &[(&str, &[f64])]) -> Vec<RawSeries> {
        let series = |values: &[f64]| {
            let at = |idx: usize| Timestamp::from_unix_ms(i64::try_from(idx).unwrap() * 15_000);
            let sample = |(idx, value): (usize, &f64)| Sample { at: at(idx), value: *value };
            Series::new(values.iter().enumerate().map(sample).collect())
        };
        let raw = |(le, values): &(&str, &[f64])| RawSeries {
            name: "ttft_bucket".to_owned(),
            labels: [("le", *le), ("engine", rank)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            series: series(values),
        };
        buckets.iter().map(raw).collect()
    }

    fn check(pods: &[Vec<RawSeries>], quantile: f64, expected: (Option<f64>, bool, Option<f64>)) {
        let pods: Vec<Vec<&RawSeries>> = pods.iter().map(|pod| pod.iter().collect()).collect();
        let got = reading(quantile, 1.0, &pods);
        // Sums of small whole numbers and one division: exact but for the last bits.
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (None, None) => true,
            _ => false,
        };
        let (seconds, clamped, observations) = expected;
        assert!(close(got.seconds, seconds), "{got:?} {expected:?}");
        assert!(close(got.observations, observations), "{got:?} {expected:?}");
        assert_eq!(got.clamped, clamped, "{got:?}");
    }

    #[test]
    fn a_quantile_is_interpolated_as_prometheus_does() {
        let rows = [
            ("0.5", &[0.0, 50.0][..]),
            ("1", &[0.0, 90.0]),
            ("2.0", &[0.0, 100.0]),
            ("+Inf", &[0.0, 100.0]),
        ];
        let one = [pod("0", &rows)];
        check(&one, 0.5, (Some(0.5), false, Some(100.0)));
        check(&one, 0.25, (Some(0.25), false, Some(100.0)));
        check(&one, 0.95, (Some(1.5), false, Some(100.0)));
        check(&one, 1.0, (Some(2.0), false, Some(100.0)));
    }

    #[test]
    fn bounds_are_ordered_as_numbers() {
        let rows = [("10", &[0.0, 100.0][..]), ("2.5", &[0.0, 0.0]), ("+Inf", &[0.0, 100.0])];
        check(&[pod("0", &rows)], 0.5, (Some(6.25), false, Some(100.0)));
    }

    #[test]
    fn beyond_the_last_bound_it_is_clamped() {
        let rows = [("1", &[0.0, 10.0][..]), ("+Inf", &[0.0, 100.0])];
        check(&[pod("0", &rows)], 0.95, (Some(1.0), true, Some(100.0)));
        check(&[pod("0", &[("+Inf", &[0.0, 100.0])])], 0.95, (None, false, Some(100.0)));
    }

    #[test]
    fn fewer_than_20_observations_are_noise() {
        let rows = |count: f64| vec![("1", vec![0.0, count]), ("+Inf", vec![0.0, count])];
        for (count, seconds) in [(19.0, None), (20.0, Some(0.5)), (0.0, None)] {
            let owned = rows(count);
            let rows: Vec<(&str, &[f64])> =
                owned.iter().map(|(le, v)| (*le, v.as_slice())).collect();
            check(&[pod("0", &rows)], 0.5, (seconds, false, Some(count)));
        }
        check(&[], 0.5, (None, false, None));
        check(&[pod("0", &[("1", &[0.0, 100.0])])], 0.5, (None, false, None));
    }

    #[test]
    fn a_reset_is_not_a_negative_count() {
        let rows = [("1", &[500.0, 530.0, 10.0][..]), ("+Inf", &[500.0, 530.0, 10.0])];
        check(&[pod("0", &rows)], 0.5, (Some(0.5), false, Some(40.0)));
    }

    #[test]
    fn pods_with_other_bounds_are_merged_on_the_common_ones() {
        let old = pod("0", &[("1", &[0.0, 10.0]), ("2", &[0.0, 40.0]), ("+Inf", &[0.0, 40.0])]);
        let new = pod(
            "0",
            &[
                ("1.0", &[0.0, 30.0]),
                ("1.5", &[0.0, 60.0]),
                ("2.0", &[0.0, 60.0]),
                ("+Inf", &[0.0, 60.0]),
            ],
        );
        check(&[old, new], 0.7, (Some(1.5), false, Some(100.0)));
    }

    #[test]
    fn ranks_of_one_pod_are_added_and_idle_ones_do_not_narrow_the_bounds() {
        let busy = [("1", &[0.0, 30.0][..]), ("2", &[0.0, 40.0]), ("+Inf", &[0.0, 40.0])];
        let mut ranks = pod("0", &busy);
        ranks.extend(pod("1", &busy));
        let idle = pod("0", &[("7", &[0.0, 0.0]), ("+Inf", &[0.0, 0.0])]);
        check(&[ranks, idle], 0.875, (Some(1.5), false, Some(80.0)));
    }

    #[test]
    fn counts_that_fall_with_the_bound_are_levelled() {
        let rows = [("1", &[0.0, 50.0][..]), ("2", &[0.0, 40.0]), ("+Inf", &[0.0, 60.0])];
        check(&[pod("0", &rows)], 0.5, (Some(0.6), false, Some(60.0)));
    }
}
