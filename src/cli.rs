//! The commands: words to settings, settings to a run, a run to an exit code.
//!
//! The environment is read here and nowhere else. What a command does is left to its module.

pub mod check;

mod completions;
mod demo;
mod exit;
mod serve;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::cli::exit::Exit;
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
    /// Run the real server before a simulated fleet, KEDA and HPA; no cluster needed
    #[command(after_help = exit::HELP)]
    Demo(crate::demo::Options),
    /// Check ScaledObject files: keys, values, and the traps of KEDA
    #[command(after_help = exit::HELP)]
    Check(CheckArgs),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// What `check` is told.
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// YAML files with ScaledObjects; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How findings are written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// How a command writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check(&args),
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

fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let CheckArgs { files, output } = args;
    let format = match output {
        Output::Table => check::Format::Table,
        Output::Json => check::Format::Json,
    };
    Ok(match check::run(files, format, &mut std::io::stdout())? {
        check::Outcome::Fine => Exit::Done,
        check::Outcome::Errors => Exit::Failed,
        check::Outcome::Unreadable => Exit::Usage,
    })
}
