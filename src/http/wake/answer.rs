//! What a call is answered: JSON with a status, the same from a process and from its peers.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::engine::units::Timestamp;
use crate::scaler::Held;
use crate::source::history::rfc3339;

/// The reason of a 429 for too many calls.
pub(super) const LIMITED: &str = "limited";

/// The body of 202.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// Namespace and name.
    pub(super) scaler: String,
    /// What `IsActive` answers now.
    pub(super) active: bool,
    /// About how long until a pod serves; 0: one does.
    pub(super) expected_ready_seconds: u64,
    /// Until when the wake is held at most, or pods stay at least.
    pub(super) lease_until: String,
    /// The other processes; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peers: Option<Count>,
}

/// The other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Count {
    /// Those that the name stands for.
    pub(super) known: usize,
    /// Those that hold the wake.
    pub(super) holding: usize,
}

impl Answer {
    pub(super) fn of(namespace: &str, name: &str, held: &Held) -> Self {
        Self {
            scaler: format!("{namespace}/{name}"),
            active: held.active,
            expected_ready_seconds: seconds(held.ready_in),
            lease_until: rfc3339(held.until),
            peers: None,
        }
    }
}

/// Why a call is not answered with 202.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Unauthorized,
    Forbidden,
    Unknown,
    Limited {
        what: &'static str,
        wait: Duration,
        until: Timestamp,
    },
    BackingOff {
        wait: Duration,
        until: Timestamp,
    },
    /// A peer says so, who alone knows the scaler; `limited`: it is asked too often.
    Elsewhere {
        wait: Duration,
        text: String,
        limited: bool,
    },
    Refused(String),
}

impl Problem {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Limited { .. } | Self::BackingOff { .. } | Self::Elsewhere { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Refused(_) => StatusCode::CONFLICT,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Unauthorized => {
                "send a token of the server's `wake` as `Authorization: Bearer TOKEN`".to_owned()
            }
            Self::Forbidden => {
                "this token or certificate may not wake in this namespace".to_owned()
            }
            Self::Unknown => {
                "no scaler of this name: KEDA has not asked for it since the start, or \
                              not for an hour"
                    .to_owned()
            }
            Self::Limited { what, until, .. } => {
                format!("too many wakes {what}; the next one at {}", rfc3339(*until))
            }
            Self::BackingOff { until, .. } => format!(
                "no pod served when it was woken last; a new wake is tried from {} on",
                rfc3339(*until)
            ),
            Self::Elsewhere { text, .. } => text.clone(),
            Self::Refused(why) => format!("not woken: {why}"),
        }
    }

    /// Which of the two a 429 is, for programs: a client may wait for the one, and need not for the other.
    const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Limited { .. } | Self::Elsewhere { limited: true, .. } => Some(LIMITED),
            Self::BackingOff { .. } | Self::Elsewhere { limited: false, .. } => Some("backing_off"),
            Self::Unauthorized | Self::Forbidden | Self::Unknown | Self::Refused(_) => None,
        }
    }

    const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Limited { wait, .. }
            | Self::BackingOff { wait, .. }
            | Self::Elsewhere { wait, .. } => Some(*wait),
            Self::Unauthorized | Self::Forbidden | Self::Unknown | Self::Refused(_) => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": crate::report::one_line(&self.text()) });
        if let Self::Limited { until, .. } | Self::BackingOff { until, .. } = &self {
            body["until"] = rfc3339(*until).into();
        }
        if let Some(reason) = self.reason() {
            body["reason"] = reason.into();
        }
        let mut response = (self.status(), Json(body)).into_response();
        if self == Self::Unauthorized {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.wait() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(wait).max(1)));
        }
        response
    }
}

/// Whole seconds, a part of one counted as one.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
