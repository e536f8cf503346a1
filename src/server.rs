//! The running server: configuration, listeners, tasks and their graceful end.
//!
//! Given settings, a clock and a token that asks for the end, [`run`] promises: both listeners are
//! bound before anybody is told that it is ready; a task that ends unasked ends the server with an
//! error; an end that is asked for takes at most 10 s. What is answered is left to `crate::grpc` and
//! `crate::http`.

pub mod config;

mod notes;
mod reports;
mod ticks;

mod run;
mod signal;

pub(crate) use run::listen;
pub use run::{Bound, COMMIT, Error, run, spawn};
pub use signal::cancel_on_signals;
