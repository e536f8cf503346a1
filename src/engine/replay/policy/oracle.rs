//! oracle: replicas ready when the demand comes, because it knows the demand.

use std::time::Duration;

use crate::engine::numeric::{count, replicas_ceil};
use crate::engine::replay::demand::Demand;
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Knob, Policy};

/// It acts at once, so that it looks often is all that delays it.
const LOOKS: Duration = Duration::from_secs(5);
/// The 90th percentile of a log-normal cold start over its mean, at the coefficient of variation of
/// 0.2 that stages are drawn with: exp(1.2816 s - s^2 / 2), s^2 = ln 1.04.
const P90: f64 = 1.264;
/// The longest that a replica is taken to buffer work. A request of 1000 tokens may take 100 s by
/// its objectives; a minute keeps the mean from hiding steps.
const BUFFER_MAX: Duration = Duration::from_mins(1);

/// The clairvoyant.
pub(super) const ORACLE: Policy = Policy {
    name: "oracle",
    about: "Knows what will arrive: at any instant as many replicas as the largest demand from now to a cold start ahead \
            needs, and no more the moment after. A bound, not a product.",
    source: "realised demand over the lead, the smallest headroom that meets the target; ours",
    simplifications: &[
        "demand is averaged over the time a request may take by its objectives (TTFT + mean output x TPOT, at most a \
         minute): a replica's batch and queue buffer what is shorter",
        "it knows arrivals and their tokens, not the draws of cold starts: it plans for their 90th percentile",
        "without an HPA, so without its 15 s, its limits and its windows",
    ],
    knob: Some(Knob {
        name: "share of the knee",
        default: 0.85,
        values: &[1.2, 1.1, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: |_| Actuator::Direct,
    law: |context, share| Box::new(Oracle::new(context, share)),
};

#[derive(Debug)]
struct Oracle {
    context: Context,
    demand: Demand,
    share: f64,
    lead: Duration,
    buffer: Duration,
}

impl Oracle {
    fn new(context: &Context, share: f64) -> Self {
        let Context { arrivals, profile, knee, length, objectives, cold_start, .. } = context;
        let outputs = arrivals.iter().map(|arrival| f64::from(arrival.output)).sum::<f64>();
        let output = outputs / f64::from(count(arrivals.len())).max(1.0);
        let buffer = objectives.ttft.as_secs_f64() + output * objectives.tpot.as_secs_f64();
        Self {
            context: context.clone(),
            demand: Demand::of(arrivals, profile, *knee, *length),
            share,
            lead: cold_start.mul_f64(P90) + LOOKS,
            buffer: Duration::from_secs_f64(buffer.min(BUFFER_MAX.as_secs_f64())),
        }
    }
}

impl Law for Oracle {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let now = view.at.since(self.context.origin);
        let ahead = (now + self.lead).as_secs().saturating_add(1);
        let peak = self.demand.peak(now.as_secs(), ahead, self.buffer);
        let replicas = self.context.within(replicas_ceil(peak / self.share));
        Answer { replicas: Some(replicas), ..Answer::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ORACLE;
    use crate::engine::replay::policy::fixture::{Sight, context, evenly};

    /// Requests of 200 tokens: averaged over 3 s + 200 x 100 ms = 23 s. Cold starts of 100 s: the lead
    /// is 126.4 + 5 s.
    fn check(stages: &[(u64, f64)], share: f64, limits: (u32, u32), expected: &[(u64, u32)]) {
        let mut context = context(limits);
        context.arrivals = evenly(stages);
        context.length = Duration::from_secs(stages.iter().map(|(seconds, _)| seconds).sum());
        let mut law = (ORACLE.law)(&context, share);
        for (second, replicas) in expected {
            let answer = law.look(&Sight::new(1, 1).later(*second).view());
            assert_eq!(answer.replicas, Some(*replicas), "{second} s");
        }
    }

    #[test]
    fn replicas_are_there_a_cold_start_before_the_step_and_leave_with_it() {
        // One replica carries 1 request/s; 0.9 of it is used: 4 / 0.9 = 4.4, 1 / 0.9 = 1.1.
        let stages = [(600, 1.0), (600, 4.0), (600, 1.0)];
        let rows = [
            // At 470 s the look ahead ends at 602 s: only 2 of 23 s are at four a second.
            (0, 2),
            (460, 2),
            (470, 2),
            (500, 5),
            (600, 5),
            (1190, 5),
            (1260, 2),
            (1790, 2),
        ];
        check(&stages, 0.9, (1, 8), &rows);
    }

    #[test]
    fn silence_ahead_is_slept_through_if_it_may() {
        let stages = [(60, 1.0), (1000, 0.000_1), (60, 1.0)];
        check(&stages, 1.0, (0, 8), &[(30, 1), (120, 0), (600, 0), (960, 1)]);
        check(&stages, 1.0, (2, 8), &[(30, 2), (120, 2)]);
        check(&stages, 0.1, (0, 8), &[(30, 8)]);
    }

    #[test]
    fn nothing_known_is_the_minimum() {
        check(&[], 0.9, (1, 8), &[(0, 1), (500, 1)]);
        check(&[(60, 1.0)], f64::NAN, (1, 8), &[(0, 1)]);
    }
}
