//! Days of history for a real Prometheus: samples as a test says, in blocks that `promtool` makes.
//!
//! ```ignore
//! let mut history = History::default();
//! let pod = Pod::new("llm", "chat-7d9f6b5c4-aaaaa", now - 8 * DAY, now);
//! history.vllm(&pod, &Load { rate: &|at| 5.0, prompt: 800.0, cached: 0.0, output: 200.0, cached_names: &[] });
//! let Some(prometheus) = history.remembered().await else { return };
//! ```
//!
//! Eight days of two pods are 280 000 samples; `promtool` makes blocks of them in seconds. Blocks hold no stale markers: a series that
//! ends is still looked at for five minutes.

use std::fmt::Write as _;
use std::process::Command;

use crate::server::{Prometheus, installed};

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Seconds between two scrapes.
pub(crate) const SCRAPED: i64 = 30;

/// The second of each interval that a scrape is at: the last one, so that what came between the scrapes of a
/// minute is nearly what came in it. On the mark itself a window would hold one sample more than elsewhere.
const PHASE: i64 = SCRAPED - 1;

/// Samples to be remembered.
#[derive(Debug, Default)]
pub(crate) struct History {
    text: String,
}

/// A pod, or one process of it: its counters begin at zero when it does.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    /// Labels of all its series, `namespace="llm",pod="chat-0"`.
    pub(crate) labels: String,
    /// The first second of its life.
    pub(crate) begins: i64,
    /// The second after the last.
    pub(crate) ends: i64,
}

impl Pod {
    /// A pod of `namespace` called `name`.
    pub(crate) fn new(namespace: &str, name: &str, begins: i64, ends: i64) -> Self {
        Self { labels: format!(r#"namespace="{namespace}",pod="{name}""#), begins, ends }
    }

    /// The same with one more label.
    pub(crate) fn with(&self, label: &str, value: &str) -> Self {
        Self { labels: format!(r#"{},{label}="{value}""#, self.labels), ..self.clone() }
    }

    /// The seconds of its scrapes.
    fn scrapes(&self) -> impl Iterator<Item = i64> + use<> {
        let first = self.begins.div_euclid(SCRAPED) * SCRAPED + PHASE;
        let step = usize::try_from(SCRAPED).unwrap();
        (first..self.ends).step_by(step)
    }
}

/// What comes to a pod of an LLM engine.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    /// Requests per second at a second of the epoch.
    pub(crate) rate: &'a dyn Fn(i64) -> f64,
    /// Prompt tokens of a request.
    pub(crate) prompt: f64,
    /// Of these, cached.
    pub(crate) cached: f64,
    /// Output tokens of a request.
    pub(crate) output: f64,
    /// The families that count cached tokens.
    pub(crate) cached_names: &'a [&'a str],
}

impl History {
    /// A series with its value at each scrape of `pod`.
    pub(crate) fn gauge(&mut self, pod: &Pod, name: &str, value: &dyn Fn(i64) -> f64) {
        for at in pod.scrapes() {
            let labels = &pod.labels;
            writeln!(self.text, "{name}{{{labels}}} {} {at}", value(at)).unwrap();
        }
    }

    /// A counter that grows by `rate` per second, in whole numbers.
    pub(crate) fn counter(&mut self, pod: &Pod, name: &str, rate: &dyn Fn(i64) -> f64) {
        let (mut count, mut before) = (0.0, pod.begins);
        for at in pod.scrapes() {
            #[expect(clippy::cast_precision_loss, reason = "seconds between two scrapes")]
            let seconds = (at - before) as f64;
            count += rate((before + at) / 2) * seconds;
            before = at;
            let labels = &pod.labels;
            writeln!(self.text, "{name}{{{labels}}} {} {at}", f64::floor(count)).unwrap();
        }
    }

    /// The page of a vLLM pod, as far as a back-fill reads it.
    pub(crate) fn vllm(&mut self, pod: &Pod, load: &Load<'_>) {
        let Load { rate, prompt, cached, output, cached_names } = *load;
        let pod = &pod.with("model_name", "m");
        let finished = &pod.with("finished_reason", "stop");
        self.counter(finished, "vllm:request_success_total", rate);
        self.counter(pod, "vllm:generation_tokens_total", &|at| rate(at) * output);
        self.counter(pod, "vllm:prompt_tokens_total", &|at| rate(at) * prompt);
        for name in cached_names {
            self.counter(pod, name, &|at| rate(at) * cached);
        }
        self.gauge(pod, "vllm:num_requests_running", &|at| (rate(at) * 4.0).round());
        self.gauge(pod, "vllm:num_requests_waiting", &|_| 0.0);
    }

    /// The blocks of it, in `data` of a directory of its own; `None` where there is no `promtool` on
    /// this machine, which is said aloud. For [`Prometheus::start_in`], which may scrape as well.
    pub(crate) fn blocks(self) -> Option<tempfile::TempDir> {
        if !installed("promtool") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.om");
        std::fs::write(&file, self.text + "# EOF\n").unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            // It reads everything once for each block.
            .arg("--max-block-duration=72h")
            .args([file, dir.path().join("data")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(dir)
    }

    /// A Prometheus that remembers it and scrapes nothing.
    pub(crate) async fn remembered(self) -> Option<Prometheus> {
        Prometheus::start_in(self.blocks()?, &[]).await
    }
}
