//! `D_prefill`: prompt tokens to be computed over `headroom x P`, plus the backlog's prompts within
//! what the first-token objective leaves, or within max(30 s, cold start) where there is none.

use std::time::Duration;

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::numeric::share;

/// Less is not asked of a backlog, even when a single prompt already takes the whole objective.
const SECONDS_MIN: f64 = 1.0;

/// The term; absent while P or the prompt size is unknown.
#[must_use]
pub(super) fn term(input: &Input<'_>) -> Option<Term> {
    let speed = input.capacity.prefill.known()?;
    let prompt = input.capacity.shape?.uncached;
    let arriving = input.arrivals()? * prompt;
    let term = Term::ratio(TermKind::Prefill, arriving, input.headroom.get() * speed)?;
    let left = |objective: Duration| (objective.as_secs_f64() - prompt / speed).max(SECONDS_MIN);
    let seconds = input.setup.objectives.ttft.map_or(input.drain_seconds(), left);
    let backlog = input.backlog().and_then(|waiting| share(waiting * prompt, speed * seconds));
    Some(term.with_backlog(backlog.unwrap_or(0.0)))
}
