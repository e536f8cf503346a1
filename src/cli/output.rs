//! How a command writes what it found.

use std::io::{ErrorKind, Write, stdout};

use anyhow::Context;
use clap::ValueEnum;

/// How a command writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Writes a command's result to standard output. Who stops reading (`| head`) has read enough.
pub(super) fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("failed to write the result"),
    }
}
