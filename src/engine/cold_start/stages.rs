//! What cold starts are made of: waiting for a node, for images, and for the model.
//!
//! For people, who can shorten one and not the others; no decision rests on it. Only of pods of which
//! Kubernetes says all four instants, in order: the rest says nothing of its parts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::quantile;
use crate::engine::observation::PodObservation;

/// How many cold starts are remembered; as many as [`super::ColdStarts`] remembers.
const KEPT: usize = 64;

/// Seconds of scheduling, image and load of the last cold starts, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stages(VecDeque<[f64; 3]>);

impl Stages {
    /// Notes a pod that has become ready; without effect where its instants are not all known, or not
    /// in order (a container that was restarted after the pod was ready).
    pub(super) fn note(&mut self, pod: &PodObservation) {
        let [Some(created), Some(scheduled), Some(started), Some(ready)] =
            [pod.created, pod.scheduled, pod.started, pod.ready]
        else {
            return;
        };
        if created > scheduled || scheduled > started || started > ready {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let spans = [scheduled.since(created), started.since(scheduled), ready.since(started)];
        self.0.push_back(spans.map(|span| span.as_secs_f64()));
    }

    /// The median of each part in seconds: scheduling, image, load; `None` when none was seen.
    #[must_use]
    pub fn medians(&self) -> Option<[f64; 3]> {
        let part = |idx: usize| {
            let spans: Vec<f64> =
                self.0.iter().filter_map(|parts| parts.get(idx).copied()).collect();
            quantile(&spans, 0.5)
        };
        Some([part(0)?, part(1)?, part(2)?])
    }
}

#[cfg(test)]
mod tests {
    use super::Stages;
    use crate::engine::observation::{Phase, PodObservation};
    use crate::engine::units::Timestamp;

    /// Pods as the seconds of created, scheduled, started, ready; -1 is not known.
    fn check(pods: &[[i64; 4]], expected: Option<[f64; 3]>) {
        let mut stages = Stages::default();
        for instants in pods {
            let [created, scheduled, started, ready] = instants.map(|second| {
                (second >= 0).then(|| Timestamp::from_unix_ms(1_700_000_000_000 + second * 1000))
            });
            let pod = PodObservation::new(Phase::Ready);
            stages.note(&PodObservation { created, scheduled, started, ready, ..pod });
        }
        assert_eq!(stages.medians(), expected, "{pods:?}");
    }

    #[test]
    fn a_cold_start_is_split_where_all_its_instants_are_known_and_in_order() {
        check(&[], None);
        check(&[[0, 2, 20, 95]], Some([2.0, 18.0, 75.0]));
        check(&[[0, -1, 20, 95], [0, 2, -1, 95], [-1, 2, 20, 95]], None);
        check(&[[0, 2, 120, 95], [5, 2, 20, 95]], None);
        check(&[[0, 0, 10, 90], [0, 300, 310, 390], [0, 0, 10, 90]], Some([0.0, 10.0, 80.0]));
    }

    #[test]
    fn only_the_last_sixty_four_count() {
        let early = [[0, 1, 2, 10]; 100];
        let late = [[0, 7, 9, 100]; 64];
        check(&[&early[..], &late[..]].concat(), Some([7.0, 2.0, 91.0]));
    }
}
