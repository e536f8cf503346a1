//! The gate: a reverse proxy for OpenAI-compatible traffic that holds requests while their model
//! sleeps.
//!
//! Given routes (models, a scaled object, servers), [`run`] promises: what a ready server can take is
//! passed on at once, streaming both ways; what finds none waits within bounds of number, bytes and
//! time while prescale is woken; what cannot wait is told when to come back; nothing of a body, a
//! header or a token is logged; and the end cuts no stream before its time. Starting pods is left to
//! prescale and KEDA, queueing behind a busy server to the server, TLS and authentication to what
//! stands in front.

pub mod config;

mod error;
mod metrics;

mod endpoint;
mod route;
mod table;

mod look;
mod wake;

mod arrival;
mod payload;
mod state;

mod answer;
mod ask;
mod headers;
mod hold;
mod models;

mod forward;
mod proxy;
mod sse;

mod admin;
mod stall;

mod listen;
mod run;

pub use run::{Bound, Ends, run};
