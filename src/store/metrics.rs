//! What the store counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the store; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    writes: Counter<u64, AtomicU64>,
    errors: Counter<u64, AtomicU64>,
    bytes: Gauge,
}

impl Metrics {
    /// Registers everything under its full name.
    pub fn register(&self, registry: &mut Registry) {
        let Self { writes, errors, bytes } = self;
        registry.register("prescale_store_writes", "Rows written to the store", writes.clone());
        registry.register(
            "prescale_store_errors",
            "Failed writes and reads, rows that did not match their checksum, and rows refused \
             because too many waited",
            errors.clone(),
        );
        registry.register(
            "prescale_store_bytes",
            "Size of the store's file and its log",
            bytes.clone(),
        );
    }

    pub(super) fn wrote(&self, rows: u64) {
        self.writes.inc_by(rows);
    }

    pub(super) fn failed(&self, times: u64) {
        self.errors.inc_by(times);
    }

    pub(super) fn size(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Failures so far.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.get()
    }
}
