//! What kube-state-metrics said when it was scraped last: replicas, and where each pod stands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::observation::{Phase, WorkloadFacts};
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// One scrape.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    /// When; the beginning of time while there was none.
    pub(super) at: Timestamp,
    /// Replicas and the HPA's limits.
    pub(super) facts: WorkloadFacts,
    /// The pods by serial; those told to end are no longer among them.
    pub(super) pods: BTreeMap<u32, Listed>,
}

/// One pod of the list.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its name.
    pub(super) name: String,
    /// When it was created, in whole seconds.
    pub(super) created: Timestamp,
    /// When it became ready, in whole seconds.
    pub(super) ready: Option<Timestamp>,
    phase: Phase,
}

impl Cluster {
    /// Scrapes it.
    pub(super) fn scrape(world: &World, origin: Timestamp, limits: (u32, u32)) -> Self {
        let now = world.now();
        let there = world.pods().iter().filter(|pod| pod.stage(now) != Stage::Draining);
        let pods: BTreeMap<u32, Listed> =
            there.map(|pod| (pod.serial(), Listed::of(pod, world, origin))).collect();
        let count = |ready: bool| {
            let pods = pods.values().filter(|pod| !ready || pod.phase == Phase::Ready);
            u32::try_from(pods.count()).ok()
        };
        let wanted = world.census().wanted;
        let facts = WorkloadFacts {
            workload: Some("deployment/vllm".to_owned()),
            spec_replicas: Some(wanted),
            ready_replicas: count(true),
            hpa_current: count(false),
            // KEDA gives the HPA at least 1 where the object itself may sleep.
            hpa_min: Some(limits.0.max(1)),
            hpa_max: Some(limits.1),
            addresses: None,
            // No pods listed is an answer only where none are wanted.
            phases_known: !pods.is_empty() || wanted == 0,
        };
        Self { at: origin.plus(now), facts, pods }
    }
}

impl Listed {
    fn of(pod: &Pod, world: &World, origin: Timestamp) -> Self {
        let now = world.now();
        let whole = |at: Timestamp| Timestamp::from_unix_ms(at.unix_ms().div_euclid(1000) * 1000);
        let ready = pod.ready_at().filter(|_| pod.stage(now) == Stage::Ready);
        Self {
            name: name_of(pod.serial()),
            created: whole(origin.plus(pod.created_at())),
            ready: ready.map(|at| whole(origin.plus(at))),
            phase: phase(pod, now),
        }
    }

    /// Where it stands for who also knows whether it ever answered a scrape: one that is listed as
    /// running and not ready, and answers, is taken for one that is no longer ready.
    pub(super) const fn phase(&self, answered: bool) -> Phase {
        if answered && matches!(self.phase, Phase::Loading) { Phase::Unready } else { self.phase }
    }
}

/// The pod's phase and readiness: it is pending until its image is there.
fn phase(pod: &Pod, now: Duration) -> Phase {
    match pod.stage(now) {
        Stage::Ready => Phase::Ready,
        Stage::Draining => Phase::Unready,
        Stage::Loading if pod.pulled_at().is_some_and(|at| now >= at) => Phase::Loading,
        Stage::Loading | Stage::Scheduling => Phase::Pending,
    }
}

/// The name of the pod number `serial`.
pub(super) fn name_of(serial: u32) -> String {
    format!("vllm-6b7d9c5f84-{serial:05}")
}
