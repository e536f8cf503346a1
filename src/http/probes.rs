//! Health, readiness and metrics: what machines ask for, without a token.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::http::app::{App, Phase};
use crate::http::error::Failure;
use crate::telemetry::{OPEN_METRICS, TEXT, to_text};

/// Alive: that it answers is the answer.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether new callers are welcome. A Prometheus that is down does not matter here: answers say
/// hold then, and a scaler that KEDA cannot reach would lose its metric.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.readiness.get() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
    }
}

/// The metrics, in the format the scraper prefers. Written beside the event loop: with ten thousand
/// scalers a page is some ten megabytes.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let open = wants_open_metrics(&headers);
    let write = move || {
        let page = app.metrics.page()?;
        Ok::<_, std::fmt::Error>(if open { page } else { to_text(&page) })
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(page)) => {
            let kind = if open { OPEN_METRICS } else { TEXT };
            ([(CONTENT_TYPE, kind)], page).into_response()
        }
        Ok(Err(_)) | Err(_) => {
            let text = "metrics could not be written; this is a bug";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.into_iter().any(|value| value.contains("application/openmetrics-text"))
}
