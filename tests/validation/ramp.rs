//! llm-d's published ramp, replayed over ten seeds as a user would.

use std::num::NonZero;
use std::time::Duration;

use prescale::backtest::options::{Options, Replicas, Seeds, Source, Tokens};
use prescale::engine::replay::policy::find;
use prescale::engine::replay::profile::{ColdStart, Profile, Routing};
use prescale::engine::replay::score::{Objectives, Score};
use prescale::engine::units::Ratio;

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spacing {
    Even,
    Poisson,
}

/// What ten seeds came to.
#[derive(Debug)]
pub(crate) struct Spread {
    /// Least and most of the seeds' attainment, percent.
    pub(crate) attained: (f64, f64),
    /// Mean replicas, mean over the seeds.
    pub(crate) replicas: f64,
    /// Attainment seed by seed, percent.
    #[expect(dead_code, reason = "printed where a bound is missed")]
    pub(crate) each: Vec<f64>,
}

impl Spread {
    /// Of the policy of that name between three and eight replicas, as published.
    pub(crate) fn of(policy: &str, spacing: Spacing) -> Self {
        let outcome = prescale::backtest::run(&options(policy, spacing), &|_| ()).unwrap();
        assert_eq!(outcome.broken, Vec::<String>::new());
        let scores: &[Score] = &outcome.backtest.policies.first().unwrap().scores;
        let each: Vec<f64> = scores.iter().map(|score| 100.0 * score.attainment()).collect();
        let least = each.iter().copied().reduce(f64::min).unwrap();
        let most = each.iter().copied().reduce(f64::max).unwrap();
        let seeds = f64::from(u32::try_from(scores.len()).unwrap());
        let replicas = scores.iter().map(|score| score.replicas_mean).sum::<f64>() / seeds;
        Self { attained: (least, most), replicas, each }
    }
}

fn options(policy: &str, spacing: Spacing) -> Options {
    let name = match spacing {
        Spacing::Even => "llm-d-ramp-even",
        Spacing::Poisson => "llm-d-ramp",
    };
    Options {
        source: Source::Generator { name: name.to_owned(), days: None },
        tokens: Tokens { prompt: None, output: None, cached: Ratio::try_new(0.0).unwrap() },
        rate_scale: 1.0,
        profile: Profile::qwen3_32b_tp2_h100(),
        cold_start: ColdStart::warm_node(),
        routing: Routing::LeastLoad,
        hold: Duration::from_mins(5),
        objectives: Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) },
        replicas: Replicas { initial: Some(3), min: Some(3), max: Some(8) },
        metadata: Vec::new(),
        policies: vec![find(policy).unwrap()],
        knobs: Vec::new(),
        slo_target: 0.99,
        sweep: false,
        seeds: Seeds { first: 1, count: NonZero::new(10).unwrap() },
        gpu_price: None,
        threads: NonZero::<usize>::MIN,
    }
}
