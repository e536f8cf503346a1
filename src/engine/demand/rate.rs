//! `D_rate`: arriving requests over `headroom x G`, plus the backlog over what a replica drains in
//! max(30 s, cold start). The backlog is work to be cleared, not a level to be divided by a threshold.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::numeric::share;

/// The term; absent while G is unknown or arrivals cannot be counted.
#[must_use]
pub(super) fn term(input: &Input<'_>) -> Option<Term> {
    let rate = input.capacity.request_rate()?;
    let arrivals = Term::ratio(TermKind::Rate, input.arrivals()?, input.headroom.get() * rate)?;
    Some(arrivals.with_backlog(drained(input, rate).unwrap_or(0.0)))
}

/// Replicas that clear the backlog in time.
fn drained(input: &Input<'_>, rate: f64) -> Option<f64> {
    share(input.backlog()?, rate * input.drain_seconds())
}
