//! The commands: words to settings, settings to a run, a run to an exit code.
//!
//! The environment is read here and nowhere else. What a command does is left to its module.

pub mod check;

mod ask;
mod backtest;
mod command;
mod completions;
mod demo;
mod exit;
mod explain;
mod gate;
mod output;
mod page;
mod progress;
mod score;
mod serve;
mod top;
mod wake;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::cli::exit::Exit;
use crate::cli::output::{Output, print};
use crate::server::COMMIT;

/// The version, with the commit when the build knew it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    COMMIT.map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"))
});

/// KEDA external scaler that sizes GPU inference workloads before the demand arrives
#[derive(Debug, Parser)]
#[command(name = "prescale", version = VERSION.as_str(), after_help = exit::HELP)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve KEDA over gRPC, and people and probes over HTTP
    #[command(after_help = exit::HELP)]
    Serve(serve::Args),
    /// Hold requests while their models sleep, and tell prescale: a reverse proxy in front of them
    #[command(after_help = after_gate())]
    Gate(Box<gate::Args>),
    /// Run the real server before a simulated fleet, KEDA and HPA; no cluster needed
    #[command(after_help = exit::HELP)]
    Demo(crate::demo::Options),
    /// Replay a history under each policy: SLO attainment, GPU-hours and money, side by side
    #[command(after_help = after_backtest())]
    Backtest(Box<backtest::Args>),
    /// Score the forecaster on your own series of arrivals, beside strong baselines
    #[command(after_help = after_score())]
    Score(Box<score::Args>),
    /// Check ScaledObject files: keys, values, and the traps of KEDA
    #[command(after_help = exit::HELP)]
    Check(CheckArgs),
    /// Explain one scaler of a running server: the decision, the forecast, what to do next
    #[command(after_help = after_explain())]
    Explain(explain::Args),
    /// Show all scalers of a running server, a row each
    #[command(after_help = exit::HELP)]
    Top(top::Args),
    /// Ask a running server to wake a workload that sleeps
    #[command(after_help = after_wake())]
    Wake(wake::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// What `check` is told.
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// YAML files with ScaledObjects; `-` reads standard input
    #[arg(required_unless_present = "keys", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also try the queries at this Prometheus-compatible server, whatever datasource they name
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,
    /// Print every metadata key with its meaning, what it accepts and its default, and end
    #[arg(long, conflicts_with_all = ["files", "prometheus_url", "output"])]
    keys: bool,
    /// How findings are written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Gate(args) => gate::run(*args),
        Command::Demo(args) => demo::run(args),
        Command::Backtest(args) => backtest::run(*args),
        Command::Score(args) => score::run(*args),
        Command::Check(args) => check(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Wake(args) => wake::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    };
    let exit = result.unwrap_or_else(|error| {
        let text = crate::report::one_line(&format!("{error:#}"));
        // Nobody is left to be told when standard error is closed.
        drop(writeln!(std::io::stderr(), "error: {text}"));
        exit::of(&error)
    });
    ExitCode::from(exit)
}

/// Examples first: they say more than forty flags.
fn after_backtest() -> String {
    format!("{}\n\n{}", backtest::EXAMPLES, exit::HELP)
}

fn after_explain() -> String {
    format!("{}\n\n{}", explain::EXAMPLES, exit::HELP)
}

fn after_wake() -> String {
    format!("{}\n\n{}", wake::EXAMPLES, exit::HELP)
}

fn after_gate() -> String {
    format!("{}\n\n{}", gate::EXAMPLES, exit::HELP)
}

fn after_score() -> String {
    format!("{}\n\n{}", score::EXAMPLES, exit::HELP)
}

fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let CheckArgs { files, prometheus_url, keys, output } = args;
    let mut text = Vec::new();
    if *keys {
        check::write_keys(&mut text)?;
        print(&text)?;
        return Ok(Exit::Done);
    }
    let format = match output {
        Output::Table => check::Format::Table,
        Output::Json => check::Format::Json,
    };
    let report = match prometheus_url {
        None => check::check(files),
        Some(url) => {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.context("failed to start the runtime")?;
            let report = runtime.block_on(check::check_at(files, url));
            report.context("--prometheus-url cannot be asked")?
        }
    };
    let outcome = check::write(&report, format, &mut text)?;
    print(&text)?;
    Ok(match outcome {
        check::Outcome::Fine => Exit::Done,
        check::Outcome::Errors => Exit::Failed,
        check::Outcome::Unreadable => Exit::Usage,
    })
}
