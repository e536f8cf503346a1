//! Follows the scalers' decisions: transitions into the log, broken invariants into a counter.
//!
//! It looks once a second instead of waiting on every scaler's watch: a decision stands for at least
//! five seconds, one task and one map serve ten thousand scalers, and the ticks know nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::clock::Clock;
use crate::engine::decision::Decision;
use crate::engine::units::Replicas;
use crate::scaler::{Registry, Scaler};
use crate::telemetry::{Ids, Metrics, broken, decision_changed};

/// Between two looks; a fifth of the shortest tick.
const EVERY: Duration = Duration::from_secs(1);

/// In real time never more often than this, however fast the clock runs.
const EVERY_MIN: Duration = Duration::from_millis(50);

/// Namespace, name and trigger.
type Key = (String, String, String);

/// What was seen last, by scaler.
type Seen = BTreeMap<Key, Arc<Decision>>;

/// Follows all scalers of `registry`; never returns.
pub(super) async fn follow(
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    clock: Clock,
    limit: Replicas,
) {
    let mut seen = Seen::new();
    loop {
        seen = look(&registry.all(), &seen, &metrics, limit);
        tokio::time::sleep(clock.real(EVERY).max(EVERY_MIN)).await;
    }
}

/// Tells what is new since `seen`, and returns what is seen now: retired scalers are forgotten.
fn look(scalers: &[Arc<Scaler>], seen: &Seen, metrics: &Metrics, limit: Replicas) -> Seen {
    let mut now = Seen::new();
    for scaler in scalers {
        let Some(decision) = scaler.latest() else { continue };
        let key = (scaler.namespace.clone(), scaler.name.clone(), scaler.hash8.clone());
        tell(&key, seen.get(&key), &decision, (metrics, limit));
        now.insert(key, decision);
    }
    now
}

fn tell(
    key: &Key,
    old: Option<&Arc<Decision>>,
    new: &Arc<Decision>,
    (metrics, limit): (&Metrics, Replicas),
) {
    if old.is_some_and(|old| old.at == new.at) {
        return;
    }
    let (namespace, name, trigger) = (key.0.as_str(), key.1.as_str(), key.2.as_str());
    decision_changed(Ids { namespace, name, trigger }, old.map(AsRef::as_ref), new);
    if let Some(invariant) = broken(new, limit) {
        metrics.violated(invariant);
        let invariant = invariant.name();
        error!(namespace, name, trigger, invariant, "invariant broken; this is a bug");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Decision, Key, Metrics, Replicas, tell};
    use crate::engine::decision::{State, Verdict};
    use crate::engine::units::Timestamp;
    use crate::telemetry::{Build, Readings, Snapshot};

    fn decision(at: i64, count: u32) -> Arc<Decision> {
        let replicas = Replicas::new(count);
        let verdict = Verdict::Scale { replicas, sent: replicas, active: count > 0 };
        Arc::new(Decision {
            at: Timestamp::from_unix_ms(at),
            state: State::Fresh,
            unmasked: verdict.clone(),
            verdict,
            terms: Vec::new(),
            reasons: Vec::new(),
            data_age: None,
            current: None,
            ready: None,
            serving: false,
        })
    }

    #[test]
    fn a_broken_invariant_is_counted_once_per_decision() {
        let now = Timestamp::from_unix_ms(0);
        let build = Build { version: "1", commit: None, started: now };
        let readings = Readings::new(move || Snapshot { now, scalers: Vec::new() });
        let metrics = Metrics::new(&build, readings);
        let key: Key = ("team-a".to_owned(), "llama".to_owned(), "0123abcd".to_owned());
        let mut old = None;
        for (at, count) in [(1, 10), (2, 11), (2, 11), (3, 12), (4, 10)] {
            let new = decision(at, count);
            tell(&key, old.as_ref(), &new, (&metrics, Replicas::new(10)));
            old = Some(new);
        }
        let page = metrics.page().unwrap();
        let expected = "prescale_invariant_violations_total{invariant=\"limit\"} 2\n";
        assert!(page.contains(expected), "{page}");
    }
}
