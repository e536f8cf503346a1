//! Signals: SIGTERM, as Kubernetes sends it, and SIGINT, as a terminal does.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Cancels one of `stages` at each SIGTERM or SIGINT, in order; must be called inside the runtime.
///
/// # Errors
/// When the process cannot listen for signals.
pub fn cancel_on_signals<const N: usize>(stages: [CancellationToken; N]) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Not in a JoinSet: it ends with the process, and its end asks for nothing else.
    tokio::spawn(async move {
        for stage in stages {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            stage.cancel();
            info!(signal = name, "shutting down");
        }
    });
    Ok(())
}
