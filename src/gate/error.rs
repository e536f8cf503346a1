//! What the gate answers by itself, in the form of the OpenAI API.

use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a request was not passed on, or got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many wait as may.
    QueueFull { held: usize, retry: Duration },
    /// The bodies that wait fill the memory they may take.
    HeldBytes { retry: Duration },
    /// Nothing became ready in time.
    Deadline { held: Duration, retry: Duration },
    /// prescale does not wake it for now.
    BackingOff { retry: Duration },
    /// The gate is ending.
    Draining,
    /// The model sleeps, and a request of this kind does not wake it.
    Asleep { retry: Duration },
    /// The body is longer than may be kept.
    BodyTooLarge { limit: u64 },
    /// The body stopped coming.
    BodySlow,
    /// The body ended before its end.
    BodyBroken,
    /// The body is not what it has to be.
    Malformed(String),
    /// No route takes the model.
    UnknownModel { asked: String, accepted: String },
    /// Which model is asked for cannot be told.
    NoModel { accepted: String },
    /// A method that is not passed on.
    Method,
    /// The server broke off after it had been sent something.
    Broken,
    /// The server said nothing for too long.
    Silent { idle: Duration },
}

/// Model names of strangers are repeated up to here.
const ASKED_CHARS: usize = 128;

impl Refusal {
    /// No route takes `asked`.
    pub(super) fn unknown(asked: &str, accepted: String) -> Self {
        let asked = crate::report::one_line(asked).chars().take(ASKED_CHARS).collect();
        Self::UnknownModel { asked, accepted }
    }

    /// The code of the error, which is also its label; a closed set.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue_full",
            Self::HeldBytes { .. } => "held_bytes",
            Self::Deadline { .. } => "deadline",
            Self::BackingOff { .. } => "backing_off",
            Self::Draining => "draining",
            Self::Asleep { .. } => "asleep",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodySlow => "body_slow",
            Self::BodyBroken => "body_broken",
            Self::Malformed(_) => "malformed",
            Self::UnknownModel { .. } => "model_not_found",
            Self::NoModel { .. } => "model_missing",
            Self::Method => "method",
            Self::Broken => "upstream_broken",
            Self::Silent { .. } => "upstream_silent",
        }
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::QueueFull { .. } | Self::HeldBytes { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Deadline { .. }
            | Self::BackingOff { .. }
            | Self::Draining
            | Self::Asleep { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodySlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::Malformed(_) | Self::NoModel { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownModel { .. } => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Broken => StatusCode::BAD_GATEWAY,
            Self::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// When to come back, where coming back helps.
    fn retry(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry, .. }
            | Self::HeldBytes { retry }
            | Self::Deadline { retry, .. }
            | Self::BackingOff { retry }
            | Self::Asleep { retry } => Some(*retry),
            // Whoever comes back is sent to another gate by then.
            Self::Draining => Some(Duration::from_secs(1)),
            Self::BodyTooLarge { .. }
            | Self::BodySlow
            | Self::BodyBroken
            | Self::Malformed(_)
            | Self::UnknownModel { .. }
            | Self::NoModel { .. }
            | Self::Method
            | Self::Broken
            | Self::Silent { .. } => None,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::QueueFull { held: 1, .. } => {
                "the model is asleep and a request waits for it already".to_owned()
            }
            Self::QueueFull { held, .. } => {
                format!("the model is asleep and {held} requests wait for it already")
            }
            Self::HeldBytes { .. } => {
                "requests that wait for sleeping models fill the memory set aside".to_owned()
            }
            Self::Deadline { held, .. } => {
                format!("the model was not ready within {} s", held.as_secs())
            }
            Self::BackingOff { .. } => {
                "the model is not woken for now: it did not start the last time, or a calendar allows \
                 no pod"
                    .to_owned()
            }
            Self::Draining => "the gate is shutting down".to_owned(),
            Self::Asleep { .. } => {
                "the model is asleep, and GET, HEAD and OPTIONS do not wake it".to_owned()
            }
            Self::BodyTooLarge { limit } => format!("the body is longer than {limit} bytes"),
            Self::BodySlow => "the body stopped coming".to_owned(),
            Self::BodyBroken => "the body ended before its end".to_owned(),
            Self::Malformed(problem) => format!("the body must be a JSON object: {problem}"),
            Self::UnknownModel { asked, accepted } => {
                format!("the model `{asked}` does not exist; accepted: {accepted}")
            }
            Self::NoModel { accepted } => format!(
                "which model is meant cannot be told; send a JSON body with `model`, or the header \
                 x-model; accepted: {accepted}"
            ),
            Self::Method => "CONNECT is not passed on".to_owned(),
            Self::Broken => "the model server broke off before it answered".to_owned(),
            Self::Silent { idle } => {
                format!("the model server said nothing for {} s", idle.as_secs())
            }
        }
    }

    /// The body, as the OpenAI API has it.
    pub(super) fn body(&self) -> Value {
        let kind = if self.status().is_client_error() && self.retry().is_none() {
            "invalid_request_error"
        } else if self.status() == StatusCode::TOO_MANY_REQUESTS {
            "rate_limit_error"
        } else {
            "server_error"
        };
        let param = matches!(self, Self::UnknownModel { .. } | Self::NoModel { .. });
        json!({
            "error": {
                "message": self.message(),
                "type": kind,
                "param": param.then_some("model"),
                "code": self.code(),
            }
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        if let Some(retry) = self.retry() {
            // Whole seconds, upwards: who comes early is refused once more.
            let seconds = retry.as_secs() + u64::from(retry.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::response::IntoResponse;

    use super::Refusal;

    #[test]
    fn a_refusal_has_a_status_and_says_when_to_come_back() {
        let retry = Duration::from_millis(1500);
        let rows = [
            (Refusal::QueueFull { held: 3, retry }, 429, Some("2"), "rate_limit_error"),
            (Refusal::BackingOff { retry: Duration::ZERO }, 503, Some("1"), "server_error"),
            (Refusal::Malformed("x".to_owned()), 400, None, "invalid_request_error"),
            (Refusal::unknown("a\nb", "llama".to_owned()), 404, None, "invalid_request_error"),
            (Refusal::Broken, 502, None, "server_error"),
        ];
        for (refusal, status, after, kind) in rows {
            assert_eq!(refusal.body()["error"]["type"], kind, "{refusal:?}");
            let text = refusal.message();
            assert!(!text.contains('\n'), "{text}");
            let response = refusal.into_response();
            assert_eq!(response.status().as_u16(), status);
            let told = response.headers().get("retry-after").map(|v| v.to_str().unwrap());
            assert_eq!(told, after);
        }
    }
}
