//! The pages that the simulated fleet shows: a vLLM server's `/metrics` and a gateway's.
//!
//! Names, labels and format are those of vLLM 0.33 (V1 engine) and of the KEDA http-add-on 0.15; of
//! vLLM's families only those are written that say something about load. Everything is present
//! before the first request, as in the real one.

use std::fmt::Write as _;

use crate::engine::replay::profile::Profile;
use crate::engine::replay::replica::{Replica, Totals, len};
use crate::engine::replay::world::{Census, World};

/// Content type of both pages.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";

/// The served model's name.
pub(super) const MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";

/// Route of the workload at the gateway: name and namespace.
pub(super) const ROUTE: (&str, &str) = ("vllm", "demo");

/// A page as it grows.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.line(format_args!("{name}{{"));
        for (idx, (label, text)) in labels.iter().enumerate() {
            let comma = if idx > 0 { "," } else { "" };
            self.line(format_args!("{comma}{label}=\"{text}\""));
        }
        self.line(format_args!("}} {value}\n"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}

const LABELS: [(&str, &str); 2] = [("engine", "0"), ("model_name", MODEL)];

/// The page of one vLLM server, its families in vLLM's order.
pub(super) fn vllm(replica: &Replica) -> String {
    let mut page = Page(String::new());
    gauges(&mut page, replica);
    counters(&mut page, replica.totals());
    finished(&mut page, replica.totals());
    latencies(&mut page, replica.totals());
    cache_config(&mut page, replica);
    page.0
}

fn gauges(page: &mut Page, replica: &Replica) {
    let waiting = whole(len(replica.waiting()));
    let name = "vllm:num_requests_running";
    page.family(name, "gauge", "Number of requests in model execution batches.");
    page.sample(name, &LABELS, whole(len(replica.running())));
    let name = "vllm:num_requests_waiting";
    page.family(name, "gauge", "Number of requests waiting to be processed.");
    page.sample(name, &LABELS, &waiting);
    let name = "vllm:num_requests_waiting_by_reason";
    let help = "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling \
                capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, \
                blocked status). Sum of all reasons equals vllm:num_requests_waiting.";
    page.family(name, "gauge", help);
    // Without adapters and transfers of caches nothing is ever deferred.
    for (reason, value) in [("capacity", waiting.as_str()), ("deferred", "0.0")] {
        page.sample(name, &[LABELS[0], LABELS[1], ("reason", reason)], value);
    }
    let name = "vllm:engine_sleep_state";
    let help = "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; \
                weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.";
    page.family(name, "gauge", help);
    for (state, value) in [("awake", "1.0"), ("weights_offloaded", "0.0"), ("discard_all", "0.0")] {
        page.sample(name, &[LABELS[0], LABELS[1], ("sleep_state", state)], value);
    }
    let name = "vllm:kv_cache_usage_perc";
    page.family(name, "gauge", "KV-cache usage. 1 means 100 percent usage.");
    page.sample(name, &LABELS, format_args!("{:?}", replica.kv_usage()));
}

fn counters(page: &mut Page, totals: &Totals) {
    let rows = [
        (
            "vllm:prefix_cache_queries_total",
            "Prefix cache queries, in terms of number of queried tokens.",
            totals.prompt_tokens,
        ),
        (
            "vllm:prefix_cache_hits_total",
            "Prefix cache hits, in terms of number of cached tokens.",
            totals.cached_tokens,
        ),
        (
            "vllm:num_preemptions_total",
            "Cumulative number of preemption from the engine.",
            totals.preemptions,
        ),
        ("vllm:prompt_tokens_total", "Number of prefill tokens processed.", totals.prompt_tokens),
        (
            "vllm:prompt_tokens_cached_total",
            "Number of cached prompt tokens (local + external).",
            totals.cached_tokens,
        ),
        (
            "vllm:generation_tokens_total",
            "Number of generation tokens processed.",
            totals.generation_tokens,
        ),
    ];
    for (name, help, value) in rows {
        page.family(name, "counter", help);
        page.sample(name, &LABELS, whole(value));
    }
}

fn finished(page: &mut Page, totals: &Totals) {
    let name = "vllm:request_success_total";
    page.family(name, "counter", "Count of successfully processed requests.");
    // The demo's requests end where the model stops; none runs into a length limit or an error.
    let reasons =
        [("stop", totals.finished), ("length", 0), ("abort", 0), ("error", 0), ("repetition", 0)];
    for (reason, value) in reasons {
        let labels = [LABELS[0], ("finished_reason", reason), LABELS[1]];
        page.sample(name, &labels, whole(value));
    }
    let name = "vllm:admission_rejections_total";
    let help = "Number of admission attempts rejected by a queue limit, by reason.";
    page.family(name, "counter", help);
    for (reason, value) in [("max_num_queued_reqs", totals.rejected), ("max_num_queued_tokens", 0)]
    {
        page.sample(name, &[LABELS[1], ("reason", reason)], whole(value));
    }
}

fn latencies(page: &mut Page, totals: &Totals) {
    let rows = [
        (
            "vllm:time_to_first_token_seconds",
            "Histogram of time to first token in seconds.",
            &totals.ttft,
        ),
        (
            "vllm:inter_token_latency_seconds",
            "Histogram of inter-token latency in seconds.",
            &totals.itl,
        ),
        (
            "vllm:e2e_request_latency_seconds",
            "Histogram of e2e request latency in seconds.",
            &totals.e2e,
        ),
        (
            "vllm:request_queue_time_seconds",
            "Histogram of time spent in WAITING phase for request.",
            &totals.queue,
        ),
    ];
    for (name, help, histogram) in rows {
        page.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let bounds = histogram.cumulative().map(|(bound, count)| (format!("{bound:?}"), count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), histogram.count())]) {
            let labels = [LABELS[0], ("le", bound.as_str()), LABELS[1]];
            page.sample(&bucket, &labels, whole(count));
        }
        page.sample(&format!("{name}_count"), &LABELS, whole(histogram.count()));
        page.sample(&format!("{name}_sum"), &LABELS, format_args!("{:?}", histogram.sum()));
    }
}

fn cache_config(page: &mut Page, replica: &Replica) {
    let Profile { kv_tokens, block_tokens, .. } = *replica.profile();
    let size = block_tokens.to_string();
    let blocks = (kv_tokens / u64::from(block_tokens.max(1))).to_string();
    let labels = [
        ("block_size", size.as_str()),
        ("cache_dtype", "auto"),
        ("enable_prefix_caching", "True"),
        ("engine", "0"),
        ("gpu_memory_utilization", "0.9"),
        ("num_gpu_blocks", blocks.as_str()),
    ];
    page.family("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
    page.sample("vllm:cache_config_info", &labels, "1.0");
}

/// The page of the gateway: what it holds and what it has passed to pods that still work on it.
pub(super) fn gateway(world: &World) -> String {
    let Census { held, waiting, running, .. } = world.census();
    let mut page = Page(String::new());
    let labels = [("route_name", ROUTE.0), ("route_namespace", ROUTE.1)];
    let name = "interceptor_request_concurrency";
    page.family(name, "gauge", "Requests the interceptor proxy holds or waits for");
    page.sample(name, &labels, held + waiting + running);
    let labels = [("code", "200"), ("method", "POST"), labels[0], labels[1]];
    let name = "interceptor_request_count_total";
    page.family(name, "counter", "Total requests processed by the interceptor proxy");
    let done = world.passed().saturating_sub(waiting + running);
    page.sample(name, &labels, done);
    page.0
}

/// A whole number as the Python client writes it.
fn whole(value: u64) -> String {
    format!("{value}.0")
}

#[cfg(test)]
mod tests;
