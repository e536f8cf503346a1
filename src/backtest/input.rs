//! What can be replayed: a trace file, a Prometheus, or one of the published and typical shapes.
//!
//! [`read_file`], [`read_prometheus`] and [`generate`] all promise a [`Recorded`], from which the
//! requests of a run are drawn by a seed, or one error that names the place, the value and what is
//! accepted. Nothing here knows of policies; running them is left to the rest of the backtest.

mod counts;
mod draw;
mod error;
mod file;
mod generated;
mod prometheus;
mod recorded;
mod requests;
mod sizes;
mod table;

pub use error::InputError;
pub(crate) use error::shown;
pub use file::read_file;
pub use generated::{generate, shapes};
pub use prometheus::{Question, read_prometheus};
pub use recorded::Recorded;
pub use sizes::Sizes;
pub(crate) use table::Table;
