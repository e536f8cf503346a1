//! One pod's series as numbers: levels of gauges, rates of counters, with ranks combined.
//!
//! Given one pod's observation and how old a sample may be; promises that every number is
//! trustworthy and recent, and that what is absent was not readable.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::numeric::{count, share};
use crate::engine::observation::{Combine, PodObservation, Role, RoleSeries};
use crate::engine::series::Series;
use crate::engine::setup::{Family, Setup};
use crate::engine::signals::sane::sane;
use crate::engine::units::Timestamp;

/// How long a rate looks back at least: the shortest span that still smooths single requests.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// A healthy time to first token where no objective says so: a long prompt's prefill.
const PREFILL: Duration = Duration::from_secs(2);

/// What counts as now, and whose gauges tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// A GPU exporter answers for pods whose engine still loads, so it says nothing about those.
    pub family: Family,
    /// Now.
    pub now: Timestamp,
    /// How old a sample may be.
    pub limit: Duration,
    /// How far a rate looks back.
    pub rate_window: Duration,
}

impl Freshness {
    /// The limit is max(60 s, 2 x (tick + scrape interval)); a rate needs at least two intervals.
    #[must_use]
    pub fn new(family: Family, now: Timestamp, tick: Duration, interval: Duration) -> Self {
        let limit = Duration::from_mins(1).max(tick.saturating_add(interval).saturating_mul(2));
        let rate_window = RATE_WINDOW.max(interval.saturating_mul(2)) + interval / 2;
        Self { family, now, limit, rate_window }
    }

    /// Whether a gauge tells that the pod's workload answers.
    const fn tells(&self, role: Role) -> bool {
        match self.family {
            Family::Llm => !role.is_gpu(),
            Family::Gpu => role.is_gpu(),
            Family::Custom => true,
        }
    }

    /// Where rates begin.
    #[must_use]
    pub fn rates_from(&self) -> Timestamp {
        self.now.minus(self.rate_window)
    }
}

/// A jump that waits for its second sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jump {
    /// The signal.
    pub role: Role,
    /// What was read.
    pub read: f64,
    /// What counts.
    pub counted: f64,
}

/// One pod in numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PodReading {
    /// Gauges, now.
    pub levels: BTreeMap<Role, f64>,
    /// Counters, per second.
    pub rates: BTreeMap<Role, f64>,
    /// Counters with a single sample: the pod is new, and its rate will be known with the next scrape.
    pub young: BTreeSet<Role>,
    /// Counters that are shown and have no rate, those included.
    pub unrated: BTreeSet<Role>,
    /// The newest trustworthy sample of a gauge of the engine or GPU.
    pub newest: Option<Timestamp>,
    /// The oldest trustworthy sample of such a gauge.
    pub oldest: Option<Timestamp>,
    /// Jumps that wait for their second sample.
    pub jumps: Vec<Jump>,
    /// The smallest and largest queue within the rate window, while it was read throughout.
    pub waiting_range: Option<(f64, f64)>,
    /// Mean batch within the rate window, while it was read throughout: in its first half minute a pod
    /// takes whatever waits and has answered none of it, and after a gap two readings are chance.
    pub running_mean: Option<f64>,
}

impl PodReading {
    /// Reads one pod, as its engine counts.
    #[must_use]
    pub fn of(setup: &Setup, pod: &PodObservation, fresh: Freshness) -> Self {
        let mut reading = Self::read(pod, fresh);
        if setup.prefill_waits {
            reading.split_prefill(setup.objectives.ttft.unwrap_or(PREFILL));
        }
        reading
    }

    /// Takes out of the queue what is there at a healthy time to first token (Little's law: arrivals per second
    /// x seconds), and the rest of it out of what runs.
    fn split_prefill(&mut self, ttft: Duration) {
        let Some(rate) = self.rate(Role::Arrivals).or_else(|| self.rate(Role::Finished)) else {
            return;
        };
        let healthy = rate * ttft.as_secs_f64();
        let beyond = |queue: f64| (queue - healthy).max(0.0);
        let Some(waiting) = self.levels.get_mut(&Role::Waiting) else { return };
        *waiting = beyond(*waiting);
        let waiting = *waiting;
        if let Some(running) = self.levels.get_mut(&Role::Running) {
            *running = (*running - waiting).max(0.0);
        }
        self.running_mean = self.running_mean.map(|running| (running - waiting).max(0.0));
        self.waiting_range = self.waiting_range.map(|(least, most)| (beyond(least), beyond(most)));
    }

    /// Reads one pod.
    #[must_use]
    pub fn read(pod: &PodObservation, fresh: Freshness) -> Self {
        // What a page lacks is as old as what it shows; a page that shows nothing was read now.
        let shown = newest_of(pod, fresh.now);
        let page = if pod.roles.is_empty() { Some(fresh.now) } else { shown };
        let lacking = page.filter(|at| fresh.now.since(*at) <= fresh.limit);
        let newest_lack = lacking.filter(|_| !pod.known_zero.is_empty());
        let mut reading = Self { newest: newest_lack, ..Self::default() };
        for role in pod.known_zero.iter().filter(|_| lacking.is_some()) {
            let values = if role.is_counter() { &mut reading.rates } else { &mut reading.levels };
            values.insert(*role, 0.0);
        }
        for (role, found) in &pod.roles {
            let trusted = trust(*role, found, fresh.now);
            if role.is_counter() {
                if trusted.iter().all(|series| series.samples().len() == 1) {
                    reading.young.insert(*role);
                }
                let rate = rate(found.combine, &trusted, fresh);
                if rate.is_none() {
                    reading.unrated.insert(*role);
                }
                insert(&mut reading.rates, *role, rate);
                continue;
            }
            if fresh.tells(*role) {
                reading.newest = reading.newest.max(newest(&trusted));
                reading.oldest = reading.oldest.into_iter().chain(oldest(&trusted)).min();
            }
            let (value, jump) = level(*role, found.combine, &trusted, fresh);
            insert(&mut reading.levels, *role, value);
            reading.jumps.extend(jump);
            if *role == Role::Waiting {
                reading.waiting_range = range(found.combine, &trusted, fresh);
            }
            if *role == Role::Running {
                reading.running_mean = mean(found.combine, &trusted, fresh);
            }
        }
        reading
    }

    /// Whether anything recent was read of this pod.
    #[must_use]
    pub fn answers(&self, fresh: Freshness) -> bool {
        self.newest.is_some_and(|at| fresh.now.since(at) <= fresh.limit)
    }

    /// A gauge now.
    #[must_use]
    pub fn level(&self, role: Role) -> Option<f64> {
        self.levels.get(&role).copied()
    }

    /// A counter's rate.
    #[must_use]
    pub fn rate(&self, role: Role) -> Option<f64> {
        self.rates.get(&role).copied()
    }

    /// Whether its engine sleeps with its weights offloaded.
    #[must_use]
    pub fn engine_asleep(&self) -> bool {
        self.level(Role::Awake).is_some_and(|awake| awake < 0.5)
    }
}

/// The usable samples of every series of a role.
pub(super) fn trust(role: Role, found: &RoleSeries, now: Timestamp) -> Vec<Series> {
    found.series.iter().map(|series| series.trusted(now, &sane(role))).collect()
}

/// The time between scrapes of a pod: the median of its gauges' series.
#[must_use]
pub(super) fn scrape_interval(pod: &PodObservation, now: Timestamp) -> Option<Duration> {
    pod.roles
        .iter()
        .filter(|(role, _)| !role.is_counter())
        .flat_map(|(role, found)| trust(*role, found, now))
        .find_map(|series| series.scrape_interval())
}

fn insert(values: &mut BTreeMap<Role, f64>, role: Role, value: Option<f64>) {
    if let Some(value) = value {
        values.insert(role, value);
    }
}

/// The newest trustworthy sample of a pod, of any role.
fn newest_of(pod: &PodObservation, now: Timestamp) -> Option<Timestamp> {
    pod.roles.iter().filter_map(|(role, found)| newest(&trust(*role, found, now))).max()
}

fn newest(trusted: &[Series]) -> Option<Timestamp> {
    trusted.iter().filter_map(|series| series.latest().map(|sample| sample.at)).max()
}

fn oldest(trusted: &[Series]) -> Option<Timestamp> {
    trusted.iter().filter_map(|series| series.samples().first().map(|sample| sample.at)).min()
}

/// One number from several series. A sum needs them all: a rank that went missing is unknown, not
/// zero. A mean or maximum stands on those that answer, since dead processes linger on the page.
pub(super) fn combine(how: Combine, values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    if known.is_empty() || (how == Combine::Sum && known.len() < values.len()) {
        return None;
    }
    let sum: f64 = known.iter().sum();
    match how {
        Combine::Sum => Some(sum),
        Combine::Mean => share(sum, f64::from(count(known.len()))),
        Combine::Max => known.into_iter().reduce(f64::max),
    }
}

fn level(
    role: Role,
    how: Combine,
    trusted: &[Series],
    fresh: Freshness,
) -> (Option<f64>, Option<Jump>) {
    let recent = |series: &Series| {
        series.latest_within(fresh.now, fresh.limit)?;
        series.level()
    };
    let levels: Vec<_> = trusted.iter().map(recent).collect();
    let counted: Vec<_> = levels.iter().map(|level| level.map(|level| level.value)).collect();
    let read: Vec<_> = levels.iter().map(|level| level.map(|level| level.read)).collect();
    let (counted, read) = (combine(how, &counted), combine(how, &read));
    let jump = counted.zip(read).filter(|(counted, read)| counted < read);
    (counted, jump.map(|(counted, read)| Jump { role, read, counted }))
}

fn rate(how: Combine, trusted: &[Series], fresh: Freshness) -> Option<f64> {
    let recent = |series: &Series| {
        series.latest_within(fresh.now, fresh.limit)?;
        series.rate(fresh.rates_from())
    };
    combine(how, &trusted.iter().map(recent).collect::<Vec<_>>())
}

/// Whether samples reach back at least half of the rate window.
fn covered(trusted: &[Series], fresh: Freshness) -> bool {
    let half = fresh.now.minus(fresh.rate_window / 2);
    let first = |series: &Series| series.first_since(fresh.rates_from());
    let covers = |series: &Series| first(series).is_some_and(|first| first.at <= half);
    !trusted.is_empty() && trusted.iter().all(covers)
}

/// The mean within the rate window, if it is covered.
fn mean(how: Combine, trusted: &[Series], fresh: Freshness) -> Option<f64> {
    let means: Vec<_> =
        trusted.iter().map(|series| series.mean_since(fresh.rates_from())).collect();
    combine(how, &means).filter(|_| covered(trusted, fresh))
}

/// The smallest and largest value within the rate window, if it is covered.
fn range(how: Combine, trusted: &[Series], fresh: Freshness) -> Option<(f64, f64)> {
    let from = fresh.rates_from();
    if !covered(trusted, fresh) {
        return None;
    }
    let over = |extreme: fn(&Series, Timestamp) -> Option<f64>| {
        combine(how, &trusted.iter().map(|series| extreme(series, from)).collect::<Vec<_>>())
    };
    over(Series::min_since).zip(over(Series::max_since))
}

/// Change of a gauge per second, from the first to the last sample within the rate window.
pub(super) fn change(pod: &PodObservation, role: Role, fresh: Freshness) -> Option<f64> {
    let found = pod.roles.get(&role)?;
    let slope = |series: &Series| {
        let first = series.first_since(fresh.rates_from())?;
        let last = series.latest_within(fresh.now, fresh.limit)?;
        let counted = series.level()?.value;
        let span = last.at.since(first.at).as_secs_f64();
        (span > 0.0).then(|| (counted - first.value) / span)
    };
    combine(found.combine, &trust(role, found, fresh.now).iter().map(slope).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Freshness, PodReading};
    use crate::engine::observation::{Combine, Phase, PodObservation, Role, RoleSeries};
    use crate::engine::series::{Sample, Series};
    use crate::engine::setup::Family;
    use crate::engine::units::Timestamp;

    fn fresh() -> Freshness {
        let now = Timestamp::from_unix_ms(120_000);
        Freshness::new(Family::Llm, now, Duration::from_secs(15), Duration::from_secs(15))
    }

    /// A series of samples 15 s apart, the last of them `age` seconds before now.
    fn series(values: &[f64], age: i64) -> Series {
        let last = 120_000 - age * 1000;
        let back = |idx: usize| i64::try_from(values.len() - 1 - idx).unwrap() * 15_000;
        let sample = |(idx, value): (usize, &f64)| Sample {
            at: Timestamp::from_unix_ms(last - back(idx)),
            value: *value,
        };
        Series::new(values.iter().enumerate().map(sample).collect())
    }

    fn pod(role: Role, combine: Combine, series: Vec<Series>) -> PodObservation {
        let mut pod = PodObservation::new(Phase::Ready);
        pod.roles.insert(role, RoleSeries { metric: "m".to_owned(), combine, series });
        pod
    }

    #[test]
    fn ranks_become_one_number() {
        let rows = [
            (Combine::Sum, 0, Some(8.0)),
            (Combine::Mean, 0, Some(4.0)),
            (Combine::Max, 0, Some(5.0)),
            // One rank is stale: a sum without it would be too low.
            (Combine::Sum, 90, None),
            (Combine::Mean, 90, Some(5.0)),
            (Combine::Max, 90, Some(5.0)),
        ];
        for (how, age, expected) in rows {
            let ranks = vec![series(&[5.0], 0), series(&[3.0], age)];
            let reading = PodReading::read(&pod(Role::Running, how, ranks), fresh());
            assert_eq!(reading.level(Role::Running), expected, "{how:?} {age}");
        }
    }

    #[test]
    fn what_is_in_prefill_runs_and_does_not_wait() {
        let mut frontend = PodObservation::new(Phase::Ready);
        let arrivals: Vec<f64> = (0..8).map(|idx| f64::from(idx) * 150.0).collect();
        for (role, values) in [
            (Role::Waiting, &[15.0; 8][..]),
            (Role::Running, &[40.0; 8]),
            (Role::Arrivals, &arrivals),
        ] {
            let series = vec![series(values, 0)];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            frontend.roles.insert(role, found);
        }
        let mut setup = crate::engine::demand_tests::setup();
        let mut read = |splits: bool, ttft: Option<u64>| {
            setup.prefill_waits = splits;
            setup.objectives.ttft = ttft.map(Duration::from_secs);
            let reading = PodReading::of(&setup, &frontend, fresh());
            let (least, most) = reading.waiting_range.unwrap();
            assert!((least - most).abs() < 1e-9);
            assert_eq!(reading.level(Role::Waiting), Some(least));
            (least, reading.level(Role::Running).unwrap(), reading.running_mean.unwrap())
        };
        // Ten a second: of fifteen, ten are there at a healthy second, twenty would be at two.
        assert_eq!(read(false, None), (15.0, 40.0, 40.0));
        assert_eq!(read(true, Some(1)), (5.0, 35.0, 35.0));
        assert_eq!(read(true, None), (0.0, 40.0, 40.0));
    }

    #[test]
    fn stale_and_poisoned_gauges_are_unknown() {
        let rows = [
            (series(&[5.0], 60), Some(5.0), true),
            (series(&[5.0], 61), None, false),
            (series(&[-5.0], 0), None, false),
            (series(&[5.0, 2e9], 0), Some(5.0), true),
            (series(&[], 0), None, false),
        ];
        for (series, expected, answers) in rows {
            let text = format!("{series:?}");
            let reading =
                PodReading::read(&pod(Role::Waiting, Combine::Sum, vec![series]), fresh());
            assert_eq!(reading.level(Role::Waiting), expected, "{text}");
            assert_eq!(reading.answers(fresh()), answers, "{text}");
        }
    }

    #[test]
    fn a_lazy_family_on_a_readable_page_is_known_zero() {
        let mut pod = PodObservation::new(Phase::Ready);
        pod.known_zero.insert(Role::Waiting);
        pod.known_zero.insert(Role::Finished);
        let reading = PodReading::read(&pod, fresh());
        assert_eq!(reading.level(Role::Waiting), Some(0.0));
        assert_eq!(reading.rate(Role::Finished), Some(0.0));
        assert_eq!(reading.level(Role::Running), None);
    }

    #[test]
    fn what_a_page_lacks_is_as_old_as_what_it_shows() {
        for (age, expected) in [(0, Some(0.0)), (60, Some(0.0)), (61, None), (140, None)] {
            let mut pod = pod(Role::Running, Combine::Sum, vec![series(&[5.0], age)]);
            pod.known_zero.insert(Role::Waiting);
            let reading = PodReading::read(&pod, fresh());
            assert_eq!(reading.level(Role::Waiting), expected, "{age} s");
            assert_eq!(reading.answers(fresh()), expected.is_some(), "{age} s");
        }
    }
}
