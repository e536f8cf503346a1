//! A thousand scalers asleep, and a Prometheus that dies: nobody wakes, nobody errors for ever, and
//! nothing flaps when it is back. Over gRPC and HTTP, in compressed time.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/backend.rs"]
mod backend;
#[path = "support/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Cluster, Workload};
use prescale::clock::Clock;
use prescale::engine::decision::{Reason, State};
use prescale::engine::units::Timestamp;
use prescale::grpc::METRIC_NAME;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, ScaledObjectRef};
use prescale::grpc::transport::{Options, serve};
use prescale::scaler::Registry;
use prescale::source::Sources;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::Limits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Scalers.
const SLEEPERS: usize = 1000;
/// Simulated seconds per second: a tick of a minute takes a second and a half, in which a
/// thousand scalers ask some five thousand queries; where they take longer, ticks are fewer.
const SPEED: f64 = 40.0;
const TICK: u64 = 60;

/// What streams said, by object.
#[derive(Debug, Default)]
struct Heard {
    spoke: Mutex<BTreeMap<String, Vec<bool>>>,
    /// Streams that did not end with OK.
    broke: AtomicUsize,
}

impl Heard {
    fn note(&self, name: &str, active: bool) {
        self.spoke.lock().unwrap().entry(name.to_owned()).or_default().push(active);
    }
}

/// One fleet at a time: two would take twice as long each.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A fleet of sleeping scalers before one Prometheus.
struct Rig {
    cluster: Cluster,
    clock: Clock,
    registry: Arc<Registry>,
    client: ExternalScalerClient<Channel>,
    objects: Vec<ScaledObjectRef>,
    heard: Arc<Heard>,
    shutdown: CancellationToken,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn object(number: usize, sees: bool) -> ScaledObjectRef {
    let name = format!("s{number}");
    let mut pairs = vec![
        ("tick".to_owned(), format!("{TICK}s")),
        ("scaleStrategy".to_owned(), "reactive".to_owned()),
        ("workload".to_owned(), format!("deployment/{name}")),
    ];
    if sees {
        pairs.push(("gateway".to_owned(), "keda-http".to_owned()));
        pairs.push(("gatewaySelector".to_owned(), format!("route_name=\"{name}\"")));
    }
    ScaledObjectRef {
        name,
        namespace: "team".to_owned(),
        scaler_metadata: pairs.into_iter().collect(),
    }
}

impl Rig {
    /// Starts, with a stream for every object, as KEDA opens them; `sees` says which have a gateway.
    async fn start(sees: fn(usize) -> bool) -> Self {
        let objects: Vec<_> = (0..SLEEPERS).map(|number| object(number, sees(number))).collect();
        let shown = objects.iter().enumerate().map(|(number, object)| {
            (object.name.clone(), Workload { replicas: 0, held: sees(number).then_some(0.0) })
        });
        let cluster = Cluster::start(shown.collect()).await;
        let clock = Clock::scaled(Timestamp::from_unix_ms(1_790_000_000_000), SPEED);
        let mut datasource = DatasourceConfig::at(cluster.url());
        datasource.concurrency = Some(32);
        let datasources = BTreeMap::from([("default".to_owned(), datasource)]);
        let sources = Sources::open(&datasources, ScrapePolicy::default(), clock.clone()).unwrap();
        let limits = Limits { per_namespace: SLEEPERS + 1, ..Limits::default() };
        let registry = Registry::new(sources, clock.clone(), limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, Options::default(), Arc::clone(&registry), shutdown.clone()));
        let endpoint = Endpoint::from_shared(url).unwrap();
        let channel = endpoint.initial_connection_window_size(16 << 20).connect().await.unwrap();
        let client = ExternalScalerClient::new(channel);
        let heard = Arc::default();
        let rig = Self { cluster, clock, registry, client, objects, heard, shutdown };
        for object in &rig.objects {
            rig.listen(object.clone());
        }
        rig
    }

    /// Notes all that the stream of `object` says, and opens it again when it ends with OK of age.
    fn listen(&self, object: ScaledObjectRef) {
        let (mut client, heard) = (self.client.clone(), Arc::clone(&self.heard));
        tokio::spawn(async move {
            while let Ok(stream) = client.stream_is_active(object.clone()).await {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => heard.note(&object.name, message.result),
                        Ok(None) => break,
                        Err(_) => {
                            heard.broke.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                    }
                }
            }
        });
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// What KEDA hears of one object in a poll.
    async fn ask(&self, object: &ScaledObjectRef) -> Result<(f64, bool), Status> {
        let mut client = self.client.clone();
        let scaled_object_ref = Some(object.clone());
        let request = GetMetricsRequest { scaled_object_ref, metric_name: METRIC_NAME.to_owned() };
        let values = client.get_metrics(request).await?.into_inner().metric_values;
        let active = client.is_active(object.clone()).await?.into_inner().result;
        Ok((values.first().unwrap().metric_value_float, active))
    }

    /// What KEDA hears of every object in one poll.
    async fn poll(&self) -> Vec<Result<(f64, bool), Status>> {
        futures_util::future::join_all(self.objects.iter().map(|object| self.ask(object))).await
    }

    /// Polls once a minute for `minutes`: every answer must be zero and inactive, every stream silent.
    async fn sleeps(&self, minutes: u64, what: &str) {
        for minute in 0..minutes {
            for (object, heard) in self.objects.iter().zip(self.poll().await) {
                let heard = heard.unwrap_or_else(|status| {
                    panic!("{what}, minute {minute}, {}: {status}", object.name)
                });
                assert_eq!(heard, (0.0, false), "{what}, minute {minute}, {}", object.name);
            }
            assert_eq!(*self.heard.spoke.lock().unwrap(), BTreeMap::new(), "{what}: {minute}");
            self.pass(60).await;
        }
        assert_eq!(self.heard.broke.load(Ordering::Relaxed), 0, "{what}: streams broke");
    }

    /// How many scalers are in each state.
    fn states(&self) -> BTreeMap<State, usize> {
        let mut states = BTreeMap::new();
        for scaler in self.registry.all() {
            let Some(decision) = scaler.latest() else { continue };
            *states.entry(decision.state).or_default() += 1;
        }
        states
    }

    /// Waits, for an hour at most, until the scalers are in these states.
    async fn until(&self, states: &BTreeMap<State, usize>) {
        for _ in 0..360 {
            if self.states() == *states {
                return;
            }
            self.pass(10).await;
        }
        panic!("never {states:?}, but {:?}", self.states());
    }
}

/// Twelve minutes: longer than anything is held without data.
const OUTAGE: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sleep_through_a_dead_prometheus_and_wake_only_by_demand() {
    let _turn = TURN.lock().await;
    let mut rig = Rig::start(|_| true).await;
    rig.until(&BTreeMap::from([(State::Asleep, SLEEPERS)])).await;
    rig.sleeps(2, "before").await;
    rig.cluster.die().await;
    rig.sleeps(1, "dying").await;
    let asked = rig.cluster.asked();
    rig.sleeps(OUTAGE, "dead").await;
    assert_eq!(rig.cluster.asked(), asked, "it was dead");
    assert_eq!(rig.states(), BTreeMap::from([(State::AsleepBlind, SLEEPERS)]), "and shown");
    for scaler in rig.registry.all() {
        let decision = scaler.latest().unwrap();
        let names = [Reason::ActivationUnreadable, Reason::ReplicasUnknown];
        assert!(names.iter().all(|one| decision.reasons.contains(one)), "{:?}", decision.reasons);
    }
    rig.cluster.revive().await;
    rig.sleeps(3, "back").await;
    rig.until(&BTreeMap::from([(State::Asleep, SLEEPERS)])).await;
    rig.sleeps(2, "read again").await;

    for number in (1..SLEEPERS).step_by(2) {
        rig.cluster.set(&format!("s{number}"), Workload { replicas: 0, held: Some(2.0) });
    }
    let half = SLEEPERS / 2;
    rig.until(&BTreeMap::from([(State::Asleep, half), (State::Waking, half)])).await;
    for (number, heard) in rig.poll().await.into_iter().enumerate() {
        let (value, active) = heard.unwrap();
        assert_eq!(
            (value >= 1.0, active),
            (number % 2 == 1, number % 2 == 1),
            "s{number}: {value}"
        );
    }
    rig.pass(20).await;
    let spoke = rig.heard.spoke.lock().unwrap().clone();
    assert_eq!(spoke.len(), half, "only the woken");
    assert!(spoke.values().flatten().all(|active| *active), "never false");
    assert!(spoke.keys().all(|name| name.ends_with(['1', '3', '5', '7', '9'])), "{spoke:?}");
}

/// Half of them see nothing at zero: cold, which at zero is 0 and inactive. One is first asked for
/// while nothing answers: that is an error, which holds, and ends with the outage.
#[tokio::test(flavor = "multi_thread")]
async fn scalers_that_never_had_data_sleep_through_it_as_well_and_a_new_one_errs_only_until_the_end()
 {
    let _turn = TURN.lock().await;
    let mut rig = Rig::start(|number| number % 2 == 0).await;
    let half = SLEEPERS / 2;
    let known = BTreeMap::from([(State::Asleep, half), (State::Cold, half)]);
    rig.until(&known).await;
    rig.sleeps(1, "before").await;
    rig.cluster.die().await;
    rig.sleeps(OUTAGE, "dead").await;
    assert_eq!(rig.states(), BTreeMap::from([(State::AsleepBlind, half), (State::Cold, half)]));
    let late = object(SLEEPERS, true);
    rig.cluster.set(&late.name, Workload { replicas: 0, held: Some(0.0) });
    for _ in 0..5 {
        let status = rig.ask(&late).await.unwrap_err();
        assert!(matches!(status.code(), Code::Unavailable | Code::FailedPrecondition), "{status}");
        rig.pass(30).await;
    }
    rig.cluster.revive().await;
    rig.sleeps(3, "back").await;
    let known = BTreeMap::from([(State::Asleep, half + 1), (State::Cold, half)]);
    rig.until(&known).await;
    rig.sleeps(1, "read again").await;
    assert_eq!(rig.ask(&late).await.unwrap(), (0.0, false));
}
