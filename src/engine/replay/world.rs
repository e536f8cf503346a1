//! The simulated workload: a Deployment of inference pods behind a gateway, and who sends requests.
//!
//! Given a seed and instants, it promises the state of the run at each instant, the same however often
//! it is looked at: arrivals go to a ready pod, or are held at the gateway while there is none; pods
//! are created and ended to match the wanted replicas. Time goes from event to event: an arrival, a
//! pod that is ready or gone, a request held too long. Pure: no clock, no network. This is all that
//! the rest of the program knows of the fleet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::ledger::Ledger;
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::profile::{ColdStart, Routing, Settings};
use crate::engine::replay::random::Random;
use crate::engine::replay::replica::{Events, Request, len};
use crate::engine::replay::request::Arrival;

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
    /// Oldest first.
    pods: Vec<Pod>,
    created: u32,
    /// The pod that had the last request, for taking turns.
    turn: u32,
    nodes: Option<u32>,
    held: VecDeque<Arrival>,
    arrivals: Arc<[Arrival]>,
    arrived: usize,
    random: Random,
    ledger: Ledger,
    passed: u64,
    settings: Settings,
    events: Events,
}

impl World {
    /// A world that begins with `replicas` serving pods. `arrivals` are in order of time.
    #[must_use]
    pub fn new(settings: Settings, arrivals: Arc<[Arrival]>, replicas: u32, seed: u64) -> Self {
        let serving = |serial| Pod::serving(serial, Duration::ZERO, &settings);
        let pods = (0..replicas).map(serving).collect();
        Self {
            now: Duration::ZERO,
            wanted: replicas,
            pods,
            created: replicas,
            turn: u32::MAX,
            nodes: None,
            held: VecDeque::new(),
            arrivals,
            arrived: 0,
            random: Random::new(seed),
            ledger: Ledger::new(settings.objectives, replicas),
            passed: 0,
            settings,
            events: Events::default(),
        }
    }

    /// What it was made with, and what was changed since.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Lets time pass until `to`; an instant that has passed changes nothing.
    pub fn advance(&mut self, to: Duration) {
        while self.now < to {
            self.step(self.next_event().map_or(to, |next| next.clamp(self.now, to)));
        }
        self.ledger.forget(self.now);
    }

    /// Sets the wanted replicas, as an update of the Deployment's scale does.
    pub fn scale(&mut self, wanted: u32) {
        self.ledger.scale(wanted);
        self.wanted = wanted;
        self.reconcile();
    }

    /// Pods created from now on start so.
    pub const fn set_cold_start(&mut self, cold_start: ColdStart) {
        self.settings.cold_start = cold_start;
    }

    /// From now on at most so many pods can have a node; those that have one keep it.
    pub fn set_nodes(&mut self, nodes: Option<u32>) {
        self.nodes = nodes;
        self.make_room();
    }

    /// The pod number `serial` dies with all it has, and another is created in its place. Whether it
    /// was there.
    pub fn kill(&mut self, serial: u32) -> bool {
        let Some(idx) = self.pods.iter().position(|pod| pod.serial() == serial) else {
            return false;
        };
        let pod = self.pods.remove(idx);
        self.ledger.failed += len(pod.replica().in_flight());
        self.count_pods();
        self.reconcile();
        true
    }

    /// Pods, cold starts and changes after `at` are not counted; requests are.
    pub const fn freeze(&mut self, at: Duration) {
        self.ledger.freeze(at);
    }

    /// The numbers of this instant.
    #[must_use]
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

    /// This instant, since the beginning of the run.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// The pods, oldest first, those that drain included.
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// What the run cost and gave so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Requests the gateway has passed on or given up.
    #[must_use]
    pub const fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether nothing more will come and nobody is inside.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let inside = self.pods.iter().any(|pod| pod.replica().in_flight() > 0);
        self.arrived >= self.arrivals.len() && self.held.is_empty() && !inside
    }

    /// When something happens next that concerns more than one pod.
    fn next_event(&self) -> Option<Duration> {
        let arrival = self.arrivals.get(self.arrived).map(|arrival| arrival.at);
        let gone = self.pods.iter().filter_map(Pod::gone_at);
        let first = gone.chain(arrival).min();
        let Some(held) = self.held.front() else { return first };
        let ready = self.living().filter_map(Pod::ready_at);
        ready.chain([self.hold_ends(held)]).chain(first).min()
    }

    fn step(&mut self, to: Duration) {
        self.events.clear();
        for pod in &mut self.pods {
            pod.advance(to, &mut self.events);
        }
        self.now = to;
        self.ledger.pass(to);
        self.ledger.answer(&self.events.answered);
        self.ledger.finish(&self.events.finished);
        self.ledger.failed += self.events.gave_up;
        self.bury();
        self.release();
        self.arrive();
    }

    /// Requests up to now reach the gateway, which passes them on, holds or refuses them.
    fn arrive(&mut self) {
        while let Some(arrival) =
            self.arrivals.get(self.arrived).copied().filter(|arrival| arrival.at <= self.now)
        {
            self.arrived += 1;
            self.ledger.arrive(arrival.at);
            self.held.push_back(arrival);
            self.release();
        }
    }

    /// The gateway passes on what it holds, or gives up what it held too long.
    fn release(&mut self) {
        while let Some(arrival) = self.held.front().copied() {
            if let Some(idx) = self.target() {
                self.hand_over(idx, arrival);
            } else if self.now >= self.hold_ends(&arrival) {
                self.ledger.failed += 1;
            } else {
                self.ledger.hold();
                return;
            }
            self.held.pop_front();
            self.passed += 1;
        }
    }

    /// When the gateway, or the client, has waited long enough.
    fn hold_ends(&self, arrival: &Arrival) -> Duration {
        let patience = self.settings.patience.unwrap_or(Duration::MAX);
        arrival.at.saturating_add(self.settings.hold.min(patience))
    }

    /// The pod that gets the next request.
    fn target(&self) -> Option<usize> {
        let ready = self.pods.iter().enumerate();
        let ready = ready.filter(|(_, pod)| pod.stage(self.now) == Stage::Ready);
        let chosen = match self.settings.routing {
            Routing::LeastLoad => ready.min_by_key(|(_, pod)| pod.replica().in_flight()),
            // The next one in order of creation, and after the last the first.
            Routing::RoundRobin => {
                ready.min_by_key(|(_, pod)| pod.serial().wrapping_sub(self.turn).wrapping_sub(1))
            }
        };
        chosen.map(|(idx, _)| idx)
    }

    fn hand_over(&mut self, idx: usize, arrival: Arrival) {
        let Some(pod) = self.pods.get_mut(idx) else { return };
        self.turn = pod.serial();
        let Arrival { at, prompt, cached, output } = arrival;
        let request = Request { arrived: at, queued: self.now, prompt, cached, output };
        if !pod.replica_mut().push(request) {
            self.ledger.failed += 1;
        }
    }

    /// Pods that have drained, or ran out of grace, are gone; what they still had is lost.
    fn bury(&mut self) {
        let gone = |pod: &Pod| pod.gone_at().is_some_and(|at| at <= self.now);
        let before = self.pods.len();
        for pod in self.pods.extract_if(.., |pod| gone(pod)) {
            self.ledger.failed += len(pod.replica().in_flight());
        }
        if self.pods.len() < before {
            self.count_pods();
            self.make_room();
        }
    }

    /// Creates or ends pods until as many as wanted remain.
    fn reconcile(&mut self) {
        let wanted = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        while self.living().count() < wanted {
            self.pods.push(Pod::create(self.created, self.now, &self.settings, &mut self.random));
            self.created += 1;
            self.ledger.create();
        }
        while self.living().count() > wanted {
            let now = self.now;
            let living = self.pods.iter_mut().filter(|pod| pod.gone_at().is_none());
            let Some(pod) = living.max_by_key(|pod| pod.rank(now)) else { break };
            pod.leave(now, self.settings.grace);
        }
        self.count_pods();
        self.make_room();
        self.bury();
    }

    /// Pods get room on nodes, the oldest first, while there is any.
    fn make_room(&mut self) {
        let taken = self.pods.iter().filter(|pod| pod.has_room()).count();
        let nodes =
            self.nodes.map_or(usize::MAX, |nodes| usize::try_from(nodes).unwrap_or(usize::MAX));
        let waiting = self.pods.iter_mut().filter(|pod| !pod.has_room() && pod.gone_at().is_none());
        waiting.take(nodes.saturating_sub(taken)).for_each(|pod| pod.make_room(self.now));
    }

    fn count_pods(&mut self) {
        self.ledger.pods(u32::try_from(self.pods.len()).unwrap_or(u32::MAX));
    }

    fn living(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| pod.gone_at().is_none())
    }
}

#[cfg(test)]
mod tests;
