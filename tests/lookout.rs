//! A request at the gateway wakes its sleeping model within a second; looking costs one scrape a second,
//! however many sleep.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Reply, Server};
use prescale::clock::Clock;
use prescale::scaler::{Reference, Registry, Scaler};
use prescale::source::Sources;
use prescale::source::config::ScrapePolicy;
use prescale::spec::Limits;

/// A gate that shows what is in flight, by namespace and scaled object.
struct Gate {
    held: Arc<Mutex<BTreeMap<(String, String), u32>>>,
    server: Server,
}

impl Gate {
    /// A gate in front of these, idle ones; broken where there are none.
    async fn start(objects: &[(&str, String)]) -> Self {
        let held: BTreeMap<(String, String), u32> =
            objects.iter().map(|(ns, name)| (((*ns).to_owned(), name.clone()), 0)).collect();
        let held = Arc::new(Mutex::new(held));
        let shown = Arc::clone(&held);
        let server = Server::start(move |_| {
            let shown = shown.lock().unwrap();
            let mut page = String::new();
            for ((namespace, name), held) in shown.iter() {
                let labels = format!("namespace=\"{namespace}\",name=\"{name}\",model=\"m\"");
                writeln!(page, "prescale_gate_requests_in_flight{{{labels}}} {held}").unwrap();
                writeln!(page, "prescale_gate_requests_total{{{labels}}} 7").unwrap();
            }
            if page.is_empty() { Reply::status(500) } else { Reply::ok(page) }
        })
        .await;
        Self { held, server }
    }

    fn hold(&self, namespace: &str, name: &str, requests: u32) {
        self.held.lock().unwrap().insert((namespace.to_owned(), name.to_owned()), requests);
    }

    fn scrapes(&self) -> usize {
        self.server.requests().len()
    }
}

/// A registry whose names `chat` stand for nothing and whose names `gate` stand for this machine.
fn registry(clock: Clock) -> Arc<Registry> {
    let gate = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let names = ["ml", "other"].map(|ns| (format!("gate.{ns}.svc"), gate.clone()));
    let policy = ScrapePolicy {
        allow_loopback: true,
        names: Some(Arc::new(Mutex::new(BTreeMap::from(names)))),
    };
    let sources = Sources::open(&BTreeMap::new(), policy, clock.clone()).unwrap();
    Registry::new(sources, clock, Limits::default())
}

/// A scaler of a workload without pods, asked for as KEDA does.
fn scaler(registry: &Arc<Registry>, at: &str, name: &str, gate: &Gate) -> Arc<Scaler> {
    let port = gate.server.address.port();
    let metadata = BTreeMap::from([
        ("endpoints".to_owned(), "dns://chat:8000/metrics".to_owned()),
        ("gateway".to_owned(), "prescale-gate".to_owned()),
        ("activationEndpoints".to_owned(), format!("dns://gate:{port}/metrics")),
        ("activation".to_owned(), "1".to_owned()),
        ("scaleStrategy".to_owned(), "reactive".to_owned()),
    ]);
    let (namespace, name) = (at.to_owned(), name.to_owned());
    let scaler = registry.scaler(&Reference { namespace, name, metadata }).unwrap();
    // It was put to sleep once: of a name without addresses nothing else would be known.
    scaler.revise(|memory| memory.last = Some(0));
    scaler
}

async fn until(what: &str, limit: Duration, done: impl Fn() -> bool) -> Duration {
    let clock = Clock::system();
    while !done() {
        assert!(clock.elapsed() < limit, "{what} took too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.elapsed()
}

fn active(scaler: &Scaler) -> Option<bool> {
    scaler.latest().and_then(|decision| decision.active())
}

async fn all_asleep(scalers: &[Arc<Scaler>]) {
    let asleep = || scalers.iter().all(|scaler| active(scaler) == Some(false));
    until("falling asleep", Duration::from_secs(30), asleep).await;
    // The ticks that remembered sleep are over.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_wakes_its_model_within_a_second_and_nobody_else() {
    let names: Vec<String> = (0..5).map(|idx| format!("m-{idx}")).collect();
    let mut objects: Vec<(&str, String)> = names.iter().map(|name| ("ml", name.clone())).collect();
    objects.push(("other", "m-0".to_owned()));
    let gate = Gate::start(&objects).await;
    let registry = registry(Clock::system());
    let scalers: Vec<Arc<Scaler>> =
        names.iter().map(|name| scaler(&registry, "ml", name, &gate)).collect();
    let other = [scaler(&registry, "other", "m-0", &gate)];
    all_asleep(&scalers).await;
    all_asleep(&other).await;
    let mut took = Vec::new();
    for (idx, scaler) in scalers.iter().enumerate() {
        // One is not above `activation`: 1, and wakes nobody.
        gate.hold("ml", &scaler.name, 1);
        tokio::time::sleep(Duration::from_millis(1_130)).await;
        assert_eq!(active(scaler), Some(false), "{}", scaler.name);
        gate.hold("ml", &scaler.name, 2);
        let woke = || active(scaler) == Some(true);
        took.push(until("waking", Duration::from_secs(20), woke).await);
        let rest = &scalers[idx + 1..];
        assert!(rest.iter().chain(&other).all(|scaler| active(scaler) == Some(false)));
    }
    took.sort_unstable();
    println!("from the request to active, five times: {took:?}");
    // The median, since this machine may be busy; a tick would be 7.5 s on average.
    assert!(took[2] <= Duration::from_millis(1_200), "{took:?}");
    registry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sleepers_cost_one_scrape_a_second() {
    let names: Vec<String> = (0..200).map(|idx| format!("m-{idx}")).collect();
    let objects: Vec<(&str, String)> = names.iter().map(|name| ("ml", name.clone())).collect();
    let gate = Gate::start(&objects).await;
    let registry = registry(Clock::system());
    let scalers: Vec<Arc<Scaler>> =
        names.iter().map(|name| scaler(&registry, "ml", name, &gate)).collect();
    all_asleep(&scalers).await;
    let (before, clock) = (gate.scrapes(), Clock::system());
    tokio::time::sleep(Duration::from_secs(6)).await;
    let scrapes = gate.scrapes() - before;
    let seconds = clock.elapsed().as_secs();
    println!("200 sleepers, {seconds} s: {scrapes} scrapes");
    // And at most two for a tick of all of them that fell into it.
    let most = usize::try_from(seconds).unwrap() + 3;
    assert!((3..=most).contains(&scrapes), "{scrapes} in {seconds} s");
    registry.shutdown().await;
    let after = gate.scrapes();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(gate.scrapes() <= after + 1, "nobody looks when nobody sleeps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_page_is_left_alone_longer_and_longer() {
    let gate = Gate::start(&[]).await;
    let registry = registry(Clock::system());
    let one = scaler(&registry, "ml", "m-0", &gate);
    all_asleep(&[one]).await;
    let before = gate.scrapes();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let scrapes = gate.scrapes() - before;
    println!("a dead page, 8 s: {scrapes} scrapes");
    // At once, after two seconds and after four more; and for a tick.
    assert!(scrapes <= 4, "{scrapes}");
    registry.shutdown().await;
}

/// The demo runs sixty times as fast: looks are then ten a second, and ticks four.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_follow_a_fast_clock_and_no_faster_than_is_cheap() {
    let gate = Gate::start(&[("ml", "m-0".to_owned())]).await;
    let start = prescale::engine::units::Timestamp::from_unix_ms(1_790_000_000_000);
    let registry = registry(Clock::scaled(start, 60.0));
    let one = scaler(&registry, "ml", "m-0", &gate);
    all_asleep(std::slice::from_ref(&one)).await;
    let before = gate.scrapes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let scrapes = gate.scrapes() - before;
    println!("sixty times as fast, 2 s: {scrapes} scrapes");
    assert!((10..=35).contains(&scrapes), "{scrapes}");
    gate.hold("ml", "m-0", 9);
    until("waking", Duration::from_secs(2), || active(&one) == Some(true)).await;
    registry.shutdown().await;
}
