//! All that a policy sees of the world: samples of the pods' metrics, as a Prometheus has them.
//!
//! Given a world whenever a scrape is due, it promises what queries would show at any later instant:
//! raw samples with their own times, the pods and replicas of a kube-state-metrics that was scraped
//! some time ago, latency quantiles from bucket rates, and what a gateway's page said. Each target is
//! scraped at a phase of its own, as Prometheus spreads them. Nothing else of the world leaks.
//!
//! Two simplifications: a pod that leaves is no longer scraped and is gone with the next scrape of
//! kube-state-metrics, and the GPU exporter says nothing of a pod that does not serve yet.

mod buckets;
mod cluster;
mod gateway;
mod page;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::observation::{Observation, Phase, PodObservation};
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::random::Random;
use crate::engine::replay::scrape::cluster::Cluster;
use crate::engine::replay::scrape::gateway::Gateway;
use crate::engine::replay::scrape::page::Page;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// Raw samples are asked for over five scrapes, and at least as far back as this.
const WINDOW_MIN: Duration = Duration::from_secs(150);

/// Samples are kept this long; older ones say nothing to the engine either.
const KEPT: Duration = Duration::from_mins(5);

/// Time over which a GPU exporter's utilisation looks back: NVML's sampling period is up to a second.
const GLANCE: Duration = Duration::from_secs(1);

/// Draws of phases that belong to no pod.
const CLUSTER: u64 = u64::MAX;
const GATEWAY: u64 = u64::MAX - 1;

/// What is read beside gauges and counters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pipeline {
    /// Time between scrapes of a pod; each has a phase of its own. Whole milliseconds, above zero.
    pub interval: Duration,
    /// Window of rates and latency quantiles, as `rate(..[2m])`.
    pub window: Duration,
    /// Which latency quantile is asked for, 0..1.
    pub quantile: f64,
}

/// The samples so far.
#[derive(Debug)]
pub struct Scrapes {
    pipeline: Pipeline,
    origin: Timestamp,
    limits: (u32, u32),
    pods: BTreeMap<u32, Watched>,
    cluster: Cluster,
    gateway: Gateway,
}

/// The pages of one pod, oldest first.
#[derive(Debug)]
struct Watched {
    name: String,
    pages: VecDeque<Page>,
    /// How long its GPU had been busy a glance before the scrape that comes.
    busy_before: Option<Duration>,
}

impl Scrapes {
    /// Nothing scraped yet, of a world that begins at `origin`; `limits` are what the HPA says.
    #[must_use]
    pub fn new(pipeline: Pipeline, origin: Timestamp, limits: (u32, u32)) -> Self {
        Self {
            pipeline,
            origin,
            limits,
            pods: BTreeMap::new(),
            cluster: Cluster::default(),
            gateway: Gateway::default(),
        }
    }

    /// The next instant at which something is scraped, after the world's present.
    #[must_use]
    pub fn due(&self, world: &World) -> Duration {
        let now = world.now();
        let pods = world.pods().iter().filter(|pod| pod.stage(now) != Stage::Draining);
        let pods = pods.flat_map(|pod| {
            let phase = self.phase(u64::from(pod.serial()));
            [phase, self.before(phase)].map(|phase| self.next(phase, now))
        });
        let others = [CLUSTER, GATEWAY].map(|target| self.next(self.phase(target), now));
        pods.chain(others).min().unwrap_or(now + self.pipeline.interval)
    }

    /// Scrapes what is due at the world's present. The cluster and the gateway were known before the
    /// beginning, so that they are scraped then as well.
    pub fn scrape(&mut self, world: &World) {
        let now = world.now();
        let at = self.origin.plus(now);
        for pod in world.pods().iter().filter(|pod| pod.stage(now) == Stage::Ready) {
            self.visit(pod, now);
        }
        if now.is_zero() || self.is_due(self.phase(CLUSTER), now) {
            self.cluster = Cluster::scrape(world, self.origin, self.limits);
        }
        if now.is_zero() || self.is_due(self.phase(GATEWAY), now) {
            self.gateway.scrape(world, at);
            self.forget(at);
        }
    }

    /// What queries at `at` show.
    #[must_use]
    pub fn observe(&self, at: Timestamp) -> Observation {
        let mut observation = Observation::empty(at);
        observation.workload = self.cluster.facts.clone();
        let from = at.minus(self.window());
        for (serial, listed) in &self.cluster.pods {
            let watched = self.pods.get(serial);
            let mut pod = PodObservation::new(listed.phase(watched.is_some()));
            pod.created = Some(listed.created);
            pod.ready = listed.ready;
            if let Some(watched) = watched {
                pod.roles = page::roles(&watched.pages, from);
            }
            observation.pods.insert(listed.name.clone(), pod);
        }
        let unlisted =
            self.pods.iter().filter(|(serial, _)| !self.cluster.pods.contains_key(serial));
        for (_, watched) in unlisted {
            // Only a pod that came since the cluster was scraped is there without being listed.
            if watched.pages.front().is_some_and(|page| page.at > self.cluster.at) {
                let mut pod = PodObservation::new(Phase::Unknown);
                pod.roles = page::roles(&watched.pages, from);
                observation.pods.insert(watched.name.clone(), pod);
            }
        }
        let Pipeline { window, quantile, .. } = self.pipeline;
        let pages = || self.pods.values().map(|watched| &watched.pages);
        observation.latency = buckets::latencies(pages, at, window, quantile);
        observation.gateway = self.gateway.reading(at);
        observation
    }

    fn visit(&mut self, pod: &Pod, now: Duration) {
        let phase = self.phase(u64::from(pod.serial()));
        let (is_due, is_before) = (self.is_due(phase, now), self.is_due(self.before(phase), now));
        if !is_due && !is_before {
            return;
        }
        let watched = self.pods.entry(pod.serial()).or_insert_with(|| Watched {
            name: cluster::name_of(pod.serial()),
            pages: VecDeque::new(),
            busy_before: None,
        });
        let busy = pod.replica().totals().busy;
        if is_due {
            let span = GLANCE.min(self.pipeline.interval);
            let before = watched.busy_before.unwrap_or(busy);
            let share = page::busy_share(busy.saturating_sub(before), span);
            watched.pages.push_back(Page::of(pod.replica(), self.origin.plus(now), share));
        }
        if is_before {
            watched.busy_before = Some(busy);
        }
    }

    /// Pods that are gone and samples that nobody asks for any more.
    fn forget(&mut self, at: Timestamp) {
        let oldest = at.minus(KEPT.max(self.pipeline.window));
        for watched in self.pods.values_mut() {
            while watched.pages.front().is_some_and(|page| page.at < oldest) {
                watched.pages.pop_front();
            }
        }
        self.pods.retain(|_, watched| !watched.pages.is_empty() || watched.busy_before.is_some());
    }

    /// How far back raw samples are asked for.
    fn window(&self) -> Duration {
        let Pipeline { interval, window, .. } = self.pipeline;
        WINDOW_MIN.max(interval.saturating_mul(5)).max(window).min(KEPT)
    }

    /// When within an interval a target is scraped: drawn from what it is, so that it stays.
    fn phase(&self, target: u64) -> Duration {
        let share = Random::new(target).unit();
        let milliseconds = self.pipeline.interval.mul_f64(share).as_millis();
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
    }

    /// The phase a glance before `phase`.
    fn before(&self, phase: Duration) -> Duration {
        let interval = self.pipeline.interval;
        let glance = GLANCE.min(interval);
        if phase >= glance { phase - glance } else { phase + interval - glance }
    }

    fn is_due(&self, phase: Duration, now: Duration) -> bool {
        now >= phase && ((now - phase).as_nanos()).is_multiple_of(self.interval_nanos())
    }

    /// The first instant of `phase` after `now`.
    fn next(&self, phase: Duration, now: Duration) -> Duration {
        if now < phase {
            return phase;
        }
        let passed = (now - phase).as_nanos() / self.interval_nanos();
        let intervals = u32::try_from(passed + 1).unwrap_or(u32::MAX);
        phase + self.pipeline.interval.saturating_mul(intervals)
    }

    fn interval_nanos(&self) -> u128 {
        self.pipeline.interval.as_nanos().max(1)
    }
}

#[cfg(test)]
mod tests;
