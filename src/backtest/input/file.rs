//! A trace file: which of the two kinds it is, and its name.

use std::path::Path;

use crate::backtest::input::error::{InputError, shown};
use crate::backtest::input::recorded::Recorded;
use crate::backtest::input::sizes::Sizes;
use crate::backtest::input::table::Table;
use crate::backtest::input::{counts, requests};

/// Reads a trace, plain or gzip'd: one line per request (`arrival_ms`, `prompt_tokens`,
/// `output_tokens`, in any order of time), or counts per step (`timestamp` and `requests` or `value`;
/// `prompt_tokens` and `output_tokens` are sums per step). Other columns are ignored, but for
/// `client`: counts of clients at one time are added up. Blocks while it reads.
///
/// # Errors
/// One that names file, line, column and value, and what is accepted.
pub fn read_file(path: &Path, sizes: Sizes) -> Result<Recorded, InputError> {
    let mut table = Table::open(path)?;
    let recorded = match (table.column("arrival_ms"), table.column("timestamp")) {
        (Some(at), None) => requests::read(&mut table, at, sizes)?,
        (None, Some(at)) => counts::read(&mut table, at, sizes)?,
        (Some(_), Some(_)) => {
            return Err(columns(&table, "both arrival_ms and timestamp are there".to_owned()));
        }
        (None, None) if table.names().iter().all(String::is_empty) => {
            return Err(columns(&table, "it is empty, or its first line is".to_owned()));
        }
        (None, None) => {
            let found = shown(table.names().join(", ").as_bytes());
            let problem = format!("neither arrival_ms nor timestamp is among {found:?}");
            return Err(columns(&table, problem));
        }
    };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Recorded { name, ..recorded })
}

fn columns(table: &Table, problem: String) -> InputError {
    InputError::Columns { path: table.path().to_owned(), problem }
}
