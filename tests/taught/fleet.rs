//! A workload with a past and a present: its days in a Prometheus, its pods and kube-state-metrics as
//! pages that the same Prometheus scrapes every second.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use crate::history::{DAY, History, Pod};
use crate::http::{Reply, Server};
use crate::now_ms;
use crate::server::{Prometheus, Scraped};

/// Days of the past.
pub(crate) const DAYS: i64 = 9;
/// Pods of the past, which serve in the present as well.
pub(crate) const PODS: usize = 4;
/// Tokens of a request.
pub(crate) const PROMPT: f64 = 800.0;
pub(crate) const OUTPUT: f64 = 200.0;
/// Its work in output tokens.
pub(crate) const WORK: f64 = OUTPUT + PROMPT / 10.0;
/// Seconds from a pod's creation until it serves.
const COLD_START: i64 = 15;

/// Requests per second at a second of the epoch: by day three times as many as by night, a fifth more or
/// less from one ten minutes to the next, and by chance: a minute scatters as 240 requests that come at
/// random do, by 6 %. A series without chance would be foreseen as no real one ever is.
#[expect(clippy::cast_precision_loss, reason = "seconds of the epoch are far below 2^53")]
pub(crate) fn rate(at: i64) -> f64 {
    let days = at as f64 / 86_400.0;
    let knot = at.div_euclid(600);
    let share = at.rem_euclid(600) as f64 / 600.0;
    let slow = (1.0 - share) * noise(knot) + share * noise(knot + 1);
    let chance = noise(at.div_euclid(15) + (1 << 40));
    (4.0 - 2.0 * (std::f64::consts::TAU * days).cos()) * (1.0 + 0.2 * slow + 0.22 * chance)
}

/// From -1 to 1, the same for the same number.
#[expect(clippy::cast_precision_loss, reason = "53 bits")]
fn noise(number: i64) -> f64 {
    let mut bits = number.cast_unsigned().wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / 2_f64.powi(52) - 1.0
}

/// Requests that come at the usual rate between two milliseconds of the epoch.
#[expect(clippy::cast_precision_loss, reason = "milliseconds within a second")]
fn coming(from: i64, until: i64) -> f64 {
    let seconds = from.div_euclid(1000)..=until.div_euclid(1000);
    let within = |at: i64| (until.min((at + 1) * 1000) - from.max(at * 1000)).max(0) as f64;
    seconds.map(|at| rate(at) * within(at) / 1000.0).sum()
}

/// Requests that came since the past began, second by second.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) from: i64,
    pub(crate) until: i64,
    came: Vec<f64>,
}

impl Past {
    /// The first minute that is learned: the midnight before eight days ago.
    pub(crate) const fn learned_from(&self) -> i64 {
        (self.until - 8 * DAY).div_euclid(DAY) * DAY
    }

    /// Until now.
    pub(crate) fn new() -> Self {
        let until = now_ms() / 1000;
        let from = (until - DAYS * DAY).div_euclid(60) * 60;
        let mut sum = 0.0;
        let came = (from..until).map(|at| {
            sum += rate(at);
            sum - rate(at)
        });
        let came = came.collect();
        Self { from, until, came }
    }

    /// Requests that came until a second of the past, or of the present as long as the rate is the usual
    /// one.
    pub(crate) fn came(&self, at: i64) -> f64 {
        let last = self.until - 1;
        let idx = usize::try_from(at.min(last) - self.from).unwrap_or(0);
        self.came[idx] + coming(last * 1000, at.max(last) * 1000)
    }

    /// Requests per second in the minute that begins at `at`.
    pub(crate) fn minute(&self, at: i64) -> f64 {
        (self.came(at + 60) - self.came(at)) / 60.0
    }

    /// As a Prometheus has it that scraped the pods and kube-state-metrics.
    fn history(&self) -> History {
        let mut history = History::default();
        for name in &NAMES[..PODS] {
            let mut pod = Pod::new("llm", name, self.from, self.until);
            pod.labels += r#",model_name="m""#;
            let of_pod = |at: i64| self.came(at) / 4.0;
            let finished = pod.with("finished_reason", "stop");
            let whole = |name: &str, per_request: f64, pod: &Pod, history: &mut History| {
                history.gauge(pod, name, &|at| (of_pod(at) * per_request).floor());
            };
            whole("vllm:request_success_total", 1.0, &finished, &mut history);
            whole("vllm:prompt_tokens_total", PROMPT, &pod, &mut history);
            whole("vllm:generation_tokens_total", OUTPUT, &pod, &mut history);
            history.gauge(&pod, "vllm:num_requests_running", &|at| rate(at).ceil());
            history.gauge(&pod, "vllm:num_requests_waiting", &|_| 0.0);
        }
        let labels = r#"namespace="llm",deployment="chat""#.to_owned();
        let cluster = Pod { labels, begins: self.from, ends: self.until };
        for name in ["kube_deployment_spec_replicas", "kube_deployment_status_replicas_ready"] {
            history.gauge(&cluster, name, &|_| 4.0);
        }
        history
    }
}

macro_rules! pods {
    ($($name:literal $path:literal),* $(,)?) => {
        /// Pods as the cluster would call them.
        const NAMES: &[&str] = &[$($name),*];
        const PATHS: &[&str] = &[$($path),*];
        const LABELS: &[&[(&str, &str)]] = &[$(&[("namespace", "llm"), ("pod", $name)]),*];
    };
}

pods! {
    "chat-7d9f6b5c4-aaaaa" "/0", "chat-7d9f6b5c4-bbbbb" "/1", "chat-7d9f6b5c4-ccccc" "/2",
    "chat-7d9f6b5c4-ddddd" "/3", "chat-7d9f6b5c4-eeeee" "/4", "chat-7d9f6b5c4-fffff" "/5",
    "chat-7d9f6b5c4-ggggg" "/6", "chat-7d9f6b5c4-hhhhh" "/7", "chat-7d9f6b5c4-iiiii" "/8",
    "chat-7d9f6b5c4-jjjjj" "/9", "chat-7d9f6b5c4-kkkkk" "/10", "chat-7d9f6b5c4-lllll" "/11",
}

/// A pod of the present.
#[derive(Debug, Clone, Copy)]
struct Serving {
    /// Milliseconds of the epoch.
    created: i64,
    /// Requests that it has finished.
    finished: f64,
}

/// The present.
#[derive(Debug)]
struct Now {
    at: i64,
    /// By what the usual rate is multiplied.
    factor: f64,
    rate: f64,
    pods: Vec<Serving>,
}

impl Now {
    const fn is_ready(pod: &Serving, at: i64) -> bool {
        at >= pod.created + COLD_START * 1000
    }

    /// Lets the requests come that came since the last look.
    #[expect(clippy::cast_precision_loss, reason = "a handful of pods")]
    fn advance(&mut self) {
        let at = now_ms();
        self.rate = self.factor * rate(at / 1000);
        let came = self.factor * coming(self.at, at);
        let ready = self.pods.iter_mut().filter(|pod| Self::is_ready(pod, at));
        let mut ready: Vec<_> = ready.collect();
        let each = came / ready.len().max(1) as f64;
        ready.iter_mut().for_each(|pod| pod.finished += each);
        self.at = at;
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of pods")]
    fn page(&self, idx: usize) -> Option<String> {
        let pod = self.pods.get(idx).filter(|pod| Self::is_ready(pod, self.at))?;
        let ready = self.pods.iter().filter(|pod| Self::is_ready(pod, self.at)).count() as f64;
        let running = (self.rate / ready * 4.0).ceil();
        let (finished, of) = (pod.finished.floor(), "model_name=\"m\"");
        let (prompt, output) = ((pod.finished * PROMPT).floor(), (pod.finished * OUTPUT).floor());
        Some(format!(
            "vllm:request_success_total{{{of},finished_reason=\"stop\"}} {finished}\n\
             vllm:prompt_tokens_total{{{of}}} {prompt}\n\
             vllm:generation_tokens_total{{{of}}} {output}\n\
             vllm:num_requests_running{{{of}}} {running}\n\
             vllm:num_requests_waiting{{{of}}} 0\n\
             vllm:kv_cache_usage_perc{{{of}}} {}\n\
             vllm:cache_config_info{{{of},block_size=\"16\",num_gpu_blocks=\"20000\"}} 1\n",
            running * 0.004
        ))
    }

    fn cluster(&self) -> String {
        let of = r#"namespace="llm",deployment="chat""#;
        let ready = self.pods.iter().filter(|pod| Self::is_ready(pod, self.at)).count();
        let mut page = format!(
            "kube_deployment_spec_replicas{{{of}}} {}\n\
             kube_deployment_status_replicas_ready{{{of}}} {ready}\n",
            self.pods.len()
        );
        for (pod, name) in self.pods.iter().zip(NAMES) {
            let of = format!("namespace=\"llm\",pod=\"{name}\"");
            let (created, ready) = (pod.created / 1000, Self::is_ready(pod, self.at));
            let (is, not) = if ready { (1, 0) } else { (0, 1) };
            writeln!(page, "kube_pod_created{{{of}}} {created}").unwrap();
            writeln!(page, "kube_pod_status_phase{{{of},phase=\"Running\"}} 1").unwrap();
            writeln!(page, "kube_pod_status_ready{{{of},condition=\"true\"}} {is}").unwrap();
            writeln!(page, "kube_pod_status_ready{{{of},condition=\"false\"}} {not}").unwrap();
            if ready {
                let since = created + COLD_START;
                writeln!(page, "kube_pod_status_ready_time{{{of}}} {since}").unwrap();
            }
        }
        page
    }
}

/// The workload.
pub(crate) struct Fleet {
    pub(crate) past: Past,
    pub(crate) prometheus: Prometheus,
    now: Arc<Mutex<Now>>,
    _pages: Server,
}

impl Fleet {
    /// The workload before a Prometheus; `None` where there is none, which is said aloud.
    pub(crate) async fn start() -> Option<Self> {
        let past = Past::new();
        let finished = past.came(past.until) / 4.0;
        let serving = Serving { created: past.from * 1000, finished };
        let (at, pods) = (past.until * 1000, vec![serving; PODS]);
        let now = Arc::new(Mutex::new(Now { at, factor: 1.0, rate: rate(past.until), pods }));
        let shown = Arc::clone(&now);
        let pages = Server::start(move |request| {
            let mut now = shown.lock().unwrap();
            now.advance();
            let path = request.line.trim_start_matches("GET ");
            let page = match PATHS.iter().position(|of| *of == path) {
                Some(idx) => now.page(idx),
                None => Some(now.cluster()),
            };
            let head = ("content-type".to_owned(), "text/plain; version=0.0.4".to_owned());
            page.map_or(Reply::status(404), |page| {
                Reply::Answer(200, vec![head], page.into_bytes())
            })
        })
        .await;
        let scraped =
            |(path, labels): (&&'static str, &&'static [(&'static str, &'static str)])| Scraped {
                address: pages.address,
                path,
                labels,
                honor_labels: false,
            };
        let mut scraped: Vec<Scraped> = PATHS.iter().zip(LABELS).map(scraped).collect();
        let (address, path) = (pages.address, "/cluster");
        scraped.push(Scraped { address, path, labels: &[], honor_labels: true });
        let dir = past.history().blocks()?;
        let prometheus = Prometheus::start_in(dir, &scraped).await?;
        Some(Self { past, prometheus, now, _pages: pages })
    }

    /// Multiplies the usual rate from now on.
    pub(crate) fn load(&self, factor: f64) {
        let mut now = self.now.lock().unwrap();
        now.advance();
        now.factor = factor;
    }

    /// Has so many pods from now on, as far as there are names; new ones serve after a cold start, of
    /// too many the newest go.
    pub(crate) fn scale(&self, replicas: usize) {
        let mut now = self.now.lock().unwrap();
        now.advance();
        let created = now.at;
        now.pods.resize(replicas.clamp(1, NAMES.len()), Serving { created, finished: 0.0 });
    }

    /// Replicas that there are.
    pub(crate) fn replicas(&self) -> usize {
        self.now.lock().unwrap().pods.len()
    }
}
