//! The runtime on which scalers tick, apart from the one that answers.
//!
//! All scalers tick at the same instants. On one runtime the calls that arrive then queue behind
//! thousands of ticks; on two, the operating system shares the cores between both.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for ticks, as many as cores. Dropping it ends them without waiting.
#[derive(Debug)]
pub(crate) struct Ticks {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Ticks {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("ticks").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

/// A runtime must not wait for its threads inside of another one.
impl Drop for Ticks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
