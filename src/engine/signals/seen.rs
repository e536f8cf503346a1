//! Which pods were seen and which of them ever answered: what tells a loading pod from an unread one.
//!
//! Part of the memory. Given each tick's pods; promises to forget a pod an hour after it was last
//! seen, and to start anew when a name is used again by another pod.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::observation::{Phase, PodObservation};
use crate::engine::units::Timestamp;

/// Longer than a blind outage is likely to last with the same pods; a pod forgotten too early is
/// taken for loading until it answers again, which is one scrape.
const FORGET: Duration = Duration::from_hours(1);

/// Pods remembered: four times the replicas that a workload may have by default. Names come from
/// labels, and labels from whoever exports them.
const PODS_MAX: usize = 4096;

/// One pod as remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When it was seen first.
    pub first: Timestamp,
    /// When it was seen last.
    pub last: Timestamp,
    /// When it was created, if that was ever said: another value is another pod.
    pub created: Option<Timestamp>,
    /// Since when it is known to be ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// When it answered a scrape for the first time.
    pub answered: Option<Timestamp>,
    /// Whether it was seen before it was ready.
    pub watched_loading: bool,
    /// Whether its cold start was recorded.
    pub recorded: bool,
}

impl Seen {
    /// The beginning of its life as far as known.
    #[must_use]
    pub fn born(&self) -> Timestamp {
        self.created.unwrap_or(self.first)
    }
}

/// The pods of a workload as remembered, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodsSeen(BTreeMap<String, Seen>);

impl PodsSeen {
    /// Notes one pod of the tick at `now`; `answers` when it gave anything recent.
    pub fn note(&mut self, name: &str, pod: &PodObservation, answers: bool, now: Timestamp) {
        let reused = |seen: &Seen| {
            seen.created.zip(pod.created).is_some_and(|(before, after)| before != after)
        };
        if self.0.get(name).is_some_and(reused) {
            self.0.remove(name);
        }
        let seen = self.0.entry(name.to_owned()).or_insert_with(|| Seen {
            first: now,
            last: now,
            created: pod.created,
            ready_since: None,
            answered: None,
            watched_loading: false,
            recorded: false,
        });
        seen.last = now;
        seen.created = seen.created.or(pod.created);
        seen.ready_since =
            (pod.phase == Phase::Ready).then(|| pod.ready.or(seen.ready_since).unwrap_or(now));
        seen.watched_loading |= matches!(pod.phase, Phase::Pending | Phase::Loading);
        if answers && seen.answered.is_none() {
            seen.answered = Some(now);
        }
    }

    /// Forgets pods that were not seen for an hour, or that were seen in the future: the clock was
    /// set back, and what is left of that time cannot be compared. Of more than 4096 pods those seen
    /// longest ago are forgotten.
    pub fn prune(&mut self, now: Timestamp) {
        self.0.retain(|_, seen| now.since(seen.last) <= FORGET && seen.last <= now);
        let excess = self.0.len().saturating_sub(PODS_MAX);
        if excess > 0 {
            let mut names: Vec<(Timestamp, String)> =
                self.0.iter().map(|(name, seen)| (seen.last, name.clone())).collect();
            names.sort_unstable();
            for (_, name) in names.into_iter().take(excess) {
                self.0.remove(&name);
            }
        }
    }

    /// One pod.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Seen> {
        self.0.get(name)
    }

    /// All pods, to mark what was recorded of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Seen)> {
        self.0.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::PodsSeen;
    use crate::engine::observation::{Phase, PodObservation};
    use crate::engine::units::Timestamp;

    #[test]
    fn a_name_used_again_is_another_pod() {
        let mut seen = PodsSeen::default();
        let at = Timestamp::from_unix_ms;
        let mut pod = PodObservation::new(Phase::Ready);
        pod.created = Some(at(1));
        seen.note("vllm-0", &pod, true, at(1000));
        assert!(seen.get("vllm-0").unwrap().answered.is_some());
        pod.created = Some(at(2000));
        seen.note("vllm-0", &pod, false, at(3000));
        assert_eq!(seen.get("vllm-0").unwrap().answered, None);
        seen.prune(at(3000 + 3_600_001));
        assert_eq!(seen.get("vllm-0"), None);
    }

    #[test]
    fn ever_new_names_leave_bounded_traces() {
        let mut seen = PodsSeen::default();
        for tick in 0..5_u32 {
            let now = Timestamp::from_unix_ms(i64::from(tick) * 15_000);
            seen.prune(now);
            for idx in 0..3000 {
                let name = format!("llama-{tick}-{idx}");
                seen.note(&name, &PodObservation::new(Phase::Ready), true, now);
            }
        }
        assert!(seen.0.len() <= super::PODS_MAX + 3000, "{}", seen.0.len());
        assert!(seen.get("llama-4-0").is_some() && seen.get("llama-0-0").is_none());
    }
}
