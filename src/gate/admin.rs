//! What machines ask of the gate itself, on a listener of its own: health, readiness, metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::http::{Phase, Readiness};
use crate::telemetry::{OPEN_METRICS, TEXT, to_text};

/// What the pages are made of.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) registry: Arc<Registry>,
    pub(super) readiness: Readiness,
}

/// All paths.
pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"))
        .with_state(admin)
}

/// Whether new requests are welcome. Sleeping models do not matter: holding is what the gate is for.
async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.readiness.get() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
    }
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let mut page = String::new();
    if encode(&mut page, &admin.registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        ([(CONTENT_TYPE, OPEN_METRICS)], page).into_response()
    } else {
        ([(CONTENT_TYPE, TEXT)], to_text(&page)).into_response()
    }
}
