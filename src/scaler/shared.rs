//! What all scalers of a process share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::scaler::metrics::Metrics;
use crate::scaler::room::Room;
use crate::scaler::world::World;
use crate::store::Store;

/// What all scalers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: Arc<dyn World>,
    pub(crate) room: Room,
    pub(crate) metrics: Metrics,
    /// Observations at once, of all namespaces.
    pub(crate) gate: Semaphore,
    /// Histories learned at once.
    pub(crate) learning: Semaphore,
    /// Where memories and decisions outlive the process.
    pub(crate) store: Option<Arc<Store>>,
}
