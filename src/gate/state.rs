//! What every request of the gate shares.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::gate::metrics::Metrics;
use crate::gate::payload::Budget;
use crate::gate::table::Table;

/// The gate's own state.
#[derive(Debug)]
pub(super) struct Gate {
    /// The routes.
    pub(super) table: Table,
    /// What is counted.
    pub(super) metrics: Metrics,
    /// Memory for bodies.
    pub(super) budget: Arc<Budget>,
    /// Longest silence of a server.
    pub(super) idle: Duration,
    /// Between two comments to a client that waits for a stream.
    pub(super) keep_alive_sse: Option<Duration>,
    /// Time.
    pub(super) clock: Clock,
    /// When it started, seconds since the Unix epoch.
    pub(super) started: i64,
    /// Nothing waits or streams any longer.
    pub(super) cut: CancellationToken,
}
