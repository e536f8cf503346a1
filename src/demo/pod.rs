//! One pod: its way from creation to serving, and its end.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::demo::random::Random;
use crate::demo::replica::{FirstToken, LLAMA_3_8B_H100, Replica};

/// How long a pod that was told to end may finish what it has (`terminationGracePeriodSeconds`, and
/// vLLM's `--shutdown-timeout`). Longest requests of the demo take under a minute.
const GRACE: Duration = Duration::from_secs(120);

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// No node yet: it has no address.
    Scheduling,
    /// It has an address and nobody listens: the image is pulled, then the model loaded.
    Loading,
    /// It serves.
    Ready,
    /// Told to end: it finishes what it has and gets nothing new.
    Draining,
}

/// One pod.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    address: Ipv4Addr,
    scheduled: Duration,
    ready: Duration,
    leaving: Option<Duration>,
    replica: Replica,
}

impl Pod {
    /// The pod number `serial`, created at `now`. Scheduling takes 1-3 s, the image 9-17 s (most of
    /// it is on the node), weights and compilation 50-80 s: 60-100 s in all, a warm node.
    pub(super) fn create(serial: u32, now: Duration, random: &mut Random) -> Self {
        let scheduled = now + Duration::from_secs_f64(random.between(1.0, 3.0));
        let image = random.between(9.0, 17.0);
        let load = random.between(50.0, 80.0);
        let ready = scheduled + Duration::from_secs_f64(image + load);
        Self::new(serial, scheduled, ready)
    }

    /// A pod that serves already at `now`.
    pub(super) fn serving(serial: u32, now: Duration) -> Self {
        Self::new(serial, now, now)
    }

    fn new(serial: u32, scheduled: Duration, ready: Duration) -> Self {
        let replica = Replica::new(LLAMA_3_8B_H100, ready);
        Self { address: address(serial), scheduled, ready, leaving: None, replica }
    }

    /// Where it is in its life at `now`.
    pub(super) fn stage(&self, now: Duration) -> Stage {
        match self.leaving {
            Some(_) => Stage::Draining,
            None if now >= self.ready => Stage::Ready,
            None if now >= self.scheduled => Stage::Loading,
            None => Stage::Scheduling,
        }
    }

    /// Its own loopback address.
    pub(super) const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// When it serves, or began to.
    pub(super) const fn ready_at(&self) -> Duration {
        self.ready
    }

    /// The inference server inside.
    pub(super) const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The inference server inside, to give it requests.
    pub(super) const fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// Tells it to end.
    pub(super) const fn leave(&mut self, now: Duration) {
        self.leaving = Some(now);
    }

    /// Runs what it serves until `to`.
    pub(super) fn advance(&mut self, to: Duration, answered: &mut Vec<FirstToken>) {
        if to > self.ready {
            self.replica.advance(to, answered);
        }
    }

    /// Whether it is gone at `now`: told to end, and empty or out of grace.
    pub(super) fn gone(&self, now: Duration) -> bool {
        self.leaving.is_some_and(|since| self.replica.in_flight() == 0 || now >= since + GRACE)
    }
}

/// 127.88.0.2 and up: an address a pod, never used again within 60 000 pods, so that whoever still
/// remembers a dead pod's address finds nobody there.
fn address(serial: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 88, 0, 2)) + serial % 60_000)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::{Pod, Stage};
    use crate::demo::random::Random;

    #[test]
    fn a_cold_start_takes_one_to_two_minutes_in_stages() {
        let mut random = Random::new(3);
        for serial in 0..50 {
            let pod = Pod::create(serial, Duration::from_secs(10), &mut random);
            let total = pod.ready_at().as_secs_f64() - 10.0;
            assert!((60.0..=100.0).contains(&total), "{total}");
            let stages = [10.5, 20.0, 200.0].map(|at| pod.stage(Duration::from_secs_f64(at)));
            assert_eq!(stages, [Stage::Scheduling, Stage::Loading, Stage::Ready]);
        }
    }

    #[test]
    fn pods_have_addresses_of_their_own() {
        let rows = [(0, [127, 88, 0, 2]), (1, [127, 88, 0, 3]), (300, [127, 88, 1, 46])];
        for (serial, expected) in rows {
            let address = Pod::serving(serial, Duration::ZERO).address();
            assert_eq!(address, Ipv4Addr::from(expected), "pod {serial}");
        }
    }

    #[test]
    fn an_empty_pod_that_is_told_to_end_is_gone_at_once() {
        let mut pod = Pod::serving(0, Duration::ZERO);
        assert!(!pod.gone(Duration::from_secs(9)));
        pod.leave(Duration::from_secs(9));
        assert_eq!(pod.stage(Duration::from_secs(9)), Stage::Draining);
        assert!(pod.gone(Duration::from_secs(9)));
    }
}
