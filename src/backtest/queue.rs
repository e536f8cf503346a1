//! Independent runs over all cores.
//!
//! Given jobs and what to do with one, it promises the results in the order of the jobs, whoever did
//! them and in whatever order they ended: the number of threads changes nothing but the time.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of each of `jobs`, on at most `threads` threads.
///
/// # Panics
/// When `work` does.
pub(crate) fn all<J, R, W>(jobs: &[J], threads: NonZero<usize>, work: W) -> Vec<R>
where
    J: Sync,
    R: Send,
    W: Fn(&J) -> R + Sync,
{
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let worker = || take(jobs, &next, &work);
        let workers: Vec<_> =
            (0..threads.get().min(jobs.len())).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.flat_map(|results| results.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(idx, _)| *idx);
    done.into_iter().map(|(_, result)| result).collect()
}

/// One worker: takes what nobody has taken yet, until nothing is left.
fn take<J, R>(jobs: &[J], next: &AtomicUsize, work: impl Fn(&J) -> R) -> Vec<(usize, R)> {
    let mut done = Vec::new();
    loop {
        let idx = next.fetch_add(1, Ordering::Relaxed);
        let Some(job) = jobs.get(idx) else { return done };
        done.push((idx, work(job)));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::all;

    #[test]
    fn results_keep_the_order_of_the_jobs_on_any_number_of_threads() {
        let jobs: Vec<u64> = (0..100).collect();
        let expected: Vec<u64> = jobs.iter().map(|job| job * job).collect();
        for threads in [1, 2, 7, 200] {
            let calls = AtomicUsize::new(0);
            let squares = all(&jobs, NonZero::new(threads).unwrap(), |job| {
                calls.fetch_add(1, Ordering::Relaxed);
                // Early jobs take longer, so that they end after later ones.
                (0..(100 - job) * 100).fold(job * job, |sum, step| sum ^ step ^ step)
            });
            assert_eq!(squares, expected, "{threads} threads");
            assert_eq!(calls.load(Ordering::Relaxed), jobs.len(), "{threads} threads");
        }
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        let none: Vec<u8> = all(&[], NonZero::<usize>::MIN, |job: &u8| *job);
        assert!(none.is_empty());
    }

    #[test]
    #[should_panic(expected = "job 3")]
    fn a_panic_of_a_run_is_not_swallowed() {
        all(&[1, 2, 3], NonZero::new(2).unwrap(), |job| assert!(*job < 3, "job {job}"));
    }
}
