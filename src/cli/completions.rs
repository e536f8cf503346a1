//! `prescale completions SHELL`.

use clap_complete::Shell;

use crate::cli::exit::Exit;
use crate::cli::output::print;

/// What `completions` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script of `command` for the shell.
pub(super) fn run(args: &Args, command: &mut clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "prescale", &mut script);
    print(&script)?;
    Ok(Exit::Done)
}
