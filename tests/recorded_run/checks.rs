//! What a tick must have read and decided, by the recorder's table.

use std::time::Duration;

use prescale::engine::decision::{Refusal, State, TermKind, Verdict};
use prescale::engine::observation::{Latency, Role};

use crate::replay::Tick;
use crate::trace::{Newest, Row, quantile};

/// `queueDepth` of the trigger.
const DEPTH: f64 = 5.0;
/// Its `kvCache`.
const KV: f64 = 0.7;
/// The way down looks back this far: `scaleUpForward` of the trigger, and the least there is.
const WINDOW: Duration = Duration::from_secs(60);
/// Data older than this is held on to, older than `HELD` it is refused.
const FRESH: Duration = Duration::from_secs(60);
pub(crate) const HELD: Duration = Duration::from_secs(600);
/// Clients of the busiest phase.
const MOST_CLIENTS: u32 = 24;

/// Rules that hold of every decision, and the one replica there was.
pub(crate) fn every_decision(tick: &Tick) {
    assert!(tick.broken.is_empty(), "{tick}: {:?}", tick.broken);
    assert_eq!(tick.decision.current.map(|current| current.get()), Some(1), "{tick}");
}

/// Gauges are those of the newest page at the tick, dated by its reading.
pub(crate) fn what_was_read(newest: &Newest<'_>, tick: &Tick) {
    let Newest { row, read } = newest;
    let age = tick.at().since(*read);
    assert_eq!(tick.decision.data_age, Some(age), "{tick}");
    if age > FRESH {
        return;
    }
    let rows =
        [(Role::Waiting, row.waiting), (Role::Running, row.running), (Role::KvUsage, row.kv)];
    for (role, expected) in rows {
        let sample = tick.sample(role);
        assert_eq!(sample.at, *read, "{tick}: {role}");
        // The table has six decimals.
        assert!(
            (sample.value - expected).abs() < 1e-6,
            "{tick}: {role} {sample:?}, not {expected}"
        );
    }
}

/// The state by the age of the newest page, and numbers that fit it.
pub(crate) fn what_was_decided(newest: &Newest<'_>, tick: &Tick) {
    let Newest { row, read } = newest;
    let (decision, age) = (&tick.decision, tick.at().since(*read));
    let state = match age {
        // Rates look back little further than a minute: the last page alone gives none.
        age if age == FRESH && decision.state == State::Partial => State::Partial,
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
    assert!(replicas <= MOST_CLIENTS, "{tick}");
    if state == State::Fresh {
        weighed(row, tick);
    }
    if row.phase == MOST_CLIENTS {
        overloaded(row, tick);
    }
}

/// Both targets of the trigger are there, with what the table says is to be divided by them; the
/// cache also holds what waits.
fn weighed(row: &Row, tick: &Tick) {
    assert_eq!(divided(tick, &TermKind::QueueDepth), Some((row.waiting, Some(DEPTH))), "{tick}");
    let (caches, target) = divided(tick, &TermKind::KvCache).unwrap();
    assert!(caches > row.kv - 1e-6 && target == Some(KV), "{tick}: {caches}");
    assert!(row.waiting > 0.0 || caches < row.kv + 1e-6, "{tick}: {caches}");
}

/// What a term divides, and by what.
fn divided(tick: &Tick, kind: &TermKind) -> Option<(f64, Option<f64>)> {
    let term = tick.decision.terms.iter().find(|term| term.kind == *kind);
    term.map(|term| (term.value, term.per_replica))
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
        // What waits will need as much cache as what runs, give or take the lengths of requests.
        let caches = row.kv * (1.0 + row.waiting / row.running);
        let (counted, _) = divided(tick, &TermKind::KvCache).unwrap();
        assert!((0.7..1.4).contains(&(counted / caches)), "{tick}: {caches}");
    }
}

/// Never lower than before until the window has passed since the table last showed more than one
/// replica's load, and then down: the replicas are there no longer than that.
pub(crate) fn the_way_down(ticks: &[(Newest<'_>, Tick)]) {
    let ticks: Vec<_> = ticks.iter().filter(|(_, tick)| tick.told().is_some()).collect();
    let busy = ticks.iter().rfind(|(newest, _)| load(newest.row) > 1.0);
    let busy_until = busy.unwrap().1.at();
    let ticks: Vec<&Tick> = ticks.iter().map(|(_, tick)| tick).collect();
    for pair in ticks.windows(2) {
        let [before, tick] = pair else { unreachable!("windows of two") };
        let (replicas, _) = tick.told().unwrap();
        let (earlier, _) = before.told().unwrap();
        if tick.decision.state != State::Fresh {
            assert_eq!(replicas, earlier, "{tick}");
        }
        let over = tick.at().since(busy_until) >= WINDOW;
        assert!(replicas >= earlier || over, "{tick} after {earlier}, busy until {busy_until:?}");
        // Half at a time.
        assert!(replicas + (earlier / 2).max(1) >= earlier, "{tick} after {earlier}");
    }
    let peak = ticks.iter().filter_map(|tick| tick.told()).max().unwrap();
    let last = ticks.last().unwrap();
    assert!(last.told().unwrap() < peak, "{last}: never went down");
}

/// Replicas that the gauges alone ask for, by the two targets of the trigger.
fn load(row: &Row) -> f64 {
    (row.waiting / DEPTH).max(row.kv / KV)
}

/// How far a latency may be from the table's, as a share of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) seconds: f64,
    pub(crate) observations: f64,
}

/// Whether the tick has a quantile, which then is that of the table's buckets from the first to the
/// last of the pages that were within the window.
pub(crate) fn latency(pages: (&Row, &Row), tick: &Tick, tolerance: Tolerance) -> bool {
    let reading = tick.observation.latency[&Latency::Ttft];
    let (observations, expected) = quantile(pages, 0.95);
    let Some(seconds) = reading.seconds else {
        assert!(observations < 20.0, "{tick}: {observations} and no quantile");
        return false;
    };
    let near = |read: f64, expected: f64, share: f64| (read / expected - 1.0).abs() < share;
    assert!(near(seconds, expected, tolerance.seconds), "{tick}: {seconds}, not {expected}");
    let counted = reading.observations.unwrap();
    let right = near(counted, observations, tolerance.observations);
    assert!(right && !reading.clamped, "{tick}: {counted}, not {observations}");
    true
}
