//! llm-d's published ramp, replayed over ten seeds as a user would.

use prescale::backtest::options::{Options, Replicas};

use crate::replayed::{mean, scores};

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
        let scores = scores(&options(policy, spacing));
        let each: Vec<f64> = scores.iter().map(|score| 100.0 * score.attainment()).collect();
        let least = each.iter().copied().reduce(f64::min).unwrap();
        let most = each.iter().copied().reduce(f64::max).unwrap();
        let replicas = mean(&scores, |score| score.replicas_mean);
        Self { attained: (least, most), replicas, each }
    }
}

fn options(policy: &str, spacing: Spacing) -> Options {
    let name = match spacing {
        Spacing::Even => "llm-d-ramp-even",
        Spacing::Poisson => "llm-d-ramp",
    };
    let replicas = Replicas { initial: Some(3), min: Some(3), max: Some(8) };
    Options { replicas, ..crate::replayed::options(policy, name) }
}
