//! KEDA's protocol: answers read the latest decision and nothing else.
//!
//! Given a [`crate::scaler::Registry`], [`transport::serve`] promises five calls, each unary one
//! answered within a second, streams that end with OK, a transport that survives ten thousand of them
//! in one burst. Deciding is left to the scalers.

#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod proto;

mod metrics;

mod answer;
mod status;

mod age;
mod push;
mod stream;

mod service;

pub(crate) mod peer;

pub mod tls;

mod accept;
mod connection;
pub(crate) mod places;

pub mod transport;

pub use answer::METRIC_NAME;
pub use metrics::Metrics;
