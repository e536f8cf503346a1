//! What KEDA gets from streams: when they speak, that they never say false, and how they end. Over a
//! real connection, in a scripted world.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/calls.rs"]
mod calls;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/served.rs"]
mod served;

use std::time::Duration;

use calls::{is_silent, push, soon, until_value, value};
use prescale::clock::Clock;
use prescale::engine::decision::State;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::transport::Options;
use prescale::spec::Limits;
use scripted::Plan;
use served::{Client, Served, message};
use tokio::time::timeout;
use tonic::transport::Endpoint;

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
