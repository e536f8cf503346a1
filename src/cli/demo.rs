//! `prescale demo`: the terminal, and the real server that runs before the simulated fleet.

use std::env::var_os;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Exit;
use crate::demo::{Options, ServerError, Started, Terminal, Wiring};
use crate::server;
use crate::server::config::Settings;

/// Runs the demo until its day is over, or a signal.
pub(super) fn run(options: Options) -> anyhow::Result<Exit> {
    let interactive = stdout().is_terminal();
    let no_color = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let terminal = Terminal { interactive, color: interactive && !no_color };
    let runtime = Runtime::new().context("failed to start the runtime")?;
    let shown = runtime.block_on(show(options, terminal));
    // What still runs beside the event loop has nobody to tell its result to.
    runtime.shutdown_timeout(Duration::from_millis(100));
    shown.map(|()| Exit::Done)
}

async fn show(options: Options, terminal: Terminal) -> anyhow::Result<()> {
    let interrupt = CancellationToken::new();
    server::cancel_on_signals([interrupt.clone()]).context("failed to listen for signals")?;
    crate::demo::run(options, (terminal, &mut stdout()), start, interrupt).await?;
    Ok(())
}

/// The server of `prescale serve`, on loopback, in the demo's time.
async fn start(wiring: Wiring) -> Result<Started, ServerError> {
    let Wiring { clock, scrape, http, grpc, shutdown } = wiring;
    let settings = Settings {
        listen: grpc,
        http_listen: http,
        // Nobody else comes, so nobody has to be kept from coming.
        drain: Duration::ZERO,
        ..Settings::default()
    };
    let (bound, task) = server::spawn(settings, clock, scrape, shutdown).await?;
    let task = tokio::spawn(async { Ok(task.await??) });
    Ok(Started { http: bound.http, grpc: bound.grpc, task })
}
