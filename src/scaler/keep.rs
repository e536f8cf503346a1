//! What outlives a scaler: whose it is in the store, and what of it a new scaler goes on with.
//!
//! Pure; reading and writing are left to `crate::store`, the choice between siblings to the registry.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::engine::decision::{Decision, Reason, State, Verdict};
use crate::engine::foresight::Foresight;
use crate::engine::setup::{Family, GpuTargets, OwnRole, OwnSignal, Setup};
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::scaler::handle::{DATA_AGE_MAX, data_age};
use crate::scaler::reference::Key;
use crate::spec::{Spec, WorkloadKind, WorkloadRef};
use crate::store::{self, Identity, Kept};

/// For how long what was decided counts, and not only what was learned: as long as a scaler that
/// nobody asks for stays in memory. Later a fleet must not be brought back to what it needed then.
const DECIDED_FOR: Duration = Duration::from_hours(1);

/// What a new scaler goes on with.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) memory: Memory,
    /// The instant up to which the memory has been told the story.
    pub(crate) told_until: Option<Timestamp>,
    /// What is told until the first tick has ended.
    pub(crate) decision: Option<Decision>,
}

/// Whose it is in the store: what [`super::Registry`] takes for the same workload.
pub(crate) fn key(key: &Key, spec: &Spec) -> store::Key {
    let identity = Identity {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        workload: spec.target.workload.as_ref().map_or_else(String::new, word),
        engine: spec.target.engine.to_string(),
    };
    store::Key { identity, trigger: key.hash8() }
}

/// Whose minutes they are. Where they count requests that is the workload; where they are demand in replicas
/// they are of what was asked, and by which targets.
pub(crate) fn minutes_key(key: &Key, spec: &Spec) -> store::Key {
    let mut found = self::key(key, spec);
    if let Some(measure) = measure(spec) {
        found.identity.engine = format!("{}/{measure}", found.identity.engine);
    }
    found
}

/// By what minutes are measured: its first eight hex digits; `None` where they count requests.
fn measure(spec: &Spec) -> Option<String> {
    let Setup { family, own, gpu, .. } = &spec.setup;
    if *family == Family::Llm {
        return None;
    }
    let mut hash = Sha256::new();
    for (signal, query) in own.iter().zip(&spec.target.own) {
        if signal.role == OwnRole::Demand {
            let OwnSignal { target, total, .. } = signal;
            hash.update(format!("{}\0{target}\0{total}\0", query.query));
        }
    }
    let GpuTargets { utilization, memory, memory_bandwidth, power } = gpu;
    hash.update(format!("{utilization:?}{memory:?}{memory_bandwidth:?}{power:?}"));
    Some(hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

/// Whether what was learned for one trigger is about what the other asks.
pub(crate) fn is_of_one_measure(one: &Spec, other: &Spec) -> bool {
    measure(one) == measure(other)
}

/// A name has no slash, so that a kind cannot be part of one.
fn word(workload: &WorkloadRef) -> String {
    let kind = match workload.kind {
        Some(WorkloadKind::Deployment) => "deployment/",
        Some(WorkloadKind::StatefulSet) => "statefulset/",
        None => "",
    };
    format!("{kind}{}", workload.name)
}

/// Whether what is kept stands beside siblings that live: only the trigger's own, and only while a
/// number of it might still be told. They know better otherwise.
pub(crate) fn stands_beside_siblings(kept: &Kept, now: Timestamp) -> bool {
    kept.own && now.since(kept.at) <= DATA_AGE_MAX
}

/// What a scaler of `setup` goes on with at `now`.
pub(crate) fn past(kept: Kept, setup: &Setup, now: Timestamp) -> Past {
    let Kept { mut memory, decision, at, own } = kept;
    // A sibling may ask for something else.
    if !own && setup.family != Family::Llm {
        memory.foresight = Foresight::default();
    }
    let absent = now.since(at) > DECIDED_FOR;
    Past {
        memory: if absent { memory.after_absence() } else { memory },
        // A clock that was set back must not make it wait.
        told_until: Some(at.min(now)),
        // Of another trigger the number may be masked, or beyond this one's limits.
        decision: decision.filter(|_| own).and_then(|it| restated(it, setup, now)),
    }
}

/// The last decision as it may be told again: a number, in hold, whose data is young enough for one
/// (docs/safety.md). What needs no young data stays what it was.
fn restated(decision: Decision, setup: &Setup, now: Timestamp) -> Option<Decision> {
    let at = decision.at.min(now);
    let age = now.since(at);
    let within = |verdict: &Verdict| match verdict {
        Verdict::Scale { replicas, sent, active } => Some(Verdict::Scale {
            replicas: (*replicas).min(setup.replicas_limit),
            sent: (*sent).min(setup.replicas_limit),
            active: *active,
        }),
        Verdict::Refuse(_) => None,
    };
    let state = match decision.state {
        State::Fresh | State::Partial | State::Hold => State::Hold,
        State::Asleep | State::AsleepBlind | State::Waking => decision.state,
        State::Blind | State::Cold => return None,
    };
    let verdict = within(&decision.verdict)?;
    let unmasked = within(&decision.unmasked)?;
    let mut reasons = decision.reasons;
    reasons.push(Reason::Restored { age });
    let told = Decision { at, state, verdict, unmasked, reasons, ..decision };
    (age + data_age(&told) <= DATA_AGE_MAX).then_some(told)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{is_of_one_measure, key, minutes_key};
    use crate::scaler::reference::{Key, Reference};
    use crate::spec::{Limits, Spec, parse};

    fn spec(rows: &[(&str, &str)]) -> Spec {
        let metadata: BTreeMap<String, String> =
            rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse("llm", "chat", &metadata, &Limits::default()).unwrap()
    }

    #[test]
    fn minutes_in_replicas_are_of_what_was_asked_and_minutes_of_requests_are_the_workloads() {
        let custom = |signals| spec(&[("engine", "custom"), ("signals", signals), ("tick", "5s")]);
        let one = custom("[{name: a, query: sum(a), target: 4}]");
        let rows = [
            (custom("[{name: other, query: sum(a), target: 4}]"), true),
            (custom("[{name: a, query: sum(b), target: 4}]"), false),
            (custom("[{name: a, query: sum(a), target: 5}]"), false),
        ];
        for (other, same) in rows {
            assert_eq!(is_of_one_measure(&one, &other), same, "{:?}", other.target.own);
        }
        let (few, many) = (spec(&[("queueDepth", "4")]), spec(&[("queueDepth", "8")]));
        assert!(is_of_one_measure(&few, &many));
        let (namespace, name) = ("llm".to_owned(), "chat".to_owned());
        let at = Reference { namespace, name, metadata: BTreeMap::new() };
        let of = Key::of(&at).unwrap();
        assert_eq!(minutes_key(&of, &few), key(&of, &few));
        assert_ne!(minutes_key(&of, &one).identity, key(&of, &one).identity);
    }
}
