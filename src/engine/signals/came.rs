//! Requests that come, per second, from engines that count only what they finish.
//!
//! Given the pods and the windows of this tick; promises one number over the same window for all pods.
//! A router sends everything to a pod that is new and empty: over its own short life that pod's rate
//! is the fleet's, and added to the past of the others it would count twice. Windows also end and begin
//! at the same instants for all: each pod is scraped at a moment of its own, and what a router moved
//! from one to another meanwhile would count twice or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::observation::{Combine, Observation, PodObservation, Role};
use crate::engine::series::Series;
use crate::engine::signals::outlier::{self, Outlier};
use crate::engine::signals::pod::{Freshness, PodReading, change, combine, trust};
use crate::engine::signals::totals::Total;
use crate::engine::units::Timestamp;

/// A rise shows in half of the window before it shows in all of it; less holds too few requests, and
/// at the usual scrape interval too few samples.
const LATELY: Duration = Duration::from_secs(30);

/// The pods of a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pods<'a> {
    /// What was read.
    pub(super) observation: &'a Observation,
    /// Those that serve.
    pub(super) serving: &'a BTreeMap<String, PodReading>,
    /// Those whose values were clamped.
    pub(super) outliers: &'a [Outlier],
}

impl<'a> Pods<'a> {
    fn each(&self) -> impl Iterator<Item = Pod<'a>> {
        let Self { observation, serving, outliers } = *self;
        serving.iter().filter_map(move |(name, reading)| {
            let gauges = [Role::Waiting, Role::Running];
            let clamped = |one: &Outlier| one.pod == *name && gauges.contains(&one.role);
            let believed = !outliers.iter().any(clamped);
            Some(Pod { seen: observation.pods.get(name)?, reading, believed })
        })
    }

    /// The end of all windows: the newest instant up to which every pod was read. One that has not
    /// been read for longer than a scrape does not hold back the others.
    fn until(&self, now: Timestamp, interval: Duration) -> Timestamp {
        let newest = || self.serving.values().filter_map(|reading| reading.newest);
        let (Some(first), Some(last)) = (newest().min(), newest().max()) else { return now };
        first.max(last.minus(interval)).min(now)
    }
}

/// From when until when requests are counted, and how old the newest sample may be.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Timestamp,
    until: Timestamp,
    fresh: Freshness,
}

impl Window {
    fn seconds(&self) -> f64 {
        self.until.since(self.from).as_secs_f64()
    }
}

/// A serving pod.
#[derive(Debug, Clone, Copy)]
struct Pod<'a> {
    seen: &'a PodObservation,
    reading: &'a PodReading,
    /// Whether its gauges may be believed.
    believed: bool,
}

impl Pod<'_> {
    /// Born within the window: it became ready in it, and nothing was read of it before. One whose
    /// readiness comes and goes has a past, and what it holds did not all come just now.
    fn is_born_within(&self, from: Timestamp) -> bool {
        let read_before = self.reading.oldest.is_some_and(|oldest| oldest <= from);
        self.seen.ready.is_some_and(|ready| ready > from) && !read_before
    }

    fn trusted(&self, role: Role, fresh: Freshness) -> Option<(Combine, Vec<Series>)> {
        let found = self.seen.roles.get(&role)?;
        Some((found.combine, trust(role, found, fresh.now)))
    }

    /// By how much its batch grew per second over the rate window, between samples of its own.
    fn growth(&self, fresh: Freshness) -> Option<f64> {
        change(self.seen, Role::Running, fresh).or_else(|| self.zero(Role::Running))
    }

    /// A counter's growth per second, over as much of the window as was sampled.
    fn rate(&self, counter: Role, window: Window) -> Option<f64> {
        let rate = |series: &Series| {
            series.latest_within(window.fresh.now, window.fresh.limit)?;
            let (grown, covered) = series.grown(window.from, window.until)?;
            Some(grown / covered.as_secs_f64())
        };
        let seen = self
            .trusted(counter, window.fresh)
            .and_then(|(how, trusted)| combine(how, &trusted.iter().map(rate).collect::<Vec<_>>()));
        seen.or_else(|| self.zero(counter))
    }

    /// Change of a gauge per second, over as much of the window as was sampled.
    fn change(&self, gauge: Role, window: Window) -> Option<f64> {
        let slope = |series: &Series| {
            let last = series.latest_within(window.fresh.now, window.fresh.limit)?;
            let (from, until) =
                (series.samples().first()?.at.max(window.from), last.at.min(window.until));
            let span = until.since(from).as_secs_f64();
            let end = series.value_at(until)?;
            let begin = series.value_at(from)?;
            (span > 0.0).then(|| (end - begin) / span)
        };
        let seen = self.trusted(gauge, window.fresh).and_then(|(how, trusted)| {
            combine(how, &trusted.iter().map(slope).collect::<Vec<_>>())
        });
        seen.or_else(|| self.zero(gauge))
    }

    /// Families that engines create with the first request are zero while they are not there.
    fn zero(&self, role: Role) -> Option<f64> {
        let lacks = self.seen.known_zero.contains(&role);
        let value = self.reading.level(role).or(self.reading.rate(role));
        value.filter(|value| lacks && *value <= 0.0)
    }

    /// How much a counter grew within the window, as far as it was sampled.
    fn grown(&self, counter: Role, window: Window) -> f64 {
        let grown = |series: &Series| Some(series.grown(window.from, window.until)?.0);
        let trusted = self.trusted(counter, window.fresh);
        trusted.iter().flat_map(|(_, series)| series).filter_map(grown).sum()
    }

    /// What was in flight at the end of the window, of a pod that was born within it; between its birth
    /// and its first sample that grew steadily.
    fn held(&self, gauge: Role, window: Window) -> Option<f64> {
        let (_, trusted) = self.trusted(gauge, window.fresh)?;
        let held = |series: &Series| {
            let first = series.samples().first()?.at;
            let ready = self.seen.ready?.min(first);
            let span = first.since(ready).as_secs_f64();
            let part =
                if span > 0.0 { window.until.since(ready).as_secs_f64() / span } else { 1.0 };
            Some(series.value_at(window.until)? * part.min(1.0))
        };
        trusted.iter().map(held).sum()
    }
}

/// Requests that came, per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Came {
    /// Over a minute, or two scrapes where those take longer.
    pub steady: Total,
    /// How long that is, in seconds.
    pub steady_seconds: f64,
    /// Over the last half minute, or two scrapes where those take longer.
    pub lately: Total,
    /// How long that is, in seconds.
    pub lately_seconds: f64,
    /// By how much the batches grew per second over the rate window, all pods together.
    pub growth: f64,
}

impl Came {
    /// Counts what came to the pods that serve, of `ready` in all.
    #[must_use]
    pub(super) fn read(
        pods: &Pods<'_>,
        (fresh, interval): (Freshness, Duration),
        ready: u32,
    ) -> Self {
        let until = pods.until(fresh.now, interval);
        let over = |span: Duration| {
            let window = Window { from: until.minus(span), until, fresh };
            let came = pods.each().filter_map(|pod| came(&pod, window)).collect();
            (total(came, ready), window.seconds())
        };
        // Between samples counts are drawn as lines, so that no half interval has to be added.
        let (steady, steady_seconds) = over(fresh.rate_window.saturating_sub(interval / 2));
        let (lately, lately_seconds) = over(LATELY.max(interval.saturating_mul(2)));
        let growth =
            pods.each().filter(|pod| pod.believed).filter_map(|pod| pod.growth(fresh)).sum();
        Self { steady, steady_seconds, lately, lately_seconds, growth }
    }
}

/// A pod that reports out of all proportion is cut as its counters are.
fn total(mut values: Vec<f64>, ready: u32) -> Total {
    if let Some(limit) = outlier::limit(Role::Arrivals, &values) {
        values.iter_mut().for_each(|value| *value = value.min(limit));
    }
    Total::over(&values, ready.max(count(values.len())))
}

/// Requests per second that came to one pod over the window: counted, or what finished and what is in
/// flight more than before. Never less than none: what a crash or its clients aborted would be taken
/// from what came to the others. Of a pod that was born within the window, those before its first
/// sample show as what was in flight then, and in the rest of the window none came. Gauges that are
/// not believed count for nothing; of a newborn pod whose gauges cannot be read nothing is known.
fn came(pod: &Pod<'_>, window: Window) -> Option<f64> {
    let roles = [Role::Arrivals, Role::Finished];
    let shown =
        |role: &Role| pod.seen.roles.contains_key(role) || pod.seen.known_zero.contains(role);
    let counter = roles.into_iter().find(shown)?;
    let inside = [Role::Waiting, Role::Running];
    let inside = if counter == Role::Arrivals || !pod.believed { &[][..] } else { &inside };
    if !pod.is_born_within(window.from) {
        let drift: Option<f64> = inside.iter().map(|role| pod.change(*role, window)).sum();
        return Some((pod.rate(counter, window)? + drift.unwrap_or(0.0)).max(0.0));
    }
    let there = inside.iter().filter(|role| pod.seen.roles.contains_key(role));
    let held: Option<f64> = there.map(|role| pod.held(*role, window)).sum();
    Some((pod.grown(counter, window) + held?) / window.seconds())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Came, Pods};
    use crate::engine::observation::{
        Combine, Observation, Phase, PodObservation, Role, RoleSeries,
    };
    use crate::engine::series::{Sample, Series};
    use crate::engine::setup::Family;
    use crate::engine::signals::pod::{Freshness, PodReading};
    use crate::engine::signals::totals::Bound;
    use crate::engine::units::Timestamp;

    const TICK: Duration = Duration::from_secs(15);

    fn at(back: u32) -> Timestamp {
        Timestamp::from_unix_ms(10_000_000).minus(Duration::from_secs(back.into()))
    }

    /// A pod that became ready so many seconds ago, with the values of a role at such times.
    fn pod(ready: Option<u32>, roles: &[(Role, &[(u32, f64)])]) -> PodObservation {
        let mut pod = PodObservation::new(Phase::Ready);
        pod.ready = ready.map(at);
        for (role, samples) in roles {
            let sample = |(back, value): &(u32, f64)| Sample { at: at(*back), value: *value };
            let series = vec![Series::new(samples.iter().map(sample).collect())];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            pod.roles.insert(*role, found);
        }
        pod
    }

    /// Requests per minute and a quarter, the rate window.
    fn check(what: &str, pods: Vec<PodObservation>, expected: f64) {
        let mut observation = Observation::empty(at(0));
        let names = ["a", "b", "c"].map(str::to_owned);
        observation.pods = names.into_iter().zip(pods).collect();
        let fresh = Freshness::new(Family::Llm, at(0), TICK, TICK);
        let read =
            |(name, pod): (&String, &PodObservation)| (name.clone(), PodReading::read(pod, fresh));
        let serving: BTreeMap<String, PodReading> = observation.pods.iter().map(read).collect();
        let pods = Pods { observation: &observation, serving: &serving, outliers: &[] };
        let came = Came::read(&pods, (fresh, TICK), 0).steady.read(Bound::Low);
        let found = came.map_or(f64::NAN, |rate| rate * fresh.rate_window.as_secs_f64());
        // A rate over four intervals is told of four and a half.
        assert!((found - expected).abs() <= expected * 0.15, "{what}: {found}, not {expected}");
    }

    const TIMES: [u32; 9] = [120, 105, 90, 75, 60, 45, 30, 15, 0];

    fn steady(value: f64) -> Vec<(u32, f64)> {
        TIMES.map(|back| (back, value)).to_vec()
    }

    /// A counter of one request per second.
    fn counter() -> Vec<(u32, f64)> {
        TIMES.map(|back| (back, f64::from(120 - back))).to_vec()
    }

    #[test]
    fn what_came_is_counted_once_whoever_counts_it() {
        let (held, finished) = (steady(300.0), counter());
        let (held, finished, none) = (held.as_slice(), finished.as_slice(), steady(0.0));
        let full: &[(Role, &[(u32, f64)])] =
            &[(Role::Waiting, held), (Role::Running, held), (Role::Finished, finished)];
        check("an old pod", vec![pod(Some(3600), full)], 72.0);
        check("a pod of unknown age", vec![pod(None, full)], 72.0);
        check("readiness that comes and goes", vec![pod(Some(20), full)], 72.0);
        check("a clock that is ahead", vec![pod(Some(0), full)], 72.0);
        let born: &[(Role, &[(u32, f64)])] = &[
            (Role::Waiting, &[(15, 10.0), (0, 20.0)]),
            (Role::Running, &[(15, 4.0), (0, 8.0)]),
            (Role::Finished, &[(15, 0.0), (0, 2.0)]),
        ];
        check("a pod that was just born", vec![pod(Some(20), born)], 30.0);
        // A driver's blank is no queue, and says nothing of what came.
        let blank: &[(Role, &[(u32, f64)])] = &[
            (Role::Waiting, &[(15, 0.0), (0, 9_223_372_036_854_775_794.0)]),
            (Role::Running, &[(0, -1.0)]),
            (Role::Finished, &[(15, 0.0), (0, 0.0)]),
        ];
        check("poison of a newborn", vec![pod(Some(20), blank), pod(Some(3600), full)], 72.0);
        // In flight 300 and gone: nobody counted them, and the other's requests still came.
        let gone: Vec<_> = TIMES.map(|back| (back, if back > 30 { 300.0 } else { 0.0 })).to_vec();
        let crashed: &[(Role, &[(u32, f64)])] =
            &[(Role::Waiting, &none), (Role::Running, &gone), (Role::Finished, finished)];
        check("aborted", vec![pod(Some(3600), crashed)], 0.0);
        check("aborted at one of two", vec![pod(Some(3600), crashed), pod(Some(3600), full)], 72.0);
    }

    #[test]
    fn families_that_come_with_the_first_request_count_as_zero_until_then() {
        let grows = TIMES.map(|back| (back, f64::from(120 - back) / 4.0)).to_vec();
        let none = steady(0.0);
        let gauges: &[(Role, &[(u32, f64)])] = &[(Role::Waiting, &none), (Role::Running, &grows)];
        let mut lazy = pod(Some(3600), gauges);
        lazy.known_zero.insert(Role::Finished);
        check("nothing finished yet", vec![lazy.clone()], 18.0);
        lazy.known_zero.insert(Role::Waiting);
        lazy.roles.remove(&Role::Waiting);
        check("nor waited", vec![lazy], 18.0);
    }
}
