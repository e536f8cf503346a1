//! A world in which the engine decides, and whose surroundings have a mood.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use prescale::engine::observation::{
    Combine, Fault, FaultKind, GatewayReading, Observation, Phase, PodObservation, Role, RoleSeries,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, Step, step};
use prescale::engine::units::Timestamp;
use prescale::scaler::{Observe, Reference, World};
use prescale::spec::{self, Faults, Limits, Spec, Target};

/// Four busy pods need six by it.
pub(crate) const TRIGGER: &[(&str, &str)] = &[("concurrency", "16"), ("maxReplicas", "10")];

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Four pods with 24 requests each.
    Busy,
    /// Four pods with nothing to do.
    Idle,
    /// No pods, and a gateway that holds this many requests.
    Zero(u32),
    /// Every query fails at once.
    Dead,
    /// No query ever ends.
    Hangs,
}

/// The world of a shared mood.
#[derive(Debug, Clone)]
pub(crate) struct Moody(pub(crate) Arc<Mutex<Mood>>);

impl World for Moody {
    fn parse(&self, reference: &Reference, limits: &Limits) -> Result<Spec, Faults> {
        spec::parse(&reference.namespace, &reference.name, &reference.metadata, limits)
    }

    fn observer(&self, _target: &Target) -> Box<dyn Observe> {
        Box::new(self.clone())
    }

    fn step(&self, setup: &Setup, observation: &Observation, memory: Memory) -> Step {
        step(setup, observation, memory)
    }
}

impl Observe for Moody {
    fn observe(&mut self, at: Timestamp) -> BoxFuture<'_, Observation> {
        Box::pin(async move {
            let mood = *self.0.lock().unwrap();
            if mood == Mood::Hangs {
                pending::<()>().await;
            }
            observation(mood, at)
        })
    }
}

/// What is read at `now`.
pub(crate) fn observation(mood: Mood, now: Timestamp) -> Observation {
    let mut observation = Observation::empty(now);
    let workload = &mut observation.workload;
    match mood {
        Mood::Busy | Mood::Idle => {
            let running = if mood == Mood::Busy { 24.0 } else { 0.0 };
            (workload.spec_replicas, workload.ready_replicas) = (Some(4), Some(4));
            workload.phases_known = true;
            observation.pods =
                (0..4).map(|idx| (format!("llama-{idx}"), pod(now, running))).collect();
        }
        Mood::Zero(held) => {
            (workload.spec_replicas, workload.ready_replicas) = (Some(0), Some(0));
            let held = Some(f64::from(held));
            observation.gateway = Some(GatewayReading { held, ..GatewayReading::default() });
        }
        Mood::Dead | Mood::Hangs => {
            let (place, kind) = ("datasource default".to_owned(), FaultKind::ConnectTimeout);
            observation.faults.push(Fault { place, kind });
            observation.gateway = Some(GatewayReading::default());
        }
    }
    observation
}

/// One value of each required gauge, with ten samples 15 s apart, the newest 5 s old.
fn pod(now: Timestamp, running: f64) -> PodObservation {
    let mut pod = PodObservation::new(Phase::Ready);
    let values = [(Role::Waiting, 0.0), (Role::Running, running), (Role::KvUsage, running / 80.0)];
    for (role, value) in values {
        let stamps = (0..10).rev().map(|back| now.minus(Duration::from_secs(5 + 15 * back)));
        let series = Series::new(stamps.map(|at| Sample { at, value }).collect());
        let (metric, combine) = (role.name().to_owned(), Combine::Sum);
        pod.roles.insert(role, RoleSeries { metric, combine, series: vec![series] });
    }
    pod
}

/// A reference of one object of `team-a`.
pub(crate) fn reference(name: &str, metadata: &[(&str, &str)]) -> Reference {
    let metadata: BTreeMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Reference { namespace: "team-a".to_owned(), name: name.to_owned(), metadata }
}
