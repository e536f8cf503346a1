//! What a tick observed, judged: trustworthy numbers per workload, and what is missing.
//!
//! Three-valued throughout: a number, known zero (`Some(0.0)`), unknown (`None`). Given an
//! observation and what is remembered of the pods; promises that poison, stale and out-of-proportion
//! values are gone and named. Turning numbers into replicas is left to [`crate::engine::demand`].

mod behind;
mod came;
mod outlier;
mod outside;
mod pod;
mod sane;
mod seen;
mod supply;
mod totals;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::numeric::{count, median};
use crate::engine::observation::{Observation, Role};
use crate::engine::setup::{Family, OwnRole, PowerTarget, Setup};
use crate::engine::units::Timestamp;

pub use came::Came;
pub use outlier::Outlier;
pub use outside::Outside;
pub use pod::{Freshness, Jump, PodReading};
pub use sane::believable;
pub use seen::{PodsSeen, Seen};
pub use supply::{Standing, Supply};
pub use totals::{Bound, Total, Totals};

use supply::Rules;

/// A tick in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Signals {
    /// What counts as now.
    pub fresh: Freshness,
    /// The time between scrapes, as seen; the tick where nothing is seen.
    pub scrape_interval: Duration,
    /// The pods that serve and were read, by name.
    pub serving: BTreeMap<String, PodReading>,
    /// The serving pods summed.
    pub totals: Totals,
    /// Requests that came.
    pub came: Came,
    /// Replicas.
    pub supply: Supply,
    /// Gateway and own signals.
    pub outside: Outside,
    /// The newest trustworthy sample of this tick.
    pub newest: Option<Timestamp>,
    /// For how long the pod that was read longest has been read.
    pub watched: Duration,
    /// Required signals that are not known on all ready pods.
    pub missing: Vec<Role>,
    /// Required own signals without a usable value, by index.
    pub own_missing: Vec<usize>,
    /// A backend said that its answer is partial.
    pub partial: bool,
    /// Pods not ready that still work: their requests are no evidence of idleness.
    pub leaving_busy: bool,
    /// Clamped values.
    pub outliers: Vec<Outlier>,
    /// Values that wait for a second sample, by pod.
    pub jumps: Vec<(String, Jump)>,
}

impl Signals {
    /// Judges a tick and notes its pods in `seen`; a pod is stuck after `stuck_after`. Arrivals are
    /// required as well once they are `sized`: a term that drove must not vanish unnoticed.
    #[must_use]
    pub fn read(
        setup: &Setup,
        observation: &Observation,
        seen: &mut PodsSeen,
        stuck_after: Duration,
        sized: bool,
    ) -> Self {
        let now = observation.at;
        let scrape_interval = interval(setup, observation);
        let fresh = Freshness::new(setup.family, now, setup.tick, scrape_interval);
        let readings: BTreeMap<String, PodReading> = observation
            .pods
            .iter()
            .map(|(name, pod)| (name.clone(), PodReading::of(setup, pod, fresh)))
            .collect();
        seen.prune(now);
        for (name, pod) in &observation.pods {
            let answers = readings.get(name).is_some_and(|reading| reading.answers(fresh));
            seen.note(name, pod, answers, now);
        }
        let rules = Rules { fresh, stuck_after };
        let supply = Supply::count(observation, &readings, seen, &rules);
        let outside = Outside::read(setup, observation, fresh.limit);
        let (mut leaving, mut serving) = (Vec::new(), BTreeMap::new());
        for (name, reading) in readings {
            let pod = observation.pods.get(&name).zip(seen.get(&name));
            match pod.map(|(pod, seen)| rules.standing(pod, &reading, seen)) {
                Some(Standing::Serving) => {
                    serving.insert(name, reading);
                }
                _ => leaving.push(reading),
            }
        }
        Self::assemble(
            setup,
            observation,
            Parts { fresh, scrape_interval, serving, leaving, supply, outside, sized },
        )
    }

    fn assemble(setup: &Setup, observation: &Observation, parts: Parts) -> Self {
        let Parts { fresh, scrape_interval, mut serving, leaving, supply, outside, sized } = parts;
        let jumps = serving
            .iter()
            .flat_map(|(name, reading)| reading.jumps.iter().map(|jump| (name.clone(), *jump)))
            .collect();
        let outliers = outlier::clamp(&mut serving);
        let mut totals = sum(&serving, supply.ready_pods());
        behind::lower(&mut totals, (observation, &serving), scrape_interval);
        let pods = came::Pods { observation, serving: &serving, outliers: &outliers };
        let came = Came::read(&pods, (fresh, scrape_interval), supply.ready_pods());
        let missing = required(setup, &totals, &outside, sized)
            .into_iter()
            .filter(|role| !totals.complete(*role))
            .collect();
        let own_missing = own_missing(setup, &outside, supply.ready);
        let pods_newest = serving.values().filter_map(|reading| reading.newest).max();
        let oldest = serving.values().filter_map(|reading| reading.oldest).min();
        let own_newest = outside.own_age.map(|age| fresh.now.minus(age));
        let newest = if setup.family == Family::Custom { own_newest } else { pods_newest };
        Self {
            fresh,
            scrape_interval,
            totals,
            came,
            supply,
            outside,
            newest: newest.map(|at| at.min(fresh.now)),
            watched: oldest.map_or(Duration::ZERO, |at| fresh.now.since(at)),
            missing,
            own_missing,
            partial: observation.partial,
            leaving_busy: leaving.iter().any(is_busy),
            outliers,
            jumps,
            serving,
        }
    }

    /// Whether every required signal is known on all ready pods, and nobody said otherwise.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
            && self.own_missing.is_empty()
            && self.supply.unread == 0
            && !self.partial
    }

    /// The serving pods whose engine is awake and whose values were not clamped: what is learned, is
    /// learned from these.
    pub fn believed(&self) -> impl Iterator<Item = &PodReading> {
        let clamped = |name: &String| self.outliers.iter().any(|outlier| outlier.pod == *name);
        self.serving
            .iter()
            .filter(move |(name, pod)| !pod.engine_asleep() && !clamped(name))
            .map(|(_, pod)| pod)
    }

    /// Waiting + running + what shows outside, all of it known; `None` when some of it is not.
    ///
    /// Sleeping engines and counters take part: a gauge may be stale, a counter that moves is not.
    #[must_use]
    pub fn all_demand(&self, setup: &Setup) -> Option<f64> {
        if !self.complete() || self.outside.unreadable && setup.wake_path {
            return None;
        }
        let level = |role| self.totals.level(role, Bound::High).unwrap_or(0.0);
        let rate = |role| self.totals.rate(role, Bound::High).unwrap_or(0.0);
        let own: f64 = own_demand(setup, &self.outside).flatten().sum();
        let gpu = if setup.family == Family::Llm { 0.0 } else { level(Role::GpuUtilization) };
        let engine = level(Role::Waiting) + level(Role::Running) + rate(Role::GenerationTokens);
        let requests = rate(Role::Arrivals) + rate(Role::Finished) + rate(Role::Rejections);
        let leaving = if self.leaving_busy { 1.0 } else { 0.0 };
        Some(engine + requests + own + gpu + leaving + self.outside.activation)
    }
}

struct Parts {
    fresh: Freshness,
    scrape_interval: Duration,
    serving: BTreeMap<String, PodReading>,
    leaving: Vec<PodReading>,
    supply: Supply,
    outside: Outside,
    sized: bool,
}

fn interval(setup: &Setup, observation: &Observation) -> Duration {
    let seconds: Vec<f64> = observation
        .pods
        .values()
        .filter_map(|pod| pod::scrape_interval(pod, observation.at))
        .map(|interval| interval.as_secs_f64())
        .collect();
    median(&seconds).map_or(setup.tick, Duration::from_secs_f64)
}

/// The roles without which nothing goes down.
fn required(setup: &Setup, totals: &Totals, outside: &Outside, sized: bool) -> Vec<Role> {
    let mut roles = Vec::new();
    if setup.family == Family::Llm {
        roles.extend([Role::Waiting, Role::Running]);
        roles.extend(setup.has_kv.then_some(Role::KvUsage));
        if setup.targets.token_rate.is_some() {
            let prompts = totals.rates.contains_key(&Role::PromptTokens);
            roles.extend(prompts.then_some(Role::PromptTokens));
            roles.push(Role::GenerationTokens);
        }
        if (sized || setup.targets.request_rate.is_some()) && outside.arrivals.is_none() {
            let counted = totals.rates.contains_key(&Role::Arrivals);
            roles.push(if counted { Role::Arrivals } else { Role::Finished });
        }
        return roles;
    }
    let gpu = &setup.gpu;
    roles.extend(gpu.utilization.map(|_| Role::GpuUtilization));
    if gpu.memory.is_some() {
        roles.extend([Role::GpuMemoryUsed, Role::GpuMemoryTotal]);
    }
    roles.extend(gpu.memory_bandwidth.map(|_| Role::GpuMemoryBandwidth));
    roles.extend(gpu.power.map(|_| Role::GpuPower));
    if matches!(gpu.power, Some(PowerTarget::OfLimit(_))) {
        roles.push(Role::GpuPowerLimit);
    }
    roles
}

/// Own signals of role demand that give no number; a mean needs the ready replicas to be one.
fn own_missing(setup: &Setup, outside: &Outside, ready: Option<u32>) -> Vec<usize> {
    own_demand(setup, outside)
        .zip(&setup.own)
        .enumerate()
        .filter(|(_, (value, signal))| {
            value.is_none() || signal.role == OwnRole::Demand && !signal.total && ready.is_none()
        })
        .map(|(idx, _)| idx)
        .collect()
}

/// The own signals of role demand with their values, by the order of the setup; other roles are 0.
fn own_demand<'a>(
    setup: &'a Setup,
    outside: &'a Outside,
) -> impl Iterator<Item = Option<f64>> + 'a {
    setup
        .own
        .iter()
        .zip(&outside.own)
        .map(|(signal, value)| if signal.role == OwnRole::Demand { *value } else { Some(0.0) })
}

fn sum(pods: &BTreeMap<String, PodReading>, ready: u32) -> Totals {
    let mut totals = Totals::default();
    let roles = |of: fn(&PodReading) -> &BTreeMap<Role, f64>| -> Vec<Role> {
        let mut roles: Vec<Role> = pods.values().flat_map(|pod| of(pod).keys().copied()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    };
    for role in roles(|pod| &pod.levels) {
        let values: Vec<f64> = pods.values().filter_map(|pod| pod.level(role)).collect();
        totals.levels.insert(role, Total::over(&values, ready));
    }
    for role in roles(|pod| &pod.rates) {
        let values: Vec<f64> = pods.values().filter_map(|pod| pod.rate(role)).collect();
        let young = pods.values().filter(|pod| pod.young.contains(&role)).count();
        totals.rates.insert(role, Total::over(&values, ready.saturating_sub(count(young))));
    }
    let used: Vec<f64> = pods.values().filter_map(|pod| pod.level(Role::KvUsage)).collect();
    totals.kv_used = Total::over(&used, ready);
    totals
}

fn is_busy(reading: &PodReading) -> bool {
    let in_flight = [Role::Waiting, Role::Running].map(|role| reading.level(role).unwrap_or(0.0));
    in_flight.iter().sum::<f64>() > 0.0
}
