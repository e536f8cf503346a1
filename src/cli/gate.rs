//! `prescale gate`: flags over environment over file, and the gate that they come to.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::cli::exit::Exit;
use crate::cli::output::print;
use crate::cli::serve::{LogFormat, format};
use crate::gate;
use crate::gate::Ends;
use crate::gate::config::{Overrides, Pattern, Settings};
use crate::server;
use crate::server::config::address;
use crate::source::config::ScrapePolicy;
use crate::telemetry::{Level, init};

/// Shown under the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  prescale gate --config gate.yaml
  prescale gate --config gate.yaml --check
  prescale gate --scaled-object team-a/llama --upstream dns://llama-headless.team-a.svc:8000 \\
    --wake-url http://prescale.prescale.svc:8080 --wake-token-file /etc/prescale/wake-token

Clients send what they would send to the model: http://GATE:8000/v1/chat/completions.
The first SIGTERM drains (held requests and streams go on), the second one cuts them off.";

/// What `gate` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file, YAML; its keys are in docs/gate.md
    #[arg(long, env = "PRESCALE_GATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients reach it [default: 0.0.0.0:8000]
    #[arg(long, env = "PRESCALE_GATE_LISTEN", value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Where probes and Prometheus reach it [default: 0.0.0.0:9091]
    #[arg(long, env = "PRESCALE_GATE_ADMIN_LISTEN", value_name = "ADDRESS", value_parser = address)]
    admin_listen: Option<SocketAddr>,
    /// Servers of the one route of a gate without a file: dns://NAME:PORT (each address is a
    /// server) or http://HOST:PORT
    #[arg(long, env = "PRESCALE_GATE_UPSTREAM", value_name = "URL")]
    upstream: Option<String>,
    /// Scaled object of that route
    #[arg(long, env = "PRESCALE_GATE_SCALED_OBJECT", value_name = "NAMESPACE/NAME")]
    scaled_object: Option<String>,
    /// HTTP listener of prescale, which is woken while requests wait [default: nobody is woken]
    #[arg(long, env = "PRESCALE_GATE_WAKE_URL", value_name = "URL")]
    wake_url: Option<String>,
    /// File with the token of prescale's wake.tokenFile
    #[arg(long, env = "PRESCALE_GATE_WAKE_TOKEN_FILE", value_name = "FILE")]
    wake_token_file: Option<PathBuf>,
    /// Check the configuration, print what it comes to, and end
    #[arg(long)]
    check: bool,
    /// How the log is written to standard error [default: text on a terminal, else json]
    #[arg(long, env = "PRESCALE_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// off, error, warn, info, debug, trace, or target=level pairs
    #[arg(long, env = "PRESCALE_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: Level,
}

/// Serves until a signal, or only checks.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let Args { config, listen, admin_listen, upstream, scaled_object, .. } = args;
    let Args { wake_url, wake_token_file, check, log_format, log_level, .. } = args;
    let overrides =
        Overrides { listen, admin_listen, wake_url, wake_token_file, upstream, scaled_object };
    let settings = Settings::load(config.as_deref(), overrides)?;
    if check {
        let mut text = Vec::new();
        write(&settings, &mut text)?;
        print(&text)?;
        return Ok(Exit::Done);
    }
    init(format(log_format), &log_level)?;
    let runtime = Runtime::new().context("failed to start the runtime")?;
    let served = runtime.block_on(serve(settings));
    // What still runs beside the event loop has nobody to tell its result to.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served.map(|()| Exit::Done)
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let ends = Ends::default();
    // The first one drains, the second one cuts.
    let stages = [ends.drain.clone(), ends.cut.clone()];
    server::cancel_on_signals(stages).context("failed to listen for signals")?;
    Ok(gate::run(settings, ScrapePolicy::default(), ends, |_| {}).await?)
}

fn write(settings: &Settings, out: &mut impl Write) -> std::io::Result<()> {
    let Settings { listen, admin_listen, wake, limits, idle, drain, .. } = settings;
    writeln!(out, "listen       {listen}")?;
    writeln!(out, "adminListen  {admin_listen}")?;
    let token_file = wake.as_ref().and_then(|wake| wake.token_file.as_ref());
    let wake = wake.as_ref().map_or("nobody", |wake| wake.url.as_str());
    writeln!(out, "wakes        {wake}")?;
    if let Some(path) = token_file {
        // Read at each wake: it may well be there only where the gate will run.
        let there = std::fs::read_to_string(path).map(drop);
        let note =
            there.map_or_else(|error| format!(", not readable here: {error}"), |()| String::new());
        writeln!(out, "token        {}{note}", path.display())?;
    }
    let (idle, drain) = (idle.as_secs(), drain.as_secs());
    writeln!(out, "idle         {idle} s")?;
    writeln!(out, "drain        {drain} s")?;
    let gate::config::Limits { held_bytes, body_bytes, connections } = limits;
    writeln!(
        out,
        "limits       {connections} connections, {body_bytes} bytes of one body, {held_bytes} of all"
    )?;
    for route in &settings.routes {
        let models: Vec<String> = route.models.iter().map(Pattern::to_string).collect();
        let models = if models.is_empty() { "*".to_owned() } else { models.join(", ") };
        let gate::config::Route { namespace, name, upstream, held, hold_for, .. } = route;
        let seconds = hold_for.as_secs();
        writeln!(
            out,
            "{models} -> {upstream} for {namespace}/{name}, up to {held} held for {seconds} s"
        )?;
    }
    Ok(())
}
