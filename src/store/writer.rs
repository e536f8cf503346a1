//! The one thread that writes: all that waits, in one transaction, at most once a second but
//! for what is in a hurry.
//!
//! Promises that a write that fails is tried again with what is newest by then, that a file found
//! broken is set aside and begun anew, and that the last of what waits is written at the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::batch::Batch;
use crate::store::file::is_broken;
use crate::store::shared::Shared;
use crate::store::write::{self, Written};

/// Between two transactions. It is also what a process that is killed may lose.
const PAUSE: Duration = Duration::from_secs(1);

/// The least of it, for what is in a hurry: thousands that wake together are written twenty times a
/// second at most.
const PAUSE_HURRIED: Duration = Duration::from_millis(50);

/// After a failure: the disk is not asked for more than it can do.
const PAUSE_FAILED: Duration = Duration::from_secs(5);

/// How often something old is looked for. With 500 workloads each time, 10 000 take 20 minutes.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// The one who writes.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None`: not open, because that failed.
    file: Option<Connection>,
    pruned: Duration,
    pruned_up_to: i64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, file: Option<Connection>) -> Self {
        let pruned = shared.clock.elapsed();
        Self { shared, file, pruned, pruned_up_to: 0 }
    }

    /// Writes until the end is asked for.
    pub(super) fn run(mut self) {
        loop {
            let (batch, last) = self.shared.queue.take(PRUNE_EVERY);
            let written = self.turn(&batch);
            match &written {
                Ok(Written { rows, refused }) => {
                    drop(batch);
                    self.shared.metrics.wrote(*rows);
                    self.shared.metrics.failed(*refused);
                    self.shared.queue.written();
                }
                Err(error) => {
                    self.shared.failed(error);
                    let lost = self.shared.queue.failed(batch);
                    self.shared.metrics.failed(lost);
                }
            }
            self.shared.metrics.size(self.shared.place.bytes());
            if last {
                // The readers first: the last connection to close folds the log into the file.
                self.shared.close_readings();
                return;
            }
            let (pause, least) = match written {
                Ok(_) => (PAUSE, PAUSE_HURRIED),
                Err(_) => (PAUSE_FAILED, PAUSE_FAILED),
            };
            self.shared.queue.pause(pause, least);
        }
    }

    /// Writes `batch`; into a new file if this one turns out to be broken.
    fn turn(&mut self, batch: &Batch) -> rusqlite::Result<Written> {
        if self.shared.doubted.swap(false, Ordering::Relaxed) {
            self.renew("a page that was read is broken")?;
        }
        match self.write(batch) {
            Err(error) if is_broken(&error) => {
                self.renew(&crate::report::one_line(&error.to_string()))?;
                self.write(batch)
            }
            result => result,
        }
    }

    fn write(&mut self, batch: &Batch) -> rusqlite::Result<Written> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.shared.open()?,
        };
        let empty = batch.is_empty();
        let written = if empty { Written::default() } else { write::batch(&mut file, batch)? };
        self.prune(&mut file)?;
        self.shared.recovered();
        // Only now: a connection with which something failed is not used again.
        self.file = Some(file);
        Ok(written)
    }

    fn prune(&mut self, file: &mut Connection) -> rusqlite::Result<()> {
        let now = self.shared.clock.elapsed();
        if now.saturating_sub(self.pruned) < PRUNE_EVERY {
            return Ok(());
        }
        self.pruned = now;
        let next = write::prune(file, self.pruned_up_to, self.shared.clock.now())?;
        self.pruned_up_to = next.unwrap_or(0);
        Ok(())
    }

    fn renew(&mut self, reason: &str) -> rusqlite::Result<()> {
        self.file = None;
        self.file = Some(self.shared.renew(reason)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Writer;
    use crate::clock::Clock;
    use crate::engine::arrived::Minute;
    use crate::engine::units::Timestamp;
    use crate::store::batch::Batch;
    use crate::store::file::is_disk;
    use crate::store::key::Identity;
    use crate::store::place::Place;
    use crate::store::read;
    use crate::store::shared::Shared;

    fn identity() -> Identity {
        let [namespace, name, workload, engine] = ["ns", "llama", "", "vllm"].map(str::to_owned);
        Identity { namespace, name, workload, engine }
    }

    fn minutes(count: i64) -> Batch {
        let mut batch = Batch::default();
        let minute = |at: i64| Minute::unknown(Timestamp::from_unix_ms(at * 60_000));
        assert!(batch.add(&identity(), &(0..count).map(minute).collect::<Vec<_>>()));
        batch
    }

    fn count(shared: &Shared) -> usize {
        let mut found = 0;
        shared.reading(1, |file| {
            found = read::minutes(file, &identity(), Timestamp::default()).unwrap().rows.len();
        });
        found
    }

    #[test]
    fn a_full_disk_is_an_error_that_takes_nothing_and_passes() {
        let dir = tempfile::tempdir().unwrap();
        let (place, _lock) = Place::take(dir.path()).unwrap();
        let shared = Arc::new(Shared::new(place, Clock::system()));
        let mut writer = Writer::new(Arc::clone(&shared), shared.begin().unwrap());
        assert_eq!(writer.turn(&minutes(10)).unwrap().rows, 10);
        let pages = "SELECT page_count FROM pragma_page_count";
        let file = writer.file.as_ref().unwrap();
        let pages: i64 = file.query_row(pages, (), |row| row.get(0)).unwrap();
        file.pragma_update(None, "max_page_count", pages).unwrap();
        let error = writer.turn(&minutes(10_000)).unwrap_err();
        assert!(is_disk(&error), "{error}");
        assert_eq!(count(&shared), 10);
        // Opened anew, and there is room again.
        assert_eq!(writer.turn(&minutes(10_000)).unwrap().rows, 10_000);
        assert_eq!(count(&shared), 10_000);
    }
}
