//! What a run cost and gave, taken while it goes: totals at its end, and a course of some 500 steps.
//!
//! The world's ledger counts; what costs is frozen there when the run's length is over, and requests
//! are counted until the last one that is followed has left.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::replay::ledger::quantile;
use crate::engine::replay::replica::float;
use crate::engine::replay::score::{Moment, Score, Trial};
use crate::engine::replay::world::{Census, World};

/// Moments of a course, at most.
const MOMENTS_MAX: u32 = 500;

/// Steps of a course, in seconds: what people read on an axis.
const STEPS: [u64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];

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
    created: u64,
    course: Vec<Moment>,
    closed: bool,
}

impl Account {
    /// The account of a run of `length` with so many `gpus` a replica.
    pub(super) fn new(length: Duration, gpus: u32) -> Self {
        let step = step(length);
        Self {
            length,
            gpus,
            step,
            until: step.min(length),
            arrived: 0,
            answered: 0,
            created: 0,
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
        if !self.closed && world.now() >= self.until {
            self.moment(world);
            self.until = (self.until + self.step).min(self.length);
            self.closed = world.now() >= self.length;
        }
    }

    /// What came of it all.
    pub(super) fn trial(self, world: &World) -> Trial {
        let Self { course, gpus, .. } = self;
        let (ledger, census) = (world.ledger(), world.census());
        let (desired_min, desired_max) = ledger.desired.unzip();
        let seconds = ledger.counted().as_secs_f64().max(f64::MIN_POSITIVE);
        let ttft = |percent| quantile(ledger.ttfts().to_vec(), percent).map(f64::from);
        let score = Score {
            requests: ledger.arrived,
            attained: ledger.attained,
            // Who is not done by now is not waited for.
            failed: ledger.failed + census.held + census.waiting + census.running,
            gpu_hours: ledger.pod_seconds() / 3600.0 * f64::from(gpus),
            replicas_mean: ledger.pod_seconds() / seconds,
            replicas_min: ledger.pods_min,
            replicas_max: ledger.pods_max,
            desired_min,
            desired_max,
            cold_starts: ledger.cold_starts,
            scale_events: ledger.scaled_up + ledger.scaled_down,
            wakes: ledger.wakes,
            wakes_awaited: ledger.wakes_awaited,
            ttft_p50: ttft(50),
            ttft_p95: ttft(95),
            ttft_p99: ttft(99),
        };
        Trial { score, course, broken: Vec::new() }
    }

    fn moment(&mut self, world: &World) {
        let (ledger, census): (_, Census) = (world.ledger(), world.census());
        let begin = self.course.last().map_or(0.0, |moment| moment.at);
        let at = world.now().as_secs_f64();
        let answered = ledger.ttfts().get(self.answered..).unwrap_or_default();
        let span = (at - begin).max(f64::MIN_POSITIVE);
        self.course.push(Moment {
            at,
            demand: float(ledger.arrived - self.arrived) / span,
            replicas: there(world),
            created: u32::try_from(ledger.cold_starts - self.created).unwrap_or(u32::MAX),
            ready: census.ready,
            desired: census.wanted,
            queue: census.waiting + census.held,
            ttft_p95: quantile(answered.to_vec(), 95).map(f64::from),
        });
        self.arrived = ledger.arrived;
        self.answered += answered.len();
        self.created = ledger.cold_starts;
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
