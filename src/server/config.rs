//! What the server is told at start: a YAML file, and flags or the environment over it.
//!
//! Given the file's text and what the command line says, promises [`Settings`] that cannot be wrong,
//! or every fault at once, each naming key, value and what is accepted. Unknown keys are refused;
//! keys of a later version are refused with that word, never ignored. Whether datasources answer is
//! left to `crate::source`.

mod error;
mod file;
mod settings;

pub use error::Error;
pub(crate) use file::problem;
pub use settings::{Note, Overrides, Settings, Tls, address};
