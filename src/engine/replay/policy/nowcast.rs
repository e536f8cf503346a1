//! nowcast: what knowing the present is worth, and nothing of what comes.

use std::time::Duration;

use crate::engine::numeric::replicas_ceil;
use crate::engine::replay::demand::Demand;
use crate::engine::replay::law::{Answer, Law, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Knob, Policy};

/// It acts at once, as the clairvoyant does.
const LOOKS: Duration = Duration::from_secs(5);
/// What it knows the mean of: long enough that the mean says more than chance, and the step of the
/// published LLM traces.
const BLOCK: Duration = Duration::from_mins(10);
/// How old what it knows is: the shortest window of a rate that four scrapes fill.
const AGE: Duration = Duration::from_mins(1);

/// The bound of whoever cannot foresee.
pub(super) const NOWCAST: Policy = Policy {
    name: "nowcast",
    about: "Knows the present and nothing of what comes: at any instant as many replicas as the mean demand of these ten \
            minutes needs, known exactly from a minute after their beginning. What is between it and oracle belongs to \
            those who foresee. A bound, not a product.",
    source: "realised demand over ten minutes, the smallest headroom that meets the target; ours",
    simplifications: &[
        "the mean of ten minutes is known while nine of them are still to come, which flatters where demand moves within \
         them",
        "without an HPA, so without its 15 s, its limits and its windows",
    ],
    knob: Some(Knob {
        name: "share of the knee",
        default: 0.75,
        values: &[1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5],
    }),
    every: LOOKS,
    quantile: None,
    scrape: None,
    actuator: |_| Actuator::Direct,
    law: |context, share| Box::new(Nowcast::new(context, share)),
};

#[derive(Debug)]
struct Nowcast {
    context: Context,
    demand: Demand,
    share: f64,
}

impl Nowcast {
    fn new(context: &Context, share: f64) -> Self {
        let Context { arrivals, profile, knee, length, .. } = context;
        let demand = Demand::of(arrivals, profile, *knee, *length);
        Self { context: context.clone(), demand, share }
    }
}

impl Law for Nowcast {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let known = view.at.since(self.context.origin).saturating_sub(AGE).as_secs();
        let begin = known - known % BLOCK.as_secs();
        let end = (begin + BLOCK.as_secs()).min(self.demand.seconds());
        let replicas = replicas_ceil(self.demand.mean(begin, end) / self.share);
        Answer { replicas: Some(self.context.within(replicas)), ..Answer::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::NOWCAST;
    use crate::engine::replay::policy::fixture::{Sight, context, evenly};

    #[test]
    fn a_step_is_known_a_minute_after_it_came_and_the_next_one_not() {
        // One replica carries 1 request/s; 0.9 of it is used: 4 / 0.9 = 4.4, 1 / 0.9 = 1.1.
        let mut context = context((1, 8));
        context.arrivals = evenly(&[(600, 1.0), (600, 4.0), (600, 1.0)]);
        context.length = Duration::from_mins(30);
        let mut law = (NOWCAST.law)(&context, 0.9);
        let rows = [(0, 2), (599, 2), (659, 2), (660, 5), (1259, 5), (1260, 2), (1900, 1)];
        for (second, replicas) in rows {
            let answer = law.look(&Sight::new(1, 1).later(second).view());
            assert_eq!(answer.replicas, Some(replicas), "{second} s");
        }
    }

    #[test]
    fn nothing_known_is_the_minimum() {
        let mut law = (NOWCAST.law)(&context((1, 8)), 0.9);
        assert_eq!(law.look(&Sight::new(1, 1).later(500).view()).replicas, Some(1));
    }
}
