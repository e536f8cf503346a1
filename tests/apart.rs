//! Two processes that began on different days, over a week of a real service: one has lived through all of
//! it, the other begins on the fourth day from what a datasource remembers, where a quarter of a minute
//! shows in the one before. The real engine decides for both, minute by minute.
//!
//! Promised (DESIGN, "more than one"): at most one replica apart in at most one tick of a thousand, never in
//! opposite directions. And once their histories hold the same minutes, they foresee the same to the bit.
//!
//! `PRESCALE_APART=FILE` has it tell the same of another trace, a day a line, and of a process that does not
//! learn its history afresh; `PRESCALE_APART_HISTORY` days of history, two if not given.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use prescale::engine::arrived::Minute;
use prescale::engine::capacity::Capacity;
use prescale::engine::foresight::{Carries, Foresight};
use prescale::engine::observation::{
    Combine, Observation, Phase, PodObservation, Role, RoleSeries,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;
const LEAD: Duration = Duration::from_secs(100);
/// Replicas at the busiest minute.
const REPLICAS: f64 = 40.0;

#[expect(clippy::disallowed_methods, reason = "switches of this test, not of the product")]
fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Days of history.
fn history() -> i64 {
    given("PRESCALE_APART_HISTORY").map_or(2, |days| days.parse().unwrap())
}

/// Requests per second, a week of May 2024; or what another trace has in its second column.
fn week() -> Vec<(Timestamp, f64)> {
    let azure =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/traces/azure_llm_2024_conv_1min.csv.gz");
    let file = given("PRESCALE_APART").unwrap_or_else(|| azure.to_owned());
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let (seconds, requests) = line.split_once(',').unwrap();
        let at = Timestamp::from_unix_ms(1000 * seconds.parse::<i64>().unwrap());
        (at, requests.parse::<f64>().unwrap() / 60.0)
    };
    text.lines().skip(1).map(row).collect()
}

fn setup() -> Setup {
    let keys = [("engine", "vllm"), ("model", "m"), ("scaleUpForward", "100s"), ("tick", "60s")];
    let metadata = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    parse("llm", "chat", &metadata.into_iter().collect(), &Limits::default()).unwrap().setup
}

/// What one replica carries such that the busiest minute needs as many as it should.
fn capacity(week: &[(Timestamp, f64)]) -> Capacity {
    let most = week.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let mut capacity = Capacity::default();
    capacity.requests.seed(Some(most / REPLICAS / 0.7));
    capacity
}

/// Pods that share what comes, always as many.
struct Fleet {
    total: f64,
    samples: Vec<Sample>,
}

impl Fleet {
    const PODS: u32 = 10;

    /// A minute of `rate` ends at `now`.
    fn observe(&mut self, now: Timestamp, rate: f64) -> Observation {
        for quarter in (0..4).rev() {
            self.total += 15.0 * rate / f64::from(Self::PODS);
            let at = now.minus(Duration::from_secs(15) * quarter);
            self.samples.push(Sample { at, value: self.total });
        }
        self.samples.drain(..self.samples.len().saturating_sub(10));
        let mut observation = Observation::empty(now);
        for idx in 0..Self::PODS {
            observation.pods.insert(format!("chat-{idx}"), self.pod());
        }
        observation.workload.phases_known = true;
        observation.workload.spec_replicas = Some(Self::PODS);
        observation
    }

    fn pod(&self) -> PodObservation {
        let mut pod = PodObservation::new(Phase::Ready);
        let gauges = [(Role::Running, 1.0), (Role::Waiting, 0.0), (Role::KvUsage, 0.1)];
        let flat = |value| self.samples.iter().map(|sample| Sample { value, ..*sample }).collect();
        let mut put = |role, samples| {
            let series = vec![Series::new(samples)];
            pod.roles
                .insert(role, RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series });
        };
        put(Role::Finished, self.samples.clone());
        gauges.into_iter().for_each(|(role, value)| put(role, flat(value)));
        pod
    }
}

/// A process: what it remembers, and the minutes that it has stored.
struct Process {
    memory: Memory,
    minutes: Vec<Minute>,
}

impl Process {
    /// Learns its minutes since `from` afresh.
    fn learn(&mut self, setup: &Setup, from: i64) {
        let since = |minute: &&Minute| minute.at.unix_ms() >= from;
        let history: Vec<Minute> = self.minutes.iter().filter(since).copied().collect();
        self.memory.foresight.take_over(
            setup,
            Foresight::of(setup, LEAD, Carries::default(), &history),
            &[],
        );
    }

    /// Replicas; what a replica carries is known, and not to be learned.
    fn decide(&mut self, setup: &Setup, capacity: Capacity, observation: &Observation) -> i64 {
        let memory = Memory { capacity, ..std::mem::take(&mut self.memory) };
        let stepped = step(setup, observation, memory);
        self.memory = stepped.memory;
        self.minutes.extend(stepped.minute);
        self.memory.last.unwrap().into()
    }
}

/// What each minute holds as ticks count it, and as a datasource says it of pods that are scraped every 30 s:
/// ticks count up to the instant at which the last of them was read, a rate for each pod up to its own.
fn minutes(week: &[(Timestamp, f64)], remembered: bool) -> Vec<Minute> {
    let rate = |idx: usize| week[idx.min(week.len() - 1)].1;
    let minute = |idx: usize| {
        let next: f64 = if remembered { 0.25 } else { 0.0 };
        let requests = (1.0 - next).mul_add(rate(idx), next * rate(idx + 1));
        Minute { requests: Some(requests), ..Minute::unknown(week[idx].0) }
    };
    (0..week.len()).map(minute).collect()
}

/// A minute of both.
struct Said {
    day: i64,
    replicas: [i64; 2],
    /// They foresee the same to the bit.
    alike: bool,
}

/// What an old process and a new one said since the new one began; both learn their history afresh after
/// each midnight if they `renew` it.
fn lives(week: &[(Timestamp, f64)], history: i64, renew: bool) -> Vec<Said> {
    let (setup, capacity) = (setup(), capacity(week));
    let first = week[0].0.unix_ms().div_euclid(DAY_MS);
    let day_of = |at: Timestamp| at.unix_ms().div_euclid(DAY_MS);
    // In the afternoon of the first day before which there is more than its history.
    let begins = (first + history + 1) * DAY_MS + 14 * 60 * MINUTE_MS;
    let begin = week.iter().position(|(at, _)| at.unix_ms() >= begins).unwrap();
    let [mut old, mut new] = [false, true].map(|remembered| {
        let minutes = minutes(&week[..begin], remembered);
        Process { memory: Memory::default(), minutes }
    });
    old.learn(&setup, first * DAY_MS);
    new.learn(&setup, (first + 1) * DAY_MS);
    let mut fleet = Fleet { total: 0.0, samples: Vec::new() };
    let decide = |(at, rate): &(Timestamp, f64)| {
        if renew && at.unix_ms().rem_euclid(DAY_MS) == 0 {
            for one in [&mut old, &mut new] {
                one.learn(&setup, at.unix_ms() - history * DAY_MS);
            }
        }
        let observation = fleet.observe(at.plus(Minute::LENGTH), *rate);
        let replicas = [&mut old, &mut new].map(|one| one.decide(&setup, capacity, &observation));
        let [one, other] = [&old, &new].map(|one| one.memory.foresight.bands(0.95));
        Said { day: day_of(*at) - first - history - 1, replicas, alike: one == other }
    };
    week[begin..].iter().map(decide).collect()
}

/// How many were apart, by how many replicas at most, and how often the two went opposite ways.
fn apart(said: &[&Said]) -> (usize, u64, usize) {
    let [old, new] = [0, 1].map(|of| move |said: &&Said| said.replicas[of]);
    let apart = said.iter().filter(|said| old(said) != new(said)).count();
    let most = said.iter().map(|said| old(said).abs_diff(new(said))).max().unwrap_or(0);
    let steps =
        said.windows(2).map(|pair| [0, 1].map(|of| pair[1].replicas[of] - pair[0].replicas[of]));
    (apart, most, steps.filter(|[old, new]| old * new < 0).count())
}

#[test]
fn who_began_on_another_day_decides_alike_and_comes_to_foresee_the_same() {
    let (week, history) = (week(), history());
    for renew in [false, true] {
        let said = lives(&week, history, renew);
        for day in 0..=said.last().unwrap().day {
            let of_day: Vec<&Said> = said.iter().filter(|said| said.day == day).collect();
            let (apart, most, opposite) = apart(&of_day);
            let alike = of_day.iter().filter(|said| said.alike).count();
            println!(
                "renewed: {renew}, day {day}: of {} minutes {apart} apart by at most {most}, \
                 {opposite} opposite; {alike} alike to the bit",
                of_day.len(),
            );
        }
        if given("PRESCALE_APART").is_some() {
            continue;
        }
        let all: Vec<&Said> = said.iter().collect();
        let busy = said.iter().map(|said| said.replicas[0]).max().unwrap();
        assert!(busy >= 30, "{busy} replicas are no test");
        let (apart, most, opposite) = apart(&all);
        assert!(
            apart * 1000 <= said.len() && most <= 1 && opposite == 0,
            "{apart} {most} {opposite}"
        );
        // What the datasource told of the first day is no longer in the history.
        let later = || said.iter().filter(|said| said.day > history);
        assert!(later().count() > 1400);
        assert_eq!(later().all(|said| said.alike), renew);
    }
}
