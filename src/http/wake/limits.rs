//! How often a wake may be asked for: per scaled object, and new ones per namespace.
//!
//! Tables are bounded: they hold names of scalers that exist, and only while a bucket is not full.
//! Pure but for the tables; instants are of a clock that never jumps.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Of one scaled object: a gateway that asks for each request it holds, once a second, is not turned
/// away; one that asks ten times as often is.
const TARGET: Rate = Rate { every: Duration::from_secs(1), burst: 10 };

/// Wakes that begin in one namespace: 60 an hour. Each may cost a cold start of a GPU.
const NAMESPACE: Rate = Rate { every: Duration::from_mins(1), burst: 60 };

/// Of names that no scaler here has: each asks all peers.
const UNSEEN: Rate = Rate { every: Duration::from_millis(100), burst: 50 };

/// From this size on a table is looked through for full buckets, which are as good as none.
const SWEEP: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Rate {
    every: Duration,
    burst: u32,
}

/// A bucket by the instant at which it is full again (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, Default)]
struct Bucket(Duration);

impl Bucket {
    /// Takes one, or says how long until there is one.
    fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let full = self.0.max(now);
        let room = rate.every * rate.burst.saturating_sub(1);
        let wait = full.saturating_sub(now).saturating_sub(room);
        if wait.is_zero() {
            self.0 = full + rate.every;
            Ok(())
        } else {
            Err(wait)
        }
    }
}

#[derive(Debug)]
struct Table {
    rate: Rate,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

impl Table {
    const fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(BTreeMap::new()) }
    }

    fn take(&self, name: String, now: Duration) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= SWEEP && !buckets.contains_key(&name) {
            buckets.retain(|_, bucket| bucket.0 > now);
        }
        buckets.entry(name).or_default().take(self.rate, now)
    }

    fn give_back(&self, name: &str) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(name) {
            bucket.0 = bucket.0.saturating_sub(self.rate.every);
        }
    }
}

/// The limits of one process.
#[derive(Debug)]
pub(super) struct Limits {
    targets: Table,
    namespaces: Table,
    unseen: Mutex<Bucket>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            targets: Table::new(TARGET),
            namespaces: Table::new(NAMESPACE),
            unseen: Mutex::default(),
        }
    }
}

impl Limits {
    /// Counts a call for a scaled object that exists; else how long to wait.
    pub(super) fn target(
        &self,
        namespace: &str,
        name: &str,
        now: Duration,
    ) -> Result<(), Duration> {
        // Neither part may hold a slash.
        self.targets.take(format!("{namespace}/{name}"), now)
    }

    /// Counts a wake that begins; else how long to wait.
    pub(super) fn begin(&self, namespace: &str, now: Duration) -> Result<(), Duration> {
        self.namespaces.take(namespace.to_owned(), now)
    }

    /// It did not begin after all.
    pub(super) fn did_not_begin(&self, namespace: &str) {
        self.namespaces.give_back(namespace);
    }

    /// Counts a call for a name that no scaler here has; else how long to wait.
    pub(super) fn unseen(&self, now: Duration) -> Result<(), Duration> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner).take(UNSEEN, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limits, SWEEP};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(100 + seconds)
    }

    #[test]
    fn a_target_has_ten_at_once_and_one_a_second() {
        let limits = Limits::default();
        for call in 0..10 {
            assert_eq!(limits.target("ns", "llama", at(0)), Ok(()), "{call}");
        }
        assert_eq!(limits.target("ns", "llama", at(0)), Err(Duration::from_secs(1)));
        assert_eq!(limits.target("ns", "other", at(0)), Ok(()));
        assert_eq!(limits.target("ns", "llama", at(1)), Ok(()));
        assert_eq!(limits.target("ns", "llama", at(1)), Err(Duration::from_secs(1)));
        let hour = (0..3600).filter(|second| limits.target("ns", "llama", at(2 + second)).is_ok());
        assert_eq!(hour.count(), 3600);
    }

    #[test]
    fn a_namespace_begins_sixty_an_hour_and_what_did_not_begin_does_not_count() {
        let limits = Limits::default();
        for _ in 0..200 {
            assert_eq!(limits.begin("ns", at(0)), Ok(()));
            limits.did_not_begin("ns");
        }
        for call in 0..60 {
            assert_eq!(limits.begin("ns", at(0)), Ok(()), "{call}");
        }
        assert_eq!(limits.begin("ns", at(0)), Err(Duration::from_mins(1)));
        assert_eq!(limits.begin("other", at(0)), Ok(()));
        assert_eq!(limits.begin("ns", at(60)), Ok(()));
        assert!(limits.begin("ns", at(60)).is_err());
    }

    #[test]
    fn full_buckets_are_not_kept() {
        let limits = Limits::default();
        for idx in 0..3 * u64::try_from(SWEEP).unwrap() {
            limits.target("ns", &format!("n{idx}"), at(2 * idx)).unwrap();
        }
        assert!(limits.targets.buckets.lock().unwrap().len() <= SWEEP + 1);
    }
}
