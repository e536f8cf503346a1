//! What a run cost and gave, taken while it goes: totals at its end, and a course of some 500 steps.
//!
//! GPU time, replicas and changes are frozen when the run's length is over; requests are counted
//! until the last one that is followed has left.

use std::time::Duration;

use crate::engine::numeric::{count, quantile};
use crate::engine::replay::ledger::Ledger;
use crate::engine::replay::replica::float;
use crate::engine::replay::score::{Moment, Score, Trial};
use crate::engine::replay::world::{Census, World};

/// Moments of a course, at most.
const MOMENTS_MAX: u32 = 500;

/// Steps of a course, in seconds: what people read on an axis.
const STEPS: [u64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];

/// Wanted replicas are told from here on: before it a policy finds its footing.
const SETTLED: Duration = Duration::from_mins(15);

/// The account of a run under way.
#[derive(Debug)]
pub(super) struct Account {
    length: Duration,
    gpus: u32,
    step: Duration,
    /// The end of the step under way.
    until: Duration,
    arrived: u64,
    answered: usize,
    score: Score,
    desired: Option<(u32, u32)>,
    course: Vec<Moment>,
    closed: bool,
}

impl Account {
    /// The account of a run of `length` with so many `gpus` a replica.
    pub(super) fn new(length: Duration, gpus: u32, world: &World) -> Self {
        let replicas = there(world);
        let score = Score { replicas_min: replicas, replicas_max: replicas, ..Score::default() };
        let step = step(length);
        Self {
            length,
            gpus,
            step,
            until: step.min(length),
            arrived: 0,
            answered: 0,
            score,
            desired: None,
            course: Vec::new(),
            closed: false,
        }
    }

    /// When it wants to look next; `None` when it is closed.
    pub(super) fn next(&self) -> Option<Duration> {
        (!self.closed).then_some(self.until)
    }

    /// Whether the run's length is over.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The world at an instant, before anybody acted on it.
    pub(super) fn look(&mut self, world: &World) {
        if self.closed {
            return;
        }
        let replicas = there(world);
        self.score.replicas_min = self.score.replicas_min.min(replicas);
        if world.now() >= self.until {
            self.moment(world);
            self.until = (self.until + self.step).min(self.length);
        }
        if world.now() >= self.length {
            self.close(world.ledger());
        }
    }

    /// The world at an instant, after everybody acted on it.
    pub(super) fn note(&mut self, world: &World) {
        if self.closed {
            return;
        }
        let (wanted, replicas) = (world.census().wanted, there(world));
        self.score.replicas_max = self.score.replicas_max.max(replicas);
        if world.now() >= SETTLED.min(self.length) {
            let (low, high) = self.desired.unwrap_or((wanted, wanted));
            self.desired = Some((low.min(wanted), high.max(wanted)));
        }
    }

    /// What came of it all.
    pub(super) fn trial(self, world: &World) -> Trial {
        let Self { mut score, course, .. } = self;
        let (ledger, census) = (world.ledger(), world.census());
        let left = census.held + census.waiting + census.running;
        score.requests = ledger.arrived;
        score.attained = ledger.within;
        score.failed = ledger.failed + left;
        let seconds: Vec<f64> = ledger.ttfts().iter().map(Duration::as_secs_f64).collect();
        [score.ttft_p50, score.ttft_p95, score.ttft_p99] =
            [0.5, 0.95, 0.99].map(|share| quantile(&seconds, share));
        Trial { score, course, broken: Vec::new() }
    }

    fn moment(&mut self, world: &World) {
        let (ledger, census): (_, Census) = (world.ledger(), world.census());
        let begin = self.course.last().map_or(0.0, |moment| moment.at);
        let at = world.now().as_secs_f64();
        let answered: Vec<f64> = ledger
            .ttfts()
            .get(self.answered..)
            .unwrap_or_default()
            .iter()
            .map(Duration::as_secs_f64)
            .collect();
        let span = (at - begin).max(f64::MIN_POSITIVE);
        self.course.push(Moment {
            at,
            demand: float(ledger.arrived - self.arrived) / span,
            replicas: there(world),
            ready: census.ready,
            desired: census.wanted,
            queue: census.waiting + census.held,
            ttft_p95: quantile(&answered, 0.95),
        });
        self.arrived = ledger.arrived;
        self.answered += answered.len();
    }

    fn close(&mut self, ledger: &Ledger) {
        let hours = ledger.pod_seconds / 3600.0;
        let seconds = self.length.as_secs_f64().max(f64::MIN_POSITIVE);
        self.score.gpu_hours = hours * f64::from(self.gpus);
        self.score.replicas_mean = ledger.pod_seconds / seconds;
        self.score.cold_starts = ledger.cold_starts;
        self.score.scale_events = ledger.scaled_up + ledger.scaled_down;
        self.score.wakes = ledger.wakes;
        (self.score.desired_min, self.score.desired_max) = self.desired.unwrap_or_default();
        self.closed = true;
    }
}

/// Pods that are there: created and not terminated, whatever they do.
fn there(world: &World) -> u32 {
    count(world.pods().len())
}

/// The finest step with which `length` has few enough moments.
fn step(length: Duration) -> Duration {
    let fits = |step: &Duration| *step * MOMENTS_MAX >= length;
    let steps = STEPS.into_iter().map(Duration::from_secs);
    // Beyond years, whatever is asked for.
    steps.clone().find(fits).unwrap_or_else(|| length / MOMENTS_MAX + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::step;

    #[test]
    fn a_course_has_round_steps_and_few_enough_of_them() {
        let rows = [(0, 1), (500, 1), (501, 2), (2400, 5), (86_400, 300), (7 * 86_400, 1800)];
        for (length, expected) in rows {
            assert_eq!(step(Duration::from_secs(length)).as_secs(), expected, "{length} s");
        }
        let ever = Duration::from_secs(20 * 365 * 86_400);
        assert!(ever.as_secs() / step(ever).as_secs() <= 500);
    }
}
