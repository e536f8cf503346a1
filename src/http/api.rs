//! The API: scalers as JSON.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::app::{App, Ask, Found};
use crate::http::error::Failure;
use crate::report::Report;

/// Scalers per answer: some megabytes at most, whoever asks.
const LIMIT: usize = 500;

/// What may be asked of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    namespace: Option<String>,
    #[serde(default)]
    skip: usize,
    limit: Option<usize>,
}

/// A part of the list.
#[derive(Debug, Serialize)]
pub(super) struct List {
    scalers: Vec<Report>,
    skip: usize,
    total: usize,
}

/// The scalers, a part at a time.
pub(super) async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<List>, Failure> {
    let accepted = format!("accepted are namespace, skip and limit (1 to {LIMIT})");
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, accepted.clone());
    let Query(ListQuery { namespace, skip, limit }) = query.map_err(bad)?;
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT).contains(&limit) {
        return Err(Failure::new(StatusCode::BAD_REQUEST, format!("limit {limit}: {accepted}")));
    }
    let Found { reports, total } = app.reports.read(&Ask { namespace, name: None, skip, limit });
    Ok(Json(List { scalers: reports, skip, total }))
}

/// What may be asked of one scaler.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    trigger: Option<String>,
}

/// One scaler, and the other triggers of the same scaled object.
#[derive(Debug, Serialize)]
pub(super) struct One {
    #[serde(flatten)]
    report: Report,
    triggers: Vec<String>,
}

/// One scaler; of several triggers the one asked for, else the one that decided last.
pub(super) async fn one(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Json<One>, Failure> {
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, "the path is not UTF-8");
    let Path((namespace, name)) = path.map_err(bad)?;
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, "accepted is trigger");
    let Query(OneQuery { trigger }) = query.map_err(bad)?;
    let none = not_seen(&namespace, &name);
    let ask = Ask { namespace: Some(namespace), name: Some(name), skip: 0, limit: LIMIT };
    let reports = app.reports.read(&ask).reports;
    let triggers = reports.iter().map(|report| report.trigger.clone()).collect();
    let wanted = |report: &Report| trigger.as_ref().is_none_or(|asked| *asked == report.trigger);
    let newest = reports.into_iter().filter(wanted).max_by_key(|report| report.decided_at_ms);
    newest.map(|report| Json(One { report, triggers })).ok_or(none)
}

fn not_seen(namespace: &str, name: &str) -> Failure {
    let text = format!(
        "no scaler {namespace}/{name} (or no such trigger): KEDA has not asked for it since the \
         start, or not for an hour"
    );
    Failure::new(StatusCode::NOT_FOUND, text)
}
