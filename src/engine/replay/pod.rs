//! One pod: its way from creation to serving, and its end.

use std::time::Duration;

use crate::engine::replay::profile::{ColdStart, Profile, Settings};
use crate::engine::replay::random::Random;
use crate::engine::replay::replica::{FirstToken, Replica};

/// How long a pod that was told to end may finish what it has (`terminationGracePeriodSeconds`, and
/// vLLM's `--shutdown-timeout`). Longest requests of the demo take under a minute.
const GRACE: Duration = Duration::from_secs(120);

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
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
pub struct Pod {
    serial: u32,
    created: Duration,
    scheduled: Duration,
    ready: Duration,
    leaving: Option<Duration>,
    replica: Replica,
}

impl Pod {
    /// The pod number `serial`, created at `now`.
    pub fn create(serial: u32, now: Duration, settings: &Settings, random: &mut Random) -> Self {
        let mut around = |mean: Duration| mean.mul_f64(random.between(0.8, 1.2));
        let ColdStart { node, pull, load } = settings.cold_start;
        let scheduled = now + around(node);
        let ready = scheduled + around(pull) + around(load);
        Self { created: now, ..Self::new(serial, settings.profile.clone(), scheduled, ready) }
    }

    /// A pod that serves already at `now`.
    pub fn serving(serial: u32, now: Duration, settings: &Settings) -> Self {
        Self::new(serial, settings.profile.clone(), now, now)
    }

    fn new(serial: u32, profile: Profile, scheduled: Duration, ready: Duration) -> Self {
        let replica = Replica::new(profile, ready);
        Self { serial, created: scheduled, scheduled, ready, leaving: None, replica }
    }

    /// Where it is in its life at `now`.
    pub fn stage(&self, now: Duration) -> Stage {
        match self.leaving {
            Some(_) => Stage::Draining,
            None if now >= self.ready => Stage::Ready,
            None if now >= self.scheduled => Stage::Loading,
            None => Stage::Scheduling,
        }
    }

    /// Its number, never used again in a run.
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// When it was created.
    pub const fn created_at(&self) -> Duration {
        self.created
    }

    /// When it serves, or began to.
    pub const fn ready_at(&self) -> Duration {
        self.ready
    }

    /// The inference server inside.
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The inference server inside, to give it requests.
    pub const fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// Tells it to end.
    pub const fn leave(&mut self, now: Duration) {
        self.leaving = Some(now);
    }

    /// Runs what it serves until `to`.
    pub fn advance(&mut self, to: Duration, answered: &mut Vec<FirstToken>) {
        if to > self.ready {
            self.replica.advance(to, answered);
        }
    }

    /// Whether it is gone at `now`: told to end, and empty or out of grace.
    pub fn gone(&self, now: Duration) -> bool {
        self.leaving.is_some_and(|since| self.replica.in_flight() == 0 || now >= since + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pod, Stage};
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::random::Random;

    #[test]
    fn a_cold_start_takes_one_to_two_minutes_in_stages() {
        let mut random = Random::new(3);
        for serial in 0..50 {
            let pod = Pod::create(serial, Duration::from_secs(10), &Settings::demo(), &mut random);
            let total = pod.ready_at().as_secs_f64() - 10.0;
            assert!((60.0..=100.0).contains(&total), "{total}");
            let stages = [10.5, 20.0, 200.0].map(|at| pod.stage(Duration::from_secs_f64(at)));
            assert_eq!(stages, [Stage::Scheduling, Stage::Loading, Stage::Ready]);
        }
    }

    #[test]
    fn an_empty_pod_that_is_told_to_end_is_gone_at_once() {
        let mut pod = Pod::serving(0, Duration::ZERO, &Settings::demo());
        assert!(!pod.gone(Duration::from_secs(9)));
        pod.leave(Duration::from_secs(9));
        assert_eq!(pod.stage(Duration::from_secs(9)), Stage::Draining);
        assert!(pod.gone(Duration::from_secs(9)));
    }
}
