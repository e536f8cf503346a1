//! The back-fill of a scaler's history: a scripted server, and a real Prometheus that remembers days.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped or measured"
)]

#[path = "support/history.rs"]
mod history;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod server;

#[path = "backfill/real.rs"]
mod real;
#[path = "backfill/scripted.rs"]
mod scripted;
#[path = "backfill/taught.rs"]
mod taught;

use std::collections::BTreeMap;
use std::sync::Arc;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::units::Timestamp;
use prescale::source::Sources;
use prescale::source::backfill::{Backfill, Chunk, Cursor, Told};
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::{self, Limits, Spec};

/// Sources with one datasource, `default`.
fn sources(config: DatasourceConfig, clock: Clock) -> Arc<Sources> {
    let datasources = BTreeMap::from([("default".to_owned(), config)]);
    Sources::open(&datasources, ScrapePolicy::default(), clock).unwrap()
}

/// The trigger of ScaledObject `chat` in namespace `llm`.
fn spec(metadata: &[(&str, &str)]) -> Spec {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    spec::parse("llm", "chat", &metadata.collect(), &Limits::default()).unwrap()
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

/// The back-fill of that trigger over so many seconds of the epoch.
fn backfill(sources: &Sources, spec: &Spec, (from, until): (i64, i64)) -> Backfill {
    sources.backfill(&spec.target, &spec.setup, Cursor::new(second(from), second(until)))
}

/// The next chunk; waits while the back-fill says so.
async fn chunk(backfill: &mut Backfill, clock: &Clock) -> Option<Chunk> {
    loop {
        match backfill.next_chunk().await {
            Told::Chunk(chunk) => return Some(chunk),
            Told::Waiting { pause, .. } => clock.sleep(pause).await,
            Told::Done(_) => return None,
            Told::Failed { reason, .. } => panic!("{reason}"),
        }
    }
}

/// All minutes, oldest first.
async fn all(backfill: &mut Backfill, clock: &Clock) -> Vec<Minute> {
    let mut chunks = Vec::new();
    while let Some(chunk) = chunk(backfill, clock).await {
        chunks.push(chunk.minutes);
    }
    chunks.into_iter().rev().flatten().collect()
}

/// Each minute of the range once, in order.
fn complete(minutes: &[Minute], (from, until): (i64, i64)) {
    let found: Vec<i64> = minutes.iter().map(|minute| minute.at.unix_ms() / 1000).collect();
    let expected: Vec<i64> = (from..until).step_by(60).collect();
    assert_eq!(found, expected);
}
