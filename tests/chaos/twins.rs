//! Two of the same law before one fleet: one sees it disturbed and is obeyed, the other sees it as it
//! is and is only listened to.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use prescale::engine::numeric::replicas_ceil;
use prescale::engine::replay::disturb::{Disturbance, Kind, show};
use prescale::engine::replay::law::{Answer, Law, Metric, View};
use prescale::engine::replay::policy::Context;
use prescale::engine::units::Timestamp;

use crate::scene::law;

/// How long a number may rightly be repeated: ten minutes of hold, and the down-window before them.
const RECENT: Duration = Duration::from_mins(15);

/// The twins and what was found.
pub(crate) struct Twins {
    disturbed: Box<dyn Law>,
    undisturbed: Box<dyn Law>,
    disturbances: Vec<Disturbance>,
    origin: Timestamp,
    /// The undisturbed one's answers of late.
    needed: VecDeque<(Timestamp, u32)>,
    last: Option<u32>,
    /// Rules that did not hold.
    pub(crate) faults: Vec<String>,
}

impl fmt::Debug for Twins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Twins")
    }
}

impl Twins {
    /// Neither has seen anything.
    pub(crate) fn new(
        context: &Context,
        disturbances: Vec<Disturbance>,
        origin: Timestamp,
    ) -> Self {
        Self {
            disturbed: law(context),
            undisturbed: law(context),
            disturbances,
            origin,
            needed: VecDeque::new(),
            last: None,
            faults: Vec::new(),
        }
    }

    fn is_lost(&self, at: Timestamp) -> bool {
        let now = at.since(self.origin);
        let lost = |one: &&Disturbance| matches!(one.kind, Kind::Lost);
        self.disturbances.iter().filter(lost).any(|one| (one.from..one.until).contains(&now))
    }

    fn judge(&mut self, at: Timestamp, answered: u32) {
        let seconds = at.since(self.origin).as_secs();
        let needed = self.needed.iter().map(|(_, replicas)| *replicas).max();
        if self.is_lost(at) && self.last.is_some_and(|last| answered < last) {
            let last = self.last.unwrap_or(0);
            self.faults.push(format!("at {seconds} s: {answered} after {last}, nothing read"));
        }
        if needed.is_some_and(|needed| answered > needed + 1) {
            let needed = needed.unwrap_or(0);
            self.faults.push(format!("at {seconds} s: {answered} where {needed} are needed"));
        }
    }
}

impl Law for Twins {
    fn look(&mut self, view: &View<'_>) -> Answer {
        if let Some(replicas) = number(&self.undisturbed.look(view)) {
            self.needed.push_back((view.at, replicas));
        }
        while self.needed.front().is_some_and(|(at, _)| view.at.since(*at) > RECENT) {
            self.needed.pop_front();
        }
        let observation = show(&self.disturbances, view.observation.clone(), self.origin);
        let answer = self.disturbed.look(&View { observation: &observation, ..*view });
        if let Some(answered) = number(&answer) {
            self.judge(view.at, answered);
            self.last = Some(answered);
        }
        answer
    }

    /// Only what is obeyed is restarted.
    fn restart(&mut self) {
        self.disturbed.restart();
        self.last = None;
    }
}

/// The replicas that a trigger asks for; `None`: an error.
fn number(answer: &Answer) -> Option<u32> {
    match answer.metrics.as_slice() {
        [Some(Metric::Average { value, target })] => Some(replicas_ceil(value / target)),
        _ => None,
    }
}
