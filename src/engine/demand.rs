//! Demand in replica-equivalents: every term absolute, summed over pods, never a ratio to what is
//! there. The largest one binds.
//!
//! Given a tick in numbers and what a replica carries; promises finite terms that are not negative,
//! the largest first. Repeating it while pods load changes nothing. Limits, windows and states are
//! left to [`crate::engine::decide`].

mod activation;
mod gpu;
mod input;
mod kv;
mod lasting;
mod own;
mod prefill;
mod pressure;
mod rate;
mod running;
mod targets;
mod trim;

use crate::engine::decision::Term;
use crate::engine::setup::Family;

pub use activation::term as activation;
pub use input::Input;
pub use pressure::{Asked, Cause, Pressure};
pub use trim::{Trim, ratio as latency_ratio, wanted as trim_wanted};

/// All terms, trimmed, the largest first.
#[must_use]
pub fn terms(input: &Input<'_>, trim: f64) -> Vec<Term> {
    let mut terms: Vec<Term> = match input.setup.family {
        Family::Llm => {
            [kv::term, rate::term, prefill::term, running::term, lasting::term, gpu::guard]
                .into_iter()
                .filter_map(|term| term(input))
                .collect()
        }
        Family::Gpu | Family::Custom => gpu::terms(input),
    };
    let targets =
        [targets::queue_depth, targets::concurrency, targets::request_rate, targets::token_rate];
    terms.extend(targets.into_iter().filter_map(|term| term(input)));
    terms.extend(own::terms(input));
    let mut terms: Vec<Term> = terms.into_iter().map(|term| term.trimmed(trim)).collect();
    terms.sort_by(|a, b| b.replicas.total_cmp(&a.replicas));
    terms
}

/// Replica-equivalents of the binding term; zero when there is none.
#[must_use]
pub fn largest(terms: &[Term]) -> f64 {
    terms.first().map_or(0.0, |term| term.replicas)
}
