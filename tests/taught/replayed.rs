//! The same days as `prescale backtest --prometheus-url --query` replays them, and what the law of
//! `prescale-auto` foresees at their end.
//!
//! The reader, the drawing of requests, the world and the law are the command's; its table has no column
//! for a forecast, so the run is made here and the law kept.

use std::sync::Arc;
use std::time::Duration;

use prescale::backtest::input::{Question, Sizes, read_prometheus};
use prescale::clock::Clock;
use prescale::engine::replay::policy::{Context, Reactive, find};
use prescale::engine::replay::profile::Settings;
use prescale::engine::replay::request::Arrival;
use prescale::engine::replay::run::{Scene, run};
use prescale::engine::replay::scrape::Pipeline;
use prescale::engine::setup::Strategy;
use prescale::engine::units::{Ratio, Timestamp};
use prescale::source::config::DatasourceConfig;
use prescale::spec::{Limits, parse};

use crate::agreement::Says;
use crate::fleet::Fleet;

/// As anybody would write it.
const QUERY: &str = r#"sum(rate(vllm:request_success_total{namespace="llm",pod=~"chat-.*"}[2m]))"#;

/// Replicas of the world: what is foreseen is of the load, and does not depend on them.
const REPLICAS: (u32, u32) = (1, 3);

/// What is foreseen after the minute `newest` at a lead time.
pub(crate) async fn says(fleet: &Fleet, newest: Timestamp, lead: Duration) -> Says {
    let end = newest.plus(Duration::from_mins(1));
    let question = Question {
        datasource: DatasourceConfig::at(fleet.prometheus.url()),
        query: QUERY.to_owned(),
        range: end.since(Timestamp::from_unix_ms(fleet.past.learned_from() * 1000)),
        end,
    };
    let cached = Ratio::try_new(0.0).unwrap();
    let sizes = Sizes { prompt: 800, output: 200, cached };
    let clock = Clock::system();
    let recorded = read_prometheus(&question, sizes, &clock, &mut |_| ()).await.unwrap();
    let arrivals = recorded.arrivals(1, 1.0).unwrap();
    let begins = recorded.begins.unwrap();
    eprintln!("{} requests, {:?}", arrivals.len(), recorded.notes);
    let length = recorded.length;
    let law = tokio::task::spawn_blocking(move || replayed(arrivals, begins, length));
    let law = law.await.unwrap();
    eprintln!("replayed, {:?} until now", clock.elapsed());
    let mut foresight = law.foresight().clone();
    let newest = foresight.newest_known().unwrap();
    Says::of(&mut foresight, newest, lead)
}

fn replayed(arrivals: Arc<[Arrival]>, origin: Timestamp, length: Duration) -> Reactive {
    let settings = Settings::demo();
    let keys = [("engine", "vllm"), ("model", "m")];
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let context = Context {
        objectives: settings.objectives,
        limits: REPLICAS,
        profile: settings.profile.clone(),
        knee: 5.0,
        cold_start: settings.cold_start.total(),
        setup: parse("llm", "chat", &keys.into_iter().collect(), &Limits::default()).unwrap().setup,
        arrivals: Arc::clone(&arrivals),
        length,
        origin,
    };
    let policy = find("prescale-auto").unwrap();
    let mut law = Reactive::foreseeing(&context, 0.7, Strategy::Auto);
    let scene = Scene {
        arrivals,
        length,
        origin,
        objectives: settings.objectives,
        initial: REPLICAS.0,
        seed: 1,
        pipeline: Pipeline {
            interval: Duration::from_secs(15),
            window: Duration::from_mins(2),
            quantile: 0.95,
        },
        settings,
        limits: REPLICAS,
        disturbances: Vec::new(),
    };
    let trial = run(&scene, &mut law, policy.every, &(policy.actuator)(&context));
    assert!(trial.broken.is_empty(), "{:?}", trial.broken);
    law
}
