//! A backtest as a user would run it, with what all of them share: Qwen3 32B on two H100, llm-d's
//! published objectives, a warm node.

use std::num::NonZero;
use std::time::Duration;

use prescale::backtest::options::{Options, Replicas, Seeds, Source, Tokens};
use prescale::engine::replay::policy::find;
use prescale::engine::replay::profile::{ColdStart, Profile, Routing};
use prescale::engine::replay::score::{Objectives, Score};
use prescale::engine::units::Ratio;

/// Options for `policy` over the generator `shape`, ten seeds.
pub(crate) fn options(policy: &str, shape: &str) -> Options {
    Options {
        source: Source::Generator { name: shape.to_owned(), days: None },
        tokens: Tokens { prompt: None, output: None, cached: Ratio::try_new(0.0).unwrap() },
        rate_scale: 1.0,
        profile: Profile::qwen3_32b_tp2_h100(),
        cold_start: ColdStart::warm_node(),
        scrape_interval: Duration::from_secs(15),
        routing: Routing::LeastLoad,
        hold: Duration::from_mins(5),
        objectives: Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) },
        replicas: Replicas { initial: None, min: None, max: None },
        metadata: Vec::new(),
        policies: vec![find(policy).unwrap()],
        knobs: Vec::new(),
        slo_target: 0.99,
        sweep: false,
        seeds: Seeds { first: 1, count: NonZero::new(10).unwrap() },
        gpu_price: None,
        threads: NonZero::new(2).unwrap(),
    }
}

/// Runs them; one score per seed. The engine's invariants hold in each.
pub(crate) fn scores(options: &Options) -> Vec<Score> {
    let outcome = prescale::backtest::run(options, &|_| ()).unwrap();
    assert_eq!(outcome.broken, Vec::<String>::new());
    outcome.backtest.policies.first().unwrap().scores.clone()
}

/// The mean over the seeds.
pub(crate) fn mean(scores: &[Score], of: impl Fn(&Score) -> f64) -> f64 {
    let seeds = f64::from(u32::try_from(scores.len()).unwrap());
    scores.iter().map(of).sum::<f64>() / seeds
}
