//! What to change, as far as the course of a run shows it; totals are judged by the report itself.

use std::time::Duration;

use crate::engine::replay::score::{Moment, Score};
use crate::report::backtest::{ALWAYS_ON, Backtest, Entry, is_bound};

/// Idle time from the last request to no replica at all: `idleAfter` (5 min), `cooldownPeriod` (60 s)
/// and a minute of polling and draining.
const TO_ZERO: Duration = Duration::from_mins(7);

/// A share of the time below which sleeping saves too little to be worth a wake.
const IDLE_SHARE: f64 = 0.2;

/// Fewer slow stretches than this say nothing about their cause.
const STRETCHES_MIN: usize = 5;

/// Sentences with their numbers; none where the course does not support one.
pub(super) fn advice(backtest: &Backtest) -> Vec<String> {
    let Some(entry) = subject(backtest) else { return Vec::new() };
    [asleep(backtest, entry), starting(backtest, entry)].into_iter().flatten().collect()
}

/// Whom advice is about: prescale, else the first that scales.
fn subject(backtest: &Backtest) -> Option<&Entry> {
    let all = || backtest.policies.iter();
    all()
        .find(|entry| entry.name.starts_with("prescale-"))
        .or_else(|| all().find(|entry| !(entry.name == ALWAYS_ON || is_bound(&entry.name))))
}

/// Length of each step of a course, seconds.
fn spans(course: &[Moment]) -> impl Iterator<Item = (f64, &Moment)> {
    let before = std::iter::once(0.0).chain(course.iter().map(|moment| moment.at));
    before.zip(course).map(|(from, moment)| ((moment.at - from).max(0.0), moment))
}

/// What scale to zero would save at most.
fn asleep(backtest: &Backtest, entry: &Entry) -> Option<String> {
    let world = &backtest.world;
    let (mut idle, mut stretch, mut total) = (0.0, 0.0, 0.0);
    let asleep = |stretch: f64| (stretch - TO_ZERO.as_secs_f64()).max(0.0);
    for (span, moment) in spans(&entry.course) {
        total += span;
        if moment.demand > 0.0 {
            idle += asleep(stretch);
            stretch = 0.0;
        } else {
            stretch += span;
        }
    }
    idle += asleep(stretch);
    let min = world.limits.0;
    if min == 0 || idle <= IDLE_SHARE * total {
        return None;
    }
    let share = idle / total;
    let hours = idle / 3600.0 * f64::from(min) * f64::from(world.gpus);
    let own = mean(&entry.scores, |score| score.gpu_hours);
    let money = world.gpu_price.map_or(String::new(), |price| format!(", {:.2}", hours * price));
    Some(format!(
        "No request came for {:.0} % of the time: with --min-replicas 0 up to {hours:.1} of the \
         {own:.1} GPU-hours of {}{money} could be saved, the first request of each stretch waiting \
         for a cold start of {:.0} s.",
        share * 100.0,
        entry.name,
        world.cold_start,
    ))
}

/// Whether what is slow is slow because replicas are still starting.
fn starting(backtest: &Backtest, entry: &Entry) -> Option<String> {
    let world = &backtest.world;
    let slow = || {
        let late = |moment: &&Moment| moment.ttft_p95.is_some_and(|ttft| ttft > world.ttft);
        entry.course.iter().filter(late)
    };
    let (all, starting) =
        (slow().count(), slow().filter(|moment| moment.ready < moment.replicas).count());
    let missed = mean(&entry.scores, Score::attainment) < world.slo_target;
    (missed && all >= STRETCHES_MIN && 2 * starting >= all).then(|| {
        format!(
            "In {starting} of the {all} stretches in which {} was slower than {} s (95th \
             percentile of the time to first token), replicas were still starting: a cold start \
             shorter than {:.0} s (image and weights on the node) or a lower headroom would help.",
            entry.name, world.ttft, world.cold_start,
        )
    })
}

fn mean(scores: &[Score], read: impl Fn(&Score) -> f64) -> f64 {
    let count = u32::try_from(scores.len()).unwrap_or(u32::MAX).max(1);
    scores.iter().map(read).sum::<f64>() / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::engine::replay::score::{Moment, Score};
    use crate::report::backtest::{Backtest, Entry, Trace, World};

    /// Ten-minute steps: demand, ready, replicas, TTFT.
    type Step = (f64, u32, u32, Option<f64>);

    fn backtest(min: u32, attained: u64, steps: &[Step]) -> Backtest {
        let moment = |(at, (demand, ready, replicas, ttft_p95)): (f64, &Step)| Moment {
            at,
            demand: *demand,
            ready: *ready,
            replicas: *replicas,
            ttft_p95: *ttft_p95,
            ..Moment::default()
        };
        let ends = std::iter::successors(Some(600.0), |at| Some(at + 600.0));
        let score = Score { requests: 1000, attained, gpu_hours: 8.0, ..Score::default() };
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            about: String::new(),
            source: String::new(),
            simplifications: Vec::new(),
            knob: None,
            scores: vec![score.clone()],
            course: ends.clone().zip(steps).map(moment).collect(),
        };
        Backtest {
            trace: Trace {
                name: "x".to_owned(),
                begins_unix_ms: 0,
                seconds: 6000.0,
                requests: 1000,
                rate_mean: 1.0,
                rate_peak: 2.0,
                prompt_mean: 100.0,
                output_mean: 20.0,
            },
            world: World {
                profile: "p".to_owned(),
                gpus: 2,
                knee: 5.0,
                cold_start: 100.0,
                ttft: 3.0,
                tpot: 0.1,
                slo_target: 0.99,
                limits: (min, 8),
                seeds: 1,
                gpu_price: Some(2.5),
            },
            policies: vec![entry("static-peak"), entry("prescale-reactive")],
            sweep: Vec::new(),
            advice: Vec::new(),
            command: String::new(),
        }
    }

    const BUSY: Step = (5.0, 2, 2, Some(1.0));
    const IDLE: Step = (0.0, 1, 1, None);
    const STARTING: Step = (5.0, 2, 4, Some(9.0));
    const CROWDED: Step = (5.0, 4, 4, Some(9.0));

    fn check(min: u32, attained: u64, steps: &[&[Step]], expected: &[&str]) {
        let found = advice(&backtest(min, attained, &steps.concat()));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (sentence, part) in found.iter().zip(expected) {
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn idle_time_is_counted_in_stretches_long_enough_to_sleep() {
        // 40 minutes less 7 on one replica of two GPUs: 1.1 GPU-hours.
        let part = "for 41 % of the time: with --min-replicas 0 up to 1.1 of the 8.0 GPU-hours of \
                    prescale-reactive, 2.75 could";
        check(1, 1000, &[&[BUSY; 2], &[IDLE; 4], &[BUSY; 2]], &[part]);
        check(0, 1000, &[&[BUSY; 2], &[IDLE; 4], &[BUSY; 2]], &[]);
        // Ten minutes each: three of them asleep.
        check(1, 1000, &[&[BUSY, IDLE, BUSY, IDLE, BUSY, IDLE]], &[]);
    }

    #[test]
    fn a_cold_start_is_named_where_it_explains_what_was_missed() {
        check(1, 900, &[&[BUSY; 3], &[STARTING; 4], &[CROWDED; 2]], &["In 4 of the 6 stretches"]);
        check(1, 900, &[&[BUSY; 3], &[STARTING; 2], &[CROWDED; 4]], &[]);
        check(1, 990, &[&[BUSY; 3], &[STARTING; 4], &[CROWDED; 2]], &[]);
        check(1, 900, &[&[STARTING; 4]], &[]);
    }

    #[test]
    fn without_a_course_nothing_is_said() {
        check(1, 900, &[], &[]);
    }
}
