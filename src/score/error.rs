//! Why nothing was scored.

use std::path::PathBuf;

use crate::backtest::input::InputError;

/// Why nothing was scored; all of it is for the user to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A column is not there.
    #[error("{}: no column {wanted}; those that are there: {found}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// Names of all columns.
        found: String,
    },
    /// A series is too short.
    #[error("{name} has {length} of data; at least 2 h are needed")]
    Short {
        /// File and group.
        name: String,
        /// Its length.
        length: String,
    },
    /// The coarser step does not fit.
    #[error("--resample {asked} s is no multiple of {name}'s step of {step} s")]
    Resample {
        /// The step asked for, in seconds.
        asked: f64,
        /// File and group.
        name: String,
        /// Its step in seconds.
        step: f64,
    },
    /// No horizon fits.
    #[error("{name} has a step of {step} s; every horizon of --horizons is shorter")]
    Horizons {
        /// File and group.
        name: String,
        /// Its step in seconds.
        step: f64,
    },
    /// No step is an origin.
    #[error("--origins {asked} s is no multiple of {name}'s step of {step} s")]
    Origins {
        /// What was asked for, in seconds.
        asked: f64,
        /// File and group.
        name: String,
        /// Its step in seconds.
        step: f64,
    },
}
