//! The pages that the simulated fleet shows: a vLLM server's `/metrics` and a gateway's.
//!
//! Names, labels and format are those of vLLM 0.33 (V1 engine) and of the KEDA http-add-on 0.15; of
//! vLLM's families only those are written that say something about load. Everything is present
//! before the first request, as in the real one.

use std::fmt::Write as _;

use crate::engine::replay::replica::{Replica, len};
use crate::engine::replay::world::{Census, World};

/// Content type of both pages.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";

/// The served model's name.
pub(super) const MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";

/// Route of the workload at the gateway: name and namespace.
pub(super) const ROUTE: (&str, &str) = ("vllm", "demo");

/// Tokens of a block of the KV cache, vLLM's default.
const BLOCK: u64 = 16;

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

/// The page of one vLLM server.
pub(super) fn vllm(replica: &Replica) -> String {
    let mut page = Page(String::new());
    gauges(&mut page, replica);
    counters(&mut page, replica);
    cache_config(&mut page, replica);
    ttft(&mut page, replica);
    page.0
}

fn gauges(page: &mut Page, replica: &Replica) {
    let running = "Number of requests in model execution batches.";
    let waiting = "Number of requests waiting to be processed.";
    let kv = "KV-cache usage. 1 means 100 percent usage.";
    page.family("vllm:num_requests_running", "gauge", running);
    page.sample("vllm:num_requests_running", &LABELS, whole(len(replica.running())));
    page.family("vllm:num_requests_waiting", "gauge", waiting);
    page.sample("vllm:num_requests_waiting", &LABELS, whole(len(replica.waiting())));
    page.family("vllm:engine_sleep_state", "gauge", "Engine sleep state.");
    for (state, value) in [("awake", "1.0"), ("weights_offloaded", "0.0"), ("discard_all", "0.0")] {
        let labels = [LABELS[0], LABELS[1], ("sleep_state", state)];
        page.sample("vllm:engine_sleep_state", &labels, value);
    }
    page.family("vllm:kv_cache_usage_perc", "gauge", kv);
    page.sample("vllm:kv_cache_usage_perc", &LABELS, format_args!("{:?}", replica.kv_usage()));
}

fn counters(page: &mut Page, replica: &Replica) {
    let totals = replica.totals();
    let rows = [
        ("vllm:num_preemptions_total", "Cumulative number of preemption.", totals.preemptions),
        ("vllm:prompt_tokens_total", "Number of prefill tokens processed.", totals.prompt_tokens),
        (
            "vllm:generation_tokens_total",
            "Number of generation tokens processed.",
            totals.generation_tokens,
        ),
        (
            "vllm:prefix_cache_queries_total",
            "Prefix cache queries, in tokens.",
            totals.prompt_tokens,
        ),
        ("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens.", 0),
    ];
    for (name, help, value) in rows {
        page.family(name, "counter", help);
        page.sample(name, &LABELS, whole(value));
    }
    let name = "vllm:request_success_total";
    page.family(name, "counter", "Count of successfully processed requests.");
    // The demo's requests end where the model stops; none runs into a length limit or an error.
    let reasons =
        [("stop", totals.finished), ("length", 0), ("abort", 0), ("error", 0), ("repetition", 0)];
    for (reason, value) in reasons {
        let labels = [LABELS[0], ("finished_reason", reason), LABELS[1]];
        page.sample(name, &labels, whole(value));
    }
}

fn cache_config(page: &mut Page, replica: &Replica) {
    let blocks = (replica.profile().kv_tokens / BLOCK).to_string();
    let size = BLOCK.to_string();
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

fn ttft(page: &mut Page, replica: &Replica) {
    let name = "vllm:time_to_first_token_seconds";
    let ttft = &replica.totals().ttft;
    page.family(name, "histogram", "Histogram of time to first token in seconds.");
    let bucket = format!("{name}_bucket");
    let bounds = ttft.cumulative().map(|(bound, count)| (format!("{bound:?}"), count));
    for (bound, count) in bounds.chain([("+Inf".to_owned(), ttft.count())]) {
        let labels = [LABELS[0], ("le", bound.as_str()), LABELS[1]];
        page.sample(&bucket, &labels, whole(count));
    }
    page.sample(&format!("{name}_count"), &LABELS, whole(ttft.count()));
    page.sample(&format!("{name}_sum"), &LABELS, format_args!("{:?}", ttft.sum()));
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
mod tests {
    use std::time::Duration;

    use super::{gateway, vllm};
    use crate::demo::traffic::day;
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::world::World;

    const DAY: Duration = Duration::from_secs(3 * 3600);

    #[test]
    fn a_pod_shows_its_load_under_vllms_names() {
        let mut world = World::new(Settings::demo(), day(1, DAY), 1, 1);
        world.advance(Duration::from_secs(300));
        let replica = world.pods()[0].replica();
        let page = vllm(replica);
        let model = "model_name=\"meta-llama/Llama-3.1-8B-Instruct\"";
        let totals = replica.totals();
        let expected = [
            format!("vllm:num_requests_running{{engine=\"0\",{model}}} {}.0", replica.running()),
            format!("vllm:num_requests_waiting{{engine=\"0\",{model}}} 0.0"),
            format!("vllm:prompt_tokens_total{{engine=\"0\",{model}}} {}.0", totals.prompt_tokens),
            format!(
                "vllm:request_success_total{{engine=\"0\",finished_reason=\"stop\",{model}}} {}.0",
                totals.finished
            ),
            format!(
                "vllm:time_to_first_token_seconds_bucket{{engine=\"0\",le=\"+Inf\",{model}}} {}.0",
                totals.ttft.count()
            ),
            "# TYPE vllm:time_to_first_token_seconds histogram".to_owned(),
        ];
        for line in expected {
            assert!(page.lines().any(|found| found == line), "{line}\nin\n{page}");
        }
        assert!(totals.finished > 100, "the page is of a pod that worked");
        assert!(page.contains("num_gpu_blocks=\"26312\"") && page.contains("block_size=\"16\""));
    }

    #[test]
    fn a_fresh_pod_shows_the_same_series_at_zero() {
        let series = |page: &str| {
            let lines = page.lines().filter(|line| !line.starts_with('#'));
            lines
                .filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned()))
                .collect()
        };
        let mut world = World::new(Settings::demo(), day(1, DAY), 1, 1);
        let fresh: Vec<String> = series(&vllm(world.pods()[0].replica()));
        world.advance(Duration::from_secs(300));
        let loaded: Vec<String> = series(&vllm(world.pods()[0].replica()));
        assert_eq!(fresh, loaded);
        assert!(fresh.len() > 40, "{}", fresh.len());
    }

    #[test]
    fn the_gateway_shows_what_it_holds_while_nobody_serves() {
        let mut world = World::new(Settings::demo(), day(1, DAY), 0, 1);
        world.advance(Duration::from_secs(60));
        let held = world.census().held;
        let line = format!(
            "interceptor_request_concurrency{{route_name=\"vllm\",route_namespace=\"demo\"}} {held}"
        );
        assert!(held > 0 && gateway(&world).contains(&line), "{line}");
    }
}
