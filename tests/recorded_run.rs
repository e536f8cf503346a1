//! A recorded run of a vLLM server, through a real Prometheus, to decisions: five minutes in which no
//! client, then 1, 2, 4, 8, 24, 2 and again none kept one replica busy.
//!
//! What is expected comes from the recorder's own table of the run, never from what prescale says.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[path = "support/prometheus.rs"]
mod server;

#[path = "recorded_run/history.rs"]
mod history;
#[path = "recorded_run/replay.rs"]
mod replay;
#[path = "recorded_run/trace.rs"]
mod trace;

use std::time::Duration;

use prescale::engine::decision::{Refusal, State, TermKind, Verdict};
use prescale::engine::observation::{Latency, Role};
use prescale::engine::units::Timestamp;

use crate::replay::{Replay, Tick};
use crate::trace::{Row, Trace};

const TICK: Duration = Duration::from_secs(15);
/// `queueDepth` of the trigger.
const DEPTH: f64 = 5.0;
/// Its `kvCache`.
const KV: f64 = 0.7;
/// The way down looks back this far: `scaleUpForward` of the trigger, and the least there is.
const WINDOW: Duration = Duration::from_secs(60);
/// Data older than this is held on to, older than `HELD` it is refused.
const FRESH: Duration = Duration::from_secs(60);
const HELD: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_recorded_run_is_read_and_decided_upon_as_it_was() {
    let trace = Trace::read();
    let Some(prometheus) = history::prometheus().await else { return };
    let ticks = Replay::new(prometheus.url()).run(&instants(&trace)).await;
    for tick in &ticks {
        every_decision(tick);
        what_was_read(&trace, tick);
        what_was_decided(&trace, tick);
    }
    let told = |tick: &&Tick| matches!(tick.decision.verdict, Verdict::Scale { .. });
    let numbers: Vec<&Tick> = ticks.iter().filter(told).collect();
    the_way_down(&trace, &numbers);
    let quantiles = ticks.iter().filter(|tick| latency(&trace, tick)).count();
    assert!(quantiles >= 10, "only {quantiles} ticks had a quantile");
}

/// The ticks of a server, on its grid: from the first page until all are too old.
fn instants(trace: &Trace) -> Vec<Timestamp> {
    let tick = i64::try_from(TICK.as_millis()).unwrap();
    let first = (trace.first().at.unix_ms() / tick + 1) * tick;
    let last = trace.last().at.plus(HELD + 4 * TICK).unix_ms();
    (0..)
        .map(|idx| first + idx * tick)
        .take_while(|at| *at <= last)
        .map(Timestamp::from_unix_ms)
        .collect()
}

fn every_decision(tick: &Tick) {
    assert!(tick.broken.is_empty(), "{tick}: {:?}", tick.broken);
    assert!(tick.observation.faults.is_empty(), "{tick}: {:?}", tick.observation.faults);
    assert_eq!(tick.observation.workload.spec_replicas, Some(1), "{tick}");
    assert_eq!(tick.decision.current.map(|current| current.get()), Some(1), "{tick}");
}

/// Gauges are those of the newest page at the tick, dated by that page.
fn what_was_read(trace: &Trace, tick: &Tick) {
    let row = trace.at(tick.at());
    let age = tick.at().since(row.at);
    assert_eq!(tick.decision.data_age, Some(age), "{tick}");
    if age > FRESH {
        return;
    }
    let rows =
        [(Role::Waiting, row.waiting), (Role::Running, row.running), (Role::KvUsage, row.kv)];
    for (role, expected) in rows {
        let sample = tick.sample(role);
        assert_eq!(sample.at, row.at, "{tick}: {role}");
        // The table has six decimals.
        assert!(
            (sample.value - expected).abs() < 1e-6,
            "{tick}: {role} {sample:?}, not {expected}"
        );
    }
}

fn what_was_decided(trace: &Trace, tick: &Tick) {
    let (row, decision) = (trace.at(tick.at()), &tick.decision);
    let age = tick.at().since(row.at);
    let state = match age {
        age if age <= FRESH => State::Fresh,
        age if age <= HELD => State::Hold,
        _ => State::Blind,
    };
    assert_eq!(decision.state, state, "{tick}");
    if state == State::Blind {
        let Verdict::Refuse(refusal) = &decision.verdict else { panic!("{tick}") };
        assert!(matches!(refusal, Refusal::Stale { age: told, .. } if *told == age), "{tick}");
        assert!(refusal.to_string().starts_with("data stale"), "{refusal}");
        return;
    }
    let (replicas, active) = tick.told().unwrap();
    // There is no path to wake by, and the idle time is not over: one stays, whatever is seen.
    assert!(replicas >= 1 && active, "{tick}");
    // A replica serves four at a time; more replicas than there were clients is never right.
    assert!(replicas <= trace.most_clients(), "{tick}");
    if row.phase == 24 {
        overloaded(row, tick);
    }
}

/// Twenty of 24 clients wait at the only replica.
fn overloaded(row: &Row, tick: &Tick) {
    let (replicas, _) = tick.told().unwrap();
    assert!(replicas > 1, "{tick}");
    if !row.stalled {
        let literal = (row.waiting / DEPTH).ceil();
        assert!(f64::from(replicas) >= literal, "{tick}: {literal}");
        let kind = &tick.decision.terms[0].kind;
        let of_the_queue = matches!(
            kind,
            TermKind::QueueDepth | TermKind::KvCache | TermKind::Rate | TermKind::Queue
        );
        assert!(of_the_queue, "{tick}");
    }
}

/// Never lower than before until the window has passed since the table last showed more than one
/// replica's load, and then down: the replicas are there no longer than that.
fn the_way_down(trace: &Trace, ticks: &[&Tick]) {
    let busy = |tick: &&&Tick| load(trace.at(tick.at())) > 1.0;
    let busy_until = ticks.iter().rfind(busy).unwrap().at();
    for pair in ticks.windows(2) {
        let [before, tick] = pair else { unreachable!("windows of two") };
        let (replicas, _) = tick.told().unwrap();
        let (earlier, _) = before.told().unwrap();
        let over = tick.at().since(busy_until) >= WINDOW;
        assert!(replicas >= earlier || over, "{tick} after {earlier}, busy until {busy_until:?}");
        // One at a time, or a fifth.
        assert!(replicas + (earlier / 5).max(1) >= earlier, "{tick} after {earlier}");
    }
    let peak = ticks.iter().filter_map(|tick| tick.told()).max().unwrap();
    let last = ticks.last().unwrap();
    assert!(last.told().unwrap() < peak, "{last}: never went down");
}

/// Replicas that the gauges alone ask for, by the two targets of the trigger.
fn load(row: &Row) -> f64 {
    (row.waiting / DEPTH).max(row.kv / KV)
}

/// Whether the tick has a quantile, which then is that of the table's buckets.
fn latency(trace: &Trace, tick: &Tick) -> bool {
    let reading = tick.observation.latency[&Latency::Ttft];
    let (observations, expected) = trace.quantile(tick.at(), 0.95);
    let Some(seconds) = reading.seconds else {
        // Twenty are needed; `rate` gives a little more than was counted.
        assert!(observations < 20.0, "{tick}: {observations} and no quantile");
        return false;
    };
    // Prometheus extends each bucket to the edges of the window, 5 s of 120 in all, but not one that
    // was empty at its beginning: the ranks shift by less than their share of that, and so do the
    // seconds within a bucket.
    assert!((seconds / expected - 1.0).abs() < 0.05, "{tick}: {seconds}, not {expected}");
    // The same, on a last page that is older than the edge as well: by up to a seventh.
    let counted = reading.observations.unwrap();
    assert!((counted / observations - 1.0).abs() < 0.15, "{tick}: {counted}, not {observations}");
    assert!(!reading.clamped, "{tick}");
    true
}
