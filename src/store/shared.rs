//! What the threads of a store have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::store::error::Error;
use crate::store::file::{self, Unusable, is_broken, is_disk};
use crate::store::metrics::Metrics;
use crate::store::place::Place;
use crate::store::queue::Queue;

/// A reader's connection; whoever holds the lock may close it.
pub(super) type Reading = Mutex<Option<Connection>>;

/// What the threads of a store have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) clock: Clock,
    pub(super) queue: Queue,
    pub(super) metrics: Metrics,
    /// Of the two readers. They are closed before the file is renamed: `SQLite` would follow the
    /// name to the log of the new one.
    pub(super) readings: [Reading; 2],
    /// A reader met a broken page.
    pub(super) doubted: AtomicBool,
    failing: AtomicBool,
    closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(place: Place, clock: Clock) -> Self {
        Self {
            place,
            clock,
            queue: Queue::default(),
            metrics: Metrics::default(),
            readings: [Mutex::new(None), Mutex::new(None)],
            doubted: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// Opens the file for the first time. A disk that fails or is full is no reason not to serve:
    /// then nothing is open, and the writer tries again.
    pub(super) fn begin(&self) -> Result<Option<Connection>, Error> {
        match self.open() {
            Ok(connection) => Ok(Some(connection)),
            Err(error) if is_disk(&error) => {
                self.failed(&error);
                Ok(None)
            }
            Err(source) => Err(Error::File { path: self.place.file(), source }),
        }
    }

    /// Opens the file; one that cannot be used is set aside, and a new one begun.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        match file::open(&self.place.file()) {
            Ok(connection) => Ok(connection),
            Err(Unusable::Failed(error)) => Err(error),
            Err(Unusable::Unknown(reason)) => self.renew(&reason),
        }
    }

    /// Sets the file aside and begins a new one; the caller has closed his connection.
    pub(super) fn renew(&self, reason: &str) -> rusqlite::Result<Connection> {
        let mut readings = self.readings.each_ref().map(lock);
        for reading in &mut readings {
            **reading = None;
        }
        self.metrics.failed(1);
        let aside = self.place.set_aside(self.clock.now()).map_err(|error| {
            rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
                Some(format!("failed to set it aside: {error}")),
            )
        })?;
        warn!(file = %aside.display(), reason, "store set aside, a new one is begun");
        file::open(&self.place.file()).map_err(|unusable| match unusable {
            Unusable::Failed(error) => error,
            Unusable::Unknown(reason) => rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
                Some(reason),
            ),
        })
    }

    /// Counts a failure, and says the first of several.
    pub(super) fn failed(&self, error: &rusqlite::Error) {
        self.metrics.failed(1);
        if is_broken(error) {
            self.doubted.store(true, Ordering::Relaxed);
        }
        if !self.failing.swap(true, Ordering::Relaxed) {
            let (file, error) = (self.place.file(), crate::report::one_line(&error.to_string()));
            warn!(file = %file.display(), error, "store fails; serving goes on without it");
        }
    }

    /// A write was successful: what fails next is said again.
    pub(super) fn recovered(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!(file = %self.place.file().display(), "store is written again");
        }
    }

    /// Lends a reader's connection to `read`, opened if need be.
    pub(super) fn reading(&self, number: usize, read: impl FnOnce(&Connection)) {
        let Some(reading) = self.readings.get(number) else { return };
        let mut reading = lock(reading);
        if reading.is_none() && !self.closed.load(Ordering::Relaxed) {
            let opened = file::open_to_read(&self.place.file());
            *reading = opened.map_err(|error| self.failed(&error)).ok();
        }
        if let Some(connection) = &*reading {
            read(connection);
        }
    }

    /// Closes the readers' connections for good: the directory may be somebody else's soon.
    pub(super) fn close_readings(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for reading in &self.readings {
            *lock(reading) = None;
        }
    }
}

fn lock(reading: &Reading) -> MutexGuard<'_, Option<Connection>> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}
