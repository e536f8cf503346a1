//! The demo from outside: a day passes before a scaler that knows nothing but queue lengths.
//!
//! The scaler here is a stand-in with one line of policy, so that these tests say whether the
//! simulation around it is whole: pages are scraped by name and address, answers move replicas, the
//! workload sleeps and is woken, everything ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "demo/stub.rs"]
mod stub;

use std::time::Duration;

use prescale::demo::{Error, Options, Started, Summary, Terminal, Wiring, run};
use tokio_util::sync::CancellationToken;

const PLAIN: Terminal = Terminal { interactive: false, color: false };

fn options(minutes: u64, speed: f64) -> Options {
    Options { speed, duration: Duration::from_secs(60 * minutes), port: 0, seed: 1 }
}

/// Runs the demo before the stand-in; gives the summary and what was written.
async fn day(options: Options, interrupt: CancellationToken) -> (Summary, String) {
    let mut out = Vec::new();
    let summary = run(options, (PLAIN, &mut out), stub::start, interrupt).await.unwrap();
    (summary, String::from_utf8(out).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_day_scales_up_serves_sleeps_wakes_and_ends() {
    // Twenty simulated minutes in ten seconds; the idle stretch is three of them.
    let (summary, text) = day(options(20, 120.0), CancellationToken::new()).await;
    assert!(!summary.interrupted, "{text}");
    assert_eq!(summary.elapsed, Duration::from_secs(1200));
    assert!(summary.scaled_up >= 2 && summary.replicas_max >= 3, "{text}");
    assert!(summary.cold_starts >= 3, "{text}");
    // About 22 000 arrive; the stand-in is late, but nearly everybody is served in the end.
    assert!(summary.answered > 15_000, "{text}");
    assert!(summary.wakes == 1 && summary.asleep > Duration::from_secs(30), "{text}");
    assert!(summary.gpu_hours > 0.0 && summary.gpu_hours < summary.gpu_hours_static, "{text}");
    // 240 polls and nearly 80 syncs on an idle machine. On a busy one answers take longer in simulated
    // time and the next question waits for them: 100 were seen with four processes to a core.
    assert!(summary.asked >= 40, "{text}");
    for part in ["/scalers/demo/vllm", "stub says", "simulated     20 min 0 s", "docs/demo.md"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_it_early_with_the_summary_so_far() {
    let interrupt = CancellationToken::new();
    let trigger = interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trigger.cancel();
    });
    let (summary, text) = day(options(180, 60.0), interrupt).await;
    assert!(summary.interrupted && text.contains("ended early"), "{text}");
    assert!(summary.elapsed >= Duration::from_secs(30), "{text}");
    assert!(summary.elapsed < Duration::from_secs(600), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_ends_the_demo_with_its_error() {
    let mut out = Vec::new();
    let never = CancellationToken::new();
    let refuse = |_: Wiring| async { Err("port taken".into()) };
    let error = run(options(20, 60.0), (PLAIN, &mut out), refuse, never.clone()).await;
    assert!(matches!(error, Err(Error::Server(_))), "{error:?}");

    let die = |wiring: Wiring| async move {
        let Started { http, grpc, .. } = stub::start(wiring).await?;
        Ok(Started { http, grpc, task: tokio::spawn(async { Err("out of memory".into()) }) })
    };
    let error = run(options(20, 60.0), (PLAIN, &mut out), die, never).await;
    assert!(matches!(error, Err(Error::Server(_))), "{error:?}");
}
