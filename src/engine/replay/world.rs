//! The simulated workload: a Deployment of inference pods behind a gateway, and who sends requests.
//!
//! Given a seed and instants, it promises the state of the day at each instant: arrivals go to the
//! ready pod with the fewest requests, or are held at the gateway while there is none; pods are
//! created and ended to match the wanted replicas. Pure: no clock, no network. This is all that the
//! rest of the demo knows of the fleet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::ledger::Ledger;
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::profile::{ColdStart, Settings};
use crate::engine::replay::random::Random;
use crate::engine::replay::replica::{Request, len};
use crate::engine::replay::request::Arrival;

/// Granularity of routing and of pods' lives; a few iterations of a busy replica.
const STEP: Duration = Duration::from_millis(100);

/// The numbers of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Requests held at the gateway.
    pub held: u64,
    /// Requests waiting in pods.
    pub waiting: u64,
    /// Requests in batches.
    pub running: u64,
    /// Pods that serve.
    pub ready: u32,
    /// Pods on their way.
    pub loading: u32,
    /// Replicas of the Deployment's specification.
    pub wanted: u32,
}

/// The simulated workload.
#[derive(Debug)]
pub struct World {
    now: Duration,
    wanted: u32,
    pods: Vec<Pod>,
    created: u32,
    held: VecDeque<Request>,
    arrivals: Arc<[Arrival]>,
    arrived: usize,
    random: Random,
    ledger: Ledger,
    requests_by_gateway: u64,
    settings: Settings,
}

impl World {
    /// A world that begins with `replicas` serving pods.
    #[must_use]
    pub fn new(settings: Settings, arrivals: Arc<[Arrival]>, replicas: u32, seed: u64) -> Self {
        let serving = |serial| Pod::serving(serial, Duration::ZERO, &settings);
        let pods = (0..replicas).map(serving).collect();
        Self {
            now: Duration::ZERO,
            wanted: replicas,
            pods,
            created: replicas,
            held: VecDeque::new(),
            arrivals,
            arrived: 0,
            random: Random::new(seed),
            ledger: Ledger::default(),
            requests_by_gateway: 0,
            settings,
        }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Lets time pass until `to`; an instant that has passed changes nothing.
    pub fn advance(&mut self, to: Duration) {
        while self.now < to {
            let span = STEP.min(to - self.now);
            self.step(span);
        }
        self.ledger.forget(self.now);
    }

    /// Sets the wanted replicas, as an update of the Deployment's scale does.
    pub fn scale(&mut self, wanted: u32) {
        self.ledger.scale(self.wanted, wanted);
        self.wanted = wanted;
        self.reconcile();
    }

    /// Pods created from now on start like this.
    pub const fn start_like(&mut self, start: ColdStart) {
        self.settings.cold_start = start;
    }

    /// The pod that serves longest crashes: what it had is lost, and another one takes its place.
    pub fn crash(&mut self) {
        let now = self.now;
        let serving = |pod: &Pod| pod.stage(now) == Stage::Ready;
        if let Some(idx) = self.pods.iter().position(serving) {
            let pod = self.pods.remove(idx);
            self.ledger.failed += len(pod.replica().in_flight());
            self.reconcile();
        }
    }

    /// Whether no request is inside: none held, waiting or running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.pods.iter().all(|pod| pod.replica().in_flight() == 0)
    }

    /// The numbers of this instant.
    pub fn census(&self) -> Census {
        let count = |stages: &[Stage]| {
            let pods = self.pods.iter().filter(|pod| stages.contains(&pod.stage(self.now)));
            u32::try_from(pods.count()).unwrap_or(u32::MAX)
        };
        let sum = |read: fn(&Pod) -> usize| self.pods.iter().map(|pod| len(read(pod))).sum();
        Census {
            held: len(self.held.len()),
            waiting: sum(|pod| pod.replica().waiting()),
            running: sum(|pod| pod.replica().running()),
            ready: count(&[Stage::Ready]),
            loading: count(&[Stage::Scheduling, Stage::Loading]),
            wanted: self.wanted,
        }
    }

    /// This instant, since the beginning of the day.
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// The pods, oldest first, those that drain included.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// What the day cost and gave so far.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Requests the gateway has passed on or given up.
    pub const fn passed(&self) -> u64 {
        self.requests_by_gateway
    }

    fn step(&mut self, span: Duration) {
        self.ledger.pass(span, self.pods.len(), self.wanted);
        self.now += span;
        self.arrive();
        self.release();
        let mut answered = Vec::new();
        for pod in &mut self.pods {
            pod.advance(self.now, &mut answered);
        }
        self.ledger.answer(&answered);
        self.bury();
    }

    /// Requests up to now reach the gateway.
    fn arrive(&mut self) {
        let now = self.now;
        while let Some(Arrival { at, prompt, output, cached: _ }) =
            self.arrivals.get(self.arrived).copied().filter(|arrival| arrival.at <= now)
        {
            self.arrived += 1;
            self.ledger.arrive(at);
            let request = Request { arrived: at, queued: at, prompt, output, answered: false };
            self.held.push_back(request);
        }
    }

    /// The gateway passes on what it holds, or gives up what it held too long.
    fn release(&mut self) {
        let now = self.now;
        while let Some(request) = self.held.front().copied() {
            let target = self
                .pods
                .iter_mut()
                .filter(|pod| pod.stage(now) == Stage::Ready)
                .min_by_key(|pod| pod.replica().in_flight());
            match target {
                Some(pod) => {
                    // It cannot have reached the pod before the pod was ready to take it.
                    let queued = request.arrived.max(pod.ready_at());
                    pod.replica_mut().push(Request { queued, ..request });
                }
                None if now > request.arrived + self.settings.hold => self.ledger.failed += 1,
                None => return,
            }
            self.held.pop_front();
            self.requests_by_gateway += 1;
        }
    }

    /// Pods that have drained, or ran out of grace, are gone; what they still had is lost.
    fn bury(&mut self) {
        let now = self.now;
        let cut_off: usize =
            self.pods.iter().filter(|pod| pod.gone(now)).map(|pod| pod.replica().in_flight()).sum();
        self.ledger.failed += len(cut_off);
        self.pods.retain(|pod| !pod.gone(now));
    }

    /// Creates or ends pods until as many as wanted remain; of those to end, the ones not ready come
    /// first, then the youngest, as the ReplicaSet controller ranks them.
    fn reconcile(&mut self) {
        let wanted = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        while self.living().count() < wanted {
            self.pods.push(Pod::create(self.created, self.now, &self.settings, &mut self.random));
            self.created += 1;
            self.ledger.cold_starts += 1;
        }
        while self.living().count() > wanted {
            let now = self.now;
            let last = self
                .pods
                .iter_mut()
                .filter(|pod| pod.stage(now) != Stage::Draining)
                .max_by_key(|pod| pod.ready_at());
            let Some(pod) = last else { return };
            pod.leave(now);
        }
    }

    fn living(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| pod.stage(self.now) != Stage::Draining)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::World;
    use crate::engine::replay::ledger::OBJECTIVE;
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::random::Random;
    use crate::engine::replay::traffic::Arrivals;

    const DAY: Duration = Duration::from_secs(3 * 3600);

    /// Two an hour at first, thirty after 70 minutes.
    fn world(seed: u64, replicas: u32) -> World {
        let corners = [(0.0, 2.0), (0.05, 2.0), (0.4, 30.0), (1.0, 30.0)];
        let sizes = [(0.5, 1000, 200), (0.5, 3200, 500)];
        let arrivals = Arrivals::along(Random::new(seed), DAY, &corners, &sizes).all();
        World::new(Settings::demo(), arrivals, replicas, seed)
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn the_same_seed_lives_the_same_day_however_often_it_is_looked_at() {
        let live = |step: u64| {
            let mut world = world(5, 3);
            (0..=1200 / step).for_each(|idx| world.advance(Duration::from_secs(idx * step)));
            (world.census(), world.ledger().answered, world.ledger().ttft(99))
        };
        assert_eq!(live(1), live(600));
    }

    #[test]
    fn enough_replicas_meet_the_objective_and_too_few_do_not() {
        let rows = [(12, 0.99, 1.0), (2, 0.0, 0.6)];
        for (replicas, low, high) in rows {
            let mut world = world(1, replicas);
            world.advance(minutes(90));
            let ledger = world.ledger();
            let within = f64::from(u32::try_from(ledger.within).unwrap())
                / f64::from(u32::try_from(ledger.arrived).unwrap());
            assert!((low..=high).contains(&within), "{replicas} replicas, {OBJECTIVE:?}: {within}");
        }
    }

    #[test]
    fn requests_are_held_while_there_is_no_pod_and_served_when_it_is_ready() {
        let mut world = world(1, 0);
        world.advance(minutes(1));
        let before = world.census();
        assert!(before.held > 60 && before.running == 0, "{before:?}");
        world.scale(1);
        world.advance(minutes(1) + Duration::from_secs(20));
        assert_eq!((world.census().loading, world.census().ready), (1, 0));
        world.advance(minutes(4));
        assert_eq!((world.census().held, world.census().ready), (0, 1));
        assert_eq!((world.ledger().failed, world.ledger().wakes), (0, 1));
    }

    #[test]
    fn what_is_held_too_long_is_given_up() {
        let mut world = world(1, 0);
        world.advance(minutes(9));
        assert!(world.ledger().failed > 100, "{}", world.ledger().failed);
    }

    #[test]
    fn loading_pods_end_first_and_serving_ones_drain_without_loss() {
        let mut world = world(1, 2);
        world.advance(minutes(20));
        world.scale(4);
        world.advance(minutes(20) + Duration::from_secs(10));
        world.scale(2);
        assert_eq!((world.census().ready, world.census().loading), (2, 0));
        world.scale(1);
        world.advance(minutes(23));
        assert_eq!((world.pods().len(), world.ledger().failed), (1, 0));
    }

    #[test]
    fn nobody_is_lost_between_gateway_and_pods() {
        let mut world = world(9, 6);
        world.advance(minutes(80));
        let (census, ledger) = (world.census(), world.ledger());
        let finished: u64 = world.pods().iter().map(|pod| pod.replica().totals().finished).sum();
        let inside = census.held + census.waiting + census.running;
        assert_eq!(ledger.arrived, finished + inside + ledger.failed);
        assert_eq!(world.passed() + census.held, ledger.arrived);
    }
}
