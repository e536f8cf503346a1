//! How long a pod takes from creation to ready, learned from the last 64, and the lead time.
//!
//! Given the pods seen; promises a P90 that is never empty. What waits for it (windows, leases) is
//! left to [`crate::engine::decide`].

mod stages;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::quantile;
use crate::engine::observation::Observation;
use crate::engine::setup::{Lead, Setup};
use crate::engine::signals::{PodsSeen, Seen};

pub use stages::Stages;

/// How many cold starts are remembered.
const KEPT: usize = 64;
/// Three such seeds, between a warm node (100 s) and a cold one (420 s). The median follows real ones
/// after three of them, the P90 after 27.
pub const SEED: Duration = Duration::from_mins(3);
/// How many seeds there are at first.
const SEEDS: usize = 3;
/// A longer "cold start" is a pod that waited for a node, or crashed and came back.
const LONGEST: Duration = Duration::from_hours(1);
/// From decision to created pod: KEDA's default polling interval; pushes and the HPA are quicker.
const REACTION: Duration = Duration::from_secs(30);

/// The last cold starts, in seconds, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColdStarts(VecDeque<f64>);

impl Default for ColdStarts {
    fn default() -> Self {
        Self(VecDeque::from([SEED.as_secs_f64(); SEEDS]))
    }
}

impl ColdStarts {
    /// Records the cold starts that ended since the last tick. Kubernetes' own times where they are
    /// known; else first seen loading to first answer.
    pub fn learn(&mut self, observation: &Observation, seen: &mut PodsSeen, stages: &mut Stages) {
        for (name, seen) in seen.iter_mut() {
            let Some(pod) = observation.pods.get(name).filter(|_| !seen.recorded) else { continue };
            let said = pod.created.zip(pod.ready).filter(|_| seen.ready_since.is_some());
            let Some((from, to)) = said.or_else(|| watched(seen)) else { continue };
            seen.recorded = true;
            let span = to.since(from);
            if span > Duration::ZERO && span <= LONGEST {
                self.0.push_back(span.as_secs_f64());
                stages.note(pod);
            }
        }
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The P90, or what the user said: what to be prepared for.
    #[must_use]
    pub fn p90(&self, lead: Lead) -> Duration {
        self.quantile(lead, 0.9)
    }

    /// The median, or what the user said: what one more cold start costs.
    #[must_use]
    pub fn median(&self, lead: Lead) -> Duration {
        self.quantile(lead, 0.5)
    }

    /// How many are assumed beside those that were seen, of [`SEED`] each.
    #[must_use]
    pub fn assumed(&self) -> usize {
        if self.0.len() < KEPT { SEEDS } else { 0 }
    }

    /// How many were seen, of the last sixty.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.0.len().saturating_sub(SEEDS)
    }

    fn quantile(&self, lead: Lead, share: f64) -> Duration {
        match lead {
            Lead::Fixed(span) => span,
            Lead::Learned => {
                let spans: Vec<f64> = self.0.iter().copied().collect();
                quantile(&spans, share)
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .unwrap_or(SEED)
            }
        }
    }

    /// From a decision to a ready pod that was noticed: P90, the reaction of KEDA and the HPA, a
    /// scrape and a tick. What the user said is the whole of it.
    #[must_use]
    pub fn lead(&self, setup: &Setup, interval: Duration) -> Duration {
        match setup.lead {
            Lead::Fixed(span) => span,
            Lead::Learned => self.p90(setup.lead) + REACTION + interval + setup.tick,
        }
    }
}

fn watched(
    seen: &Seen,
) -> Option<(crate::engine::units::Timestamp, crate::engine::units::Timestamp)> {
    let answered = seen.answered?;
    seen.watched_loading.then_some((seen.born(), answered))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ColdStarts, Stages};
    use crate::engine::observation::{Observation, Phase, PodObservation};
    use crate::engine::setup::Lead;
    use crate::engine::signals::PodsSeen;
    use crate::engine::units::Timestamp;

    fn p90_after(spans: &[i64]) -> u64 {
        let mut starts = ColdStarts::default();
        let mut seen = PodsSeen::default();
        let now = Timestamp::from_unix_ms(100_000_000);
        let mut observation = Observation::empty(now);
        for (idx, seconds) in spans.iter().enumerate() {
            let mut pod = PodObservation::new(Phase::Ready);
            let created = 50_000_000;
            pod.created = Some(Timestamp::from_unix_ms(created));
            pod.ready = Some(Timestamp::from_unix_ms(created + seconds * 1000));
            let name = format!("p{idx:03}");
            seen.note(&name, &pod, true, now);
            observation.pods.insert(name, pod);
        }
        starts.learn(&observation, &mut seen, &mut Stages::default());
        starts.learn(&observation, &mut seen, &mut Stages::default());
        starts.p90(Lead::Learned).as_secs()
    }

    #[test]
    fn the_p90_is_seeded_learned_and_bounded() {
        let rows: [(&[i64], u64); 4] = [
            (&[], 180),
            (&[400], 400),
            (&[60; 100], 60),
            // Longer than an hour, or negative: not a cold start.
            (&[4000, -5], 180),
        ];
        for (spans, expected) in rows {
            assert_eq!(p90_after(spans), expected, "{spans:?}");
        }
        let fixed = Lead::Fixed(Duration::from_secs(7));
        assert_eq!(ColdStarts::default().p90(fixed), Duration::from_secs(7));
    }
}
