//! One pod: its way from creation to serving, and its end.
//!
//! Given when it is created, when it gets a node and when it is told to end, it promises where in its
//! life it is at any instant, ahead of time. Who decides these instants is the world's business.

use std::time::Duration;

use crate::engine::replay::profile::{ColdStart, Settings};
use crate::engine::replay::random::Random;
use crate::engine::replay::replica::{Events, Replica};

/// Spread of each stage of a cold start: standard deviation by mean.
const SPREAD: f64 = 0.2;

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
    /// Since when there is room for it on some node.
    room: Option<Duration>,
    stages: ColdStart,
    /// When it is gone, once it was told to end.
    gone: Option<Duration>,
    replica: Replica,
}

impl Pod {
    /// The pod number `serial`, created at `now`; there is no room for it yet.
    #[must_use]
    pub fn create(serial: u32, now: Duration, settings: &Settings, random: &mut Random) -> Self {
        let mut around = |mean: Duration| {
            let seconds = random.log_normal(mean.as_secs_f64(), SPREAD);
            Duration::try_from_secs_f64(seconds).unwrap_or(mean)
        };
        let ColdStart { node, pull, load } = settings.cold_start;
        let stages = ColdStart { node: around(node), pull: around(pull), load: around(load) };
        let replica = Replica::new(settings);
        Self { serial, created: now, room: None, stages, gone: None, replica }
    }

    /// A pod that serves already at `now`.
    #[must_use]
    pub fn serving(serial: u32, now: Duration, settings: &Settings) -> Self {
        let zero = Duration::ZERO;
        let stages = ColdStart { node: zero, pull: zero, load: zero };
        let replica = Replica::new(settings);
        Self { serial, created: now, room: Some(now), stages, gone: None, replica }
    }

    /// Where it is in its life at `now`.
    #[must_use]
    pub fn stage(&self, now: Duration) -> Stage {
        let past = |at: Option<Duration>| at.is_some_and(|at| now >= at);
        if self.gone.is_some() {
            Stage::Draining
        } else if past(self.ready_at()) {
            Stage::Ready
        } else if past(self.scheduled_at()) {
            Stage::Loading
        } else {
            Stage::Scheduling
        }
    }

    /// Its number, never used again in a run.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> Duration {
        self.created
    }

    /// When it has, or gets, its node; `None`: there is no room for it.
    #[must_use]
    pub fn scheduled_at(&self) -> Option<Duration> {
        Some(self.room? + self.stages.node)
    }

    /// When its image is there.
    #[must_use]
    pub fn pulled_at(&self) -> Option<Duration> {
        Some(self.scheduled_at()? + self.stages.pull)
    }

    /// When it serves, or began to.
    #[must_use]
    pub fn ready_at(&self) -> Option<Duration> {
        Some(self.pulled_at()? + self.stages.load)
    }

    /// When it is gone: told to end, and empty or out of grace.
    #[must_use]
    pub const fn gone_at(&self) -> Option<Duration> {
        self.gone
    }

    /// Whether there is room for it on some node, or was when it was told to end.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// The inference server inside.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The inference server inside, to give it requests.
    pub const fn replica_mut(&mut self) -> &mut Replica {
        &mut self.replica
    }

    /// There is room for it from `now` on.
    pub fn make_room(&mut self, now: Duration) {
        self.room = self.room.or(Some(now));
    }

    /// Tells it to end, having been advanced to `now`. It gets nothing new, so that its last instant
    /// is known: lived through on a copy.
    pub fn leave(&mut self, now: Duration, grace: Duration) {
        let mut rest = self.replica.clone();
        rest.advance(now + grace, &mut Events::default());
        let gone =
            if rest.in_flight() > 0 { now + grace } else { rest.clock().clamp(now, now + grace) };
        self.gone = Some(gone);
    }

    /// Runs what it serves until `to`.
    pub fn advance(&mut self, to: Duration, events: &mut Events) {
        self.replica.advance(to, events);
    }

    /// How the ReplicaSet controller ranks those to end; the largest goes first: without a node
    /// before with, not running before loading before ready, the youngest in service first.
    #[must_use]
    pub fn rank(&self, now: Duration) -> (bool, bool, bool, Option<Duration>, Duration, u32) {
        let before = |at: Option<Duration>| at.is_none_or(|at| now < at);
        let ready = self.ready_at();
        let (unassigned, pending) = (before(self.scheduled_at()), before(self.pulled_at()));
        let since = ready.filter(|at| *at <= now);
        (unassigned, pending, before(ready), since, self.created, self.serial)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pod, Stage};
    use crate::engine::replay::profile::{ColdStart, Settings};
    use crate::engine::replay::random::Random;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_cold_start_goes_through_its_stages() {
        let mut random = Random::new(3);
        for serial in 0..50 {
            let mut pod = Pod::create(serial, seconds(10), &Settings::demo(), &mut random);
            assert_eq!(pod.stage(seconds(999)), Stage::Scheduling, "there is no room for it");
            pod.make_room(seconds(10));
            let total = pod.ready_at().unwrap().as_secs_f64() - 10.0;
            // Mean 80 s, standard deviation 13.3 s.
            assert!((40.0..=140.0).contains(&total), "{total}");
            let stages = [10.5, 20.0, 200.0].map(|at| pod.stage(Duration::from_secs_f64(at)));
            assert_eq!(stages, [Stage::Scheduling, Stage::Loading, Stage::Ready]);
        }
    }

    #[test]
    fn cold_starts_are_spread_around_their_means() {
        let mut random = Random::new(1);
        let settings = Settings { cold_start: ColdStart::warm_node(), ..Settings::demo() };
        let n = 4000;
        let totals: Vec<f64> = (0..n)
            .map(|serial| {
                let mut pod = Pod::create(serial, seconds(0), &settings, &mut random);
                pod.make_room(seconds(0));
                pod.ready_at().unwrap().as_secs_f64()
            })
            .collect();
        let mean = totals.iter().sum::<f64>() / f64::from(n);
        // Its load of 90 s gives it a standard deviation of 18 s: 0.3 s of the mean.
        assert!((mean - 100.0).abs() < 1.5, "{mean}");
        let variance =
            totals.iter().map(|total| (total - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((16.0..20.5).contains(&variance.sqrt()), "{}", variance.sqrt());
    }

    #[test]
    fn an_empty_pod_that_is_told_to_end_is_gone_at_once() {
        let mut pod = Pod::serving(0, Duration::ZERO, &Settings::demo());
        assert_eq!(pod.gone_at(), None);
        pod.leave(seconds(9), seconds(120));
        assert_eq!(pod.stage(seconds(9)), Stage::Draining);
        assert_eq!(pod.gone_at(), Some(seconds(9)));
    }
}
