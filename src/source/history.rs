//! Weeks of one query, read from a Prometheus-compatible server in stages.
//!
//! Given a query and a window, it promises one series on the window's grid, or an error that names
//! the stage that failed: its range can be asked again, the datasource's own message stays with the
//! server. A value that is absent, NaN or infinite is a gap. The server is asked one stage at a time
//! and left alone while it says so. What the values mean is left to others.

use std::time::Duration;

use crate::clock::Clock;
use crate::engine::observation::FaultKind;
use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::prometheus::answer::Data;
use crate::source::prometheus::{Datasource, Unanswered};

/// Points of one stage: a day at 60 s. Prometheus refuses more than 11 000 for a request; a day also
/// is what Thanos and Mimir cut long queries into.
const STAGE_POINTS: u32 = 1440;

/// How often one stage is asked.
const ATTEMPTS: u32 = 6;

/// How often a server is asked that never answered and refuses to, or answers something else: all waits
/// together are 3 s, as long as a proxy beside us needs to start.
const ATTEMPTS_UNMET: u32 = 3;

/// Longest wait between two attempts of our own making: all waits together are 46 s, longer than a
/// server that restarts in place needs, and short enough to sit through.
const WAIT_MAX: Duration = Duration::from_secs(16);

/// The instants that are asked for: `step`, twice `step` .. after `after`, up to `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The instant before the first.
    pub after: Timestamp,
    /// The last.
    pub until: Timestamp,
    /// Time between two, at least 1 ms.
    pub step: Duration,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Stages that have been read.
    pub done: u32,
    /// All stages.
    pub all: u32,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The finite values; the series of a window without any is empty.
    pub series: Series,
    /// Stages of which the server said that something may be missing.
    pub partial: u32,
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stage was not answered.
    #[error("{from} to {until} was not answered: {}{}", kind.words(), hint(*kind))]
    Unanswered {
        /// Its first instant, RFC 3339.
        from: String,
        /// Its last instant.
        until: String,
        /// What kept it.
        kind: FaultKind,
    },
    /// The query has more than one series.
    #[error("the query has {count} series from {from} to {until}; accepted is one: use sum(..)")]
    Several {
        /// How many.
        count: usize,
        /// First instant of the stage, RFC 3339.
        from: String,
        /// Its last instant.
        until: String,
    },
    /// The answer is no range of values.
    #[error("the server answered with something else than a range of values")]
    NotARange,
}

/// What people can do about some kinds.
const fn hint(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::QueryFailed => " (it asks too much of the server, or cannot be computed)",
        FaultKind::ClientError => " (is it a valid query?)",
        FaultKind::TooLarge => " (does the query have many series? use sum(..))",
        FaultKind::Forbidden => " (are the credentials right?)",
        FaultKind::BadResponse | FaultKind::NotFound => " (is the URL that of a Prometheus API?)",
        FaultKind::Dns
        | FaultKind::AddressRefused
        | FaultKind::ConnectRefused
        | FaultKind::ConnectTimeout
        | FaultKind::Timeout
        | FaultKind::Tls
        | FaultKind::Overloaded
        | FaultKind::ServerError
        | FaultKind::Redirect
        | FaultKind::TooManySeries
        | FaultKind::Empty
        | FaultKind::NotFinite
        | FaultKind::OutOfTime
        | FaultKind::Partial
        | FaultKind::CircuitOpen
        | FaultKind::NotAllowed => "",
    }
}

/// Reads `query` over `window`, telling `progress` after every stage and before the first.
///
/// # Errors
/// The first stage that stayed unanswered, or has more than one series.
pub async fn read(
    datasource: &Datasource,
    clock: &Clock,
    query: &str,
    window: Window,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<History, Error> {
    let stages = stages(window);
    let all = u32::try_from(stages.len()).unwrap_or(u32::MAX);
    progress(Progress { done: 0, all });
    let (mut samples, mut partial) = (Vec::new(), 0);
    let mut known: Option<RawSeries> = None;
    for (done, stage) in (1..).zip(stages) {
        let asked = (query, stage, window.step);
        let (series, incomplete) = patiently(datasource, clock, asked, done > 1).await?;
        partial += u32::from(incomplete);
        if let Some(series) = series {
            let RawSeries { name, labels, .. } = &series;
            if known.as_ref().is_some_and(|known| known.name != *name || known.labels != *labels) {
                return Err(several(2, stage));
            }
            samples.extend_from_slice(series.series.samples());
            known = Some(series);
        }
        progress(Progress { done, all });
    }
    let inside = |sample: &Sample| sample.at > window.after && sample.at <= window.until;
    samples.retain(inside);
    Ok(History { series: Series::new(samples), partial })
}

type Stage = (Timestamp, Timestamp);

/// The window cut into stages, both ends of each included.
fn stages(window: Window) -> Vec<Stage> {
    let Window { after, until, step } = window;
    let step = step.max(Duration::from_millis(1));
    let mut stages = Vec::new();
    let mut from = after.plus(step);
    while from <= until {
        stages.push((from, from.plus(step * (STAGE_POINTS - 1)).min(until)));
        from = from.plus(step * STAGE_POINTS);
    }
    stages
}

/// One stage, asked again for a while when that may help: its series, if there is one, and whether
/// the server said that something may be missing. One that was never `met` and is not there, or is no
/// Prometheus, most likely has another address: nobody waits long for that.
async fn patiently(
    datasource: &Datasource,
    clock: &Clock,
    (query, stage, step): (&str, Stage, Duration),
    met: bool,
) -> Result<(Option<RawSeries>, bool), Error> {
    let absent =
        |kind| matches!(kind, FaultKind::Dns | FaultKind::ConnectRefused | FaultKind::BadResponse);
    let most = |kind| if absent(kind) && !met { ATTEMPTS_UNMET } else { ATTEMPTS };
    let mut wait = Duration::from_secs(1);
    let mut attempt = 1;
    loop {
        match datasource.ask_range(query, stage, step).await {
            Ok(answer) => return Ok((one(&answer.data, stage)?, answer.partial)),
            Err(Unanswered { kind, .. }) if attempt >= most(kind) || !passing(kind) => {
                let (from, until) = (rfc3339(stage.0), rfc3339(stage.1));
                return Err(Error::Unanswered { from, until, kind });
            }
            Err(_) => clock.sleep(wait.max(datasource.pause())).await,
        }
        attempt += 1;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// The one series of a stage.
fn one(data: &Data, stage: Stage) -> Result<Option<RawSeries>, Error> {
    match data {
        Data::Matrix(rows) if rows.len() > 1 => Err(several(rows.len(), stage)),
        Data::Matrix(rows) => Ok(rows.first().cloned()),
        Data::Vector(_) | Data::Scalar(_) | Data::Text(_) => Err(Error::NotARange),
    }
}

fn several(count: usize, (from, until): Stage) -> Error {
    Error::Several { count, from: rfc3339(from), until: rfc3339(until) }
}

/// Whether the same question may be answered a little later.
const fn passing(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Dns
            | FaultKind::ConnectRefused
            | FaultKind::ConnectTimeout
            | FaultKind::Timeout
            | FaultKind::Overloaded
            | FaultKind::ServerError
            | FaultKind::BadResponse
            | FaultKind::CircuitOpen
    )
}

/// An instant for people: `2026-01-05T00:00:00Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    use chrono::{DateTime, SecondsFormat, Utc};
    let instant = DateTime::<Utc>::from_timestamp_millis(at.unix_ms());
    let text = instant.map(|instant| instant.to_rfc3339_opts(SecondsFormat::Secs, true));
    text.unwrap_or_else(|| format!("{} ms", at.unix_ms()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Window, stages};
    use crate::engine::units::Timestamp;

    fn check(minutes: i64, expected: &[(i64, i64)]) {
        let at = |minute: i64| Timestamp::from_unix_ms(minute * 60_000);
        let window =
            Window { after: at(10), until: at(10 + minutes), step: Duration::from_secs(60) };
        let expected: Vec<_> = expected.iter().map(|(from, to)| (at(*from), at(*to))).collect();
        assert_eq!(stages(window), expected, "{minutes} minutes");
    }

    #[test]
    fn a_window_is_cut_into_days_that_neither_overlap_nor_leave_anything_out() {
        check(0, &[]);
        check(1, &[(11, 11)]);
        check(1440, &[(11, 1450)]);
        check(1441, &[(11, 1450), (1451, 1451)]);
        check(3000, &[(11, 1450), (1451, 2890), (2891, 3010)]);
    }
}
