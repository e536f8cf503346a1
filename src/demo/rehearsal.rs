//! The simulated fleet without network or clock: a day passes as fast as it can be computed.
//!
//! Given a seed, the course of arrivals and what to set, it promises the pages of the demo read as a
//! direct scrape reads them, one observation whenever asked, and KEDA's and the HPA's arithmetic.
//! Deciding is left to the caller: this is the world of a closed loop, for tests of the control law.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::demo::fleet::address_of;
use crate::demo::keda::REPLICAS_MAX;
use crate::demo::pages;
use crate::demo::traffic::SIZES;
use crate::engine::observation::{GatewayReading, Observation, Phase};
use crate::engine::replay::executor::{Executor, KedaRules};
use crate::engine::replay::hpa::{Behavior, Hpa, Sync};
use crate::engine::replay::law::Metric;
use crate::engine::replay::ledger::Ledger;
use crate::engine::replay::pod::{Pod, Stage};
use crate::engine::replay::profile::Settings;
use crate::engine::replay::random::Random;
use crate::engine::replay::traffic::Arrivals;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;
use crate::source::assemble::Selection;
use crate::source::exposition::{Format, Limits, Parser, Wanted};
use crate::source::preset::preset;
use crate::source::ring::Memory;
use crate::source::scrape::{PageResult, Reading as Round, wanted};
use crate::spec::Target;

/// What direct scrape remembers at ticks up to 30 s.
const WINDOW: Duration = Duration::from_secs(150);
/// `cooldownPeriod` of the ScaledObject, as in the demo.
const COOLDOWN: Duration = Duration::from_secs(60);
/// Any instant; ages are all that counts.
const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Account {
    /// Requests that reached the gateway.
    pub arrived: u64,
    /// Requests that got a first token within three seconds of that.
    pub within: u64,
    /// Requests that finished, at pods that are still there.
    pub finished: u64,
    /// Requests given up.
    pub failed: u64,
    /// Replica-hours, from creation to termination.
    pub replica_hours: f64,
    /// Pods that serve.
    pub ready: u32,
    /// Replicas of the Deployment's specification.
    pub wanted: u32,
    /// Requests waiting in pods or held at the gateway.
    pub waiting: u64,
}

/// One pod's page as remembered.
#[derive(Debug)]
struct Remembered {
    memory: Memory,
    ready: Option<Timestamp>,
    answered: bool,
}

/// The fleet, KEDA and the HPA.
#[derive(Debug)]
pub struct Rehearsal {
    world: World,
    known: BTreeMap<Ipv4Addr, Remembered>,
    hpa: Hpa,
    executor: Executor,
}

impl Rehearsal {
    /// A fleet of `replicas` serving pods before arrivals along `course`: minutes from the beginning,
    /// rising, and requests per second; straight lines between.
    #[must_use]
    pub fn new(seed: u64, replicas: u32, course: &[(f64, f64)]) -> Self {
        let end = course.last().map_or(0.0, |(minutes, _)| *minutes).max(f64::MIN_POSITIVE);
        let corners: Vec<_> = course.iter().map(|(at, rate)| (at / end, *rate)).collect();
        let length = Duration::try_from_secs_f64(end * 60.0).unwrap_or(Duration::ZERO);
        let arrivals = Arrivals::along(Random::new(seed), length, &corners, &SIZES).all();
        let world = World::new(Settings::demo(), arrivals, replicas, seed);
        let hpa = Hpa::new(Behavior::shipped(1, REPLICAS_MAX));
        let executor = Executor::new(KedaRules::sleeping(COOLDOWN, REPLICAS_MAX));
        Self { world, known: BTreeMap::new(), hpa, executor }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) {
        self.world.advance(self.world.now() + span);
    }

    /// This instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        ORIGIN.plus(self.world.now())
    }

    /// What a direct scrape of all pages shows now.
    pub fn observe(&mut self, target: &Target) -> Observation {
        let at = self.now();
        let preset = preset(target.engine);
        let wanted = wanted(&preset, &target.latencies);
        let round = self.scrape(&wanted, at);
        let mut observation = Observation::empty(at);
        observation.pods = round.pods(&preset, target.model.as_deref(), &target.selector);
        let selection = Selection::new(&preset, target.model.as_deref(), &target.selector);
        for latency in &target.latencies {
            let keep = |row: &_| selection.accepts(row);
            let reading = round.latency(&preset, *latency, target.latency_quantile, &keep);
            observation.latency.insert(*latency, reading);
        }
        observation.workload.addresses = round.addresses;
        observation.gateway = Some(self.gateway(at));
        observation
    }

    /// Does with one answer what KEDA does, and at a `sync` what the HPA does; `None` is an error.
    pub fn scale(&mut self, replicas: Option<u32>, active: Option<bool>, sync: bool) {
        let now = self.now();
        if let Some(wanted) = self.executor.observe(active, self.world.census().wanted, now) {
            self.world.scale(wanted);
        }
        let census = self.world.census();
        let Some(replicas) = replicas.filter(|_| sync && census.wanted > 0) else { return };
        let value = f64::from(replicas);
        let metrics = [Some(Metric::Average { value, target: 1.0 })];
        let sync = Sync {
            spec: census.wanted,
            status: census.ready + census.loading,
            ready: census.ready,
            pending: 0,
            metrics: &metrics,
        };
        let wanted = self.hpa.sync(&sync, now);
        if wanted != census.wanted {
            self.world.scale(wanted);
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn account(&self) -> Account {
        let (census, ledger): (_, &Ledger) = (self.world.census(), self.world.ledger());
        Account {
            arrived: ledger.arrived,
            within: ledger.within,
            finished: self.world.pods().iter().map(|pod| pod.replica().totals().finished).sum(),
            failed: ledger.failed,
            replica_hours: ledger.pod_seconds() / 3600.0,
            ready: census.ready,
            wanted: census.wanted,
            waiting: census.waiting + census.held,
        }
    }

    /// 95th percentile of the time to first token of the last five minutes.
    #[must_use]
    pub fn ttft_p95(&self) -> Option<Duration> {
        self.world.ledger().ttft_p95_recent()
    }

    /// Pods without an address are not seen, those that load do not answer, those that drain are out
    /// of the headless name.
    fn scrape(&mut self, wanted: &Wanted, at: Timestamp) -> Round {
        let now = self.world.now();
        let named = |pod: &&Pod| matches!(pod.stage(now), Stage::Loading | Stage::Ready);
        let pods: Vec<&Pod> = self.world.pods().iter().filter(named).collect();
        let addresses: Vec<Ipv4Addr> = pods.iter().map(|pod| address_of(pod.serial())).collect();
        self.known.retain(|address, _| addresses.contains(address));
        let mut round = Round { addresses: u32::try_from(pods.len()).ok(), ..Round::default() };
        for pod in pods {
            let known = self.known.entry(address_of(pod.serial())).or_insert_with(Remembered::new);
            let answers = pod.stage(now) == Stage::Ready;
            if answers {
                known.absorb(&pages::vllm(pod.replica()), wanted, at);
            } else {
                known.ready = Some(at);
            }
            round.pages.insert(address_of(pod.serial()).to_string(), known.result(answers, at));
        }
        round
    }

    fn gateway(&self, at: Timestamp) -> GatewayReading {
        let mut memory = Memory::new(WINDOW);
        let name = "interceptor_request_concurrency";
        absorb(&mut memory, &pages::gateway(&self.world), &Wanted::names([name]), at);
        let rows = memory.series(at);
        let held = rows.first().and_then(|row| row.series.latest()).map(|sample| sample.value);
        GatewayReading { held, arrivals_per_second: None, age: Some(Duration::ZERO) }
    }
}

impl Remembered {
    const fn new() -> Self {
        Self { memory: Memory::new(WINDOW), ready: None, answered: false }
    }

    fn absorb(&mut self, text: &str, wanted: &Wanted, at: Timestamp) {
        absorb(&mut self.memory, text, wanted, at);
        // It became ready in the round of its first answer, if it was seen loading.
        self.ready = self.ready.map(|ready| if self.answered { ready } else { at });
        self.answered = true;
    }

    fn result(&self, answered: bool, at: Timestamp) -> PageResult {
        PageResult {
            series: self.memory.series(at),
            answered,
            answered_ever: self.answered,
            phase: if self.answered { Phase::Ready } else { Phase::Loading },
            ready: self.ready.filter(|_| self.answered),
            fault: None,
        }
    }
}

fn absorb(memory: &mut Memory, text: &str, wanted: &Wanted, at: Timestamp) {
    let mut parser = Parser::new(Format::Text, wanted.clone(), Limits::default());
    // The demo writes its pages itself: what cannot be read is missing, as anywhere.
    if parser.feed(text.as_bytes()).is_ok()
        && let Ok(page) = parser.finish(true)
    {
        memory.absorb(&page, at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Memory, Rehearsal, absorb};
    use crate::demo::pages;
    use crate::demo::traffic::day;
    use crate::engine::observation::{Combine, Latency, Role, RoleSeries};
    use crate::engine::replay::pod::Stage;
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::scrape::{Pipeline, Scrapes};
    use crate::engine::replay::world::World;
    use crate::source::assemble::roles;
    use crate::source::histogram;
    use crate::source::preset::preset;
    use crate::source::scrape::wanted;
    use crate::spec::Engine;

    /// The scrapes of a replay show what a page of the same pod says once it is parsed.
    #[test]
    fn what_a_replay_scrapes_is_what_the_pages_say() {
        let preset = preset(Engine::Vllm);
        let wanted = wanted(&preset, &[Latency::Ttft]);
        let mut world = World::new(Settings::demo(), day(1, Duration::from_hours(3)), 1, 1);
        let pipeline = Pipeline {
            interval: Duration::from_secs(15),
            window: Duration::from_mins(2),
            quantile: 0.95,
        };
        let mut scrapes = Scrapes::new(pipeline, super::ORIGIN, (0, 12));
        // A range reaches back to its window and not to the very edge of it.
        let mut memory = Memory::new(pipeline.window - Duration::from_millis(1));
        scrapes.scrape(&world);
        let mut compared = 0;
        while world.now() < Duration::from_mins(20) {
            world.advance(scrapes.due(&world));
            scrapes.scrape(&world);
            let at = super::ORIGIN.plus(world.now());
            let observation = scrapes.observe(at);
            let pod = observation.pods.values().next().unwrap();
            let newest = |found: &RoleSeries| found.series[0].latest().unwrap();
            if pod.roles.get(&Role::Waiting).map(newest).is_none_or(|sample| sample.at < at) {
                continue;
            }
            assert_eq!(world.pods()[0].stage(world.now()), Stage::Ready);
            absorb(&mut memory, &pages::vllm(world.pods()[0].replica()), &wanted, at);
            let rows = memory.series(at);
            let (page, _) = roles(&preset, None, &[], &rows);
            for (role, found) in page.iter().filter(|(role, _)| **role != Role::Awake) {
                let replayed = &pod.roles[role];
                let value: f64 =
                    found.series.iter().filter_map(|one| one.latest()).map(|s| s.value).sum();
                assert!((newest(replayed).value - value).abs() < 1e-9, "{role}: {found:?}");
                assert_eq!((&replayed.metric, replayed.combine), (&found.metric, found.combine));
                assert!(found.series.len() == 1 || found.combine == Combine::Sum);
            }
            compared += page.len();
            let buckets = rows.iter().filter(|row| row.name.ends_with("_bucket")).collect();
            let direct = histogram::reading(0.95, 1.0, &[buckets]);
            let replayed = observation.latency[&Latency::Ttft];
            // Extrapolation scales all buckets alike, once no counter is young enough to reach zero.
            if world.now() > Duration::from_mins(5) {
                let (direct, replayed) = (direct.seconds.unwrap(), replayed.seconds.unwrap());
                assert!((direct - replayed).abs() < 1e-6, "{direct} {replayed}");
            }
        }
        assert!(compared > 80 * 7, "{compared}");
    }

    #[test]
    fn arrivals_follow_the_course_and_end_with_it() {
        let mut fleet = Rehearsal::new(1, 2, &[(0.0, 4.0), (10.0, 4.0)]);
        fleet.pass(Duration::from_mins(20));
        let account = fleet.account();
        // 2 400 expected, standard deviation 49: five of them.
        assert!((2150..2650).contains(&account.arrived), "{account:?}");
        assert_eq!((account.finished, account.failed), (account.arrived, 0));
        assert_eq!(account.within, account.arrived);
    }
}
