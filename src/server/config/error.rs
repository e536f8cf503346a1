//! What is wrong with the configuration.

use std::fmt;
use std::path::PathBuf;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("failed to read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML of the form expected.
    #[error("{}{}: {problem}", path.display(), Line(*line))]
    Form {
        /// The file.
        path: PathBuf,
        /// Where, if known.
        line: Option<u64>,
        /// What is wrong, and what is accepted.
        problem: String,
    },
    /// Values cannot be used: all of them, each with its key.
    #[error("{}", .0.join("; "))]
    Values(Vec<String>),
}

struct Line(Option<u64>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " line {line}"))
    }
}
