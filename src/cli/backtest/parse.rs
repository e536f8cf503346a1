//! Words of `prescale backtest` to values, with what is accepted when they are none.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;

use crate::backtest::input::DAYS;
use crate::engine::replay::profile::ColdStart;
use crate::engine::units::{Ratio, Timestamp};
use crate::spec;

/// Cold starts by name: one stage each is what people know of their cluster.
const COLD_STARTS: [(&str, u64); 3] = [("hot", 5), ("warm", 100), ("cold", 420)];

/// A duration in `from..=to`.
fn between(text: &str, from: Duration, to: Duration) -> Result<Duration, String> {
    spec::span_within(text, from, to).map_err(|problem| problem.0)
}

/// An objective: 1 ms to 1 h.
pub(super) fn objective(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(1), Duration::from_hours(1))
}

/// How long a gateway holds: 0 (refuses at once) to 1 h.
pub(super) fn hold(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, Duration::from_hours(1))
}

/// A scrape interval: 1 s to 2 min, of which five fit into what the engine remembers.
pub(super) fn scrape_interval(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_mins(2))
}

/// How far back: 10 min to 366 d.
pub(super) fn range(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_mins(10), Duration::from_hours(24 * 366))
}

/// An instant, RFC 3339.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| Timestamp::from_unix_ms(instant.timestamp_millis()))
        .map_err(|_| "must be an instant such as 2026-01-31T00:00:00Z".to_owned())
}

/// A cold start by name, or 1 s to 1 h.
pub(super) fn cold_start(text: &str) -> Result<ColdStart, String> {
    let named = COLD_STARTS.iter().find(|(name, _)| *name == text);
    let total = match named {
        Some((_, seconds)) => Ok(Duration::from_secs(*seconds)),
        None => between(text, Duration::from_secs(1), Duration::from_hours(1)),
    };
    total.map(ColdStart::of).map_err(|problem| format!("{problem}, or hot, warm or cold"))
}

/// The attainment aimed at: above 0, at most 1.
pub(super) fn target(text: &str) -> Result<f64, String> {
    spec::ratio(text).map(Ratio::get).map_err(|problem| problem.0)
}

/// A share that may be zero.
pub(super) fn share(text: &str) -> Result<Ratio, String> {
    match text {
        "0" | "0%" => Ratio::try_new(0.0).map_err(|error| error.to_string()),
        text => spec::ratio(text).map_err(|problem| problem.0),
    }
}

/// A number from a millionth to a million.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    number(text, 1e-6..=1e6)
}

/// Days of a made-up history, as many as [`DAYS`].
pub(super) fn days(text: &str) -> Result<f64, String> {
    number(text, DAYS)
}

fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let (from, to) = (*range.start(), *range.end());
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a number from {from} to {to}"))
}

/// A whole number from `from` to `to`.
pub(super) fn whole<T>(from: T, to: T) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Copy,
{
    move |text| {
        text.parse()
            .ok()
            .filter(|number| (from..=to).contains(number))
            .ok_or_else(|| format!("must be a whole number from {from} to {to}"))
    }
}

/// A query; there is none that says nothing.
pub(super) fn query(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must be a query such as sum(rate(vllm:request_success_total[2m]))".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// `KEY=VALUE`.
pub(super) fn metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE, such as kvCache=80%".to_owned()),
    }
}

/// Whether a profile is a file's name, not a profile's.
pub(super) fn is_file(profile: &str) -> bool {
    let path = Path::new(profile);
    let is_yaml = |extension: &std::ffi::OsStr| extension == "yaml" || extension == "yml";
    path.extension().is_some_and(is_yaml) || path.components().count() > 1
}
