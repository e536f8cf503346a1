//! Exit codes: the one table.

use std::process::ExitCode;

use crate::backtest;
use crate::score;
use crate::server;
use crate::source;
use crate::store;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Did what was asked; nothing wrong was found.
    Done,
    /// Failed while running, or found something wrong.
    Failed,
    /// Was asked wrongly: flags, or a file or datasource that cannot be read.
    Usage,
}

/// The table, as `--help` prints it.
pub(super) const HELP: &str = "\
Exit codes:
  0  done; nothing wrong was found
  1  failed while running, or found something wrong; no such scaler, no server that answers
  2  wrong flags, a file that cannot be read or understood, or no datasource to check against";

/// Flags that are right one by one and cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The code of an error: what the user can mend in flags and files is his to mend.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    let configuration = error.is::<server::config::Error>() || error.is::<source::config::Error>();
    let datasource = matches!(error.downcast_ref(), Some(server::Error::Sources(_)));
    let directory =
        matches!(error.downcast_ref(), Some(server::Error::Store(store::Error::Directory { .. })));
    let backtest = error.downcast_ref().is_some_and(backtest::error::Error::is_usage);
    let score = error.is::<score::error::Error>();
    if configuration || datasource || directory || backtest || score || error.is::<Usage>() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}
