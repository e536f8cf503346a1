//! `D_kv`: KV cache in use, plus what the waiting requests will need, over what one replica should
//! carry. It does not saturate at 1, because the queue is in it.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::numeric::share;

/// The term; absent when the engine shows no KV cache.
#[must_use]
pub(super) fn term(input: &Input<'_>) -> Option<Term> {
    let waiting = input.backlog().unwrap_or(0.0);
    let caches = used(input)? + waiting * caches_per_request(input).unwrap_or(0.0);
    Term::ratio(TermKind::KvCache, caches, target(input)?)
}

/// Replicas that the running requests alone fill.
#[must_use]
pub(super) fn running_need(input: &Input<'_>) -> Option<f64> {
    share(used(input)?, target(input)?)
}

fn used(input: &Input<'_>) -> Option<f64> {
    input.signals.totals.kv_used.read(input.bound)
}

fn target(input: &Input<'_>) -> Option<f64> {
    input.setup.targets.kv_cache.map(crate::engine::units::Ratio::get)
}

/// Share of one cache that a queued request will hold: from its tokens where they are counted, else
/// what running ones held lately. Not what they hold in this very tick: more of them must not make
/// the queue look smaller.
fn caches_per_request(input: &Input<'_>) -> Option<f64> {
    let by_tokens = input
        .capacity
        .shape
        .zip(input.capacity.kv_tokens)
        .and_then(|(shape, tokens)| share(shape.kv_tokens(), tokens));
    by_tokens.or_else(|| input.capacity.cache_per_request.map(|(share, _)| share))
}
