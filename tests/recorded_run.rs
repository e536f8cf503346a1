//! A recorded run of a vLLM server, through a real Prometheus and as a page scraped
//! directly, to decisions: five minutes in which no
//! client, then 1, 2, 4, 8, 24, 2 and again none kept one replica busy.
//!
//! What is expected comes from the recorder's own table of the run, never from what prescale says.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[expect(dead_code, reason = "nothing is scraped by it here")]
#[path = "support/prometheus.rs"]
mod server;

#[path = "recorded_run/checks.rs"]
mod checks;
#[path = "recorded_run/history.rs"]
mod history;
#[path = "recorded_run/page.rs"]
mod page;
#[path = "recorded_run/replay.rs"]
mod replay;
#[path = "recorded_run/trace.rs"]
mod trace;

use std::time::Duration;

use prescale::engine::units::Timestamp;

use crate::checks::Tolerance;
use crate::page::Served;
use crate::replay::{Replay, Tick};
use crate::trace::{Newest, Trace};

const TICK: Duration = Duration::from_secs(15);
/// How far back latencies look in Prometheus, with a scrape every five seconds.
const RATES: Duration = Duration::from_secs(120);
/// Prometheus extends each bucket to the edges of the window, about 5 s of 120, but not one that was
/// empty at its beginning: ranks shift by less than their share of that, and so do the seconds within
/// a bucket. On a last page that is older than the edge the count grows by up to a seventh.
const EXTENDED: Tolerance = Tolerance { seconds: 0.05, observations: 0.15 };
/// Pages scraped directly are only subtracted; products of decimal fractions keep these digits.
const EXACT: Tolerance = Tolerance { seconds: 1e-9, observations: 1e-9 };
/// How far back a page scraped directly is remembered.
const REMEMBERED: Duration = Duration::from_secs(150);

#[tokio::test]
async fn a_recorded_run_is_read_from_prometheus_and_decided_upon_as_it_was() {
    let trace = Trace::read();
    let Some(prometheus) = history::prometheus().await else { return };
    let mut replay = Replay::of_prometheus(prometheus.url());
    let mut ticks = Vec::new();
    for at in instants(&trace) {
        let row = trace.at(at);
        ticks.push((Newest { row, read: row.at }, replay.tick(at).await));
    }
    check(&ticks);
    for (_, tick) in &ticks {
        assert!(tick.observation.faults.is_empty(), "{tick}: {:?}", tick.observation.faults);
        assert_eq!(tick.observation.workload.spec_replicas, Some(1), "{tick}");
    }
    let quantiles = ticks.iter().filter(|(_, tick)| {
        let rows = trace.rows().iter().filter(|row| row.at <= tick.at());
        let within: Vec<_> = rows.filter(|row| tick.at().since(row.at) < RATES).collect();
        let rows = within.first().zip(within.last());
        rows.is_some_and(|(first, last)| checks::latency((first, last), tick, EXTENDED))
    });
    assert!(quantiles.count() >= 10, "hardly a tick had a quantile");
}

/// Time stands still but for the steps from tick to tick, so that each page is read at its tick.
#[tokio::test(start_paused = true)]
async fn the_same_pages_scraped_directly_are_read_and_decided_upon_as_they_were() {
    let trace = Trace::read();
    let instants = instants(&trace);
    let _still = page::still();
    let served = Served::start().await;
    let mut replay = Replay::of_page(served.address(), instants[0]);
    let pages = history::pages();
    let mut ticks: Vec<(Newest<'_>, Tick)> = Vec::new();
    for at in instants {
        let row = trace.at(at);
        let live = at <= trace.last().at;
        let newest = if live { Newest { row, read: at } } else { ticks.last().unwrap().0 };
        served.set(live.then(|| pages[&row.at].clone()));
        let tick = replay.tick(at).await;
        let faults = &tick.observation.faults;
        assert_eq!(faults.is_empty(), live, "{tick}: {faults:?}");
        ticks.push((newest, tick));
        tokio::time::advance(TICK).await;
    }
    check(&ticks);
    // A page that does not answer tells no latency: what it said before is not about now.
    let live: Vec<_> = ticks.iter().filter(|(newest, tick)| newest.read == tick.at()).collect();
    let quantiles = live.iter().enumerate().filter(|(idx, (newest, tick))| {
        let since = |seen: &Newest<'_>| newest.read.since(seen.read);
        let first = live[..*idx].iter().find(|(seen, _)| since(seen) <= REMEMBERED);
        first.is_some_and(|(first, _)| checks::latency((first.row, newest.row), tick, EXACT))
    });
    assert!(quantiles.count() >= 10, "hardly a tick had a quantile");
}

/// The ticks of a server, on its grid: from the first page until all are too old.
fn instants(trace: &Trace) -> Vec<Timestamp> {
    let tick = i64::try_from(TICK.as_millis()).unwrap();
    let first = (trace.first().at.unix_ms() / tick + 1) * tick;
    let last = trace.last().at.plus(checks::HELD + 4 * TICK).unix_ms();
    (0..)
        .map(|idx| first + idx * tick)
        .take_while(|at| *at <= last)
        .map(Timestamp::from_unix_ms)
        .collect()
}

fn check(ticks: &[(Newest<'_>, Tick)]) {
    for (newest, tick) in ticks {
        checks::every_decision(tick);
        checks::what_was_read(newest, tick);
        checks::what_was_decided(newest, tick);
    }
    checks::the_way_down(ticks);
    let (_, last) = ticks.last().unwrap();
    assert!(last.told().is_none(), "{last}");
}
