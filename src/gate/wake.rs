//! Wakes prescale while requests of a route wait, once for all of them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::gate::config::{Pace, Wake as Settings};
use crate::gate::metrics::WakeResult;
use crate::gate::route::{Route, Verdict};

/// For one call; prescale answers from memory.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer; a real one has a hundred.
const ANSWER_BYTES: usize = 16 * 1024;

/// A refusal as short as this is no failed wake, but too many calls at once: it is waited for.
const MOMENT: Duration = Duration::from_secs(2);

/// Longest refusal that is believed: whoever mends the workload should not wait for more.
const REFUSAL_MAX: Duration = Duration::from_secs(900);

/// A start that takes longer is none.
const EXPECTED_MAX: Duration = Duration::from_hours(24);

/// Assumed where a refusal does not say how long it lasts.
const REFUSAL: Duration = Duration::from_secs(60);

/// Longest pause while nobody answers at all: a prescale that restarts is reached soon after.
const UNREACHED_MAX: Duration = Duration::from_secs(2);

/// Wakes prescale for one route.
pub(super) struct Waker {
    route: Arc<Route>,
    settings: Settings,
    client: Client,
    pace: Pace,
    clock: Clock,
    /// Calls in a row that failed.
    failures: u32,
    /// How the last call ended, so that it is said once.
    told: Option<WakeResult>,
}

/// What prescale says.
enum Said {
    Accepted {
        expected: Option<Duration>,
    },
    /// Not now; `failed`: because the last wake was given up.
    Limited {
        retry: Duration,
        failed: bool,
    },
    NotFound,
    Denied(StatusCode),
    Failed {
        reached: bool,
        problem: String,
    },
}

/// What of an answer is looked at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    expected_ready_seconds: Option<f64>,
    reason: Option<String>,
}

/// A client for all routes.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    // A token goes to the configured host and nowhere else.
    Client::builder().timeout(TIMEOUT).redirect(Policy::none()).no_proxy().build()
}

impl Waker {
    /// For this route.
    pub(super) fn new(
        route: Arc<Route>,
        settings: Settings,
        client: Client,
        (pace, clock): (Pace, Clock),
    ) -> Self {
        Self { route, settings, client, pace, clock, failures: 0, told: None }
    }

    /// Wakes whenever somebody waits and nothing is ready, until it is dropped.
    pub(super) async fn run(mut self) {
        let route = Arc::clone(&self.route);
        let mut ready = route.ready.subscribe();
        loop {
            while route.held() == 0 || route.is_ready() {
                tokio::select! {
                    // Another wait begins, and how it goes is news again.
                    () = route.wanted.notified() => self.told = None,
                    // Whoever waits, because his body is still coming, says so once; what was ready
                    // then may be gone. The sender lives as long as the route.
                    _ = ready.changed() => {}
                }
            }
            let said = self.call().await;
            let pause = self.heard(&said);
            // Whoever waits or comes meanwhile is served by the call just made.
            tokio::time::sleep(pause).await;
        }
    }

    async fn call(&self) -> Said {
        let failed = |problem: String| Said::Failed { reached: false, problem };
        let Some(url) = self.url() else {
            return failed("wake.url takes no path".to_owned());
        };
        let mut request = self.client.post(url);
        if let Some(path) = &self.settings.token_file {
            // Read each time: a token is replaced while we run.
            let token = match fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => return failed(format!("wake.tokenFile: {error}")),
            };
            let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.trim())) else {
                return failed("wake.tokenFile holds no usable token".to_owned());
            };
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match request.send().await {
            Ok(response) => said(response).await,
            Err(error) => failed(problem(&error).to_owned()),
        }
    }

    fn url(&self) -> Option<Url> {
        let mut url = self.settings.url.clone();
        let route = &self.route.settings;
        url.path_segments_mut().ok()?.pop_if_empty().extend([
            "wake",
            &route.namespace,
            &route.name,
        ]);
        Some(url)
    }

    /// Takes note of what was said; how long to pause.
    fn heard(&mut self, said: &Said) -> Duration {
        let now = self.clock.elapsed();
        self.failures = if matches!(said, Said::Failed { .. }) { self.failures + 1 } else { 0 };
        let (result, verdict, pause) = match said {
            Said::Accepted { expected } => {
                let expected_at = expected.map(|expected| now + expected);
                let verdict = Verdict { refused_until: None, expected_at };
                (WakeResult::accepted, Some(verdict), self.pace.wake)
            }
            Said::Limited { retry, failed: false } => (WakeResult::limited, None, *retry),
            Said::Limited { retry, failed: true } => {
                let verdict = Verdict { refused_until: Some(now + *retry), expected_at: None };
                (WakeResult::limited, Some(verdict), *retry)
            }
            Said::NotFound => (WakeResult::not_found, None, self.pace.wake),
            Said::Denied(_) => (WakeResult::denied, None, self.pace.wake),
            Said::Failed { reached, .. } => {
                let doubled = self.pace.wake_retry * 2_u32.pow(self.failures.min(6) - 1);
                let max = if *reached { self.pace.wake } else { UNREACHED_MAX };
                (WakeResult::failed, None, doubled.min(max))
            }
        };
        self.route.metrics.woke(result);
        if let Some(verdict) = verdict {
            self.route.verdict.send_replace(verdict);
        }
        self.tell(result, said);
        pause
    }

    fn tell(&mut self, result: WakeResult, said: &Said) {
        if self.told.replace(result) == Some(result) {
            return;
        }
        let (scaler, held) = (self.route.scaler(), self.route.held());
        match said {
            Said::Accepted { expected } => {
                let expected_seconds = expected.map(|expected| expected.as_secs());
                info!(scaler, held, expected_seconds, "prescale woken");
            }
            Said::Limited { retry, .. } => {
                let seconds = retry.as_secs();
                warn!(scaler, held, seconds, "prescale does not wake it for now");
            }
            Said::NotFound => {
                let hint = "KEDA has not asked for it yet, or prescale has no wake.tokenFile";
                warn!(scaler, held, hint, "prescale does not know the scaled object; trying on");
            }
            Said::Denied(status) => {
                let status = status.as_u16();
                warn!(scaler, held, status, "prescale refuses the token of wake.tokenFile");
            }
            Said::Failed { problem, .. } => {
                warn!(scaler, held, problem, "prescale not woken; trying on");
            }
        }
    }
}

async fn said(response: Response) -> Said {
    let status = response.status();
    match status {
        StatusCode::ACCEPTED | StatusCode::OK => {
            let expected = told(response).await.expected_ready_seconds;
            let expected = expected.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            Said::Accepted { expected: expected.map(|expected| expected.min(EXPECTED_MAX)) }
        }
        // 409: a calendar or a shadow forbids it, for a time that nobody says.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => {
            let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
            let seconds = seconds.and_then(|text| text.trim().parse::<u32>().ok());
            let retry = seconds.map_or(REFUSAL, |n| Duration::from_secs(u64::from(n.max(1))));
            // Too many wakes of a namespace are no start that failed.
            let failed =
                retry > MOMENT && told(response).await.reason.as_deref() != Some("limited");
            Said::Limited { retry: retry.min(REFUSAL_MAX), failed }
        }
        StatusCode::NOT_FOUND => Said::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Said::Denied(status),
        other => Said::Failed { reached: true, problem: format!("status {}", other.as_u16()) },
    }
}

/// The body; an answer that says nothing of the kind is none the worse.
async fn told(mut response: Response) -> Told {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Told::default();
        }
    }
    serde_json::from_slice(&body).unwrap_or_default()
}

/// In words of ours: the error's own would repeat the URL.
fn problem(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "not reached"
    } else {
        "the call broke off"
    }
}
