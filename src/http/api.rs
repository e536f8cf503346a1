//! The API: scalers as JSON.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::app::{App, Ask, Found, LIMIT};
use crate::http::error::Failure;
use crate::http::one::{self, One, OneQuery};
use crate::report::Report;

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
    let ask = Ask { namespace, skip, limit, ..Ask::default() };
    let Found { reports, total, .. } = app.reports.read(&ask);
    Ok(Json(List { scalers: reports, skip, total }))
}

/// One scaler; of several triggers the one asked for, else the one that decided last.
pub(super) async fn one(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Json<One>, Failure> {
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, "accepted is trigger");
    let Query(OneQuery { trigger }) = query.map_err(bad)?;
    one::find(&app, path, trigger).map(Json)
}
