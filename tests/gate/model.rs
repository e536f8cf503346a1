//! A stand-in for vLLM: its port refuses until it is started, then it answers as told.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A model server; it ends with the value.
pub(crate) struct Model {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    open: AtomicUsize,
}

/// Counts a stream while it is open.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Model {
    /// One that sleeps: its port is known, and refuses.
    pub(crate) async fn asleep() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, counts: Arc::default(), task: None }
    }

    /// One that is ready.
    pub(crate) async fn ready() -> Self {
        let mut model = Self::asleep().await;
        model.start().await;
        model
    }

    /// Starts it; from now on it is ready.
    pub(crate) async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let router = router(Arc::clone(&self.counts));
        self.task = Some(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
    }

    /// Stops accepting; what is open goes on.
    pub(crate) async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            drop(task.await);
        }
    }

    /// Requests for work so far.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Streams that are open.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}

fn router(counts: Arc<Counts>) -> Router {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/v1/models", get(async || axum::Json(json!({ "from": "the model" }))))
        .route("/v1/chat/completions", post(completions))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/teapot", post(async || (StatusCode::IM_A_TEAPOT, [("x-own", "1")], "short")))
        .route("/moved", post(async || (StatusCode::FOUND, [("location", "/elsewhere")], "")))
        .route("/echo", any(echo))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(counts)
}

/// Everything that arrived.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    let told = json!({
        "method": method.as_str(), "uri": uri.to_string(), "headers": headers, "body": body,
    });
    ([("x-own", "1"), ("connection", "x-hop"), ("x-hop", "1")], axum::Json(told)).into_response()
}

/// `tokens` chunks, `pause_ms` apart and `pad` bytes longer than they have to be; `break_at` breaks the connection before that one, and
/// `status` answers with an error.
async fn completions(State(counts): State<Arc<Counts>>, body: Bytes) -> Response {
    counts.requests.fetch_add(1, Ordering::SeqCst);
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let number = |key: &str| asked[key].as_u64();
    if let Some(status) = number("status") {
        let status = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
        return (status, axum::Json(json!({ "error": { "message": "own" } }))).into_response();
    }
    if asked["stream"] != json!(true) {
        tokio::time::sleep(Duration::from_millis(number("pause_ms").unwrap_or(0))).await;
        return axum::Json(json!({ "object": "chat.completion", "model": asked["model"] }))
            .into_response();
    }
    let (tokens, break_at) = (number("tokens").unwrap_or(3), number("break_at"));
    let pause = Duration::from_millis(number("pause_ms").unwrap_or(0));
    let pad = " ".repeat(usize::try_from(number("pad").unwrap_or(0)).unwrap());
    counts.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(counts);
    let chunks = unfold((0, open, pad), move |(n, open, pad)| async move {
        if n > 0 {
            tokio::time::sleep(pause).await;
        }
        if break_at == Some(n) {
            return Some((Err(std::io::Error::other("broken")), (n + 1, open, pad)));
        }
        let text = match n {
            n if n < tokens => format!("data: {{\"n\":{n}}}{pad}\n\n"),
            n if n == tokens => "data: [DONE]\n\n".to_owned(),
            _ => return None,
        };
        Some((Ok(text), (n + 1, open, pad)))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(chunks)).into_response()
}

/// A stand-in for prescale: it notes who wakes what, and answers as told.
pub(crate) struct Prescale {
    pub(crate) address: SocketAddr,
    calls: Arc<std::sync::Mutex<Vec<String>>>,
    answer: Arc<std::sync::Mutex<(u16, Option<u32>, &'static str)>>,
    task: Option<JoinHandle<()>>,
}

impl Prescale {
    /// One that is not there yet.
    pub(crate) async fn down() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(std::sync::Mutex::new((202, None, "")));
        Self { address, calls: Arc::default(), answer, task: None }
    }

    /// One that accepts every wake.
    pub(crate) async fn up() -> Self {
        let mut prescale = Self::down().await;
        prescale.start().await;
        prescale
    }

    pub(crate) async fn start(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (calls, answer) = (Arc::clone(&self.calls), Arc::clone(&self.answer));
        let woken = move |method: Method, uri: Uri, headers: HeaderMap| async move {
            let token = headers.get("authorization").map_or("none", |v| v.to_str().unwrap());
            calls.lock().unwrap().push(format!("{method} {} {token}", uri.path()));
            let (status, retry, reason) = *answer.lock().unwrap();
            let told = json!({ "scaler": "team-a/llama", "active": true,
                "expectedReadySeconds": 42, "leaseUntil": "2026-11-29T02:00:00Z", "reason": reason });
            let mut headers = HeaderMap::new();
            if let Some(seconds) = retry {
                headers.insert("retry-after", seconds.into());
            }
            let status = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>((status, headers, axum::Json(told)))
        };
        let router = Router::new().fallback(woken);
        self.task = Some(tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        }));
    }

    /// From now on it answers with this status, and `Retry-After` if given.
    pub(crate) fn answers(&self, status: u16, retry: Option<u32>) {
        *self.answer.lock().unwrap() = (status, retry, "backing_off");
    }

    /// From now on it has no more wakes to give for so many seconds.
    pub(crate) fn limits(&self, seconds: u32) {
        *self.answer.lock().unwrap() = (429, Some(seconds), "limited");
    }

    /// The calls so far: method, path, authorization.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Drop for Prescale {
    fn drop(&mut self) {
        self.task.iter().for_each(JoinHandle::abort);
    }
}
