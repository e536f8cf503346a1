//! The minutes that ticks measure beside what really came: a plain count, as history has it, and not the
//! number that the law decides by, which allows for chance and for steps.

use std::time::Duration;

use prescale::engine::arrived::Minute;
use prescale::engine::decision::TermKind;
use prescale::engine::replay::law::{Answer, Law, View};
use prescale::engine::replay::policy::{Context, find};
use prescale::engine::replay::profile::Settings;
use prescale::engine::replay::random::Random;
use prescale::engine::replay::run::{Scene, run};
use prescale::engine::replay::scrape::Pipeline;
use prescale::engine::replay::traffic::Arrivals;
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

const HOURS: u64 = 4;
const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

/// The engine, with what it measured and what it decided by at the end of each minute.
#[derive(Debug)]
struct Measuring {
    setup: Setup,
    memory: Memory,
    minutes: Vec<(Minute, f64)>,
}

impl Law for Measuring {
    fn look(&mut self, view: &View<'_>) -> Answer {
        let stepped = step(&self.setup, view.observation, std::mem::take(&mut self.memory));
        self.memory = stepped.memory;
        let terms = &stepped.decision.terms;
        let read = terms.iter().find(|term| term.kind == TermKind::RequestRate);
        self.minutes.extend(stepped.minute.zip(read.map(|term| term.value)));
        Answer::default()
    }

    fn restart(&mut self) {}
}

/// Requests per second in the mean of hours of constant load: what came, what minutes say, and what the law
/// read.
fn means(rate: f64) -> [f64; 3] {
    let settings = Settings::demo();
    let length = Duration::from_hours(HOURS);
    let corners = [(0.0, rate), (1.0, rate)];
    let arrivals = Arrivals::along(Random::new(4), length, &corners, &[(1.0, 800, 200)]).all();
    let metadata = [("requestRate", "1"), ("scaleStrategy", "observer")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let setup = parse("llm", "chat", &metadata.into_iter().collect(), &Limits::default());
    let setup = setup.unwrap().setup;
    let context = Context {
        objectives: settings.objectives,
        limits: (4, 4),
        profile: settings.profile.clone(),
        knee: 5.0,
        cold_start: settings.cold_start.total(),
        setup: setup.clone(),
        arrivals: arrivals.clone(),
        length,
        origin: ORIGIN,
    };
    let policy = find("prescale-reactive").unwrap();
    let interval = Duration::from_secs(15);
    let scene = Scene {
        arrivals: arrivals.clone(),
        length,
        origin: ORIGIN,
        objectives: settings.objectives,
        initial: 4,
        seed: 1,
        pipeline: Pipeline { interval, window: Duration::from_mins(2), quantile: 0.95 },
        settings,
        limits: (4, 4),
        disturbances: Vec::new(),
    };
    let mut law = Measuring { setup, memory: Memory::default(), minutes: Vec::new() };
    drop(run(&scene, &mut law, policy.every, &(policy.actuator)(&context)));
    // The first minutes have no past, the last one no requests.
    let minutes = &law.minutes[5..law.minutes.len() - 5];
    let (first, last) = (minutes[0].0.at, minutes[minutes.len() - 1].0.at);
    let within = |at: Duration| (first..last.plus(Minute::LENGTH)).contains(&ORIGIN.plus(at));
    let mean = |sum: f64, count: usize| sum / f64::from(u32::try_from(count).unwrap());
    let came = arrivals.iter().filter(|arrival| within(arrival.at)).map(|_| 1.0).sum();
    let counted = minutes.iter().map(|(minute, _)| minute.requests.unwrap()).sum();
    let read = minutes.iter().map(|(_, read)| read).sum();
    [mean(came, minutes.len() * 60), mean(counted, minutes.len()), mean(read, minutes.len())]
}

#[test]
fn a_minute_of_ticks_is_the_count_of_that_minute() {
    for rate in [1.0, 4.0, 16.0] {
        let [came, counted, read] = means(rate);
        let share = |of: f64| (of / came - 1.0) * 100.0;
        eprintln!("{rate}/s: minutes {:+.2} %, the law {:+.2} %", share(counted), share(read));
        assert!(share(counted).abs() < 0.3, "{rate}/s: {counted} of {came}");
        assert!(read > counted, "{rate}/s: the law reads {read}, {counted} were counted");
    }
}
