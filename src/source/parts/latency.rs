//! Latency quantiles from histograms that the server aggregated by bucket.
//!
//! The quantile is taken here, as Prometheus takes it (linear inside a bucket), so that few
//! observations and the open last bucket are told apart from a number.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::histogram::{never_falling, reading};
use crate::engine::observation::{Latency, LatencyReading};
use crate::source::parts::asking::{Asking, Notes, searched};
use crate::source::plan;
use crate::source::preset::{Histogram, Preset};
use crate::source::prometheus::answer::Element;

/// The latencies that an objective asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Latencies {
    /// By kind; one that the engine does not measure is absent.
    pub(crate) readings: BTreeMap<Latency, LatencyReading>,
    /// What could not be read, and what was looked for.
    pub(crate) notes: Notes,
}

/// Asks for the latencies of the target.
pub(crate) async fn read(asking: Asking<'_>, preset: &Preset, window: Duration) -> Latencies {
    let wanted = preset
        .histograms
        .iter()
        .filter(|histogram| asking.target.latencies.contains(&histogram.latency));
    let asked = wanted.map(|histogram| one(asking, preset, histogram, window));
    let mut found = Latencies::default();
    for (latency, reading, notes) in futures_util::future::join_all(asked).await {
        found.readings.insert(latency, reading);
        found.notes.add(notes);
    }
    found
}

async fn one(
    asking: Asking<'_>,
    preset: &Preset,
    histogram: &Histogram,
    window: Duration,
) -> (Latency, LatencyReading, Notes) {
    let mut notes = Notes::default();
    let query = plan::latency(asking.target, asking.workload, preset, histogram, window);
    let elements = asking.elements(&query, &mut notes).await.unwrap_or_default();
    let mut looked_for = searched(word(histogram.latency), histogram.names, &[].into());
    if let ([only], false) = (histogram.names, elements.is_empty()) {
        // Under which of several names it was found, the aggregation does not say.
        looked_for.found = Some((*only).to_owned());
    }
    notes.searched.push(looked_for);
    let buckets = buckets(&elements, histogram.scale);
    let reading = reading(&buckets, window.as_secs_f64(), asking.target.latency_quantile);
    (histogram.latency, reading, notes)
}

const fn word(latency: Latency) -> &'static str {
    match latency {
        Latency::Ttft => "time to first token",
        Latency::InterToken => "inter-token latency",
        Latency::Request => "request latency",
    }
}

/// Upper bounds in seconds with cumulative rates, ascending. Bounds are compared as numbers (`1` and
/// `1.0` are one), and a rate never falls (replicas with different bounds are summed by bound).
fn buckets(elements: &[Element], scale: f64) -> Vec<(f64, f64)> {
    let mut buckets: Vec<(f64, f64)> = elements
        .iter()
        .filter_map(|element| Some((element.label("le").parse::<f64>().ok()?, element.value)))
        .filter(|(bound, rate)| !bound.is_nan() && rate.is_finite())
        .map(|(bound, rate)| (bound * scale, rate))
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (bound, rate) in buckets {
        match merged.last_mut() {
            Some(last) if last.0.total_cmp(&bound).is_eq() => last.1 += rate,
            _ => merged.push((bound, rate)),
        }
    }
    never_falling(&mut merged);
    merged
}

#[cfg(test)]
mod tests {
    use super::{Element, LatencyReading, buckets, reading};

    fn check(rows: &[(&str, f64)], quantile: f64, expected: (Option<f64>, bool, Option<f64>)) {
        let elements: Vec<Element> = rows
            .iter()
            .map(|(le, value)| Element {
                labels: [("le".to_owned(), (*le).to_owned())].into(),
                value: *value,
            })
            .collect();
        let buckets = buckets(&elements, 1.0);
        let LatencyReading { seconds, clamped, observations } = reading(&buckets, 100.0, quantile);
        assert_eq!((seconds, clamped, observations), expected, "{rows:?}");
    }

    #[test]
    fn quantiles_are_interpolated_clamped_or_absent() {
        let rows = [("0.5", 0.5), ("1", 1.0), ("+Inf", 1.0)];
        check(&rows, 0.5, (Some(0.5), false, Some(100.0)));
        check(&rows, 0.75, (Some(0.75), false, Some(100.0)));
        check(&rows, 0.25, (Some(0.25), false, Some(100.0)));
        check(&[("1", 0.5), ("+Inf", 1.0)], 0.95, (Some(1.0), true, Some(100.0)));
        check(&[("1", 0.1), ("+Inf", 0.19)], 0.5, (None, false, Some(19.0)));
        check(&[("1", 0.0), ("+Inf", 0.0)], 0.5, (None, false, Some(0.0)));
        check(&[], 0.5, (None, false, None));
        check(&[("1", 1.0)], 0.5, (None, false, None));
        check(&[("1", f64::NAN), ("+Inf", f64::NAN)], 0.5, (None, false, None));
    }

    #[test]
    fn bounds_are_numbers_and_mixed_versions_stay_monotone() {
        check(
            &[("1", 0.25), ("1.0", 0.25), ("+Inf", 1.0), ("2", 0.25)],
            0.5,
            (Some(1.0), false, Some(100.0)),
        );
    }
}
