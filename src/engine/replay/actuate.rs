//! Who acts on a law's answers: KEDA's executor and the HPA, or the law's own controller.
//!
//! Given the latest answer whenever one of them reads it, it promises the replicas to set, if any.
//! The arithmetic is theirs; here is only who reads what, and how many pods they see.

use crate::engine::numeric::count;
use crate::engine::replay::executor::{Executor, KedaRules};
use crate::engine::replay::hpa::{Hpa, Sync};
use crate::engine::replay::law::Answer;
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::policy::Actuator;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// Whoever acts, with what they remember.
#[derive(Debug)]
pub enum Acting {
    /// The law's own controller, within these limits.
    Direct((u32, u32)),
    /// KEDA and the HPA.
    Keda(Box<Cluster>),
}

/// KEDA's operator and the HPA's controller.
#[derive(Debug)]
pub struct Cluster {
    executor: Executor,
    hpa: Hpa,
    push: bool,
}

impl Acting {
    /// Nothing done yet; `limits` are the fewest and most replicas.
    #[must_use]
    pub fn new(actuator: &Actuator, limits: (u32, u32)) -> Self {
        let Actuator::Keda(keda) = actuator else { return Self::Direct(limits) };
        let rules = KedaRules { min: keda.min, ..KedaRules::sleeping(keda.cooldown, limits.1) };
        let (executor, hpa) = (Executor::new(rules), Hpa::new(keda.hpa.clone()));
        Self::Keda(Box::new(Cluster { executor, hpa, push: keda.push }))
    }

    /// The law has answered: its own controller acts, and a push opens the door. The replicas to set,
    /// if others than there are.
    pub fn answered(&mut self, answer: &Answer, world: &World, now: Timestamp) -> Option<u32> {
        let spec = world.census().wanted;
        match self {
            Self::Direct((min, max)) => {
                let replicas = answer.replicas?.min(*max).max(*min);
                (replicas != spec).then_some(replicas)
            }
            Self::Keda(cluster) => {
                let pushed = cluster.push && spec == 0 && answer.active == Some(true);
                let set = pushed.then(|| cluster.executor.observe(answer.active, spec, now));
                set.flatten()
            }
        }
    }

    /// KEDA polls: the replicas to set, if others than there are.
    pub fn poll(&mut self, answer: &Answer, world: &World, now: Timestamp) -> Option<u32> {
        let Self::Keda(cluster) = self else { return None };
        cluster.executor.observe(answer.active, world.census().wanted, now)
    }

    /// The HPA syncs: the replicas to set, if others than there are.
    pub fn sync(&mut self, answer: &Answer, world: &World, now: Timestamp) -> Option<u32> {
        let Self::Keda(cluster) = self else { return None };
        let spec = world.census().wanted;
        let (now_in, there) = (world.now(), |pod: &&Pod| pod.gone_at().is_none());
        let pulled = |pod: &&Pod| pod.pulled_at().is_some_and(|at| at <= now_in);
        let living = || world.pods().iter().filter(there);
        let status = count(living().count());
        let pending = status - count(living().filter(pulled).count());
        let ready = count(living().filter(|pod| pod.stage(now_in) == Stage::Ready).count());
        let sync = Sync { spec, status, ready, pending, metrics: &answer.metrics };
        let wanted = cluster.hpa.sync(&sync, now);
        (wanted != spec).then_some(wanted)
    }
}
