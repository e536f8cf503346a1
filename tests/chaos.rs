//! What may go wrong, drawn at random, over a busy scene: signals lost or poisoned, pods unread, stuck
//! or crashed, the scaler restarted, several of it at once.
//!
//! Beside the law that is disturbed its twin sees the same fleet undisturbed. Whatever is drawn: no
//! invariant of the engine breaks; while nothing at all is read, no answer is lower than the one
//! before; no answer is more than one above what was needed of late, which is what the twin asked
//! for or what the requests that arrived really need.
//!
//! A seed that fails prints the command that replays it. `PRESCALE_CHAOS_SEEDS` says how many are
//! tried, `PRESCALE_CHAOS_FROM` from which on, `PRESCALE_CHAOS_SEED` tries only one.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "chaos/scene.rs"]
mod scene;
#[path = "chaos/twins.rs"]
mod twins;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prescale::engine::replay::disturb::{Disturbance, Kind};
use prescale::engine::replay::run::{Scene, run};
use prescale::engine::replay::score::Trial;

use scene::{actuator, context, scene};
use twins::Twins;

/// Seeds tried unless the environment says otherwise.
const SEEDS: u64 = 100;

/// Time between looks, as the policy has it.
const EVERY: Duration = Duration::from_secs(15);

#[expect(clippy::disallowed_methods, reason = "switches of this test, not of the product")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// One seed: what went wrong, and the rules that did not hold.
fn faults(seed: u64) -> Vec<String> {
    let mut scene = scene(seed);
    let drawn = Disturbance::draw(seed, scene.length);
    // What happens to pods is the world's; what a law sees of it is told apart by the twins.
    scene.disturbances = drawn.iter().filter(|one| is_worldly(one.kind)).copied().collect();
    let context = context(&scene);
    let mut twins = Twins::new(&context, drawn);
    let trial = run(&scene, &mut twins, EVERY, &actuator(&context));
    let mut faults = twins.faults;
    faults.extend(trial.broken.iter().map(|broken| format!("invariant broken {broken}")));
    faults
}

const fn is_worldly(kind: Kind) -> bool {
    match kind {
        Kind::ColdStart(_) | Kind::NoNodes | Kind::Restart | Kind::Crash => true,
        Kind::Lost | Kind::Poisoned(_) | Kind::Unread(_) => false,
    }
}

fn report(seed: u64, faults: &[String]) -> Option<String> {
    let drawn = Disturbance::draw(seed, scene(seed).length);
    let drawn: Vec<String> = drawn.iter().map(ToString::to_string).collect();
    let drawn = drawn.join(", ");
    (!faults.is_empty()).then(|| {
        format!(
            "seed {seed} ({drawn}):\n  {}\n  replay: PRESCALE_CHAOS_SEED={seed} cargo test --test chaos",
            faults.join("\n  ")
        )
    })
}

#[test]
fn whatever_goes_wrong_nothing_is_lowered_blindly_and_nothing_runs_away() {
    let seeds: Vec<u64> = match number("PRESCALE_CHAOS_SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = number("PRESCALE_CHAOS_FROM").unwrap_or(0);
            (from..from + number("PRESCALE_CHAOS_SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let idx = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                let Some(seed) = seeds.get(idx) else { return failed };
                failed.extend(report(*seed, &faults(*seed)).map(|text| (*seed, text)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    failed.sort();
    let texts: Vec<&str> = failed.iter().map(|(_, text)| text.as_str()).collect();
    assert!(failed.is_empty(), "{} of {} seeds:\n{}", failed.len(), seeds.len(), texts.join("\n"));
}

/// The scene with the scaler restarted while its burst begins, and as it is.
#[test]
fn a_restart_in_the_burst_costs_at_most_one_point() {
    for seed in 0..3 {
        let attained = |disturbances| -> Trial {
            let scene = Scene { disturbances, ..scene(seed) };
            let context = context(&scene);
            let mut law = scene::law(&context);
            run(&scene, law.as_mut(), EVERY, &actuator(&context))
        };
        let from = scene::BURST + Duration::from_secs(45);
        let restart = Disturbance { from, until: from, kind: Kind::Restart };
        let (plain, restarted) = (attained(vec![]).score, attained(vec![restart]).score);
        let cost = plain.attainment() - restarted.attainment();
        assert!(cost <= 0.01, "seed {seed}: {plain:?} {restarted:?}");
    }
}
