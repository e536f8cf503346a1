//! Replicas: how many there are, and which of them serve, load, are stuck or could not be read.
//!
//! Given the pods' readings and what is remembered of them; promises that a pod that never answered
//! is loading before it is unread, and that no count is inferred from wanted minus ready.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::observation::{Observation, Phase, PodObservation, WorkloadFacts};
use crate::engine::setup::Family;
use crate::engine::signals::pod::{Freshness, PodReading};
use crate::engine::signals::seen::{PodsSeen, Seen};

/// Where one pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ready and read.
    Serving,
    /// Ready and not read: its load is unknown.
    Unread,
    /// Pending, or never answered: on its way.
    Loading,
    /// On its way for longer than twice the P90 of cold starts.
    Stuck,
    /// Was ready, is not now.
    Leaving,
}

/// What the standing of a pod depends on.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// What counts as now.
    pub fresh: Freshness,
    /// Twice the P90 of cold starts.
    pub stuck_after: Duration,
}

impl Rules {
    /// Where a pod stands.
    #[must_use]
    pub fn standing(&self, pod: &PodObservation, reading: &PodReading, seen: &Seen) -> Standing {
        let answers = reading.answers(self.fresh);
        let late = self.fresh.now.since(seen.born()) > self.stuck_after;
        match pod.phase {
            Phase::Pending | Phase::Loading if late => Standing::Stuck,
            Phase::Pending | Phase::Loading => Standing::Loading,
            Phase::Unready => Standing::Leaving,
            // Such pods expose nothing that is read.
            Phase::Ready if self.fresh.family == Family::Custom => Standing::Serving,
            Phase::Ready | Phase::Unknown if answers => Standing::Serving,
            Phase::Ready | Phase::Unknown if seen.answered.is_some() => Standing::Unread,
            // Without a readiness probe a pod is ready while it still loads its model.
            Phase::Ready if late => Standing::Unread,
            Phase::Unknown if late => Standing::Stuck,
            Phase::Ready | Phase::Unknown => Standing::Loading,
        }
    }
}

/// Replicas of the workload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Supply {
    /// Replicas the target has, by the best source that said something.
    pub current: Option<u32>,
    /// That is the number of addresses behind the headless name, for want of anything better.
    pub by_address: bool,
    /// That is the number of pods seen, a lower bound.
    pub by_pods: bool,
    /// Ready replicas that carry load: not those whose engine sleeps.
    pub ready: Option<u32>,
    /// Ready replicas that were read, sleeping engines included.
    pub read: u32,
    /// Ready replicas that could not be read.
    pub unread: u32,
    /// One of them.
    pub unread_example: Option<String>,
    /// Pods on their way.
    pub loading: u32,
    /// Pods among them that are not ready in any sense: scheduling, pulling, starting.
    pub starting: u32,
    /// Pods that never came.
    pub stuck: Vec<String>,
    /// Ready pods whose engine sleeps.
    pub engines_asleep: u32,
}

impl Supply {
    /// Counts the pods of a tick.
    #[must_use]
    pub fn count(
        observation: &Observation,
        readings: &BTreeMap<String, PodReading>,
        seen: &PodsSeen,
        rules: &Rules,
    ) -> Self {
        let mut supply = Self::default();
        for (name, pod) in &observation.pods {
            if let Some((reading, seen)) = readings.get(name).zip(seen.get(name)) {
                supply.add(name, pod, reading, rules.standing(pod, reading, seen));
            }
        }
        supply.add_nameless(&observation.workload);
        let WorkloadFacts { spec_replicas, hpa_current, addresses, .. } = observation.workload;
        supply.by_pods = spec_replicas.or(hpa_current).or(addresses).is_none();
        let current = current(observation, &supply);
        supply.by_address = current.is_none();
        supply.current = current.or(observation.workload.addresses);
        supply.ready = ready(observation, &supply, rules.fresh.family);
        supply
    }

    fn add(&mut self, name: &str, pod: &PodObservation, reading: &PodReading, standing: Standing) {
        match standing {
            Standing::Serving => {
                self.read += 1;
                self.engines_asleep += u32::from(reading.engine_asleep());
            }
            Standing::Unread => {
                self.unread += 1;
                self.unread_example.get_or_insert_with(|| name.to_owned());
            }
            Standing::Loading => {
                self.loading += 1;
                self.starting += u32::from(matches!(pod.phase, Phase::Pending | Phase::Loading));
            }
            Standing::Stuck => self.stuck.push(name.to_owned()),
            Standing::Leaving => {}
        }
    }

    /// Ready replicas that the target counts and of which no pod was seen at all. Where phases are
    /// known the pods themselves are the truth, and the target's status only lags behind them.
    fn add_nameless(&mut self, workload: &WorkloadFacts) {
        let seen = self.read + self.unread + self.loading;
        if !workload.phases_known && seen > 0 {
            self.unread += workload.ready_replicas.map_or(0, |ready| ready.saturating_sub(seen));
        }
    }

    /// Ready replicas, read or not.
    #[must_use]
    pub const fn ready_pods(&self) -> u32 {
        self.read.saturating_add(self.unread)
    }

    /// Whether less than half of the ready replicas were read.
    #[must_use]
    pub const fn under_half_read(&self) -> bool {
        self.read.saturating_mul(2) < self.ready_pods()
    }
}

/// Spec replicas, the HPA's, pods seen (a lower bound), addresses; zero only where somebody says so.
fn current(observation: &Observation, supply: &Supply) -> Option<u32> {
    let workload = &observation.workload;
    let stuck = count(supply.stuck.len());
    let pods = supply.ready_pods().saturating_add(supply.loading).saturating_add(stuck);
    workload.spec_replicas.or(workload.hpa_current).or_else(|| (pods > 0).then_some(pods))
}

fn ready(observation: &Observation, supply: &Supply, family: Family) -> Option<u32> {
    let workload = &observation.workload;
    let pods = supply.ready_pods();
    if pods > 0 {
        return Some(pods - supply.engines_asleep.min(pods));
    }
    let said = workload.ready_replicas.or((workload.spec_replicas == Some(0)).then_some(0));
    let by_phase = (workload.phases_known && !observation.pods.is_empty()).then_some(0);
    if family == Family::Custom { said.or(by_phase) } else { by_phase.or(said) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Rules, Supply};
    use crate::engine::observation::{Observation, Phase, PodObservation, Role, WorkloadFacts};
    use crate::engine::setup::Family;
    use crate::engine::signals::pod::{Freshness, PodReading};
    use crate::engine::signals::seen::PodsSeen;
    use crate::engine::units::Timestamp;

    /// Pods as (phase, age in seconds, answered before, answers now) -> read, unread, loading, stuck.
    fn check(pods: &[(Phase, u64, bool, bool)], expected: (u32, u32, u32, usize)) {
        let now = Timestamp::from_unix_ms(10_000_000);
        let fresh =
            Freshness::new(Family::Llm, now, Duration::from_secs(15), Duration::from_secs(15));
        let rules = Rules { fresh, stuck_after: Duration::from_secs(360) };
        let mut observation = Observation::empty(now);
        let (mut readings, mut seen) = (BTreeMap::new(), PodsSeen::default());
        for (idx, (phase, age, before, answers)) in pods.iter().enumerate() {
            let name = format!("p{idx}");
            let mut pod = PodObservation::new(*phase);
            pod.created = Some(now.minus(Duration::from_secs(*age)));
            if *answers {
                pod.known_zero.insert(Role::Waiting);
            }
            readings.insert(name.clone(), PodReading::read(&pod, fresh));
            seen.note(&name, &pod, *before || *answers, now);
            observation.pods.insert(name, pod);
        }
        let supply = Supply::count(&observation, &readings, &seen, &rules);
        let counted = (supply.read, supply.unread, supply.loading, supply.stuck.len());
        assert_eq!(counted, expected, "{pods:?}");
    }

    #[test]
    fn a_pod_that_never_answered_is_loading_not_unread() {
        check(&[], (0, 0, 0, 0));
        check(&[(Phase::Ready, 10, false, true), (Phase::Unknown, 10, false, true)], (2, 0, 0, 0));
        check(&[(Phase::Ready, 10, true, false), (Phase::Unknown, 10, true, false)], (0, 2, 0, 0));
        check(&[(Phase::Ready, 100, false, false)], (0, 0, 1, 0));
        check(&[(Phase::Ready, 361, false, false)], (0, 1, 0, 0));
        check(&[(Phase::Pending, 360, false, false)], (0, 0, 1, 0));
        check(&[(Phase::Pending, 361, false, false)], (0, 0, 0, 1));
        check(&[(Phase::Unready, 10, true, true)], (0, 0, 0, 0));
    }

    #[test]
    fn the_best_source_says_how_many_replicas_there_are() {
        let facts = |spec, hpa, addresses| WorkloadFacts {
            spec_replicas: spec,
            hpa_current: hpa,
            addresses,
            ..WorkloadFacts::default()
        };
        let rows = [
            (facts(Some(0), Some(3), Some(2)), Some(0)),
            (facts(None, Some(3), Some(2)), Some(3)),
            (facts(None, None, Some(2)), Some(2)),
            (facts(None, None, Some(0)), Some(0)),
            (facts(None, None, None), None),
        ];
        for (workload, expected) in rows {
            let mut observation = Observation::empty(Timestamp::from_unix_ms(0));
            observation.workload = workload;
            let fresh = Freshness::new(
                Family::Llm,
                observation.at,
                Duration::from_secs(15),
                Duration::from_secs(15),
            );
            let rules = Rules { fresh, stuck_after: Duration::from_secs(360) };
            let supply =
                Supply::count(&observation, &BTreeMap::new(), &PodsSeen::default(), &rules);
            assert_eq!(supply.current, expected);
        }
    }
}
