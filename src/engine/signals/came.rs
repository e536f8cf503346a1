//! Requests that come, per second, from engines that count only what they finish.
//!
//! Given the pods and the windows of this tick; promises one number over the same window for all pods.
//! A router sends everything to a pod that is new and empty: over its own short life that pod's rate
//! is the fleet's, and added to the past of the others it would count twice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::observation::{Observation, PodObservation, Role};
use crate::engine::signals::outlier::{self, Outlier};
use crate::engine::signals::pod::{Freshness, PodReading, change, rate_of};
use crate::engine::signals::totals::Total;
use crate::engine::units::Timestamp;

/// A rise shows in half of the window before it shows in all of it; less holds too few requests, and
/// at the usual scrape interval too few samples.
const LATELY: Duration = Duration::from_secs(30);

/// The pods of a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pods<'a> {
    /// What was read.
    pub(super) observation: &'a Observation,
    /// Those that serve.
    pub(super) serving: &'a BTreeMap<String, PodReading>,
    /// Those whose values were clamped.
    pub(super) outliers: &'a [Outlier],
}

impl<'a> Pods<'a> {
    /// Each serving pod, and whether its gauges may be believed.
    fn each(&self) -> impl Iterator<Item = (&'a PodObservation, bool)> {
        let Self { observation, serving, outliers } = *self;
        let gauges = [Role::Waiting, Role::Running];
        serving.keys().filter_map(move |name| {
            let clamped = |one: &Outlier| one.pod == *name && gauges.contains(&one.role);
            Some((observation.pods.get(name)?, !outliers.iter().any(clamped)))
        })
    }
}

/// Requests that came, per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Came {
    /// Over the rate window.
    pub steady: Total,
    /// Over the last half minute, or two scrapes where those take longer.
    pub lately: Total,
    /// How long that is, in seconds.
    pub lately_seconds: f64,
    /// By how much the batches grew per second over the rate window, all pods together.
    pub growth: f64,
}

impl Came {
    /// Counts what came to the pods that serve, of `ready` in all.
    #[must_use]
    pub(super) fn read(
        pods: &Pods<'_>,
        (fresh, interval): (Freshness, Duration),
        ready: u32,
    ) -> Self {
        let span = LATELY.max(interval.saturating_mul(2)) + interval / 2;
        let lately = Freshness { rate_window: span.min(fresh.rate_window), ..fresh };
        let over = |fresh: Freshness| {
            total(pods.each().filter_map(|pod| came(pod, fresh)).collect(), ready)
        };
        let believed = pods.each().filter(|(_, believed)| *believed);
        let growth = believed.filter_map(|(pod, _)| change(pod, Role::Running, fresh)).sum();
        let lately_seconds = lately.rate_window.as_secs_f64();
        Self { steady: over(fresh), lately: over(lately), lately_seconds, growth }
    }
}

/// A pod that reports out of all proportion is cut as its counters are.
fn total(mut values: Vec<f64>, ready: u32) -> Total {
    if let Some(limit) = outlier::limit(Role::Arrivals, &values) {
        values.iter_mut().for_each(|value| *value = value.min(limit));
    }
    Total::over(&values, ready.max(count(values.len())))
}

/// Requests per second that came to one pod over the window: counted, or what finished and what is in
/// flight more than before. Of a pod that was born within the window, those before its first sample
/// show as what was in flight then, and in the rest of the window none came. Gauges that are not
/// believed count for nothing.
fn came((pod, believed): (&PodObservation, bool), fresh: Freshness) -> Option<f64> {
    let roles = [Role::Arrivals, Role::Finished];
    let counter = roles.into_iter().find(|role| pod.roles.contains_key(role))?;
    let inside = [Role::Waiting, Role::Running];
    let inside = if counter == Role::Arrivals || !believed { &[][..] } else { &inside };
    if pod.ready.is_none_or(|ready| ready <= fresh.rates_from()) {
        let drift: Option<f64> = inside.iter().map(|role| change(pod, *role, fresh)).sum();
        return Some(rate_of(pod, counter, fresh)? + drift.unwrap_or(0.0));
    }
    let counted = rate_of(pod, counter, fresh).unwrap_or(0.0) * sampled(pod, counter, fresh);
    let now: f64 = inside.iter().filter_map(|role| newest(pod, *role, fresh.now)).sum();
    Some((counted + now) / fresh.rate_window.as_secs_f64())
}

/// Seconds that the samples within the window reach.
fn sampled(pod: &PodObservation, role: Role, fresh: Freshness) -> f64 {
    let series = pod.roles.get(&role).map_or(&[][..], |found| &found.series);
    let reach = |(first, last): (Timestamp, Timestamp)| last.since(first).as_secs_f64();
    let spans = series.iter().filter_map(|series| {
        Some((series.first_since(fresh.rates_from())?.at, series.latest()?.at))
    });
    spans.map(reach).fold(0.0, f64::max)
}

fn newest(pod: &PodObservation, role: Role, now: Timestamp) -> Option<f64> {
    let series = &pod.roles.get(&role)?.series;
    let values =
        series.iter().filter_map(|series| series.latest_within(now, Duration::from_mins(5)));
    Some(values.map(|sample| sample.value.clamp(0.0, f64::MAX)).sum())
}
