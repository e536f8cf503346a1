//! The control law in a closed loop: the shipped policy in the replay's world, with its scrapes, KEDA's
//! and the HPA's arithmetic, on a fleet like the demo's and the demo's requests.
//!
//! What one replica really carries is measured on the fleet itself, not copied from the engine. The
//! bounds are those a user would hold the scaler to; where a figure was measured, a comment says it.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "closed_loop/run.rs"]
mod run;

use run::{KNEE, Play, repeated};

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

/// Replicas that carry `rate` with the usual headroom.
fn need(rate: f64) -> u32 {
    prescale::engine::numeric::replicas_ceil(rate / (HEADROOM * *KNEE))
}

/// Arrivals at a constant rate from `replicas`: after half an hour the decisions stay within one
/// replica, no more than one beyond the need, and requests are answered in time.
fn check_constant(rate: f64, replicas: u32, seed: u64, keys: &[(&str, &str)]) {
    let course = &[(0.0, rate), (75.0, rate)];
    let seen = Play { seed, replicas, course, keys }.until(75.0, &[]);
    let ((low, high), attained) = (seen.range(30.0, 75.0), seen.attained(30.0, 75.0));
    let row = format!("{rate}/s from {replicas}, seed {seed}, {keys:?}: {low}..{high}, {attained}");
    assert!(high - low <= 1, "{row}");
    assert!(high <= need(rate) + 1, "{row}, needs {}", need(rate));
    assert!(attained >= 0.99, "{row}");
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
    let course = &repeated(&DAY, 2);
    let seen = Play { seed, replicas: 1, course, keys }.until(290.0, &[]);
    // The burst saturates whatever the rise did not; the wake, which no law can serve in time, is
    // not counted.
    let (_, first) = seen.known(109.5, 110.0);
    let (least, most) = seen.known(110.0, 290.0);
    let (first_day, second_day) = (seen.attained(0.0, 110.0), seen.attained(181.0, 290.0));
    let row = format!(
        "seed {seed} {keys:?}: {first_day:.4} then {second_day:.4}, worst p95 {:.2} s; \
         {first:.2} req/s then {least:.2}..{most:.2}, truly {:.2}",
        seen.worst(181.0, 290.0),
        *KNEE
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

/// A ramp x4 within half an hour, twice: the first teaches, the second is followed. With a profile that
/// promises too much little is taught as long as it just suffices: 12 s in the worst step were seen.
#[test]
fn a_steep_ramp_is_followed_and_not_overshot() {
    let ramp = [(0.0, 5.0), (10.0, 5.0), (40.0, 20.0), (50.0, 20.0), (55.0, 5.0), (65.0, 5.0)];
    let course = &[&ramp[..], &[(95.0, 20.0), (115.0, 20.0)]].concat();
    for (seed, keys) in [(1, &[][..]), (2, &[]), (1, PROFILE)] {
        let seen = Play { seed, replicas: 2, course, keys }.until(115.0, &[]);
        let (untaught, taught) = (seen.worst(0.0, 65.0), seen.worst(65.0, 115.0));
        let (attained, last) = (seen.attained(65.0, 115.0), seen.last());
        let row = format!(
            "seed {seed} {keys:?}: worst p95 {untaught:.2} s, then {taught:.2} s; {attained:.4}, {last:?}"
        );
        assert!(untaught <= 45.0 && taught <= 20.0, "{row}");
        assert!(last.desired <= need(20.0) + 1, "{row}, needs {}", need(20.0));
        assert!(attained >= 0.98, "{row}");
    }
}

#[test]
fn a_burst_is_worked_off_without_running_away() {
    let course = &[(0.0, 8.0), (60.0, 8.0), (60.5, 24.0), (70.0, 24.0), (70.5, 8.0), (110.0, 8.0)];
    for (seed, keys) in [(1, &[][..]), (2, &[]), (1, PROFILE)] {
        let seen = Play { seed, replicas: 3, course, keys }.until(110.0, &[]);
        let ((_, high), last) = (seen.range(60.0, 110.0), seen.last());
        let failed = seen.trial.score.failed;
        let row = format!("seed {seed} {keys:?}: at most {high}, {failed} failed, {last:?}");
        // A backlog asks for replicas of its own until it is gone: 16 where 7 serve the burst.
        assert!(high <= 3 * need(24.0), "{row}");
        assert!(last.queue <= 10 && failed == 0, "{row}");
        assert!(last.desired <= need(8.0) + 1, "{row}, needs {}", need(8.0));
    }
}

#[test]
fn nobody_there_means_asleep_and_a_request_wakes() {
    let course = &[(0.0, 3.0), (30.0, 3.0), (31.0, 0.0), (60.0, 0.0), (61.0, 3.0), (75.0, 3.0)];
    let seen = Play { seed: 1, replicas: 1, course, keys: &[] }.until(75.0, &[]);
    assert!(seen.set(30.0) >= 1);
    assert_eq!(seen.set(60.0), 0);
    let (last, score) = (seen.last(), &seen.trial.score);
    assert!(last.ready >= 1 && last.queue == 0, "{last:?}");
    assert_eq!((score.failed, score.wakes), (0, 1), "{score:?}");
}

#[test]
fn a_restart_in_the_middle_of_load_takes_nothing_away_before_its_window() {
    for rate in [8.0, 25.0] {
        let course = &[(0.0, rate), (70.0, rate)];
        let seen = Play { seed: 1, replicas: 4, course, keys: &[] }.until(70.0, &[60.1]);
        // The window is the median cold start of the pods that are there, a minute at least.
        let (current, (low, _)) = (seen.set(60.1), seen.range(60.1, 61.1));
        assert!(low >= current, "{rate}/s: {low} wanted of {current} that are there");
    }
}
