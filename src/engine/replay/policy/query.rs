//! What instant queries of a Prometheus would answer, over the samples that were scraped.
//!
//! Given an observation, promises finite numbers or `None` (an empty vector). A sample counts for
//! five minutes, as an instant query's lookback has it; rates are per series, then summed.

use std::time::Duration;

use crate::engine::observation::{Combine, Observation, PodObservation, Role, RoleSeries};
use crate::engine::series::Series;
use crate::engine::units::Timestamp;

/// Prometheus' `query.lookback-delta`; its far end does not count.
const LOOKBACK: Duration = Duration::from_mins(5);

/// `role` of one pod now.
#[must_use]
pub(super) fn of_pod(pod: &PodObservation, role: Role, now: Timestamp) -> Option<f64> {
    let found = pod.roles.get(&role)?;
    combine(found, |series| newest(series, now))
}

/// `role` of each pod that has it.
#[must_use]
pub(super) fn each(observation: &Observation, role: Role) -> Vec<f64> {
    let pods = observation.pods.values();
    pods.filter_map(|pod| of_pod(pod, role, observation.at)).collect()
}

/// `sum(role)`; `None` when no pod has it.
#[must_use]
pub(super) fn sum(observation: &Observation, role: Role) -> Option<f64> {
    total(each(observation, role))
}

/// `sum(rate(role[window]))`; `None` when no series has two samples in the window.
#[must_use]
pub(super) fn rate(observation: &Observation, role: Role, window: Duration) -> Option<f64> {
    let from = observation.at.minus(window);
    let of = |pod: &PodObservation| combine(pod.roles.get(&role)?, |series| series.rate(from));
    total(observation.pods.values().filter_map(of).collect())
}

/// Requests per second that arrive: counted by the gateway, else by the engines, else as finished.
#[must_use]
pub(super) fn arrivals(observation: &Observation, window: Duration) -> Option<f64> {
    let counted = observation.gateway.and_then(|gateway| gateway.arrivals_per_second);
    finite(counted)
        .or_else(|| rate(observation, Role::Arrivals, window))
        .or_else(|| rate(observation, Role::Finished, window))
}

/// Requests held at the gateway; `None` when it says nothing.
#[must_use]
pub(super) fn held(observation: &Observation) -> Option<f64> {
    finite(observation.gateway.and_then(|gateway| gateway.held))
}

/// A value that is a number and not negative.
#[must_use]
pub(super) fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value >= 0.0)
}

fn newest(series: &Series, now: Timestamp) -> Option<f64> {
    let sample = series.samples().iter().rfind(|sample| sample.at <= now)?;
    finite(Some(sample.value)).filter(|_| now.since(sample.at) < LOOKBACK)
}

fn combine(found: &RoleSeries, read: impl Fn(&Series) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = found.series.iter().filter_map(read).collect();
    let count = f64::from(crate::engine::numeric::count(values.len()));
    let value = match found.combine {
        Combine::Sum => total(values),
        Combine::Mean => total(values).map(|sum| sum / count),
        Combine::Max => values.into_iter().reduce(f64::max),
    };
    finite(value)
}

fn total(values: Vec<f64>) -> Option<f64> {
    finite(values.into_iter().reduce(|sum, value| sum + value))
}
