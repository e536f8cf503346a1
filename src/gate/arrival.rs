//! One request from its arrival to the end of its answer, as demand: counted until it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::gate::route::Route;

/// A request in flight.
#[derive(Debug)]
pub(super) struct Arrival {
    route: Arc<Route>,
    clock: Clock,
    at: Duration,
    is_held: AtomicBool,
    held_ms: AtomicU64,
}

impl Arrival {
    /// Counts a request of `route` that arrived at the clock's reading `at`.
    pub(super) fn new(route: Arc<Route>, clock: Clock, at: Duration) -> Arc<Self> {
        route.metrics.requests.inc();
        route.metrics.in_flight.inc();
        let (is_held, held_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { route, clock, at, is_held, held_ms })
    }

    /// Its route.
    pub(super) const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Time since it arrived.
    pub(super) fn age(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.at)
    }

    /// Notes that it waits, or no longer.
    pub(super) fn set_held(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
        if !is_held {
            let ms = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
            self.held_ms.store(ms, Ordering::Relaxed);
        }
    }

    /// Whether it waits.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// How long it waited, in milliseconds; 0 if it did not.
    pub(super) fn held_ms(&self) -> u64 {
        self.held_ms.load(Ordering::Relaxed)
    }

    /// The first byte of the answer's body is there.
    pub(super) fn first_byte(&self) {
        self.route.metrics.first_byte(self.age());
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.route.metrics.in_flight.dec();
    }
}
