//! What KEDA hears while the world breaks: each fault of the data against the running service, over
//! gRPC, in compressed time. The pass criterion stands at each row.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "support/backend.rs"]
mod backend;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backend::{Backend, Mood, Pod, World};
use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, ScaledObjectRef};
use prescale::grpc::transport::{Options, serve};
use prescale::scaler::Registry;
use prescale::source::Sources;
use prescale::source::config::{DatasourceConfig, ScrapePolicy};
use prescale::spec::Limits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Simulated seconds per second. A tick of 15 s takes 0.25 s: longer than any answer on loopback.
const SPEED: f64 = 60.0;

/// The service in front of a scripted Prometheus.
struct Rig {
    backend: Backend,
    clock: Clock,
    client: ExternalScalerClient<Channel>,
    object: ScaledObjectRef,
    shutdown: CancellationToken,
    slowest: Duration,
}

impl Rig {
    async fn start(world: World, metadata: &[(&str, &str)]) -> Self {
        let backend = Backend::start(world).await;
        let clock = Clock::scaled(Timestamp::from_unix_ms(1_790_000_000_000), SPEED);
        let mut datasource = DatasourceConfig::at(backend.url.clone());
        datasource.timeout = Some(Duration::from_millis(200));
        let datasources = BTreeMap::from([("default".to_owned(), datasource)]);
        let sources = Sources::open(&datasources, ScrapePolicy::default(), clock.clone()).unwrap();
        let registry = Registry::new(sources, clock.clone(), Limits::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, Options::default(), Arc::clone(&registry), shutdown.clone()));
        let client = ExternalScalerClient::connect(url).await.unwrap();
        let metadata: BTreeMap<String, String> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let object = ScaledObjectRef {
            name: "llama".to_owned(),
            namespace: "team-a".to_owned(),
            scaler_metadata: metadata,
        };
        Self { backend, clock, client, object, shutdown, slowest: Duration::ZERO }
    }

    /// What KEDA would hear now: the value and the activity, or the first error.
    async fn ask(&mut self) -> Result<(f64, bool), Status> {
        // By the real clock: the promise of an answer within a second is not compressed.
        let watch = Clock::system();
        let request = GetMetricsRequest {
            scaled_object_ref: Some(self.object.clone()),
            metric_name: "prescale-replicas".to_owned(),
        };
        let metrics = self.client.get_metrics(request).await;
        self.slowest = self.slowest.max(watch.elapsed());
        let value = metrics?.into_inner().metric_values.first().unwrap().metric_value_float;
        let active = self.client.is_active(self.object.clone()).await?.into_inner().result;
        Ok((value, active))
    }

    async fn pass(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// Polls until the value has stood still for two minutes: (value, activity).
    async fn settle(&mut self) -> (f64, bool) {
        let mut last = None;
        let mut still = 0;
        for _ in 0..120 {
            let heard = self.ask().await.ok();
            still = if heard.is_some() && heard == last { still + 1 } else { 0 };
            last = heard;
            if still >= 8 {
                return last.unwrap();
            }
            self.pass(15).await;
        }
        panic!("never settled, last heard {last:?}");
    }

    /// For `seconds`, everything heard must be a number of at least `least`, and active.
    async fn never_below(&mut self, least: f64, seconds: u64, what: &str) {
        for second in (0..seconds).step_by(15) {
            let (value, active) = self
                .ask()
                .await
                .unwrap_or_else(|status| panic!("{what}, after {second} s: {status}"));
            assert!(value >= least, "{what}, after {second} s: {value} < {least}");
            assert!(active, "{what}, after {second} s: inactive");
            self.pass(15).await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Four pods that carry a queue.
fn busy() -> World {
    World::of((0..4).map(|idx| Pod::new(idx, 6.0, 24.0, 0.55)).collect())
}

const TRIGGER: &[(&str, &str)] = &[("queueDepth", "5"), ("maxReplicas", "10")];

/// An outage: never below what was needed before, never inactive, an error that says why after
/// 600 s, and back without a step down.
async fn outage(what: &str, mood: Mood, cause: &str) {
    let mut rig = Rig::start(busy(), TRIGGER).await;
    let (before, active) = rig.settle().await;
    assert!(active && before >= 4.0, "{what}: {before}");
    rig.backend.set(|world| world.mood = mood);
    rig.never_below(before, 480, what).await;
    rig.pass(300).await;
    let Err(status) = rig.ask().await else { panic!("{what}: still a number after 780 s") };
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status}");
    assert!(status.message().contains("data stale"), "{what}: {status}");
    assert!(status.message().contains(cause), "{what}: {}", status.message());
    assert!(status.message().len() <= 200, "{what}: {}", status.message());
    rig.backend.set(|world| world.mood = Mood::Well);
    // A backend that failed for long is probed at its back-off's pace, at most 30 s of real time
    // for the longest of them; the pass criterion is what is heard, not how soon.
    for _ in 0..160 {
        if rig.ask().await.is_ok() {
            break;
        }
        rig.pass(15).await;
    }
    rig.never_below(before, 120, &format!("{what}, afterwards")).await;
    assert!(rig.slowest < Duration::from_millis(1100), "{what}: {:?}", rig.slowest);
}

fn says(status: &'static str, headers: &'static str, body: &str) -> Mood {
    Mood::Says(status, headers, body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_prometheus_that_hangs_up_holds_then_says_so() {
    outage("F1", Mood::Hangsup, "datasource default").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_prometheus_that_is_slow_never_slows_an_answer() {
    outage("F2", Mood::Slow(Duration::from_secs(30)), "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_prometheus_that_never_answers_holds() {
    outage("F3", Mood::Hangs, "timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_an_empty_answer_is_missing_and_never_zero() {
    outage("F4", Mood::Empty, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_statuses_are_missing_data() {
    let rows = [
        (says("500 Internal Server Error", "", "boom"), "server error"),
        (says("503 Service Unavailable", "Retry-After: 1\r\n", ""), ""),
        (says("429 Too Many Requests", "Retry-After: 1\r\n", ""), ""),
        (says("403 Forbidden", "", "<html>secret</html>"), "access denied"),
    ];
    let checks = rows.map(|(mood, cause)| tokio::spawn(outage("F7", mood, cause)));
    for check in checks {
        check.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_garbage_is_missing_data() {
    let rows = [
        says("200 OK", "", "<html>welcome</html>"),
        says("200 OK", "", r#"{"status":"success","data":{"resultType":"matrix","result":[{"metr"#),
        says(
            "200 OK",
            "",
            r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#,
        ),
        says("200 OK", "", "\u{0}\u{1}\u{fffd}"),
    ];
    let checks = rows.map(|mood| tokio::spawn(outage("F8", mood, "")));
    for check in checks {
        check.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_values_that_are_no_numbers_are_missing() {
    for poison in ["NaN", "+Inf", "-Inf", "-5", "1e300"] {
        let mut rig = Rig::start(busy(), TRIGGER).await;
        let (before, _) = rig.settle().await;
        rig.backend.set(|world| {
            for pod in &mut world.pods {
                poison.clone_into(&mut pod.waiting);
                poison.clone_into(&mut pod.running);
                poison.clone_into(&mut pod.kv);
            }
        });
        rig.never_below(before, 300, poison).await;
        let (value, _) = rig.ask().await.unwrap();
        assert!(value <= before + 1.0, "{poison} raised {before} to {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_prometheus_without_a_past_lowers_nothing_for_a_window() {
    let mut rig = Rig::start(busy(), TRIGGER).await;
    let (before, _) = rig.settle().await;
    rig.backend.set(|world| world.mood = Mood::Hangsup);
    rig.pass(120).await;
    let now = rig.clock.now().unix_ms() / 1000;
    rig.backend.set(|world| {
        world.mood = Mood::Well;
        world.since = now;
        for pod in &mut world.pods {
            *pod = Pod { name: pod.name.clone(), ..Pod::new(0, 0.0, 1.0, 0.01) };
        }
    });
    rig.never_below(before, 150, "F6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f9_a_partial_answer_lowers_nothing() {
    let mut rig = Rig::start(busy(), TRIGGER).await;
    let (before, _) = rig.settle().await;
    rig.backend.set(|world| {
        world.mood = Mood::Warns;
        world.pods.truncate(1);
        world.pods[0].waiting = "0".to_owned();
    });
    rig.never_below(before, 500, "F9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_two_elements_where_one_is_expected_lower_nothing_and_are_named() {
    let signals = "- {name: jobs, query: sum(own_signal), target: 10}";
    let mut rig =
        Rig::start(busy(), &[("signals", signals), ("maxReplicas", "10"), ("kvCache", "90%")])
            .await;
    rig.backend.set(|world| world.own = vec![75.0]);
    let (before, _) = rig.settle().await;
    assert!(before >= 8.0, "75 jobs at 10 each: {before}");
    rig.backend.set(|world| world.own = vec![1.0, 2.0]);
    rig.never_below(before, 500, "F10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_half_of_the_pods_unread_lowers_nothing() {
    let mut rig = Rig::start(busy(), TRIGGER).await;
    let (before, _) = rig.settle().await;
    rig.backend.set(|world| {
        world.ready = Some(world.pods.iter().map(|pod| pod.name.clone()).collect());
        world.pods.truncate(2);
        for pod in &mut world.pods {
            pod.waiting = "0".to_owned();
        }
    });
    rig.never_below(before, 500, "F11").await;
}

/// Believed, the pod would ask for 484 replicas. It is clamped to 64 waiting requests, what one pod
/// may hold by session affinity alone, and named.
#[tokio::test(flavor = "multi_thread")]
async fn f12_one_pod_that_reports_a_hundredfold_is_clamped() {
    let mut rig = Rig::start(busy(), &[("queueDepth", "5"), ("maxReplicas", "500")]).await;
    let (before, _) = rig.settle().await;
    rig.backend.set(|world| world.pods[0].waiting = "2400".to_owned());
    rig.pass(45).await;
    for _ in 0..20 {
        let (value, active) = rig.ask().await.unwrap();
        assert!(active && value <= 17.0 && value >= before, "F12: {before} became {value}");
        rig.pass(15).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asleep_stays_asleep_without_error_whatever_prometheus_does() {
    let gateway = &[
        ("gateway", "keda-http"),
        ("queueDepth", "5"),
        ("gatewaySelector", r#"route_name="llama""#),
    ];
    let mut world = World::of(Vec::new());
    world.held = Some(0.0);
    let mut rig = Rig::start(world, gateway).await;
    assert_eq!(rig.settle().await, (0.0, false));
    rig.backend.set(|world| world.mood = Mood::Hangsup);
    for second in (0..900).step_by(15) {
        assert_eq!(rig.ask().await.unwrap(), (0.0, false), "after {second} s");
        rig.pass(15).await;
    }
    rig.backend.set(|world| world.mood = Mood::Well);
    rig.pass(600).await;
    assert_eq!(rig.settle().await, (0.0, false), "nothing flaps when it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_request_wakes_and_the_wake_outlives_the_gateway() {
    let gateway = &[
        ("gateway", "keda-http"),
        ("queueDepth", "5"),
        ("gatewaySelector", r#"route_name="llama""#),
    ];
    let mut world = World::of(Vec::new());
    world.held = Some(0.0);
    let mut rig = Rig::start(world, gateway).await;
    assert_eq!(rig.settle().await, (0.0, false));
    rig.backend.set(|world| world.held = Some(3.0));
    rig.pass(45).await;
    let (value, active) = rig.ask().await.unwrap();
    assert!(active && value >= 1.0, "3 held requests: {value}");
    rig.backend.set(|world| {
        world.mood = Mood::Hangsup;
        world.spec_replicas = Some(1);
    });
    rig.never_below(1.0, 300, "waking through an outage").await;
}
