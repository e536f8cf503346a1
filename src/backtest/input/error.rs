//! What can be wrong with something to replay.

use std::io;
use std::path::PathBuf;

use crate::source::config;
use crate::source::history;

/// Why there is nothing to replay.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be opened.
    #[error("trace {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read to its end: cut off, not what its compression promises, too large.
    #[error("trace {} cannot be read after line {line}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The last line that was read.
        line: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The columns are not those of a trace.
    #[error(
        "trace {}: {problem}; accepted are arrival_ms, prompt_tokens, output_tokens (one line per \
         request), or timestamp with requests or value (counts per step)",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// One value, or one line, cannot be used.
    #[error("trace {} line {line}, {column} {value:?}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What is there, shortened.
        value: String,
        /// What is wrong and what is accepted.
        problem: String,
    },
    /// The trace as a whole cannot be used.
    #[error("trace {}: {problem}", path.display())]
    Whole {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is accepted.
        problem: String,
    },
    /// The factor on the rate is none.
    #[error("rate scale {0} is not above 0 and at most 1000000")]
    Scale(f64),
    /// More requests than one run holds.
    #[error(
        "{name} has {requests:.0} requests at rate scale {scale}, more than the {most:.0} of one run; \
         a rate scale of {accepted} or less fits"
    )]
    TooMany {
        /// What was to be replayed.
        name: String,
        /// Requests expected.
        requests: f64,
        /// The factor asked for.
        scale: f64,
        /// Requests of one run at most.
        most: f64,
        /// A factor that fits.
        accepted: String,
    },
    /// No shape has this name.
    #[error("no shape is called {name:?}; accepted are {accepted}")]
    Shape {
        /// The name.
        name: String,
        /// All names.
        accepted: String,
    },
    /// A parameter of a shape cannot be used.
    #[error("{parameter} {value} {problem}")]
    Parameter {
        /// Which.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        problem: &'static str,
    },
    /// The Prometheus cannot be asked.
    #[error("--prometheus-url cannot be asked")]
    Datasource(#[source] config::Error),
    /// The Prometheus did not give the history.
    #[error("the history cannot be read")]
    History(#[source] history::Error),
    /// The history has no arrival.
    #[error("the query has {problem} from {from} to {until}; nothing to replay")]
    Nobody {
        /// Beginning of the range, RFC 3339.
        from: String,
        /// Its end.
        until: String,
        /// What it has.
        problem: &'static str,
    },
    /// The history is not arrivals per second.
    #[error("the query's value at {at} is {value}; accepted are arrivals per second, 0 to {most}")]
    Rate {
        /// When, RFC 3339.
        at: String,
        /// The value.
        value: f64,
        /// The largest that is accepted.
        most: f64,
    },
}

/// Longer than any number; the rest of what stands in a cell helps nobody.
const SHOWN_MAX: usize = 60;

/// A cell as it can be shown: at most 60 characters of it.
pub(crate) fn shown(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell);
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
