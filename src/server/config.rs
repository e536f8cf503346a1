//! What the server is told at start: a YAML file, and flags or the environment over it.
//!
//! Given the file's text and what the command line says, promises [`Settings`] that cannot be wrong,
//! or every fault at once, each naming key, value and what is accepted. Unknown keys are refused.
//! Whether datasources answer is left to `crate::source`.

mod address;
mod error;
mod file;
mod wake;

mod settings;

pub use address::address;
pub(crate) use address::overlap;
pub use error::Error;
pub(crate) use file::{parse, read};
pub use settings::{Note, Overrides, Settings, Tls};
pub use wake::{Mutual, Wake};
