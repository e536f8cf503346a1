//! A thread that reads, so that a disk that hangs holds up nobody but it.
//!
//! Whoever asks waits for a limited time, and is then told that nothing is known.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::read::Found;
use crate::store::shared::Shared;

/// Questions that may wait; beyond it the disk hangs, and whoever asks is told so at once.
const WAITING_MAX: usize = 256;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A thread that reads.
pub(super) struct Reader {
    shared: Arc<Shared>,
    questions: SyncSender<Question>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Starts the reader of this number.
    pub(super) fn start(shared: &Arc<Shared>, number: usize) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING_MAX);
        let of_thread = Arc::clone(shared);
        let name = "store-reader".to_owned();
        // It ends when nobody can ask any more, and leaves nothing behind.
        thread::Builder::new().name(name).spawn(move || answer(&of_thread, number, &asked))?;
        Ok(Self { shared: Arc::clone(shared), questions })
    }

    /// The rows that `read` finds, or `None` when it fails or takes longer than `limit`.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        read: impl FnOnce(&Connection) -> rusqlite::Result<Found<T>> + Send + 'static,
    ) -> Option<Vec<T>> {
        let (answer, answers) = sync_channel(1);
        let question = Box::new(move |connection: &Connection| drop(answer.send(read(connection))));
        let asked = self.questions.try_send(question);
        match asked.ok().and_then(|()| answers.recv_timeout(limit).ok()) {
            Some(Ok(Found { rows, broken })) => {
                self.shared.metrics.failed(broken);
                Some(rows)
            }
            Some(Err(error)) => {
                self.shared.failed(&error);
                None
            }
            None => {
                self.shared.metrics.failed(1);
                None
            }
        }
    }
}

fn answer(shared: &Shared, number: usize, asked: &Receiver<Question>) {
    while let Ok(question) = asked.recv() {
        shared.reading(number, question);
    }
}
