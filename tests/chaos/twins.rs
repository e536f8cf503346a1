//! Two of the same law before one fleet: one sees it disturbed and is obeyed, the other sees it as it
//! is and is only listened to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prescale::engine::numeric::{count, replicas_ceil};
use prescale::engine::observation::{PodObservation, Role};
use prescale::engine::replay::disturb::{Disturbance, Kind, show};
use prescale::engine::replay::law::{Answer, Law, Metric, View};
use prescale::engine::replay::policy::Context;
use prescale::engine::replay::request::Arrival;
use prescale::engine::series::Series;
use prescale::engine::units::Timestamp;

use crate::scene::law;

/// How long a number may rightly be repeated: ten minutes of hold, and the down-window before them.
const RECENT: Duration = Duration::from_mins(15);
/// Of them the down-window, which begins anew once something is read again: a fleet that was held all the
/// time that nothing was read, however long, is what it begins with.
const WINDOW: Duration = Duration::from_mins(5);

/// Usable share of what a replica carries: the default.
const HEADROOM: f64 = 0.7;

/// The twins and what was found.
pub(crate) struct Twins {
    disturbed: Box<dyn Law>,
    undisturbed: Box<dyn Law>,
    disturbances: Vec<Disturbance>,
    origin: Timestamp,
    truth: Truth,
    /// The larger of what is truly needed and the undisturbed one's answer, of late.
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
    pub(crate) fn new(context: &Context, disturbances: Vec<Disturbance>) -> Self {
        let Context { knee, cold_start, origin, .. } = *context;
        let arrivals = Arc::clone(&context.arrivals);
        Self {
            disturbed: law(context),
            undisturbed: law(context),
            disturbances,
            origin,
            truth: Truth { arrivals, knee, cold_start, origin },
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

    /// Whether a need at `from` no longer counts at `now`.
    fn is_past(&self, from: Timestamp, now: Timestamp) -> bool {
        let (from, now) = (from.since(self.origin), now.since(self.origin));
        now - from > RECENT && (now - from).saturating_sub(self.lost_within(from, now)) > WINDOW
    }

    /// For how long nothing was read between two times.
    fn lost_within(&self, from: Duration, now: Duration) -> Duration {
        let lost = self.disturbances.iter().filter(|one| matches!(one.kind, Kind::Lost));
        let mut spans: Vec<_> = lost.map(|one| (one.from, one.until.min(now))).collect();
        spans.sort();
        let add = |(sum, covered): (Duration, Duration), (begin, end): (Duration, Duration)| {
            let more = end.saturating_sub(begin.max(covered));
            (sum + more, covered.max(end))
        };
        spans.into_iter().fold((Duration::ZERO, from), add).0
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
        let asked = number(&self.undisturbed.look(view)).unwrap_or(0);
        self.needed.push_back((view.at, asked.max(self.truth.need(view))));
        while self.needed.front().is_some_and(|(from, _)| self.is_past(*from, view.at)) {
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

/// What nobody but the test knows: the requests to come, and what a replica really carries.
struct Truth {
    arrivals: Arc<[Arrival]>,
    /// Requests per second.
    knee: f64,
    cold_start: Duration,
    origin: Timestamp,
}

impl Truth {
    /// Replicas for what arrived in the last minute at the usual headroom, and to drain in the time
    /// of a cold start what waits, as an undisturbed look shows it.
    fn need(&self, view: &View<'_>) -> u32 {
        let now = view.at.since(self.origin);
        let from = now.saturating_sub(Duration::from_mins(1));
        let before = |at| self.arrivals.partition_point(|arrival| arrival.at < at);
        let arrived = f64::from(count(before(now) - before(from)));
        let newest = |pod: &PodObservation| {
            pod.roles.get(&Role::Waiting)?.series.iter().find_map(Series::latest)
        };
        let pods = view.observation.pods.values();
        let waiting: f64 = pods.filter_map(newest).map(|sample| sample.value).sum();
        let drain = self.cold_start.max(Duration::from_secs(30)).as_secs_f64();
        let rate = arrived / 60.0 / (HEADROOM * self.knee);
        replicas_ceil(rate + waiting / (self.knee * drain))
    }
}

/// The replicas that a trigger asks for; `None`: an error.
fn number(answer: &Answer) -> Option<u32> {
    match answer.metrics.as_slice() {
        [Some(Metric::Average { value, target })] => Some(replicas_ceil(value / target)),
        _ => None,
    }
}
