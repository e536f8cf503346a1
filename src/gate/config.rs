//! What the gate is told at start: a YAML file, or the flags of a gate with one route.
//!
//! Given the file's text and what the command line says, promises [`Settings`] that cannot be wrong,
//! or every fault at once, each naming key, value and what is accepted. Unknown keys are refused.
//! Whether names resolve and tokens are accepted is left to the running gate.

mod file;
mod models;
mod settings;
mod size;
mod upstream;

pub use models::Pattern;
pub use settings::{Limits, Overrides, Pace, Route, Settings, Wake};
pub use upstream::{Probe, Upstream};
