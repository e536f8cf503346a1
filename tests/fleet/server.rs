//! A whole server of many forecasting scalers, each with a workload of four pods of its own: the real
//! engine, gRPC and store. Only the observations are made here, so that what is measured is ours and
//! not a Prometheus's.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use prescale::clock::Clock;
use prescale::engine::foresight::Foresight;
use prescale::engine::observation::{
    Combine, Observation, Phase, PodObservation, Role, RoleSeries,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, Step, step};
use prescale::engine::units::Timestamp;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, ScaledObjectRef};
use prescale::grpc::transport::{Options, serve};
use prescale::scaler::{Observe, Reference, Registry, Scaler, World};
use prescale::spec::{self, Faults, Limits, Spec, Target};
use prescale::store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::resident;

const TICK: Duration = Duration::from_secs(15);
/// What KEDA asks with by default.
const POLL: Duration = Duration::from_secs(30);
const PODS: u32 = 4;

#[derive(Debug)]
struct Busy;

impl World for Busy {
    fn parse(&self, reference: &Reference, limits: &Limits) -> Result<Spec, Faults> {
        spec::parse(&reference.namespace, &reference.name, &reference.metadata, limits)
    }

    fn observer(&self, _target: &Target) -> Box<dyn Observe> {
        Box::new(Self)
    }

    fn step(&self, setup: &Setup, observation: &Observation, memory: Memory) -> Step {
        step(setup, observation, memory)
    }
}

impl Observe for Busy {
    fn observe(&mut self, at: Timestamp) -> BoxFuture<'_, Observation> {
        Box::pin(async move {
            let mut observation = Observation::empty(at);
            for idx in 0..PODS {
                observation.pods.insert(format!("llama-7d9f8b6c5d-{idx:05}"), pod(at));
            }
            observation.workload.spec_replicas = Some(PODS);
            observation.workload.ready_replicas = Some(PODS);
            observation
        })
    }
}

/// A pod of steady load: its counters have grown since 1970.
fn pod(at: Timestamp) -> PodObservation {
    let families = [
        (Role::Waiting, Combine::Sum, 0.0, false),
        (Role::Running, Combine::Sum, 20.0, false),
        (Role::KvUsage, Combine::Mean, 0.4, false),
        (Role::KvTokens, Combine::Sum, 421_000.0, false),
        (Role::PromptTokens, Combine::Sum, 600.0, true),
        (Role::GenerationTokens, Combine::Sum, 300.0, true),
        (Role::Finished, Combine::Sum, 1.2, true),
    ];
    let mut pod = PodObservation::new(Phase::Ready);
    for (role, combine, level, counter) in families {
        let samples = (0..10_u32).map(|back| {
            let at = at.minus(TICK * (9 - back));
            let seconds = f64::from(u32::try_from(at.unix_ms() / 1000).unwrap());
            Sample { at, value: if counter { level * seconds } else { level } }
        });
        let series = vec![Series::new(samples.collect())];
        let metric = role.name().to_owned();
        pod.roles.insert(role, RoleSeries { metric, combine, series });
    }
    pod
}

fn request(idx: usize) -> GetMetricsRequest {
    let scaled_object_ref = Some(ScaledObjectRef {
        name: format!("llama-{idx}"),
        namespace: format!("team-{}", idx % 40),
        scaler_metadata: [("scaleStrategy".to_owned(), "auto".to_owned())].into(),
    });
    GetMetricsRequest { scaled_object_ref, metric_name: "prescale-replicas".to_owned() }
}

/// User and system time of this process in seconds.
fn spent() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2);
    // A hundred clock ticks a second, as Linux has had for ever.
    ticks.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Asks every scaler, evenly over one poll interval; says how many had no number.
async fn poll(client: &mut ExternalScalerClient<Channel>, count: usize) -> usize {
    let clock = Clock::system();
    let began = clock.elapsed();
    let mut refused = 0;
    for idx in 0..count {
        refused += usize::from(client.get_metrics(request(idx)).await.is_err());
        let due = POLL * u32::try_from(idx).unwrap() / u32::try_from(count).unwrap();
        let ahead = due.saturating_sub(clock.elapsed() - began);
        if ahead > Duration::from_millis(2) {
            tokio::time::sleep(ahead).await;
        }
    }
    refused
}

/// Starts the server, asks as KEDA does, and prints memory and time.
pub(super) async fn measure(count: usize, setup: &Setup, taught: &Foresight) {
    let clock = Clock::system();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), clock.clone()).unwrap());
    let limits = Limits { scalers: count, ..Limits::default() };
    let registry = Registry::keeping(Arc::new(Busy), clock.clone(), limits, Arc::clone(&store));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let end = CancellationToken::new();
    let server = serve(listener, Options::default(), Arc::clone(&registry), end.clone());
    let server = tokio::spawn(server);
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await;
    let mut client = ExternalScalerClient::new(channel.unwrap());
    let empty = resident();

    poll(&mut client, count).await;
    let untaught = resident();
    for scaler in registry.all() {
        scaler.revise(|memory| memory.foresight.take_over(setup, taught.clone(), &[]));
    }
    // Each has copied what it shares with the others at its first minute of its own.
    for _ in 0..5 {
        poll(&mut client, count).await;
    }
    let (began, before) = (clock.elapsed(), spent());
    let refused = poll(&mut client, count).await + poll(&mut client, count).await;
    let (seconds, busy) = ((clock.elapsed() - began).as_secs_f64(), spent() - before);
    let scalers = registry.all();
    let foresees =
        |scaler: &&Arc<Scaler>| scaler.latest().is_some_and(|latest| latest.foreseen.is_some());
    let (forecasting, full) = (scalers.iter().filter(foresees).count(), resident());
    println!("{count} scalers, {forecasting} forecasting, {refused} polls without a number");
    println!(
        "{full:.0} MiB resident, {untaught:.0} without a forecast, {empty:.0} at start; client and \
         server in one process"
    );
    println!(
        "{:.2} cores with ticks of 15 s and a poll each 30 s ({seconds:.0} s)",
        busy / seconds
    );
    end.cancel();
    server.await.unwrap().unwrap();
    registry.shutdown().await;
}
