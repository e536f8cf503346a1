//! `prescale serve`: flags over environment over file, and the server that they come to.

use std::io::{IsTerminal, stderr};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Exit;
use crate::clock::Clock;
use crate::server;
use crate::server::config::{Overrides, Settings, address};
use crate::source::config::ScrapePolicy;
use crate::telemetry::{Format, Level, init};

/// What `serve` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file, YAML; its keys are in docs/server.md
    #[arg(long, env = "PRESCALE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where KEDA reaches it over gRPC [default: 0.0.0.0:6000]
    #[arg(long, env = "PRESCALE_LISTEN", value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Where probes, Prometheus and people reach it over HTTP [default: 0.0.0.0:8080]
    #[arg(long, env = "PRESCALE_HTTP_LISTEN", value_name = "ADDRESS", value_parser = address)]
    http_listen: Option<SocketAddr>,
    /// Prometheus-compatible server; becomes the datasource `default`, with tenancy none
    #[arg(long, env = "PRESCALE_PROMETHEUS_URL", value_name = "URL", hide_env_values = true)]
    prometheus_url: Option<String>,
    /// Serve gRPC reflection [default: false]
    #[arg(long, env = "PRESCALE_REFLECTION", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    reflection: Option<bool>,
    /// Directory in which memory outlives the process; has to exist [default: none]
    #[arg(long, env = "PRESCALE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How the log is written to standard error [default: text on a terminal, else json]
    #[arg(long, env = "PRESCALE_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// off, error, warn, info, debug, trace, or target=level pairs
    #[arg(long, env = "PRESCALE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: Level,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    /// One object per line
    Json,
    /// One readable line per event
    Text,
}

/// Serves until a signal.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Args { config, listen, http_listen, prometheus_url, reflection, .. } = args;
    let Args { data_dir, log_format, log_level, .. } = args;
    init(format(log_format), &log_level)?;
    let overrides = Overrides { listen, http_listen, prometheus_url, reflection, data_dir };
    let settings = Settings::load(config.as_deref(), overrides)?;
    let runtime = Runtime::new().context("failed to start the runtime")?;
    let served = runtime.block_on(serve(settings));
    // What still runs beside the event loop has nobody to tell its result to.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served.map(|()| Exit::Done)
}

/// The format asked for, or the one that suits standard error.
pub(super) fn format(asked: Option<LogFormat>) -> Format {
    match asked {
        Some(LogFormat::Json) => Format::Json,
        Some(LogFormat::Text) => Format::Text,
        None if stderr().is_terminal() => Format::Text,
        None => Format::Json,
    }
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    server::cancel_on_signals([shutdown.clone()]).context("failed to listen for signals")?;
    let (clock, scrape) = (Clock::system(), ScrapePolicy::default());
    Ok(server::run(settings, clock, scrape, shutdown, |_| {}).await?)
}
