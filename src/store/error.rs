//! Why a store cannot be opened; once it is open, nothing is an error to its callers any more.

use std::path::PathBuf;

/// The directory cannot be used. Each text names the key of the configuration and the path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is missing, is none, or cannot be written to.
    #[error("dataDir: {} must be a directory that can be written to", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("dataDir: {} is in use by another prescale; give each process its own", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be opened, for a reason that setting it aside would not mend.
    #[error("dataDir: failed to open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The system gives no thread.
    #[error("failed to start the threads of the store: {0}")]
    Threads(std::io::Error),
}
