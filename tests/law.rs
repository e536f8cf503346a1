//! What the reactive law is held to in the world, beside what people use and the clairvoyant: the
//! capacity of a replica is learned in each run, never given.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "support/replayed.rs"]
mod replayed;

use std::num::NonZero;

use prescale::backtest::options::{Options, Replicas, Seeds, Source};
use prescale::engine::replay::profile::Profile;
use prescale::engine::replay::score::Score;

use crate::replayed::{mean, options, scores};

/// Percent of the requests that met both objectives, and mean replicas, of ten seeds of llm-d's ramp
/// between three and eight replicas, as published or evenly spaced.
fn on_the_ramp(policy: &str, ramp: &'static str) -> (f64, f64) {
    let replicas = Replicas { initial: Some(3), min: Some(3), max: Some(8) };
    let scores = scores(&Options { replicas, ..options(policy, ramp) });
    let attained = mean(&scores, |score| 100.0 * score.attainment());
    (attained, mean(&scores, |score| score.replicas_mean))
}

#[test]
fn on_the_published_ramp_it_serves_more_with_fewer_replicas() {
    // Measured: 97.2 at 5.30, 94.4 at 6.10, 99.0 at 5.38; even: 99.1 at 5.17, 92.5 at 6.02, 99.1 at 4.79.
    for ramp in ["llm-d-ramp", "llm-d-ramp-even"] {
        let [ours, slo_aware, oracle] =
            ["prescale-reactive", "slo-aware", "oracle"].map(|policy| on_the_ramp(policy, ramp));
        let row = format!("{ramp}: prescale {ours:?}, slo-aware {slo_aware:?}, oracle {oracle:?}");
        assert!(ours.0 >= slo_aware.0 - 0.5, "{row}");
        assert!(ours.1 <= 0.9 * slo_aware.1, "{row}");
        assert!(ours.1 <= 1.08 * oracle.1, "{row}");
    }
}

/// Constant arrivals of `scale` times three pods' worth: after 15 minutes the replicas wanted stay
/// within one, seed by seed.
fn check_constant(scale: f64) {
    let seeds = Seeds { first: 1, count: NonZero::new(3).unwrap() };
    let replicas = Replicas { initial: None, min: None, max: Some(40) };
    let constant = options("prescale-reactive", "constant");
    let scores = scores(&Options { rate_scale: scale, seeds, replicas, ..constant });
    for Score { desired_min, desired_max, .. } in &scores {
        let (least, most) = (desired_min.unwrap(), desired_max.unwrap());
        assert!(most - least <= 1, "x {scale}: {least}..{most}");
    }
    let attained = mean(&scores, Score::attainment);
    assert!(attained >= 0.99, "x {scale}: {attained}");
}

#[test]
fn constant_load_gets_a_constant_answer() {
    for scale in [0.25, 0.5, 1.0, 1.5, 3.0, 4.0] {
        check_constant(scale);
    }
}

/// The Azure code trace of 2023 at eight times its rate: 0 to 80 requests per second within a minute.
fn on_bursts(policy: &str, knob: Option<(&'static str, f64)>) -> Score {
    let file =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/traces/azure_llm_2023_code_hour.csv.gz");
    let bursts = Options {
        source: Source::File(file.into()),
        rate_scale: 8.0,
        profile: Profile::llama_3_8b_a100(),
        replicas: Replicas { initial: None, min: None, max: Some(40) },
        knobs: knob.into_iter().collect(),
        seeds: Seeds { first: 1, count: NonZero::<u32>::MIN },
        ..options(policy, "constant")
    };
    scores(&bursts).first().unwrap().clone()
}

#[test]
fn bursts_are_answered_no_later_than_by_a_concurrency_autoscaler_of_equal_size() {
    let ours = on_bursts("prescale-reactive", None);
    // Its fleets at several targets; of those at most 2 % larger than ours the largest.
    let fleets = [50.0, 60.0, 62.0, 65.0, 70.0, 100.0]
        .map(|target| on_bursts("knative-kpa", Some(("knative-kpa", target))));
    let theirs = fleets
        .iter()
        .filter(|score| score.replicas_mean <= 1.02 * ours.replicas_mean)
        .max_by(|a, b| a.replicas_mean.total_cmp(&b.replicas_mean));
    let theirs = theirs.unwrap_or_else(|| panic!("{ours:?} is smaller than all of {fleets:?}"));
    let row = format!("{ours:?} beside {theirs:?}");
    assert!(theirs.replicas_mean >= 0.95 * ours.replicas_mean, "{row}");
    assert!(ours.ttft_p99 <= theirs.ttft_p99 && ours.attained >= theirs.attained, "{row}");
}
