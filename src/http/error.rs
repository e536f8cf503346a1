//! Errors as people and programs get them: a status and one JSON object.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tower::BoxError;

/// An error answer; its text is fixed or made of what the caller sent, on one line.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    text: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: crate::report::one_line(&text.into()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.text }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// An unknown path.
pub(super) async fn not_found() -> Failure {
    let text = "no such path; there are /, /scalers/NAMESPACE/NAME, /healthz, /readyz, /metrics, \
                /api/v1/scalers and /api/v1/scalers/NAMESPACE/NAME";
    Failure::new(StatusCode::NOT_FOUND, text)
}

/// The path of wakes on a server that takes none.
pub(super) async fn no_wakes() -> Failure {
    let text = "wakes are not configured: the server's configuration has no wake (docs/wake.md)";
    Failure::new(StatusCode::NOT_FOUND, text)
}

/// A method that a path does not have.
pub(super) async fn not_allowed(uri: Uri) -> Failure {
    let wakes = uri.path().starts_with("/wake/");
    let text = if wakes { "only POST" } else { "only GET and HEAD" };
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, text)
}

/// What the limits say: too slow, or too many at once.
pub(super) async fn limited(error: BoxError) -> Failure {
    if error.is::<tower::timeout::error::Elapsed>() {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "timed out")
    } else {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once")
    }
}
