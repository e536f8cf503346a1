//! A Prometheus whose world is a script: it answers the queries that prescale really sends, with
//! samples on a 15 s grid up to the instant asked, and can be made to fail in every way.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the backend answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mood {
    /// As a healthy Prometheus does.
    Well,
    /// With this status, headers and body, whatever is asked.
    Says(&'static str, &'static str, String),
    /// Not before this long.
    Slow(Duration),
    /// Never.
    Hangs,
    /// Closes the connection at once.
    Hangsup,
    /// With no series.
    Empty,
    /// As usual, and that something was missing.
    Warns,
}

/// One pod as the script has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) waiting: String,
    pub(crate) running: String,
    pub(crate) kv: String,
    /// Seconds of age of its newest sample beyond the grid.
    pub(crate) late: i64,
}

impl Pod {
    pub(crate) fn new(idx: usize, waiting: f64, running: f64, kv: f64) -> Self {
        Self {
            name: format!("llama-7d9f8b6c5d-aaa{idx:02}"),
            waiting: waiting.to_string(),
            running: running.to_string(),
            kv: kv.to_string(),
            late: 0,
        }
    }
}

/// The world behind the backend.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct World {
    pub(crate) mood: Mood,
    pub(crate) pods: Vec<Pod>,
    /// Pods that kube-state-metrics knows as ready; defaults to those with samples.
    pub(crate) ready: Option<Vec<String>>,
    pub(crate) spec_replicas: Option<u32>,
    /// No sample before this instant (a Prometheus that has just restarted), Unix seconds.
    pub(crate) since: i64,
    /// Elements of the answer to the own query `own_signal`.
    pub(crate) own: Vec<f64>,
    /// Requests held at the http-add-on's interceptor.
    pub(crate) held: Option<f64>,
}

impl World {
    pub(crate) fn of(pods: Vec<Pod>) -> Self {
        let spec_replicas = u32::try_from(pods.len()).ok();
        Self {
            mood: Mood::Well,
            pods,
            ready: None,
            spec_replicas,
            since: 0,
            own: vec![0.0],
            held: None,
        }
    }
}

/// A running backend.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) url: String,
    world: Arc<Mutex<World>>,
}

impl Backend {
    pub(crate) async fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let backend = Self { url, world: Arc::new(Mutex::new(world)) };
        let serving = backend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        backend
    }

    /// Changes the world.
    pub(crate) fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(body) = request(&mut stream).await {
            let (query, time) = form(&body);
            let world = self.world.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (status, headers, text) = match &world.mood {
                Mood::Hangs => return std::future::pending().await,
                Mood::Hangsup => return,
                Mood::Says(status, headers, text) => (*status, *headers, text.clone()),
                Mood::Empty => ("200 OK", "", answer("vector", "", "")),
                Mood::Slow(span) => {
                    tokio::time::sleep(*span).await;
                    ("200 OK", "", world.answer(&query, time, ""))
                }
                Mood::Warns => {
                    ("200 OK", "", world.answer(&query, time, r#","warnings":["one shard"]"#))
                }
                Mood::Well => ("200 OK", "", world.answer(&query, time, "")),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
                text.len()
            );
            if stream.write_all(head.as_bytes()).await.is_err()
                || stream.write_all(text.as_bytes()).await.is_err()
            {
                return;
            }
        }
    }
}

impl World {
    fn answer(&self, query: &str, time: f64, extra: &str) -> String {
        if query.contains("own_signal") {
            let rows: Vec<String> = self
                .own
                .iter()
                .enumerate()
                .map(|(idx, value)| {
                    format!(r#"{{"metric":{{"n":"{idx}"}},"value":[{time},"{value}"]}}"#)
                })
                .collect();
            return answer("vector", &rows.join(","), extra);
        }
        if query.contains("exported_namespace") && !query.contains(" or ") {
            return answer("matrix", "", extra);
        }
        if query.contains("kube_deployment_spec_replicas") {
            return answer("vector", &self.facts(time), extra);
        }
        if query.contains("interceptor_request_concurrency") {
            return answer("matrix", &self.gateway(time), extra);
        }
        if query.ends_with("s]") && query.contains("vllm:num_requests_waiting") {
            return answer("matrix", &self.engine(time), extra);
        }
        answer(if query.ends_with("s]") { "matrix" } else { "vector" }, "", extra)
    }

    fn engine(&self, time: f64) -> String {
        let mut rows = Vec::new();
        for pod in &self.pods {
            let families = [
                ("vllm:num_requests_waiting", pod.waiting.as_str()),
                ("vllm:num_requests_running", pod.running.as_str()),
                ("vllm:kv_cache_usage_perc", pod.kv.as_str()),
            ];
            for (name, value) in families {
                let labels = format!(
                    r#""__name__":"{name}","namespace":"team-a","pod":"{}","engine":"0","model_name":"llama","job":"vllm","instance":"{}""#,
                    pod.name, pod.name
                );
                rows.push(self.row(&labels, time, pod.late, value));
            }
        }
        rows.join(",")
    }

    fn gateway(&self, time: f64) -> String {
        self.held.map_or_else(String::new, |held| {
            let labels = r#""__name__":"interceptor_request_concurrency","route_namespace":"team-a","route_name":"llama","job":"interceptor","instance":"i""#;
            self.row(labels, time, 0, &held.to_string())
        })
    }

    /// Ten samples on the 15 s grid of the scraper, the newest `late` seconds old at least.
    fn row(&self, labels: &str, time: f64, late: i64, value: &str) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "test times are small")]
        let newest = (time as i64 - late).div_euclid(15) * 15;
        let mut values = String::new();
        for back in (0..10).rev() {
            let at = newest - 15 * back;
            if at >= self.since {
                let comma = if values.is_empty() { "" } else { "," };
                write!(values, r#"{comma}[{at},"{value}"]"#).unwrap();
            }
        }
        format!(r#"{{"metric":{{{labels}}},"values":[{values}]}}"#)
    }

    fn facts(&self, time: f64) -> String {
        let mut rows = Vec::new();
        if let Some(replicas) = self.spec_replicas {
            let labels = r#""__name__":"kube_deployment_spec_replicas","namespace":"team-a","deployment":"llama""#;
            rows.push(format!(r#"{{"metric":{{{labels}}},"value":[{time},"{replicas}"]}}"#));
        }
        let ready = self
            .ready
            .clone()
            .unwrap_or_else(|| self.pods.iter().map(|pod| pod.name.clone()).collect());
        for pod in ready {
            let labels = format!(
                r#""__name__":"kube_pod_status_ready","namespace":"team-a","pod":"{pod}","condition":"true","uid":"u-{pod}""#
            );
            rows.push(format!(r#"{{"metric":{{{labels}}},"value":[{time},"1"]}}"#));
            let labels = format!(
                r#""__name__":"kube_pod_status_phase","namespace":"team-a","pod":"{pod}","phase":"Running","uid":"u-{pod}""#
            );
            rows.push(format!(r#"{{"metric":{{{labels}}},"value":[{time},"1"]}}"#));
        }
        rows.join(",")
    }
}

pub(crate) fn answer(kind: &str, rows: &str, extra: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{rows}]}}{extra}}}"#)
}

/// The body of the next request; `None` when the client is gone.
pub(crate) async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let page = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = page.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(body.to_owned());
            }
        }
        let read = stream.read(&mut chunk).await.ok()?;
        if read == 0 {
            return None;
        }
        text.extend_from_slice(&chunk[..read]);
    }
}

/// Query and evaluation time of a form body.
pub(crate) fn form(body: &str) -> (String, f64) {
    let field = |name: &str| {
        body.split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decoded(value))
            .unwrap_or_default()
    };
    (field("query"), field("time").parse().unwrap_or(0.0))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut idx = 0;
    while let Some(byte) = bytes.get(idx) {
        let escaped = text.get(idx + 1..idx + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escaped) {
            (b'%', Some(value)) => {
                out.push(value);
                idx += 2;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
        idx += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
