//! A request waits until a server is ready, or until it cannot wait any longer.

use crate::gate::arrival::Arrival;
use crate::gate::endpoint::Chosen;
use crate::gate::error::Refusal;
use crate::gate::payload::Outgoing;
use crate::gate::route::Route;
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
    let waiting = async {
        outgoing.keep().await?;
        wait(route).await
    };
    let result = tokio::select! {
        // Whoever finds a server at the last moment has found one.
        biased;
        result = waiting => result,
        // A body that hardly comes has no more time than one that is there.
        () = tokio::time::sleep(left) => {
            let held = route.settings.hold_for;
            Err(Refusal::Deadline { held, retry: route.retry() })
        }
        () = gate.cut.cancelled() => Err(Refusal::Draining),
    };
    arrival.set_held(false);
    held.over();
    result
}

async fn wait(route: &Route) -> Result<Chosen, Refusal> {
    let (mut ready, mut verdict) = (route.ready.subscribe(), route.verdict.subscribe());
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
        }
    }
}
