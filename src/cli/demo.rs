//! `prescale demo`: flags for `crate::demo`, and the server it runs before its fleet.

use crate::cli::exit::Exit;

/// What `demo` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Simulated seconds per second
    #[arg(long, default_value = "60")]
    speed: f64,
    /// Length of the simulated day
    #[arg(long, default_value = "3h")]
    duration: String,
    /// Port of the page and the API on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// The seam to `crate::demo::run`, with [`crate::server::spawn`] as the server.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args { speed, duration, port } = args;
    anyhow::bail!("demo of {duration} at speed {speed} on port {port} is not part of this build")
}
