//! One scaler by its path, for the API and the page.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::engine::units::Timestamp;
use crate::http::app::{App, Ask, Found, LIMIT};
use crate::http::error::Failure;
use crate::report::Report;

/// What may be asked of one scaler.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    pub(super) trigger: Option<String>,
}

/// One scaler, and the other triggers of the same scaled object.
#[derive(Debug, Serialize)]
pub(super) struct One {
    #[serde(flatten)]
    pub(super) report: Report,
    triggers: Vec<String>,
    /// When it was looked at.
    #[serde(skip)]
    pub(super) now: Timestamp,
}

/// The scaler of a path: of several triggers the one asked for, else the one that decided last.
pub(super) fn find(
    app: &App,
    path: Result<Path<(String, String)>, PathRejection>,
    trigger: Option<String>,
) -> Result<One, Failure> {
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, "the path is not UTF-8");
    let Path((namespace, name)) = path.map_err(bad)?;
    let none = not_seen(&namespace, &name);
    let (namespace, name) = (Some(namespace), Some(name));
    let ask = Ask { namespace, name, limit: LIMIT, detail: true, ..Ask::default() };
    let Found { reports, now, .. } = app.reports.read(&ask);
    let triggers = reports.iter().map(|report| report.trigger.clone()).collect();
    let wanted = |report: &Report| trigger.as_ref().is_none_or(|asked| *asked == report.trigger);
    let newest = reports.into_iter().filter(wanted).max_by_key(|report| report.decided_at_ms);
    newest.map(|report| One { report, triggers, now }).ok_or(none)
}

fn not_seen(namespace: &str, name: &str) -> Failure {
    let text = format!(
        "no scaler {namespace}/{name} (or no such trigger): KEDA has not asked for it since the \
         start, or not for an hour"
    );
    Failure::new(StatusCode::NOT_FOUND, text)
}
