//! Logs and the registry of our own metrics.
//!
//! Given decisions and where to write, promises: one line per event whatever the strings in it hold;
//! transitions logged once and states never; bounded labels, never an error's text. Which parts
//! exist and when they are asked is left to the server.

mod decisions;
mod exposition;
mod log;
mod metrics;
mod scalers;

pub use decisions::{Ids, decision_changed};
pub use exposition::{OPEN_METRICS, TEXT, to_text};
pub use log::{Error, Format, Level, init};
pub use metrics::{Build, Metrics};
pub use scalers::{Reading, Readings, Snapshot};
