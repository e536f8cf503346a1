//! A queue that stays: for how long, and what it asks for while nothing else can size it.
//!
//! Part of the memory. One replica per cold start is asked for while requests wait for 30 s and either
//! capacity is unknown, or tokens per second fall although requests wait. High throughput alone is
//! never a reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::capacity::Capacity;
use crate::engine::numeric::{count, fade, share};
use crate::engine::observation::Role;
use crate::engine::signals::{PodReading, Signals};
use crate::engine::units::Timestamp;

/// A shorter queue is a burst that the engines work off by themselves.
const LASTING: Duration = Duration::from_secs(30);
/// Throughput with a queue below this share of the best lately seen is degradation; batches and
/// request mixes move it by less.
const DEGRADED: f64 = 0.7;
/// What "lately" means for the best throughput.
const BEST_HALF_LIFE: Duration = Duration::from_mins(10);

/// Why a lasting queue asks for replicas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing is known that could size it.
    Unknown,
    /// Tokens per second fell to this share of the best lately seen.
    Degraded(f64),
}

/// What a lasting queue asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Replicas.
    pub replicas: u32,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
}

/// The queue over time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// The samples that showed it first and last: one that is read again shows nothing new.
    #[serde(default)]
    pub queue: Option<(Timestamp, Timestamp)>,
    /// What that asks for.
    pub asked: Option<Asked>,
    /// The most output tokens per second and replica lately, and when it was noted.
    pub best: Option<(f64, Timestamp)>,
}

impl Pressure {
    /// Whether requests have been seen waiting for 30 s.
    #[must_use]
    pub fn lasting(&self) -> bool {
        self.queue.is_some_and(|(since, seen)| seen.since(since) >= LASTING)
    }

    /// Notes a tick. An unreadable queue changes nothing.
    pub fn note(&mut self, signals: &Signals, capacity: &Capacity, cold_start: Duration) {
        if let Some(seen) = queued(signals) {
            let since = self.queue.map_or(seen, |(since, _)| since.min(seen));
            self.queue = Some((since, seen));
        } else if signals.totals.complete(Role::Waiting) {
            *self = Self::without(self.best);
        }
        let cause = self.cause(signals, capacity);
        self.note_best(signals);
        if let Some(cause) = cause {
            self.ask(signals, cold_start, cause);
        } else {
            self.asked = None;
        }
    }

    const fn without(best: Option<(f64, Timestamp)>) -> Self {
        Self { queue: None, asked: None, best }
    }

    fn cause(&self, signals: &Signals, capacity: &Capacity) -> Option<Cause> {
        // Since it was last seen, the queue may have gone where nobody can look.
        if !self.lasting() || queued(signals).is_none() {
            return None;
        }
        let best = self.best_now(signals.fresh.now);
        let degraded = per_replica(signals)
            .zip(best)
            .and_then(|(now, best)| share(now, best))
            .filter(|ratio| *ratio < DEGRADED);
        let unknown = capacity.request_rate().is_none().then_some(Cause::Unknown);
        degraded.map(Cause::Degraded).or(unknown)
    }

    /// One more than is ready, once per cold start, and not while any pod is on its way.
    fn ask(&mut self, signals: &Signals, cold_start: Duration, cause: Cause) {
        let now = signals.fresh.now;
        let supply = &signals.supply;
        let Some(ready) = supply.ready else { return };
        let patient = self.asked.is_some_and(|asked| {
            asked.at <= now && (ready < asked.replicas || now.since(asked.at) < cold_start)
        });
        if !patient && supply.loading == 0 {
            self.asked = Some(Asked { replicas: ready.saturating_add(1), at: now, cause });
        } else if let Some(asked) = &mut self.asked {
            asked.cause = cause;
        }
    }

    fn best_now(&self, now: Timestamp) -> Option<f64> {
        self.best.map(|(best, at)| best * fade(now.since(at), BEST_HALF_LIFE))
    }

    fn note_best(&mut self, signals: &Signals) {
        let now = signals.fresh.now;
        if let Some(seen) = per_replica(signals)
            && self.best_now(now).is_none_or(|best| seen >= best)
        {
            self.best = Some((seen, now));
        }
    }
}

/// The newest sample of pods where requests wait and another replica would help: a queue at one of three
/// pods or more is uneven routing or a stuck gauge, however long it is.
fn queued(signals: &Signals) -> Option<Timestamp> {
    let awake = || signals.serving.values().filter(|pod| !pod.engine_asleep());
    let waits = |pod: &&PodReading| pod.level(Role::Waiting).is_some_and(|waiting| waiting > 0.0);
    let queued = awake().filter(waits).count();
    let helps = queued >= 2 || queued == 1 && awake().count() <= 2;
    let seen = awake().filter(waits).filter_map(|pod| pod.newest).max();
    seen.map(|seen| seen.min(signals.fresh.now)).filter(|_| helps)
}

/// Mean output tokens per second of the pods that are awake and have a rate; a new pod has none for one
/// scrape. Those with a clamped gauge are among them: doubt about a queue must not hide that others
/// became slow.
fn per_replica(signals: &Signals) -> Option<f64> {
    if !signals.totals.complete(Role::GenerationTokens) {
        return None;
    }
    let awake = signals.serving.values().filter(|pod| !pod.engine_asleep());
    let rates: Vec<f64> = awake.filter_map(|pod| pod.rate(Role::GenerationTokens)).collect();
    share(rates.iter().sum(), f64::from(count(rates.len())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pressure;
    use crate::engine::capacity::Capacity;
    use crate::engine::demand_tests::setup;
    use crate::engine::observation::{
        Combine, Observation, Phase, PodObservation, Role, RoleSeries,
    };
    use crate::engine::series::{Sample, Series};
    use crate::engine::signals::{PodsSeen, Signals};
    use crate::engine::units::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + second * 1000)
    }

    /// One pod with a queue, scraped at such a second.
    fn observation(now: i64, scraped: i64) -> Observation {
        let mut pod = PodObservation::new(Phase::Ready);
        for role in [Role::Waiting, Role::Running, Role::KvUsage] {
            let series = vec![Series::new(vec![Sample { at: at(scraped), value: 1.0 }])];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            pod.roles.insert(role, found);
        }
        let mut observation = Observation::empty(at(now));
        observation.pods.insert("p".to_owned(), pod);
        observation
    }

    #[test]
    fn a_queue_that_was_seen_once_has_not_lasted() {
        let (setup, mut pressure) = (setup(), Pressure::default());
        let mut seen = PodsSeen::default();
        let ticks = [(0, 0, false), (15, 0, false), (30, 0, false), (45, 0, false), (60, 60, true)];
        for (now, scraped, lasting) in ticks {
            let observation = observation(now, scraped);
            let stuck = Duration::from_mins(5);
            let signals = Signals::read(&setup, &observation, &mut seen, stuck, false);
            pressure.note(&signals, &Capacity::default(), Duration::from_secs(100));
            assert_eq!(pressure.lasting(), lasting, "{now} s");
        }
    }
}
