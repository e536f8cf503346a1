//! Between those who save and the one who writes.
//!
//! Promises that saving takes a lock and a copy and nothing else, that what waits is bounded, and that
//! what was handed over is seen by readers at once, before it is in the file.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::batch::Batch;

/// What waits and what is being written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Batch,
    writing: Option<Arc<Batch>>,
    /// Requests to write at once; how many of them are under way; how many are done.
    asked: u64,
    taken: u64,
    done: u64,
    /// Something waits that should not wait for the pause to pass.
    hurried: bool,
    ending: bool,
}

impl Queue {
    /// Changes what waits; the first wakes whoever writes.
    pub(super) fn put<T>(&self, change: impl FnOnce(&mut Batch) -> T) -> T {
        let mut inner = self.lock();
        let first = inner.waiting.is_empty();
        let result = change(&mut inner.waiting);
        drop(inner);
        // Nobody waits for a second one: ten thousand in a row wake the writer once.
        if first {
            self.changed.notify_all();
        }
        result
    }

    /// Reads what is not in the file yet, oldest first.
    pub(super) fn look<T>(&self, mut read: impl FnMut(&Batch) -> Option<T>) -> Vec<T> {
        let inner = self.lock();
        let writing = inner.writing.as_deref();
        writing.into_iter().chain([&inner.waiting]).filter_map(&mut read).collect()
    }

    /// Waits until something has to be written, for `limit` at most, and takes it; the second is
    /// whether this is the last time.
    pub(super) fn take(&self, limit: Duration) -> (Arc<Batch>, bool) {
        let idle = |inner: &mut Inner| {
            inner.waiting.is_empty() && inner.asked == inner.taken && !inner.ending
        };
        let mut inner = self.wait(limit, idle);
        (inner.taken, inner.hurried) = (inner.asked, false);
        let batch = Arc::new(std::mem::take(&mut inner.waiting));
        inner.writing = Some(Arc::clone(&batch));
        (batch, inner.ending)
    }

    /// What was taken is in the file.
    pub(super) fn written(&self) {
        let mut inner = self.lock();
        inner.writing = None;
        inner.done = inner.taken;
        drop(inner);
        self.changed.notify_all();
    }

    /// What was taken is not in the file: takes it back, and returns the rows that had no room.
    pub(super) fn failed(&self, batch: Arc<Batch>) -> u64 {
        let mut inner = self.lock();
        inner.writing = None;
        inner.waiting.put_back(Arc::unwrap_or_clone(batch))
    }

    /// Lets `pause` pass; less if somebody asks for a write or the end, and `least` where what waits is
    /// in a hurry.
    pub(super) fn pause(&self, pause: Duration, least: Duration) {
        let calm = |inner: &Inner| inner.asked == inner.taken && !inner.ending;
        drop(self.wait(least.min(pause), |inner| calm(inner)));
        drop(self.wait(pause.saturating_sub(least), |inner| calm(inner) && !inner.hurried));
    }

    /// Cuts the pause short for what waits now. Waits for nothing.
    pub(super) fn hurry(&self) {
        self.lock().hurried = true;
        self.changed.notify_all();
    }

    /// Has everything that waits now written at once; says whether it was, within `limit`.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut inner = self.lock();
        inner.asked += 1;
        let asked = inner.asked;
        drop(inner);
        self.changed.notify_all();
        self.wait(limit, |inner| inner.done < asked && !inner.ending).done >= asked
    }

    /// Asks for one last write and the end.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.changed.notify_all();
    }

    fn wait(
        &self,
        limit: Duration,
        condition: impl FnMut(&mut Inner) -> bool,
    ) -> MutexGuard<'_, Inner> {
        let inner = self.lock();
        let waited = self.changed.wait_timeout_while(inner, limit, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::Queue;
    use crate::clock::Clock;
    use crate::engine::units::Timestamp;
    use crate::store::batch::Batch;
    use crate::store::key::Identity;

    const NOW: Duration = Duration::ZERO;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn put(queue: &Queue, until: i64) {
        let [namespace, name, workload, engine] = ["ns", "llama", "", "vllm"].map(str::to_owned);
        let identity = Identity { namespace, name, workload, engine };
        assert!(queue.put(|batch| batch.set_cursor(identity, Timestamp::from_unix_ms(until))));
    }

    fn seen(queue: &Queue) -> Vec<i64> {
        queue.look(|batch: &Batch| batch.cursors.values().next().map(|it| it.unix_ms()))
    }

    #[test]
    fn what_was_handed_over_is_seen_until_it_is_written() {
        let queue = Queue::default();
        put(&queue, 1);
        put(&queue, 2);
        assert_eq!(seen(&queue), [2], "the latest replaces what waits");
        let (batch, _) = queue.take(NOW);
        put(&queue, 3);
        assert_eq!(seen(&queue), [2, 3]);
        assert_eq!(queue.failed(batch), 0);
        assert_eq!(seen(&queue), [3], "what failed does not replace what is newer");
        let (_batch, last) = queue.take(NOW);
        assert_eq!((seen(&queue), last), (vec![3], false));
        queue.written();
        assert_eq!(seen(&queue), [] as [i64; 0]);
    }

    #[test]
    fn whoever_asks_for_a_write_waits_for_it_and_not_for_one_that_failed() {
        let queue = Arc::new(Queue::default());
        assert!(!queue.flush(NOW), "nobody writes");
        put(&queue, 1);
        let (batch, _) = queue.take(NOW);
        assert_eq!(queue.failed(batch), 0);
        let asking = Arc::clone(&queue);
        let asked = thread::spawn(move || asking.flush(PATIENCE));
        while !asked.is_finished() {
            let (_batch, _) = queue.take(NOW);
            queue.written();
        }
        assert!(asked.join().unwrap());
    }

    #[test]
    fn who_is_in_a_hurry_waits_for_the_least_pause_and_nobody_else_hurries_by_it() {
        let queue = Queue::default();
        put(&queue, 1);
        queue.hurry();
        queue.pause(PATIENCE, NOW);
        let watch = Clock::system();
        let least = Duration::from_millis(50);
        queue.pause(least, least);
        assert!(watch.elapsed() >= least, "not even whoever is in a hurry");
        let (_batch, _) = queue.take(NOW);
        queue.written();
        put(&queue, 2);
        let watch = Clock::system();
        queue.pause(least, NOW);
        assert!(watch.elapsed() >= least, "the hurry was another's");
    }

    #[test]
    fn the_end_comes_with_what_waits() {
        let queue = Queue::default();
        put(&queue, 1);
        queue.end();
        queue.pause(PATIENCE, PATIENCE);
        let (batch, last) = queue.take(PATIENCE);
        assert!(last && !batch.is_empty());
    }
}
