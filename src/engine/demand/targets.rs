//! The user's own targets on the engine's signals: queue, concurrency, request and token rate.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::demand::{kv, running};
use crate::engine::numeric::share;
use crate::engine::observation::Role;

/// `queueDepth`: the literal quotient, rounded up, until G is known; then never more than the running
/// load needs plus what clears the queue in time. A bare threshold swings over the whole range under
/// constant load, because each new replica empties the queue that asked for it.
#[must_use]
pub(super) fn queue_depth(input: &Input<'_>) -> Option<Term> {
    let depth = input.setup.targets.queue_depth?;
    let waiting = input.level(Role::Waiting)?;
    let literal = Term::ratio(TermKind::QueueDepth, waiting, depth)?;
    let Some(rate) = input.capacity.request_rate() else { return Some(literal) };
    let drained = share(waiting, rate * input.drain_seconds()).map_or(0.0, f64::ceil);
    Some(literal.at_most(running_load(input, rate).ceil() + drained))
}

/// Replicas that the load without the queue needs, by whatever can tell.
fn running_load(input: &Input<'_>, rate: f64) -> f64 {
    let arriving =
        input.arrivals().and_then(|arrivals| share(arrivals, input.headroom.get() * rate));
    let batch = running::need(input).map(|term| term.replicas);
    [kv::running_need(input), arriving, batch].into_iter().flatten().fold(0.0, f64::max)
}

/// `concurrency`: waiting + running per replica.
#[must_use]
pub(super) fn concurrency(input: &Input<'_>) -> Option<Term> {
    let target = input.setup.targets.concurrency?;
    let (waiting, running) = (input.level(Role::Waiting), input.level(Role::Running));
    let in_flight = waiting.map_or(running, |waiting| Some(waiting + running.unwrap_or(0.0)))?;
    Term::ratio(TermKind::Concurrency, in_flight, target)
}

/// `requestRate`: arriving requests per second per replica.
#[must_use]
pub(super) fn request_rate(input: &Input<'_>) -> Option<Term> {
    Term::ratio(TermKind::RequestRate, input.arrivals()?, input.setup.targets.request_rate?)
}

/// `tokenRate`: prompt and output tokens per second per replica.
#[must_use]
pub(super) fn token_rate(input: &Input<'_>) -> Option<Term> {
    let target = input.setup.targets.token_rate?;
    let tokens = [Role::PromptTokens, Role::GenerationTokens].map(|role| input.rate(role));
    let known: Vec<f64> = tokens.into_iter().flatten().collect();
    if known.is_empty() {
        return None;
    }
    Term::ratio(TermKind::TokenRate, known.iter().sum(), target)
}
