//! What KEDA gets from unary calls, and how the server begins and ends: the protocol contract over a
//! real connection, in a scripted world.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/calls.rs"]
mod calls;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/served.rs"]
mod served;

use std::time::Duration;

use calls::{is_silent, push, soon, value};
use prescale::clock::Clock;
use prescale::engine::decision::{Refusal, State};
use prescale::grpc::proto::{GetMetricsRequest, ScaledObjectRef};
use prescale::grpc::transport::Options;
use prescale::grpc::{METRIC_NAME, proto};
use prescale::spec::Limits;
use scripted::Plan;
use served::{Client, Served, message};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn active(client: &mut Client, object: ScaledObjectRef) -> Result<bool, Status> {
    Ok(client.is_active(object).await?.into_inner().result)
}

#[tokio::test]
async fn the_metric_spec_is_the_same_for_every_request() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let rows = [
        message("ns", "llama", &[]),
        message("ns", "llama", &[("kvCache", "wrong")]),
        message("NOT a namespace", "\n", &[("a", "b")]),
        ScaledObjectRef::default(),
    ];
    for row in rows {
        let answer = client.get_metric_spec(row).await.unwrap().into_inner();
        let [spec] = answer.metric_specs.as_slice() else { panic!("{answer:?}") };
        let proto::MetricSpec { metric_name, target_size, target_size_float } = spec;
        assert_eq!((metric_name.as_str(), *target_size), ("prescale-replicas", 1));
        assert!((target_size_float - 1.0).abs() < f64::EPSILON);
    }
    assert!(served.registry.all().is_empty(), "it is pure: it creates nothing");
}

#[tokio::test]
async fn the_value_stands_in_both_fields_and_is_active_agrees_with_it() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for wanted in [0_u32, 1, 7, 1000] {
        let name = format!("wants-{wanted}");
        served.script.set(&name, Plan::Want(wanted, State::Fresh));
        let object = message("ns", &name, &[]);
        let (int, float) = value(&mut client, object.clone()).await.unwrap();
        assert_eq!(int, i64::from(wanted));
        assert!((float - f64::from(wanted)).abs() < f64::EPSILON);
        assert_eq!(active(&mut client, object).await.unwrap(), wanted > 0, "{wanted}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line_by_both_calls() {
    let served = Served::with(Limits { scalers: 2, ..Limits::default() }).await;
    let mut client = served.client().await;
    let cause = "datasource main: connect timeout".to_owned();
    let stale = Refusal::Stale { age: Duration::from_secs(612), cause };
    let cold = Refusal::NoData { text: "waiting, running: 0 of 2 found".to_owned() };
    served.script.set("blind", Plan::Refuse(stale));
    served.script.set("cold", Plan::Refuse(cold));
    let rows = [
        (
            message("ns", "wrong", &[("kvCache", "85")]),
            Code::InvalidArgument,
            "kvCache: \"85\" is not between 0 and 1; accepted are 0.85 or 85%",
        ),
        (
            message("ns", "bad\nname", &[]),
            Code::InvalidArgument,
            "name: not a Kubernetes name; accepted are a-z, 0-9, - and ., each part beginning and \
             ending with a letter or digit, at most 253 characters",
        ),
        (
            message("ns", "blind", &[]),
            Code::Unavailable,
            "data stale 612 s (datasource main: connect timeout)",
        ),
        (
            message("ns", "cold", &[]),
            Code::FailedPrecondition,
            "no data yet: waiting, running: 0 of 2 found",
        ),
        (
            message("ns", "third", &[]),
            Code::ResourceExhausted,
            "the server has 2 scalers, as many as limits.scalers allows",
        ),
    ];
    for (object, code, text) in rows {
        let of_metrics = value(&mut client, object.clone()).await.unwrap_err();
        assert_eq!((of_metrics.code(), of_metrics.message()), (code, text));
        let of_active = active(&mut client, object).await.unwrap_err();
        assert_eq!((of_active.code(), of_active.message()), (code, text));
    }
}

#[tokio::test]
async fn another_metric_and_a_missing_reference_are_named() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let other = GetMetricsRequest {
        scaled_object_ref: Some(message("ns", "llama", &[])),
        metric_name: "s0-queue".to_owned(),
    };
    let status = client.get_metrics(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("\"s0-queue\""), "{}", status.message());
    let nobody = GetMetricsRequest { scaled_object_ref: None, metric_name: METRIC_NAME.to_owned() };
    let status = client.get_metrics(nobody).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "scaledObjectRef: missing");
}

#[tokio::test]
async fn large_metadata_is_answered_in_words_and_not_by_the_transport() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for (bytes, code) in [
        (20 * 1024, None),
        (100 * 1024, Some(Code::InvalidArgument)),
        (2 * 1024 * 1024, Some(Code::OutOfRange)),
    ] {
        let large = "x".repeat(bytes);
        let object = message("ns", &format!("l{bytes}"), &[("signals", &large)]);
        let status = value(&mut client, object).await.err();
        assert_eq!(status.map(|status| status.code()), code, "{bytes}");
    }
}

#[tokio::test]
async fn the_first_call_waits_for_the_first_tick_and_no_call_longer_than_a_second() {
    let served = Served::start().await;
    let mut client = served.client().await;
    served.script.set("slow", Plan::Slow(Duration::from_millis(300)));
    assert_eq!(value(&mut client, message("ns", "slow", &[])).await.unwrap().0, 1);
    served.script.set("hung", Plan::Hang);
    for (call, took_ms) in [("first", 850..1_300), ("second", 0..500)] {
        let began = Clock::system();
        let status = value(&mut client, message("ns", "hung", &[])).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        let text = "first reading not finished yet; the next poll will have it";
        assert_eq!(status.message(), text);
        assert!(took_ms.contains(&began.elapsed().as_millis()), "{call}: {began:?}");
    }
    let began = Clock::system();
    assert!(value(&mut client, message("ns", "quick", &[])).await.is_ok());
    assert!(began.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_that_scaler_only() {
    let served = Served::start().await;
    let mut client = served.client().await;
    served.script.set("bad", Plan::Panic);
    let status = value(&mut client, message("ns", "bad", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("internal error"), "{}", status.message());
    let in_the_call = message("ns", "llama", &[("panic", "")]);
    let status = value(&mut client, in_the_call.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let mut silent = push(&mut client, in_the_call.clone()).await;
    assert!(is_silent(&mut silent).await);
    let mut specs = client.stream_metric_spec(in_the_call).await.unwrap().into_inner();
    assert!(specs.message().await.unwrap().is_some(), "the specification needs no scaler");
    assert_eq!(value(&mut client, message("ns", "good", &[])).await.unwrap().0, 1);
}

#[tokio::test]
async fn a_connection_on_which_nobody_speaks_is_closed() {
    let served = Served::start().await;
    let mut silent = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut rest);
    drop(timeout(Duration::from_secs(15), read).await.unwrap());
}

#[tokio::test]
async fn plaintext_beyond_loopback_is_called_insecure() {
    for (address, gauge) in [("127.0.0.1:0", 0), ("0.0.0.0:0", 1)] {
        let served = Served::on(address, Limits::default(), 1.0, Options::default()).await;
        let line = format!("\nprescale_insecure {gauge}\n");
        served.client().await;
        assert!(served.page().contains(&line), "{address}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let served = Served::start().await;
    let mut client = served.client().await;
    value(&mut client, message("ns", "llama", &[])).await.unwrap();
    value(&mut client, message("ns", "wrong", &[("kvCache", "x")])).await.unwrap_err();
    let page = served.page();
    for line in [
        "prescale_rpc_requests_total{method=\"GetMetrics\",code=\"Ok\"} 1",
        "prescale_rpc_requests_total{method=\"GetMetrics\",code=\"InvalidArgument\"} 1",
        "prescale_rpc_duration_seconds_count{method=\"GetMetrics\"} 2",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

async fn health(channel: Channel, service: &str) -> i32 {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status
}

#[tokio::test]
async fn health_is_served_and_reflection_only_when_asked_for() {
    const SERVING: i32 = 1;
    let served = Served::start().await;
    for service in ["", "externalscaler.ExternalScaler"] {
        assert_eq!(health(served.channel().await, service).await, SERVING, "{service:?}");
    }
    for (reflection, expected) in [(false, Some(Code::Unimplemented)), (true, None)] {
        let served = Served::reflecting(reflection).await;
        let channel = served.channel().await;
        let refused = reflect(channel).await.err().map(|status| status.code());
        assert_eq!(refused, expected, "{reflection}");
    }
}

async fn reflect(channel: Channel) -> Result<(), Status> {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    let request = tokio_stream::iter([ServerReflectionRequest::default()]);
    let mut client = ServerReflectionClient::new(channel);
    client.server_reflection_info(request).await.map(drop)
}

#[tokio::test]
async fn the_end_is_announced_orderly_and_quick() {
    const NOT_SERVING: i32 = 2;
    let mut served = Served::start().await;
    let channel = served.channel().await;
    let mut client = Client::new(channel.clone());
    let mut stream = push(&mut client, message("ns", "llama", &[])).await;
    assert_eq!(soon(&mut stream).await, Some(true));
    // Nobody ever speaks on this one: the end must not wait for it.
    let silent = tokio::net::TcpStream::connect(served.address).await.unwrap();
    let began = Clock::system();
    served.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(health(channel, "").await, NOT_SERVING);
    assert_eq!(soon(&mut stream).await, None, "with OK");
    served.ended().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(silent);
}
