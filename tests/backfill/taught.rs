//! A new scaler beside a real Prometheus that remembers nine days of its workload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::decision::Stage;
use prescale::engine::foresight::{Ahead, Carries, Foresight};
use prescale::engine::units::Timestamp;
use prescale::scaler::{Learning, Reference, Registry, Scaler};
use prescale::source::config::DatasourceConfig;
use prescale::spec::Limits;
use prescale::store::{Identity, Key, Store};

use crate::history::{DAY, History, Load, Pod};
use crate::server::Prometheus;
use crate::{second, sources, spec};

const DAYS: i64 = 9;
const LEAD: Duration = Duration::from_mins(4);
const METADATA: [(&str, &str); 3] = [("engine", "vllm"), ("model", "m"), ("forecastHistory", "9d")];

/// Requests per second: by day three times as many as by night.
fn rate(at: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of the epoch are far below 2^53")]
    let days = at as f64 / 86_400.0;
    20.0 - 10.0 * (std::f64::consts::TAU * days).cos()
}

/// Two pods that share it until `until`.
fn history(until: i64) -> History {
    let half: &dyn Fn(i64) -> f64 = &|at| 0.5 * rate(at);
    let mut history = History::default();
    for pod in ["chat-7d9f6b5c4-aaaaa", "chat-7d9f6b5c4-bbbbb"] {
        let pod = Pod::new("llm", pod, until - DAYS * DAY - 600, until);
        let load =
            Load { rate: half, prompt: 800.0, cached: 0.0, output: 200.0, cached_names: &[] };
        history.vllm(&pod, &load);
    }
    history
}

fn registry(prometheus: &Prometheus, store: Option<Arc<Store>>) -> Arc<Registry> {
    let clock = Clock::system();
    let sources = sources(DatasourceConfig::at(prometheus.url()), clock.clone());
    let runtime = tokio::runtime::Handle::current();
    Registry::ticking_on(runtime, sources, clock, Limits::default(), store)
}

/// The scaler once it has learned all that there is.
async fn taught(registry: &Arc<Registry>) -> Arc<Scaler> {
    let metadata = METADATA.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let reference = Reference {
        namespace: "llm".to_owned(),
        name: "chat".to_owned(),
        metadata: metadata.into_iter().collect(),
    };
    let scaler = registry.scaler(&reference).unwrap();
    for _ in 0..600 {
        match scaler.learning() {
            Learning::Done { .. } => return scaler,
            Learning::Failed(reason) => panic!("{reason}"),
            Learning::None | Learning::Reading(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("still {:?}", scaler.learning());
}

/// What is said right after the newest minute that was learned.
fn ahead(mut foresight: Foresight) -> (Timestamp, Ahead) {
    let setup = spec(&METADATA).setup;
    let newest = foresight.newest_known().unwrap();
    let ahead = foresight.ahead(&setup, newest.plus(Minute::LENGTH), LEAD).unwrap();
    (newest, ahead)
}

/// The minutes in the store of which something is known.
fn kept(store: &Store, scaler: &Scaler) -> Vec<Minute> {
    let (namespace, name) = ("llm".to_owned(), "chat".to_owned());
    let (workload, engine) = (String::new(), "vllm".to_owned());
    let identity = Identity { namespace, name, workload, engine };
    let key = Key { identity, trigger: scaler.hash8.clone() };
    let minutes = store.minutes(&key, Timestamp::default());
    minutes.into_iter().filter(|minute| minute.requests.is_some()).collect()
}

/// The same workload as a backtest would be given it: its rate, minute by minute.
fn known(from: i64, newest: Timestamp) -> Foresight {
    let minutes: Vec<Minute> = (from..=newest.unix_ms() / 1000)
        .step_by(60)
        .map(|at| {
            let requests = rate(at + 30);
            let work = Some(requests * 280.0);
            Minute { at: second(at), requests: Some(requests), work, replicas: None }
        })
        .collect();
    Foresight::of(&spec(&METADATA).setup, LEAD, Carries::default(), &minutes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_scaler_knows_its_days_and_so_does_the_one_after_a_restart() {
    // Long enough ago that ticks have nothing to read, and add no minutes of their own.
    let until = Clock::system().now().unix_ms() / 60_000 * 60 - 900;
    let Some(prometheus) = history(until).remembered().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let open = |dir: &Path| Arc::new(Store::open(dir, Clock::system()).unwrap());
    let store = open(dir.path());
    let first = registry(&prometheus, Some(Arc::clone(&store)));
    let scaler = taught(&first).await;
    let (newest, said) = ahead(scaler.memory().foresight);
    assert_eq!(said.stage, Stage::Week);
    assert!(said.trust.is_trusted(), "{}", said.trust);
    // Before the end of the series, of whose last minutes less is seen, and without the ticks since.
    let mut minutes = kept(&store, &scaler);
    minutes.retain(|minute| minute.at < second(until - 300));
    let (last, stored) =
        ahead(Foresight::of(&spec(&METADATA).setup, LEAD, Carries::default(), &minutes));
    let (_, expected) = ahead(known(until - DAYS * DAY, last));
    let ratio = stored.work.unwrap() / expected.work.unwrap();
    assert!((0.97..1.03).contains(&ratio), "{stored:?} beside {expected:?}");
    // Another process, without anything in common but Prometheus, knows the same.
    let another = tempfile::tempdir().unwrap();
    let another = open(another.path());
    let other = registry(&prometheus, Some(Arc::clone(&another)));
    let mut others = kept(&another, &*taught(&other).await);
    let common = second(until - (DAYS - 1) * DAY)..second(until - 300);
    minutes.retain(|minute| common.contains(&minute.at));
    others.retain(|minute| common.contains(&minute.at));
    assert!(minutes.len() > 11_000 && minutes == others, "{} {}", minutes.len(), others.len());
    first.shutdown().await;
    assert!(store.flush(Duration::from_secs(10)));
    store.close();
    drop((first, store, scaler));
    // Prometheus is gone: the store has it all.
    let gone = prometheus.url();
    drop(prometheus);
    let store = open(dir.path());
    let clock = Clock::system();
    let sources = sources(DatasourceConfig::at(gone), clock.clone());
    let runtime = tokio::runtime::Handle::current();
    let second = Registry::ticking_on(runtime, sources, clock, Limits::default(), Some(store));
    let metadata = METADATA.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (namespace, name) = ("llm".to_owned(), "chat".to_owned());
    let reference = Reference { namespace, name, metadata: metadata.into_iter().collect() };
    let scaler = second.scaler(&reference).unwrap();
    for _ in 0..200 {
        if scaler.memory().foresight.newest_known() >= Some(newest) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut foresight = scaler.memory().foresight;
    let setup = spec(&METADATA).setup;
    let now = foresight.newest_known().expect("what was learned is stored").plus(Minute::LENGTH);
    let again = foresight.ahead(&setup, now, LEAD).unwrap();
    assert!(again.trust.is_trusted() && again.stage == Stage::Week, "{again:?}");
    second.shutdown().await;
    other.shutdown().await;
    another.close();
}
