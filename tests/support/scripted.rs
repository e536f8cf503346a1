//! A world in which every scaled object does what its test says.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use prescale::engine::decision::{Decision, Refusal, State, Verdict};
use prescale::engine::observation::Observation;
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, Step};
use prescale::engine::units::{Replicas, Timestamp};
use prescale::scaler::{Observe, Reference, World};
use prescale::spec::{self, Fault, Faults, Limits, Spec, Target};

/// What one scaled object does at each tick.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// Wants this many replicas.
    Want(u32, State),
    /// The same, with pods serving in this active period.
    Serve(u32, State),
    /// Has no number.
    Refuse(Refusal),
    /// The observation takes this long, then one replica is wanted.
    Slow(Duration),
    /// The observation never ends.
    Hang,
    /// The observation panics.
    Panic,
    /// The same, and a new observer cannot be made.
    Break,
}

/// The world and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    plans: Mutex<BTreeMap<String, Plan>>,
    ticks: Mutex<Vec<(String, Timestamp)>>,
    parsed: AtomicUsize,
    inside: AtomicUsize,
    inside_max: AtomicUsize,
}

impl Script {
    /// From the next tick of `name` on.
    pub(crate) fn set(&self, name: &str, plan: Plan) {
        self.plans.lock().unwrap().insert(name.to_owned(), plan);
    }

    /// The instants for which `name` was observed.
    pub(crate) fn ticks(&self, name: &str) -> Vec<Timestamp> {
        let ticks = self.ticks.lock().unwrap();
        ticks.iter().filter(|(of, _)| of == name).map(|(_, at)| *at).collect()
    }

    /// Triggers parsed.
    pub(crate) fn parsed(&self) -> usize {
        self.parsed.load(Ordering::Relaxed)
    }

    /// Most observations that ever ran at once.
    pub(crate) fn inside_max(&self) -> usize {
        self.inside_max.load(Ordering::Relaxed)
    }

    fn plan(&self, name: &str) -> Plan {
        let plans = self.plans.lock().unwrap();
        plans.get(name).cloned().unwrap_or(Plan::Want(1, State::Fresh))
    }
}

/// The world of a shared script.
#[derive(Debug, Clone)]
pub(crate) struct Scripted(pub(crate) Arc<Script>);

impl World for Scripted {
    fn parse(&self, reference: &Reference, limits: &Limits) -> Result<Spec, Faults> {
        self.0.parsed.fetch_add(1, Ordering::Relaxed);
        assert!(!reference.metadata.contains_key("panic"), "scripted");
        if let Some(value) = reference.metadata.get("kvCache") {
            let problem = "is not between 0 and 1; accepted are 0.85 or 85%".to_owned();
            let fault = Fault { key: "kvCache".to_owned(), value: value.clone(), problem };
            return Err(Faults(vec![fault]));
        }
        let tick = reference.metadata.get("tick").and_then(|text| text.parse().ok());
        let Reference { namespace, name, .. } = reference;
        let mut spec = spec::parse(namespace, name, &BTreeMap::new(), limits)?;
        spec.setup.tick = Duration::from_secs(tick.unwrap_or(15));
        Ok(spec)
    }

    fn observer(&self, target: &Target) -> Box<dyn Observe> {
        assert_ne!(self.0.plan(&target.scaled_object), Plan::Break, "scripted");
        Box::new(Watcher { script: Arc::clone(&self.0), name: target.scaled_object.clone() })
    }

    fn step(&self, _setup: &Setup, observation: &Observation, memory: Memory) -> Step {
        let name = observation.candidates.first().map_or("", String::as_str);
        let (verdict, state, serving) = match self.0.plan(name) {
            Plan::Want(count, state) => (scale(count), state, false),
            Plan::Serve(count, state) => (scale(count), state, true),
            Plan::Refuse(refusal) => (Verdict::Refuse(refusal), State::Cold, false),
            Plan::Slow(_) | Plan::Hang | Plan::Panic | Plan::Break => {
                (scale(1), State::Fresh, false)
            }
        };
        let decision = Decision {
            at: observation.at,
            state,
            unmasked: verdict.clone(),
            verdict,
            terms: Vec::new(),
            reasons: Vec::new(),
            data_age: Some(Duration::from_secs(5)),
            current: None,
            ready: None,
            serving,
            foreseen: None,
        };
        Step { decision, memory, minute: None }
    }
}

#[derive(Debug)]
struct Watcher {
    script: Arc<Script>,
    name: String,
}

impl Observe for Watcher {
    fn observe(&mut self, at: Timestamp) -> BoxFuture<'_, Observation> {
        Box::pin(async move {
            self.script.ticks.lock().unwrap().push((self.name.clone(), at));
            let inside = self.script.inside.fetch_add(1, Ordering::Relaxed) + 1;
            self.script.inside_max.fetch_max(inside, Ordering::Relaxed);
            let _leaving = Leaving(Arc::clone(&self.script));
            match self.script.plan(&self.name) {
                Plan::Hang => pending::<()>().await,
                Plan::Panic | Plan::Break => panic!("scripted"),
                Plan::Slow(time) => tokio::time::sleep(time).await,
                Plan::Want(..) | Plan::Serve(..) | Plan::Refuse(_) => {}
            }
            let mut observation = Observation::empty(at);
            observation.candidates.push(self.name.clone());
            observation
        })
    }
}

struct Leaving(Arc<Script>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A reference with this metadata.
pub(crate) fn reference(namespace: &str, name: &str, metadata: &[(&str, &str)]) -> Reference {
    let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Reference { namespace: namespace.to_owned(), name: name.to_owned(), metadata }
}

const fn scale(count: u32) -> Verdict {
    let replicas = Replicas::new(count);
    Verdict::Scale { replicas, sent: replicas, active: count > 0 }
}
