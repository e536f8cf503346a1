//! A request waits until a server is ready, or until it cannot wait any longer.

use std::time::Duration;

use crate::gate::arrival::Arrival;
use crate::gate::endpoint::Chosen;
use crate::gate::error::Refusal;
use crate::gate::payload::Outgoing;
use crate::gate::state::Gate;

/// A ready server for `outgoing`, waited for if need be. Its body is read into memory meanwhile, so
/// that the client's going away is noticed at once: only whoever has nothing more to say is heard
/// hanging up.
///
/// # Errors
/// When there is no room to wait, when the wait is over, or when prescale says that it is in vain.
pub(super) async fn ready(
    gate: &Gate,
    arrival: &Arrival,
    outgoing: &mut Outgoing,
) -> Result<Chosen, Refusal> {
    let route = arrival.route();
    if let Some(retry) = route.backing_off() {
        return Err(Refusal::BackingOff { retry });
    }
    let full = || Refusal::QueueFull { held: route.settings.held, retry: route.retry() };
    let held = route.enter().ok_or_else(full)?;
    arrival.set_held(true);
    let left = route.settings.hold_for.saturating_sub(arrival.age());
    let result = match outgoing.keep().await {
        Ok(_) => wait(gate, arrival, left).await,
        Err(refusal) => Err(refusal),
    };
    arrival.set_held(false);
    held.over();
    result
}

async fn wait(gate: &Gate, arrival: &Arrival, left: Duration) -> Result<Chosen, Refusal> {
    let route = arrival.route();
    let (mut ready, mut verdict) = (route.ready.subscribe(), route.verdict.subscribe());
    let deadline = tokio::time::sleep(left);
    tokio::pin!(deadline);
    loop {
        if let Some(chosen) = route.pick() {
            return Ok(chosen);
        }
        if let Some(retry) = route.backing_off() {
            return Err(Refusal::BackingOff { retry });
        }
        tokio::select! {
            // Both senders live as long as the route.
            _ = ready.changed() => {}
            _ = verdict.changed() => {}
            () = &mut deadline => {
                let held = route.settings.hold_for;
                return Err(Refusal::Deadline { held, retry: route.retry() });
            }
            () = gate.cut.cancelled() => return Err(Refusal::Draining),
        }
    }
}
