//! The pages against genuine ones, and against what a replay of the same pods scrapes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{MODEL, gateway, vllm};
use crate::demo::traffic::day;
use crate::engine::observation::{Combine, Latency, Role, RoleSeries};
use crate::engine::replay::pod::Stage;
use crate::engine::replay::profile::Settings;
use crate::engine::replay::scrape::{Pipeline, Scrapes};
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;
use crate::source::assemble::roles;
use crate::source::exposition::{Format, Limits, Parser};
use crate::source::histogram;
use crate::source::preset::preset;
use crate::source::ring::Memory;
use crate::source::scrape::wanted;
use crate::spec::Engine;

/// What vLLM 0.33's own exporter writes.
const GENUINE: &str = include_str!("../../../tests/data/pages/vllm-v1-0.33.0.prom");

const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);
const LATENCIES: [Latency; 3] = [Latency::Ttft, Latency::InterToken, Latency::Request];

/// The demo's morning with one pod.
fn world(replicas: u32) -> World {
    World::new(Settings::demo(), day(1, Duration::from_hours(3)), replicas, 1)
}

#[test]
fn a_pod_shows_its_load_under_vllms_names() {
    let mut world = world(1);
    world.advance(Duration::from_mins(5));
    let replica = world.pods()[0].replica();
    let page = vllm(replica);
    let totals = replica.totals();
    let rows = [
        ("num_requests_running", String::new(), replica.running().to_string()),
        ("num_requests_waiting", String::new(), "0".to_owned()),
        ("prompt_tokens_total", String::new(), totals.prompt_tokens.to_string()),
        (
            "request_success_total",
            "finished_reason=\"stop\",".to_owned(),
            totals.finished.to_string(),
        ),
        (
            "time_to_first_token_seconds_bucket",
            "le=\"+Inf\",".to_owned(),
            totals.ttft.count().to_string(),
        ),
        (
            "request_queue_time_seconds_bucket",
            "le=\"0.3\",".to_owned(),
            totals.finished.to_string(),
        ),
    ];
    for (name, label, value) in rows {
        let line = format!("vllm:{name}{{engine=\"0\",{label}model_name=\"{MODEL}\"}} {value}.0");
        assert!(page.lines().any(|found| found == line), "{line}\nin\n{page}");
    }
    assert!(totals.finished > 100, "the page is of a pod that worked");
    assert!(page.contains("num_gpu_blocks=\"26312\"") && page.contains("block_size=\"16\""));
}

/// Lines without values. The settings of the cache are left out: those are labels, and the demo's own.
fn shape(page: &str) -> BTreeSet<String> {
    let apart = |line: &&str| !line.starts_with("vllm:cache_config_info{");
    let bare = |line: &str| match line.rsplit_once("} ") {
        Some((series, _)) => series.to_owned(),
        None => line.to_owned(),
    };
    page.lines().filter(apart).map(bare).collect()
}

#[test]
fn what_is_written_is_as_vllm_writes_it_and_no_series_comes_or_goes_with_load() {
    let mut world = world(1);
    let fresh = shape(&vllm(world.pods()[0].replica()));
    world.advance(Duration::from_mins(5));
    let page = vllm(world.pods()[0].replica());
    assert_eq!(fresh, shape(&page));
    assert_eq!(fresh.len() + 1, page.lines().count(), "no line twice");
    let genuine = shape(GENUINE);
    let strange: Vec<_> = fresh.difference(&genuine).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    // A family is written whole or not at all.
    let families = fresh.iter().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families {
        let of_it = |line: &&String| {
            let rest = line.strip_prefix(family).unwrap_or_default();
            ["{", "_bucket{", "_count{", "_sum{"].iter().any(|next| rest.starts_with(next))
        };
        let missing: Vec<_> =
            genuine.iter().filter(of_it).filter(|line| !fresh.contains(*line)).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

#[test]
fn the_gateway_shows_what_it_holds_while_nobody_serves() {
    let mut world = world(0);
    world.advance(Duration::from_mins(1));
    let held = world.census().held;
    let line = format!(
        "interceptor_request_concurrency{{route_name=\"vllm\",route_namespace=\"demo\"}} {held}"
    );
    assert!(held > 0 && gateway(&world).contains(&line), "{line}");
}

/// A round of a direct scrape and of a replay's, of the same pod at the same instant.
struct Pair {
    memory: Memory,
    scrapes: Scrapes,
    window: Duration,
}

impl Pair {
    fn new() -> Self {
        let window = Duration::from_mins(2);
        let pipeline = Pipeline { interval: Duration::from_secs(15), window, quantile: 0.95 };
        // A range reaches back to its window and not to the very edge of it.
        let memory = Memory::new(window.saturating_sub(Duration::from_millis(1)));
        Self { memory, scrapes: Scrapes::new(pipeline, ORIGIN, (0, 12)), window }
    }

    /// Roles and latencies compared; 0 where the replay scraped something else than the pod.
    fn compare(&mut self, world: &World) -> usize {
        let at = ORIGIN.plus(world.now());
        let observation = self.scrapes.observe(at);
        let pod = observation.pods.values().next().unwrap();
        let newest = |found: &RoleSeries| found.series[0].latest().unwrap();
        if pod.roles.get(&Role::Waiting).map(newest).is_none_or(|sample| sample.at < at) {
            return 0;
        }
        let pods = world.pods();
        assert_eq!((pods.len(), pods[0].stage(world.now())), (1, Stage::Ready));
        let preset = preset(Engine::Vllm);
        let page = vllm(pods[0].replica());
        let mut parser = Parser::new(Format::Text, wanted(&preset, &LATENCIES), Limits::default());
        parser.feed(page.as_bytes()).unwrap();
        assert!(self.memory.absorb(&parser.finish(true).unwrap(), at));
        let rows = self.memory.series(at);
        let (found, _) = roles(&preset, None, &[], &rows);
        for (role, found) in &found {
            // That it is awake is told by no scrape of a replay, where nothing else exists.
            let Some(replayed) = pod.roles.get(role) else {
                assert_eq!(*role, Role::Awake);
                continue;
            };
            let latest = found.series.iter().filter_map(|one| one.latest());
            let value: f64 = latest.map(|sample| sample.value).sum();
            assert!((newest(replayed).value - value).abs() < 1e-9, "{role}: {found:?}");
            assert_eq!((&replayed.metric, replayed.combine), (&found.metric, found.combine));
            assert!(found.series.len() == 1 || found.combine == Combine::Sum);
        }
        let of_the_page = |role: &&Role| **role != Role::GpuUtilization;
        for role in pod.roles.keys().filter(of_the_page) {
            assert!(found.contains_key(role), "{role} is not on the page");
        }
        for latency in LATENCIES {
            let histogram = preset.histograms.iter().find(|one| one.latency == latency).unwrap();
            let name = format!("{}_bucket", histogram.names[0]);
            let buckets = rows.iter().filter(|row| row.name == name).collect();
            let direct = histogram::reading(0.95, histogram.scale, &[buckets]).seconds;
            let replayed = observation.latency[&latency].seconds;
            // Extrapolation scales all buckets alike, once no counter is young enough to reach zero.
            if world.now() > self.window * 3 {
                let (direct, replayed) = (direct.unwrap(), replayed.unwrap());
                assert!((direct - replayed).abs() < 1e-6, "{latency:?}: {direct} {replayed}");
            }
        }
        found.len()
    }
}

/// The scrapes of a replay show what a page of the same pod says once the product has read it.
#[test]
fn what_a_replay_scrapes_is_what_the_product_reads_from_the_page() {
    let (mut world, mut pair) = (world(1), Pair::new());
    pair.scrapes.scrape(&world);
    let mut compared = 0;
    while world.now() < Duration::from_mins(20) {
        world.advance(pair.scrapes.due(&world));
        pair.scrapes.scrape(&world);
        compared += pair.compare(&world);
    }
    // Eighty scrapes of ten roles.
    assert!(compared >= 79 * 10, "{compared}");
}
