//! What many scalers that forecast cost in one process, and a Prometheus beside it. Ignored: `cargo test
//! --release --test fleet -- --ignored --nocapture --test-threads 1`, with the number of scalers in
//! `PRESCALE_FLEET` (1 000 by default), and the name of one of them where figures count.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "its figures stand in docs")]

#[path = "support/facts.rs"]
mod facts;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/program.rs"]
mod program;
#[path = "fleet/queries.rs"]
mod queries;
#[path = "fleet/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::foresight::{Carries, Foresight, Measured};
use prescale::engine::setup::Setup;
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LEAD: Duration = Duration::from_mins(4);
/// After eight days every part of a forecaster has its full size, and after sixteen when it usually wakes.
const DAYS: i64 = 17;

fn setup() -> Setup {
    parse("team-a", "llama", &BTreeMap::new(), &Limits::default()).unwrap().setup
}

/// What arrives in a minute of a day with a rhythm and some noise.
fn minute(number: i64) -> Minute {
    let hour = f64::from(i32::try_from(number % 1440).unwrap()) / 60.0;
    let noise = f64::from(i32::try_from(number * 7919 % 101).unwrap()) / 25.0;
    let requests = 20.0 - 10.0 * (hour / 24.0 * std::f64::consts::TAU).cos() + noise;
    let at = Timestamp::from_unix_ms(number * 60_000);
    Minute { at, requests: Some(requests), work: Some(requests * 280.0), replicas: None }
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// How long it took.
fn spent(work: impl FnOnce()) -> Duration {
    let clock = Clock::system();
    let begun = clock.elapsed();
    work();
    clock.elapsed().saturating_sub(begun)
}

/// How many scalers the tester asked for.
fn asked() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how many is the tester's choice")]
    let asked = std::env::var("PRESCALE_FLEET");
    asked.ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

#[test]
#[ignore = "a measurement"]
fn many_forecasts_in_one_process() {
    let count = asked();
    let setup = setup();
    let minutes: Vec<Minute> = (0..DAYS * 1440).map(minute).collect();
    let before = resident();
    let mut fleet = Vec::with_capacity(count);
    let taught = spent(|| {
        fleet.extend((0..count).map(|_| Foresight::of(&setup, LEAD, Carries::default(), &minutes)))
    });
    let after = resident();
    // A tick every 15 s; the last of them learns.
    let ticked = spent(|| {
        for tick in 1..=4_i64 {
            let at = Timestamp::from_unix_ms(DAYS * 86_400_000 + tick * 15_000);
            let Minute { requests, work, replicas, .. } = minute(DAYS * 1440);
            for foresight in &mut fleet {
                assert!(foresight.ahead(&setup, at, LEAD).is_some());
                foresight.note(
                    &setup,
                    at,
                    Measured { requests, work, replicas },
                    Carries::default(),
                );
            }
        }
    });
    let each = (after - before) * 1024.0 / f64::from(u32::try_from(count).unwrap());
    println!("{count} forecasts: {after:.0} MiB resident, {each:.0} KiB each");
    println!("taught {DAYS} days each in {:.1} s", taught.as_secs_f64());
    println!("a minute of ticks takes {:.3} s of one core", ticked.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of some minutes"]
async fn many_scalers_with_forecasts_in_a_whole_server() {
    let count = asked();
    let setup = setup();
    let now = Clock::system().now().unix_ms() / 60_000;
    let days = (now - DAYS * 1440..now)
        .map(|number| Minute { at: Timestamp::from_unix_ms(number * 60_000), ..minute(number) });
    let taught = Foresight::of(&setup, LEAD, Carries::default(), &days.collect::<Vec<_>>());
    server::measure(count, &setup, &taught).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of some minutes"]
async fn many_scalers_query_a_prometheus_each_of_its_own_workload() {
    queries::measure(asked(), asked()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of some minutes"]
async fn many_scalers_query_a_prometheus_of_ten_workloads() {
    queries::measure(asked(), 10).await;
}
