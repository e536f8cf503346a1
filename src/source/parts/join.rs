//! The parts of one tick become one observation.
//!
//! Pure. The cluster's list of pods and what the pods export are two witnesses: a pod that only one
//! of them knows is loading, gone, or unknown, depending on which.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::observation::{Observation, Phase, PodObservation};
use crate::engine::units::Timestamp;
use crate::source::parts::engine::{PodRoles, Pods};
use crate::source::parts::facts::{Facts, PodFacts};

/// Age beyond which a pod that the cluster does not list is gone rather than new, where the scrape
/// interval is not known: two scrapes of 30 s.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// What the three witnesses said of pods.
#[derive(Debug)]
pub(crate) struct Witnesses<'a> {
    /// The cluster.
    pub(crate) facts: &'a Facts,
    /// The engine's own pages; empty where there is no engine to ask.
    pub(crate) engine: Pods,
    /// The GPU exporter.
    pub(crate) gpus: Pods,
    /// Whether pods are expected to have pages of an engine.
    pub(crate) has_engine: bool,
}

/// Puts the pods that the witnesses know into `observation`. `served` are pods that answered or were
/// ready before; those of now are added, those that are gone removed.
pub(crate) fn pods(
    observation: &mut Observation,
    served: &mut BTreeSet<String>,
    witnesses: Witnesses<'_>,
) {
    let Witnesses { facts, engine, gpus, has_engine } = witnesses;
    let listed = facts.workload.phases_known && !facts.pods.is_empty();
    let gone_after = engine.interval.map_or(GONE_AFTER, |interval| interval * 2);
    for (name, pod) in facts.pods.iter().filter(|(_, pod)| !pod.over()) {
        let phase = phase(pod, engine.pods.contains_key(name), served.contains(name));
        let mut seen = PodObservation::new(phase);
        seen.created = pod.created;
        seen.scheduled = pod.scheduled;
        seen.started = pod.started;
        seen.ready = pod.ready;
        observation.pods.insert(name.clone(), seen);
    }
    // An exporter on the node shows a pod's GPU while the pod loads: that is no answer of the pod.
    let answered: Vec<String> = engine.pods.keys().cloned().collect();
    for (name, roles) in engine.pods {
        let gone = listed && old(&roles, observation.at, gone_after);
        add(observation, facts, (name, roles, gone), Phase::Unknown);
    }
    for (name, roles) in gpus.pods {
        let gone = listed && old(&roles, observation.at, GONE_AFTER);
        let silent = has_engine && !served.contains(&name);
        let phase = if silent { Phase::Loading } else { Phase::Unknown };
        add(observation, facts, (name, roles, gone), phase);
    }
    remember(observation, served, answered);
}

/// Adds what a pod exports; `phase` is the phase of a pod that is not there yet.
fn add(
    observation: &mut Observation,
    facts: &Facts,
    found: (String, PodRoles, bool),
    phase: Phase,
) {
    let (name, roles, gone) = found;
    let over = facts.pods.get(&name).is_some_and(PodFacts::over);
    if over || (gone && !facts.pods.contains_key(&name)) {
        return;
    }
    let pod = observation.pods.entry(name).or_insert_with(|| PodObservation::new(phase));
    pod.roles.extend(roles.roles);
    pod.known_zero.extend(roles.known_zero);
}

fn old(roles: &PodRoles, now: Timestamp, limit: Duration) -> bool {
    roles.newest().is_none_or(|newest| now.since(newest) > limit)
}

fn phase(pod: &PodFacts, answers: bool, served: bool) -> Phase {
    match (pod.phase.as_str(), pod.is_ready) {
        _ if pod.deleted => Phase::Unready,
        (_, Some(true)) => Phase::Ready,
        ("Pending", _) => Phase::Pending,
        ("Running", Some(false)) if answers || served => Phase::Unready,
        ("Running", Some(false)) => Phase::Loading,
        ("Unknown", _) => Phase::Unready,
        _ => Phase::Unknown,
    }
}

fn remember(observation: &Observation, served: &mut BTreeSet<String>, answered: Vec<String>) {
    served.extend(answered);
    let ready = observation.pods.iter().filter(|(_, pod)| pod.phase == Phase::Ready);
    served.extend(ready.map(|(name, _)| name.clone()));
    served.retain(|name| observation.pods.contains_key(name));
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::{Facts, Observation, Phase, PodFacts, PodRoles, Pods, Witnesses, pods};
    use crate::engine::observation::{Combine, Role, RoleSeries};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn exporting(age: u64) -> PodRoles {
        let at = NOW.minus(Duration::from_secs(age));
        let series = vec![Series::new(vec![Sample { at, value: 1.0 }])];
        let role = RoleSeries { metric: "q".to_owned(), combine: Combine::Sum, series };
        PodRoles { roles: [(Role::Waiting, role)].into(), known_zero: BTreeSet::new() }
    }

    fn witnesses(facts: &Facts, engine: Pods, gpus: Pods) -> Witnesses<'_> {
        Witnesses { facts, engine, gpus, has_engine: true }
    }

    fn listed(phase: &str, ready: bool) -> PodFacts {
        PodFacts { phase: phase.to_owned(), is_ready: Some(ready), ..PodFacts::default() }
    }

    /// The phases of pod `p`, of which the cluster and the engine say this, beside a ready pod.
    fn check(
        cluster: Option<PodFacts>,
        answered: Option<u64>,
        served: bool,
        expected: Option<Phase>,
    ) {
        let mut facts = Facts::default();
        facts.workload.phases_known = true;
        facts.pods.insert("other".to_owned(), listed("Running", true));
        facts.pods.extend(cluster.clone().map(|pod| ("p".to_owned(), pod)));
        let found: BTreeMap<_, _> =
            answered.map(|age| ("p".to_owned(), exporting(age))).into_iter().collect();
        let engine = Pods { pods: found, ..Pods::default() };
        let mut remembered: BTreeSet<String> = served.then(|| "p".to_owned()).into_iter().collect();
        let mut observation = Observation::empty(NOW);
        pods(&mut observation, &mut remembered, witnesses(&facts, engine, Pods::default()));
        let phase = observation.pods.get("p").map(|pod| pod.phase);
        assert_eq!(phase, expected, "{cluster:?} answered {answered:?} served {served}");
    }

    #[test]
    fn two_witnesses_tell_where_a_pod_is_in_its_life() {
        check(Some(listed("Running", true)), Some(5), false, Some(Phase::Ready));
        check(Some(listed("Running", true)), None, false, Some(Phase::Ready));
        check(Some(listed("Pending", false)), None, false, Some(Phase::Pending));
        check(Some(listed("Running", false)), None, false, Some(Phase::Loading));
        check(Some(listed("Running", false)), None, true, Some(Phase::Unready));
        check(Some(listed("Running", false)), Some(5), false, Some(Phase::Unready));
        check(Some(listed("Unknown", false)), None, false, Some(Phase::Unready));
        check(Some(listed("Failed", false)), Some(5), true, None);
        let deleted = PodFacts { deleted: true, ..listed("Running", true) };
        check(Some(deleted), Some(5), true, Some(Phase::Unready));
        // Not listed: new while its samples are fresh, gone when they are old.
        check(None, Some(5), false, Some(Phase::Unknown));
        check(None, Some(90), true, None);
    }

    #[test]
    fn without_the_clusters_list_an_old_pod_is_not_gone() {
        let mut observation = Observation::empty(NOW);
        let engine = Pods { pods: [("p".to_owned(), exporting(90))].into(), ..Pods::default() };
        let mut served = BTreeSet::new();
        let facts = Facts::default();
        pods(&mut observation, &mut served, witnesses(&facts, engine, Pods::default()));
        assert_eq!(observation.pods.get("p").map(|pod| pod.phase), Some(Phase::Unknown));
    }

    #[test]
    fn a_busy_gpu_is_no_answer_of_a_pod_that_loads() {
        let gpus = || Pods { pods: [("p".to_owned(), exporting(5))].into(), ..Pods::default() };
        let mut loading = Facts::default();
        loading.workload.phases_known = true;
        loading.pods.insert("p".to_owned(), listed("Running", false));
        for facts in [Facts::default(), loading] {
            let mut served = BTreeSet::new();
            for tick in 0..3 {
                let mut observation = Observation::empty(NOW);
                let seen = witnesses(&facts, Pods::default(), gpus());
                pods(&mut observation, &mut served, seen);
                let phase = observation.pods.get("p").map(|pod| pod.phase);
                assert_eq!(phase, Some(Phase::Loading), "tick {tick}");
            }
        }
        let mut observation = Observation::empty(NOW);
        let facts = Facts::default();
        let seen =
            Witnesses { facts: &facts, engine: Pods::default(), gpus: gpus(), has_engine: false };
        pods(&mut observation, &mut BTreeSet::new(), seen);
        assert_eq!(observation.pods.get("p").map(|pod| pod.phase), Some(Phase::Unknown));
    }
}
