//! static-peak: as many replicas as the busiest minutes of the trace need, all the time.

use std::time::Duration;

use crate::engine::numeric::replicas_ceil;
use crate::engine::replay::demand::Demand;
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Knob, Policy};

/// The busiest stretch of this length is planned for: the usual step of a dashboard, and about what
/// a fleet can be late by without anybody planning again.
const BUSIEST: Duration = Duration::from_mins(5);

/// Constant replicas for the busiest five minutes.
pub(super) const STATIC_PEAK: Policy = Policy {
    name: "static-peak",
    about: "A constant number of replicas: what the busiest five minutes of the trace need, at a \
            share of what one replica carries.",
    source: "what is done without an autoscaler: capacity planned from a load test and last month's peak",
    simplifications: &[
        "the peak is known beforehand from the trace itself, and so is what one replica carries",
    ],
    knob: Some(Knob {
        name: "share of the knee",
        default: 0.85,
        values: &[1.1, 1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5],
    }),
    every: Duration::from_mins(1),
    quantile: None,
    scrape: None,
    actuator: |_| Actuator::Direct,
    law: |context, share| Box::new(Constant { replicas: replicas(context, share) }),
};

fn replicas(context: &Context, share: f64) -> u32 {
    let Context { arrivals, profile, knee, length, .. } = context;
    let window = BUSIEST.min(*length);
    let demand = Demand::of(arrivals, profile, *knee, *length);
    let busiest = demand.peak(window.as_secs(), demand.seconds(), window);
    context.within(replicas_ceil(busiest / share))
}

#[derive(Debug)]
struct Constant {
    replicas: u32,
}

impl Law for Constant {
    fn look(&mut self, _: &View<'_>) -> Answer {
        Answer { replicas: Some(self.replicas), ..Answer::default() }
    }

    /// Always on means before the beginning, too: it pays for no cold start.
    fn begins(&self) -> Option<u32> {
        Some(self.replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::STATIC_PEAK;
    use crate::engine::replay::policy::fixture::{Sight, context, evenly};

    #[test]
    fn the_busiest_five_minutes_are_planned_for() {
        // 2 requests/s for 10 minutes, 6 for the next 10, of which one replica carries 1.
        let stages = [(600, 2.0), (600, 6.0)];
        let rows = [
            (1.0, (1, 20), 6),
            (0.85, (1, 20), 8), // 7.06
            (0.5, (1, 20), 12),
            (0.5, (1, 8), 8),
            (1.0, (7, 20), 7),
            (f64::NAN, (1, 8), 1),
        ];
        for (share, limits, expected) in rows {
            let mut context = context(limits);
            context.arrivals = evenly(&stages);
            context.length = std::time::Duration::from_secs(1200);
            let mut law = (STATIC_PEAK.law)(&context, share);
            let answer = law.look(&Sight::new(3, 3).view());
            assert_eq!(answer.replicas, Some(expected), "{share} in {limits:?}");
            assert_eq!(law.begins(), Some(expected), "{share} in {limits:?}");
        }
    }

    #[test]
    fn a_short_trace_is_its_own_busiest_stretch() {
        let mut context = context((1, 20));
        context.arrivals = evenly(&[(60, 2.0)]);
        context.length = std::time::Duration::from_secs(60);
        let mut law = (STATIC_PEAK.law)(&context, 1.0);
        assert_eq!(law.look(&Sight::new(1, 1).view()).replicas, Some(2));
    }
}
