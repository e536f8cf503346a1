//! What KEDA gets, over a real connection: every sentence of the protocol contract, in a scripted
//! world.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;
#[path = "support/served.rs"]
mod served;

use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::decision::{Refusal, State};
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use prescale::grpc::transport::Options;
use prescale::grpc::{METRIC_NAME, proto};
use prescale::spec::Limits;
use scripted::Plan;
use served::{Client, Served, message};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn value(client: &mut Client, object: ScaledObjectRef) -> Result<(i64, f64), Status> {
    let metric_name = METRIC_NAME.to_owned();
    let request = GetMetricsRequest { scaled_object_ref: Some(object), metric_name };
    let answer = client.get_metrics(request).await?.into_inner();
    let [value] = answer.metric_values.as_slice() else { panic!("{answer:?}") };
    assert_eq!(value.metric_name, METRIC_NAME);
    Ok((value.metric_value, value.metric_value_float))
}

async fn active(client: &mut Client, object: ScaledObjectRef) -> Result<bool, Status> {
    Ok(client.is_active(object).await?.into_inner().result)
}

async fn push(client: &mut Client, object: ScaledObjectRef) -> Streaming<IsActiveResponse> {
    client.stream_is_active(object).await.unwrap().into_inner()
}

/// The next message, which has to come soon.
async fn soon(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    let next = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    next.unwrap().map(|message| message.result)
}

/// Whether the stream stays silent and open for a while.
async fn is_silent(stream: &mut Streaming<IsActiveResponse>) -> bool {
    timeout(Duration::from_millis(300), stream.message()).await.is_err()
}

/// Waits, at most 5 s, until the object has this value.
async fn until_value(client: &mut Client, object: &ScaledObjectRef, wanted: i64) {
    for _ in 0..500 {
        if value(client, object.clone()).await.is_ok_and(|(value, _)| value == wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never had the value {wanted}");
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
    let mut silent = push(&mut client, in_the_call).await;
    assert!(is_silent(&mut silent).await);
    assert_eq!(value(&mut client, message("ns", "good", &[])).await.unwrap().0, 1);
}

#[tokio::test]
async fn a_push_stream_says_true_on_open_and_at_edges_and_never_false() {
    let served = Served::at_speed(60.0).await;
    let mut client = served.client().await;
    let object = message("ns", "llama", &[]);
    served.script.set("llama", Plan::Want(0, State::Asleep));
    let mut stream = push(&mut client, object.clone()).await;
    assert!(is_silent(&mut stream).await, "inactive on open");
    served.script.set("llama", Plan::Want(2, State::Fresh));
    assert_eq!(soon(&mut stream).await, Some(true), "an edge");
    assert!(is_silent(&mut stream).await, "once for each period");
    let mut second = push(&mut client, object.clone()).await;
    assert_eq!(soon(&mut second).await, Some(true), "active on open");
    served.script.set("llama", Plan::Want(0, State::Fresh));
    until_value(&mut client, &object, 0).await;
    assert!(is_silent(&mut stream).await, "never false");
    served.script.set("llama", Plan::Want(1, State::Fresh));
    assert_eq!(soon(&mut stream).await, Some(true));
    assert_eq!(soon(&mut second).await, Some(true));
}

#[tokio::test]
async fn a_reopened_stream_is_silent_once_announced_and_serving() {
    let served = Served::at_speed(60.0).await;
    let mut client = served.client().await;
    let object = message("ns", "llama", &[]);
    let mut first = push(&mut client, object.clone()).await;
    assert_eq!(soon(&mut first).await, Some(true));
    served.script.set("llama", Plan::Serve(3, State::Fresh));
    until_value(&mut client, &object, 3).await;
    drop(first);
    let mut again = push(&mut client, object.clone()).await;
    assert!(is_silent(&mut again).await);
}

#[tokio::test]
async fn true_is_repeated_every_ten_seconds_only_while_waking() {
    let served = Served::at_speed(60.0).await;
    let mut client = served.client().await;
    let object = message("ns", "llama", &[]);
    served.script.set("llama", Plan::Want(1, State::Waking));
    let mut stream = push(&mut client, object.clone()).await;
    let began = Clock::system();
    for _ in 0..4 {
        assert_eq!(soon(&mut stream).await, Some(true));
    }
    // Three times ten seconds, sixty times as fast.
    assert!(began.elapsed() >= Duration::from_millis(490), "{:?}", began.elapsed());
    served.script.set("llama", Plan::Want(4, State::Fresh));
    until_value(&mut client, &object, 4).await;
    while timeout(Duration::from_millis(1), stream.message()).await.is_ok() {}
    assert!(is_silent(&mut stream).await);
}

#[tokio::test]
async fn streams_end_with_ok_at_an_age_of_30_to_90_minutes_each_at_its_own() {
    // An hour takes 1.2 s.
    let served = Served::at_speed(3000.0).await;
    let mut client = served.client().await;
    served.script.set("llama", Plan::Want(0, State::Asleep));
    let mut ends = Vec::new();
    for number in 0..8 {
        let metadata: &[(&str, &str)] = if number % 2 == 0 { &[] } else { &[("kvCache", "wrong")] };
        let mut stream = push(&mut client, message("ns", "llama", metadata)).await;
        let began = Clock::system();
        ends.push(tokio::spawn(async move {
            assert_eq!(soon(&mut stream).await, None, "silent, and ends with OK");
            began.elapsed()
        }));
    }
    let mut ages = Vec::new();
    for end in ends {
        ages.push(end.await.unwrap());
    }
    ages.sort();
    let (first, last) = (ages[0], ages[7]);
    assert!(first >= Duration::from_millis(550), "{first:?}");
    assert!(last <= Duration::from_millis(2_500), "{last:?}");
    assert!(last - first >= Duration::from_millis(100), "{ages:?}");
}

#[tokio::test]
async fn a_stream_without_room_is_silent_and_ends_soon_for_keda_to_ask_again() {
    // A minute takes 20 ms.
    let limits = Limits { scalers: 0, ..Limits::default() };
    let served = Served::of(limits, 3000.0, Options::default()).await;
    let mut client = served.client().await;
    let mut stream = push(&mut client, message("ns", "llama", &[])).await;
    let began = Clock::system();
    assert_eq!(soon(&mut stream).await, None, "with OK");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
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
async fn specs_are_streamed_once_and_the_stream_stays_open() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for metadata in [&[][..], &[("kvCache", "wrong")][..]] {
        let object = message("ns", "llama", metadata);
        let spec = client.get_metric_spec(object.clone()).await.unwrap().into_inner();
        let mut stream = client.stream_metric_spec(object).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap(), Some(spec));
        let more = timeout(Duration::from_millis(300), stream.message()).await;
        assert!(more.is_err(), "nothing more, and no end");
    }
}

#[tokio::test]
async fn a_dropped_stream_is_no_longer_counted() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let stream = push(&mut client, message("ns", "llama", &[])).await;
    let scaler = served.registry.all().pop().unwrap();
    assert_eq!(scaler.streams(), 1);
    assert!(served.page().contains("prescale_streams{method=\"StreamIsActive\"} 1"));
    drop(stream);
    for _ in 0..500 {
        if scaler.streams() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(scaler.streams(), 0);
    assert!(served.page().contains("prescale_streams{method=\"StreamIsActive\"} 0"));
}

#[tokio::test]
async fn evicted_and_ending_scalers_end_their_streams_with_ok() {
    let served = Served::start().await;
    let mut client = served.client().await;
    served.script.set("llama", Plan::Want(0, State::Asleep));
    let mut stream = push(&mut client, message("ns", "llama", &[])).await;
    served.registry.shutdown().await;
    assert_eq!(soon(&mut stream).await, None);
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
        "prescale_insecure 0",
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_in_one_burst_on_one_connection_all_live_and_all_end_with_ok() {
    const STREAMS: usize = 10_000;
    let limits = Limits { scalers: STREAMS, per_namespace: STREAMS, ..Limits::default() };
    let mut served = Served::with(limits).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", served.address)).unwrap();
    let channel = endpoint.initial_connection_window_size(16 << 20).connect().await.unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..STREAMS {
        let mut client: Client = ExternalScalerClient::new(channel.clone());
        let name = format!("s{number}");
        opening.spawn(async move {
            let mut stream = push(&mut client, message("ns", &name, &[])).await;
            let first = stream.message().await.unwrap().map(|message| message.result);
            assert_eq!(first, Some(true), "{name}");
            stream
        });
    }
    let mut same: Client = ExternalScalerClient::new(channel);
    let mut other = served.client().await;
    let (mut slowest, mut open) = (Duration::ZERO, Vec::new());
    while let Some(stream) = opening.join_next().await {
        open.push(stream.unwrap());
        if open.len() % 500 == 0 {
            // On the same connection it queues in the client behind the streams being opened.
            value(&mut same, message("ns", "s7", &[])).await.unwrap();
            let began = Clock::system();
            value(&mut other, message("ns", "s7", &[])).await.unwrap();
            slowest = slowest.max(began.elapsed());
        }
    }
    assert_eq!(open.len(), STREAMS);
    // Client and server share two cores here, without optimisation.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    served.shutdown.cancel();
    for stream in &mut open {
        assert_eq!(stream.message().await.unwrap(), None, "with OK");
    }
    served.ended().await.unwrap();
}
