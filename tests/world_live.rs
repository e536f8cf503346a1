//! The simulated replica beside a recorded run of a real vLLM server: the same clients, second by
//! second, and what both showed. Order and shape only; the recorder's cores were shared, so rows in
//! which the load generator stood still are left out and speeds are not compared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "another suite reads more of the table")]
#[path = "recorded_run/trace.rs"]
mod trace;

#[path = "world_live/clients.rs"]
mod clients;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clients::Simulated;
use crate::trace::{Row, Trace};

/// `--max-num-seqs` of the recorded server.
const BATCH: u32 = 4;
/// Blocks of its cache; one is never given out.
const BLOCKS: f64 = 64.0;
/// Pages were read every five seconds; one that came later than this after its mark was read by a
/// recorder that stood still, and the load generator beside it with it.
const EVERY: u128 = 5000;
const LATE: u128 = 50;
/// A time to first token that no request has while eight clients are served, and every one once twenty
/// wait: the recorded server answered some three requests a second.
const SLOW: Duration = Duration::from_secs(5);
/// Clients that come or go need this long to show: the longest request takes about five seconds.
const SETTLED: Duration = Duration::from_secs(6);

/// One instant of both runs.
struct Pair<'a> {
    real: &'a Row,
    /// Clients, those that come and go included.
    clients: u32,
    running: u32,
    waiting: u32,
    kv: f64,
}

/// Both runs at the recorder's rows that say something: nobody stood still, and the number of
/// clients has not just changed.
fn pairs(trace: &Trace) -> Vec<Pair<'_>> {
    let first = trace.first().at;
    let mut simulated = Simulated::new();
    let mut changed = first;
    let mut pairs = Vec::new();
    for (idx, real) in trace.rows().iter().enumerate() {
        if idx > 0 && trace.rows()[idx - 1].phase != real.phase {
            changed = real.at;
        }
        simulated.advance(real.at.since(first), real.phase);
        let late = real.at.since(first).as_millis() % EVERY > LATE;
        if real.stalled || late || real.at.since(changed) < SETTLED {
            continue;
        }
        let (running, waiting) = simulated.gauges();
        let kv = simulated.kv_usage();
        pairs.push(Pair { real, clients: real.phase, running, waiting, kv });
    }
    pairs
}

#[test]
fn running_is_capped_and_the_rest_waits_as_on_the_real_server() {
    let trace = Trace::read();
    let pairs = pairs(&trace);
    assert!(pairs.len() > 30, "{}", pairs.len());
    for pair in &pairs {
        let at = pair.real.at;
        let expected = pair.clients.min(BATCH);
        // A page is read between the end of one request and the next one's coming now and then.
        for (who, running, waiting) in [
            ("recorded", pair.real.running, pair.real.waiting),
            ("simulated", f64::from(pair.running), f64::from(pair.waiting)),
        ] {
            assert!(running <= f64::from(BATCH), "{who} at {at:?}: {running}");
            assert!(running >= f64::from(expected) - 1.0, "{who} at {at:?}: {running}");
            let inside = running + waiting;
            let missing = f64::from(pair.clients) - inside;
            assert!((0.0..=1.0).contains(&missing), "{who} at {at:?}: {inside} inside");
        }
    }
}

#[test]
fn the_cache_fills_with_the_clients_and_never_gives_out_its_last_block() {
    let trace = Trace::read();
    let pairs = pairs(&trace);
    let most = (BLOCKS - 1.0) / BLOCKS;
    let mut means: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
    for pair in &pairs {
        assert!(pair.kv <= most && pair.real.kv <= most, "{} and {}", pair.kv, pair.real.kv);
        let (real, simulated, count) = means.entry(pair.clients).or_default();
        (*real, *simulated, *count) = (*real + pair.real.kv, *simulated + pair.kv, *count + 1.0);
    }
    let means: Vec<(u32, f64, f64)> =
        means.into_iter().map(|(clients, (real, sim, n))| (clients, real / n, sim / n)).collect();
    for (clients, real, simulated) in &means {
        // Three to ten rows a phase: sizes of single requests move the mean by this much.
        assert!((real - simulated).abs() < 0.17, "{clients} clients: {real} and {simulated}");
    }
    // 0, 1, 2 and 4 clients fill ever more of it; beyond, the batch is full.
    for pair in means.windows(2).filter(|pair| pair[1].0 <= BATCH) {
        assert!(pair[0].1 < pair[1].1 && pair[0].2 < pair[1].2, "{means:?}");
    }
}

#[test]
fn the_time_to_first_token_lags_behind_the_queue_that_causes_it() {
    let trace = Trace::read();
    let first = trace.first().at;
    let mut simulated = Simulated::new();
    let mut before: Option<(&Row, u64, u64)> = None;
    let mut queued: Option<(Duration, Duration)> = None;
    for real in trace.rows() {
        let elapsed = real.at.since(first);
        simulated.advance(elapsed, real.phase);
        let (answered, slow) = simulated.first_tokens(SLOW);
        if let Some((row, answered_before, slow_before)) = before.filter(|_| real.phase == 24) {
            let (_, waiting) = simulated.gauges();
            let since = queued.get_or_insert((elapsed, elapsed)).0;
            let young = elapsed == since;
            let (seen, over) = (answered - answered_before, slow - slow_before);
            let real_over = above(row, real, SLOW.as_secs_f64());
            if young && !real.stalled && waiting >= 15 && real.waiting >= 15.0 {
                // The queue stands; nobody who waited that long has been answered yet.
                assert!(over == 0 && real_over <= 0.0, "{elapsed:?}: {over} and {real_over}");
            }
            let old = elapsed - since >= SLOW * 2;
            if old && !real.stalled && seen > 0 {
                assert!(over > 0, "{elapsed:?}: {over} of {seen}");
                assert!(real_over > 0.0, "{elapsed:?}: {real_over}");
            }
        }
        before = Some((real, answered, slow));
    }
    assert!(queued.is_some());
}

/// First tokens between two pages that took longer than `bound`, which must be one of the buckets'.
fn above(first: &Row, last: &Row, bound: f64) -> f64 {
    let slow = |row: &Row| {
        let within = row.ttft.iter().find(|(le, _)| (le - bound).abs() < 1e-9).unwrap();
        row.ttft.last().unwrap().1 - within.1
    };
    slow(last) - slow(first)
}
