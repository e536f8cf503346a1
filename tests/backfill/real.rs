//! A real Prometheus that remembers days of a workload, its restarts, its new names and its neighbours.

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::observation::FaultKind;
use prescale::source::backfill::{Cursor, Told};
use prescale::source::config::DatasourceConfig;

use crate::history::{DAY, History, Load, Pod};
use crate::server::Prometheus;
use crate::{all, backfill, chunk, complete, sources, spec};

const PROMPT: f64 = 800.0;
const CACHED: f64 = 500.0;
const OUTPUT: f64 = 200.0;

/// Output tokens that a request is worth.
const WORK: f64 = OUTPUT + (PROMPT - CACHED) / 10.0;

/// Requests per second of the workload: by day three times as many as by night.
fn rate(at: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of the epoch are far below 2^53")]
    let days = at as f64 / 86_400.0;
    20.0 - 10.0 * (std::f64::consts::TAU * days).cos()
}

fn load<'a>(rate: &'a dyn Fn(i64) -> f64, cached_names: &'a [&'a str]) -> Load<'a> {
    Load { rate, prompt: PROMPT, cached: CACHED, output: OUTPUT, cached_names }
}

const OLD: &str = "vllm:gpu_prefix_cache_hits_total";
const NEW: &str = "vllm:prefix_cache_hits_total";

/// What happened in the last days, in seconds of the epoch.
#[derive(Debug, Clone, Copy)]
struct Days {
    from: i64,
    until: i64,
    /// The second pod crashes and counts from zero.
    crash: i64,
    /// A new version, first in one pod, six hours later in the other.
    rollout: i64,
    /// Nobody serves for an hour.
    asleep: i64,
}

impl Days {
    fn new(days: i64) -> Self {
        let until = now().div_euclid(60) * 60;
        let from = until - days * DAY;
        let [crash, rollout, asleep] = [7, 12, 30].map(|hours| from + hours * 3600);
        Self { from, until, crash, rollout, asleep }
    }

    /// The workload `chat` with its neighbours.
    fn history(self) -> History {
        let Self { from, until, crash, rollout, asleep } = self;
        let (first, second) = ("chat-7d9f6b5c4-aaaaa", "chat-7d9f6b5c4-bbbbb");
        let most: &dyn Fn(i64) -> f64 = &|at| 0.6 * rate(at);
        let rest: &dyn Fn(i64) -> f64 = &|at| 0.4 * rate(at);
        let mut history = History::default();
        let begins = from - 600;
        let old = Pod::new("llm", first, begins, rollout);
        history.vllm(&old, &load(most, &[OLD]));
        // Found by two scrape jobs; that is one pod.
        history.vllm(&old.with("job", "again"), &load(most, &[OLD]));
        history.vllm(&Pod::new("llm", second, begins, crash), &load(rest, &[OLD]));
        let later = rollout + 6 * 3600;
        history.vllm(&Pod::new("llm", second, crash, later), &load(rest, &[OLD]));
        // For a while both names are there, and say the same.
        let new = Pod::new("llm", "chat-5f6d8c9b7-ccccc", rollout, asleep);
        history.vllm(&new, &load(most, &[OLD, NEW]));
        let new = Pod::new("llm", "chat-5f6d8c9b7-ddddd", later, asleep);
        history.vllm(&new, &load(rest, &[NEW]));
        let awake = asleep + 3600;
        history.vllm(&Pod::new("llm", "chat-5f6d8c9b7-eeeee", awake, until), &load(most, &[NEW]));
        // Its labels gave way to those of a federation.
        history.vllm(&Pod::new("llm", "chat-5f6d8c9b7-fffff", awake, until), &load(rest, &[NEW]));
        // Others.
        for (namespace, pod) in [("llm", "chat-canary-5f6d8c9b7-aaaaa"), ("ml", first)] {
            history.vllm(&Pod::new(namespace, pod, begins, until), &load(&rate, &[NEW]));
        }
        history
    }

    /// How far from `at` something happened that the window of a rate blurs.
    fn quiet(self, at: i64) -> bool {
        let Self { from: _, until: _, crash, rollout, asleep } = self;
        let events = [crash, rollout, rollout + 6 * 3600, asleep, asleep + 3600];
        events.iter().all(|event| (at + 30 - event).abs() > 150)
    }

    fn asleep(self, at: i64) -> bool {
        (self.asleep..self.asleep + 3600).contains(&(at + 30))
    }

    fn check(self, minute: &Minute) {
        let at = minute.at.unix_ms() / 1000;
        let found = (minute.requests, minute.work);
        assert_eq!(minute.replicas, None);
        if !self.quiet(at) {
            // Less is seen of a pod that begins or ends, never more.
            assert!(found.0.is_none_or(|found| found <= rate(at) * 1.02), "{minute:?}");
            return;
        }
        if self.asleep(at) {
            assert_eq!(found, (None, None), "nobody served: {minute:?}");
            return;
        }
        let near = |found: Option<f64>, expected: f64| {
            let far = found.map(|found| (found / expected - 1.0).abs());
            // Half a minute of the curve and a request of 2400 that falls to the next minute.
            assert!(far.is_some_and(|far| far < 0.01), "{minute:?} beside {expected}");
        };
        near(found.0, rate(at + 30));
        near(found.1, rate(at + 30) * WORK);
    }
}

fn now() -> i64 {
    Clock::system().now().unix_ms() / 1000
}

fn config(prometheus: &Prometheus) -> DatasourceConfig {
    DatasourceConfig::at(prometheus.url())
}

#[tokio::test]
async fn days_of_a_workload_are_known_minute_by_minute() {
    let days = Days::new(4);
    let Some(prometheus) = days.history().remembered().await else { return };
    let clock = Clock::system();
    let sources = sources(config(&prometheus), clock.clone());
    let spec = spec(&[("engine", "vllm"), ("model", "m")]);
    let mut backfill = backfill(&sources, &spec, (days.from, days.until));
    let minutes = all(&mut backfill, &clock).await;
    // What is not over for a minute is left to the ticks.
    let ends = backfill.cursor().until().unix_ms() / 1000;
    assert!((days.until - 60..=days.until).contains(&ends), "{ends}");
    complete(&minutes, (days.from, ends));
    minutes.iter().for_each(|minute| days.check(minute));
    let gaps = minutes.iter().filter(|minute| minute.requests.is_none()).count();
    assert!((55..=61).contains(&gaps), "{gaps} minutes are unknown");
    let progress = backfill.progress();
    assert!((progress.days_done - progress.days_total).abs() < 1e-9, "{progress:?}");
    assert_eq!((progress.queries, progress.fault), (1 + 5 * 5, None), "four days and a bit");
}

#[tokio::test]
async fn a_prometheus_that_dies_and_comes_back_is_asked_for_the_rest() {
    let days = Days::new(3);
    let Some(mut prometheus) = days.history().remembered().await else { return };
    let clock = Clock::system();
    let server = sources(config(&prometheus), clock.clone());
    let spec = spec(&[("engine", "vllm")]);
    let mut first = backfill(&server, &spec, (days.from, days.until));
    let mut chunks = Vec::new();
    for _ in 0..2 {
        chunks.push(chunk(&mut first, &clock).await.unwrap());
    }
    prometheus.stop();
    let Told::Waiting { kind, .. } = first.next_chunk().await else { panic!("it is gone") };
    // Refused, or cut off where the connection was still there.
    assert!(matches!(kind, FaultKind::ConnectRefused | FaultKind::BadResponse), "{kind:?}");
    // So are we: all that is left is what was stored.
    let stored = serde_json::to_string(&chunks[1].cursor).unwrap();
    drop((first, server));
    prometheus.start_again().await;
    let cursor: Cursor = serde_json::from_str(&stored).unwrap();
    let server = sources(config(&prometheus), clock.clone());
    let mut second = server.backfill(&spec.target, &spec.setup, cursor);
    let older = all(&mut second, &clock).await;
    let newer = chunks.iter().rev().flat_map(|chunk| chunk.minutes.clone());
    let minutes: Vec<Minute> = older.into_iter().chain(newer).collect();
    complete(&minutes, (days.from, cursor.until().unix_ms() / 1000));
    minutes.iter().for_each(|minute| days.check(minute));
}

/// A Prometheus that remembers three hours of what is not vLLM, and where they begin and end.
async fn others() -> Option<(Prometheus, (i64, i64))> {
    let until = now().div_euclid(60) * 60;
    let (from, middle) = (until - 3 * 3600, until - 2 * 3600);
    let mut history = History::default();
    let exporter = |pod: &str, gpu: &str| {
        let pod = format!(r#"exported_namespace="llm",exported_pod="chat-7d9f6b5c4-{pod}""#);
        let labels = format!(r#"namespace="gpus",pod="dcgm-0",{pod},gpu="{gpu}",Hostname="a""#);
        Pod { labels, begins: middle, ends: until }
    };
    // Two GPUs of a pod, one of another; a driver does not know.
    for (pod, gpu, busy) in
        [("aaaaa", "0", 60.0), ("aaaaa", "1", 40.0), ("bbbbb", "2", 80.0), ("bbbbb", "3", 9.2e18)]
    {
        history.gauge(&exporter(pod, gpu), "DCGM_FI_DEV_GPU_UTIL", &|_| busy);
    }
    let memory = [("USED", 30_000.0), ("FREE", 50_000.0), ("RESERVED", 0.0)];
    for (name, value) in memory {
        history.gauge(&exporter("aaaaa", "0"), &format!("DCGM_FI_DEV_FB_{name}"), &|_| value);
    }
    // Counters come with the first request, half an hour after the pod.
    let pod = Pod::new("llm", "chat-7d9f6b5c4-aaaaa", middle, until);
    history.gauge(&pod, "tgi_batch_max_total_tokens", &|_| 30_000.0);
    let first = Pod { begins: middle + 1800, ..pod.clone() };
    history.counter(&first, "tgi_request_count", &|_| 3.0);
    history.counter(&first, "tgi_request_success", &|_| 2.0);
    history.counter(&first, "tgi_request_generated_tokens_sum", &|_| 100.0);
    history.gauge(&pod, "depth", &|_| 12.0);
    history.gauge(&pod.with("of", "busy"), "busy", &|_| 0.5);
    let labels = r#"namespace="llm",deployment="chat""#.to_owned();
    let cluster = Pod { labels, ..pod };
    history.gauge(&cluster, "kube_deployment_status_replicas_ready", &|_| 6.0);
    Some((history.remembered().await?, (from, until)))
}

/// Whether the field that `of` takes is unknown for the first hour, `early` in the half hour after and
/// `late` from then on; apart from the minutes around each change.
fn phases(minutes: &[Minute], of: fn(&Minute) -> Option<f64>, (early, late): (f64, f64)) {
    let ranges = [(0..56, None), (64..86, Some(early)), (94..170, Some(late))];
    for (range, expected) in ranges {
        for minute in &minutes[range] {
            let close = match (of(minute), expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= 0.01 * expected,
                (found, expected) => found == expected,
            };
            assert!(close, "{minute:?}, not {expected:?}");
        }
    }
}

#[tokio::test]
async fn gpus_signals_and_counters_that_come_late_are_known_as_the_ticks_know_them() {
    let Some((prometheus, range)) = others().await else { return };
    let clock = Clock::system();
    let sources = sources(config(&prometheus), clock.clone());
    let signals = "- {name: depth, query: sum(depth), target: 4}\n\
                   - {name: busy, query: avg(busy), target: 0.75, total: false}";
    let read = async |metadata: &[(&str, &str)]| {
        let mut backfill = backfill(&sources, &spec(metadata), range);
        all(&mut backfill, &clock).await
    };
    let replicas = |minute: &Minute| minute.replicas;
    // (0.5 + 0.8) / 0.65, and 30 of 80 GB at 15 %, which is more than is busy.
    let gpu = read(&[("engine", "gpu"), ("gpuUtilization", "65%")]).await;
    phases(&gpu, replicas, (2.0, 2.0));
    let gpu = read(&[("engine", "gpu"), ("gpuMemory", "15%")]).await;
    phases(&gpu, replicas, (2.5, 2.5));
    // 12 / 4, and 6 replicas at 0.5 of 0.75.
    let own = read(&[("engine", "custom"), ("signals", signals)]).await;
    phases(&own, replicas, (4.0, 4.0));
    let tgi = read(&[("engine", "tgi")]).await;
    phases(&tgi, |minute| minute.requests, (0.0, 3.0));
    phases(&tgi, |minute| minute.work, (0.0, 100.0));
}

/// A forecast that learned smoother minutes than those to come takes the chance of one for a rise.
#[tokio::test]
async fn a_minute_is_what_came_in_it_and_not_what_came_around_it() {
    let until = now().div_euclid(60) * 60;
    let (from, burst) = (until - 3600, until - 1800);
    let rate = |at: i64| if (burst..burst + 60).contains(&at) { 40.0 } else { 20.0 };
    let mut history = History::default();
    let pod = Pod::new("llm", "chat-7d9f6b5c4-aaaaa", from - 600, until);
    history.vllm(&pod, &load(&rate, &[NEW]));
    let Some(prometheus) = history.remembered().await else { return };
    let clock = Clock::system();
    let sources = sources(config(&prometheus), clock.clone());
    let spec = spec(&[("engine", "vllm"), ("model", "m")]);
    let minutes = all(&mut backfill(&sources, &spec, (from, until)), &clock).await;
    assert!(minutes.len() >= 55);
    for minute in minutes {
        let expected = rate(minute.at.unix_ms() / 1000);
        // A scrape is a second before the end of a minute.
        let near = |found: f64| (found / expected - 1.0).abs() < 0.03;
        assert!(minute.requests.is_some_and(near), "{minute:?}, not {expected}");
    }
}

/// Bytes of all answers to range queries, as they went over the wire, and their number.
async fn sent(prometheus: &Prometheus) -> (f64, f64) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = client.get(format!("{}/metrics", prometheus.url())).send().await.unwrap();
    let page = page.text().await.unwrap();
    let value = |name: &str| -> f64 {
        let series = format!("{name}{{handler=\"/api/v1/query_range\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    };
    let name = "prometheus_http_response_size_bytes";
    (value(&format!("{name}_sum")), value(&format!("{name}_count")))
}

/// Prints the figures of "How to size it" in docs/sources.md.
#[tokio::test]
#[ignore = "measures"]
async fn fourteen_days_cost_what_the_documentation_says() {
    let days = Days::new(14);
    let Some(prometheus) = days.history().remembered().await else { return };
    let clock = Clock::system();
    let sources = sources(config(&prometheus), clock.clone());
    let spec = spec(&[("engine", "vllm"), ("model", "m")]);
    let mut backfill = backfill(&sources, &spec, (days.from, days.until));
    let began = clock.elapsed();
    let minutes = all(&mut backfill, &clock).await;
    let took = clock.elapsed() - began;
    let (bytes, count) = sent(&prometheus).await;
    minutes.iter().for_each(|minute| days.check(minute));
    let worst = minutes
        .iter()
        .filter(|minute| days.quiet(minute.at.unix_ms() / 1000))
        .filter_map(|minute| {
            Some((minute.requests? / rate(minute.at.unix_ms() / 1000 + 30) - 1.0).abs())
        })
        .fold(0.0, f64::max);
    eprintln!(
        "{} minutes, {count} queries, {bytes} bytes over the wire, {took:?}; worst {worst:.5}",
        minutes.len()
    );
    assert_eq!(count.to_string(), backfill.progress().queries.to_string());
}
