//! The control law in a closed loop: the demo's simulated fleet, its pages, the engine, KEDA's and
//! the HPA's arithmetic, in pure simulated time.
//!
//! What one replica really carries is measured on the fleet itself, not copied from the engine. The
//! bounds are those a user would hold the scaler to; where a figure was measured, a comment says it.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "closed_loop/run.rs"]
mod run;

use std::sync::LazyLock;

use prescale::demo::rehearsal::Rehearsal;

use run::{Run, TICK, seconds};

/// The profile of the simulated hardware; its requests are twice as long as the profile's.
const PROFILE: &[(&str, &str)] = &[("profile", "llama-3-8b-h100")];
const HEADROOM: f64 = 0.7;

/// The demo's day of three hours: rise, plateau, burst, lull, idle, wake.
const DAY: [(f64, f64); 13] = [
    (0.0, 2.0),
    (10.0, 2.0),
    (70.0, 30.0),
    (90.0, 30.0),
    (95.0, 54.0),
    (103.0, 54.0),
    (105.0, 28.0),
    (120.0, 9.0),
    (135.0, 9.0),
    (140.0, 0.0),
    (167.0, 0.0),
    (168.0, 3.0),
    (180.0, 3.0),
];

/// Requests per second that one replica finishes while more always wait: 5.4.
static KNEE: LazyLock<f64> = LazyLock::new(|| {
    let mut fleet = Rehearsal::new(7, 1, &[(0.0, 9.0), (30.0, 9.0)]);
    fleet.pass(TICK * 40);
    let before = fleet.account();
    fleet.pass(TICK * 80);
    let after = fleet.account();
    assert!(before.waiting > 500, "it is saturated all the time: {before:?}");
    run::ratio(after.finished - before.finished, 1) / seconds(TICK * 80)
});

/// Replicas that carry `rate` with the usual headroom.
fn need(rate: f64) -> u32 {
    prescale::engine::numeric::replicas_ceil(rate / (HEADROOM * *KNEE))
}

/// Arrivals at a constant rate from `replicas`: after half an hour the decisions stay within one
/// replica, no more than one beyond the need, and requests are answered in time.
fn check_constant(rate: f64, replicas: u32, seed: u64, keys: &[(&str, &str)]) {
    let mut run = Run::new(seed, replicas, &[(0.0, rate), (75.0, rate)], keys);
    run.until(30.0);
    run.settle();
    run.until(75.0);
    let (low, high) = run.range.unwrap();
    let row = format!("{rate}/s from {replicas}, seed {seed}, {keys:?}: {low}..{high}");
    assert!(high - low <= 1, "{row}");
    assert!(high <= need(rate) + 1, "{row}, needs {}", need(rate));
    assert!(run.attained() >= 0.99, "{row}: {}", run.attained());
}

#[test]
fn constant_load_gets_a_constant_answer() {
    for (rate, replicas) in [(4.0, 2), (20.0, 2), (45.0, 4)] {
        check_constant(rate, replicas, 1, &[]);
        check_constant(rate, replicas, 2, PROFILE);
    }
}

/// Two days: what a replica carries is learned in the first one and kept; the second one profits.
fn check_two_days(seed: u64, keys: &[(&str, &str)]) {
    let mut run = Run::new(seed, 1, &run::repeated(&DAY, 2), keys);
    // The burst saturates whatever the rise did not; the wake, which no law can serve in time, is
    // not counted.
    run.until(110.0);
    let (first_day, first) = (run.attained(), run.known().unwrap());
    let (mut least, mut most) = (first, first);
    for minute in 111..=290 {
        if minute == 181 {
            run.settle();
        }
        run.until(f64::from(minute));
        let known = run.known().unwrap();
        (least, most) = (least.min(known), most.max(known));
    }
    let second_day = run.attained();
    let row = format!(
        "seed {seed} {keys:?}: {first_day:.4} then {second_day:.4}, worst p95 {:.2} s; {first:.2} req/s \
         then {least:.2}..{most:.2}, truly {:.2}",
        run.worst, *KNEE
    );
    assert!(least >= 0.7 * *KNEE && most <= 1.3 * *KNEE, "{row}");
    assert!(least >= 0.85 * first, "{row}");
    assert!(first_day >= 0.94 && second_day >= 0.99, "{row}");
}

#[test]
fn what_a_replica_carries_is_learned_when_it_is_saturated_and_then_kept() {
    check_two_days(1, &[]);
    check_two_days(1, PROFILE);
}

/// A ramp x4 within half an hour, twice: the first teaches, the second is followed.
#[test]
fn a_steep_ramp_is_followed_and_not_overshot() {
    let ramp = [(0.0, 5.0), (10.0, 5.0), (40.0, 20.0), (50.0, 20.0), (55.0, 5.0), (65.0, 5.0)];
    let end = [(95.0, 20.0), (115.0, 20.0)];
    for (seed, keys) in [(1, &[][..]), (2, &[]), (1, PROFILE)] {
        let mut run = Run::new(seed, 2, &[&ramp[..], &end].concat(), keys);
        run.until(65.0);
        let untaught = run.worst;
        run.settle();
        run.until(115.0);
        let account = run.fleet.account();
        let row = format!(
            "seed {seed} {keys:?}: worst p95 {untaught:.2} s, then {:.2} s; {:.4}, {account:?}",
            run.worst,
            run.attained()
        );
        assert!(untaught <= 45.0 && run.worst <= 5.0, "{row}");
        assert!(account.wanted <= need(20.0) + 1, "{row}, needs {}", need(20.0));
        assert!(run.attained() >= 0.99, "{row}");
    }
}

#[test]
fn a_burst_is_worked_off_without_running_away() {
    let burst = [(0.0, 8.0), (60.0, 8.0), (60.5, 24.0), (70.0, 24.0), (70.5, 8.0), (110.0, 8.0)];
    for (seed, keys) in [(1, &[][..]), (2, &[]), (1, PROFILE)] {
        let mut run = Run::new(seed, 3, &burst, keys);
        run.until(60.0);
        run.settle();
        run.until(110.0);
        let (_, high) = run.range.unwrap();
        let account = run.fleet.account();
        let row = format!("seed {seed} {keys:?}: at most {high}, {account:?}");
        // A backlog asks for replicas of its own until it is gone: 16 where 7 serve the burst.
        assert!(high <= 3 * need(24.0), "{row}");
        assert!(account.waiting <= 10 && account.failed == 0, "{row}");
        assert!(account.wanted <= need(8.0) + 1, "{row}, needs {}", need(8.0));
    }
}

#[test]
fn nobody_there_means_asleep_and_a_request_wakes() {
    let course = [(0.0, 3.0), (30.0, 3.0), (31.0, 0.0), (60.0, 0.0), (61.0, 3.0), (75.0, 3.0)];
    let mut run = Run::new(1, 1, &course, &[]);
    run.until(30.0);
    assert!(run.fleet.account().wanted >= 1);
    run.until(60.0);
    assert_eq!(run.fleet.account().wanted, 0);
    run.until(75.0);
    let account = run.fleet.account();
    assert!(account.ready >= 1 && account.waiting == 0 && account.failed == 0, "{account:?}");
}

#[test]
fn a_restart_in_the_middle_of_load_takes_nothing_away_before_its_window() {
    for rate in [8.0, 25.0] {
        let mut run = Run::new(1, 4, &[(0.0, rate), (70.0, rate)], &[]);
        run.until(60.0);
        run.forget();
        let current = run.fleet.account().wanted;
        run.settle();
        // The window is the cold start, three minutes as long as none was seen.
        run.until(63.0);
        let (low, _) = run.range.unwrap();
        assert!(low >= current, "{rate}/s: {low} wanted of {current} that are there");
    }
}
