//! The calls of KEDA, each as short as a test wants it.

use std::time::Duration;

use prescale::grpc::METRIC_NAME;
use prescale::grpc::proto::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::served::Client;

pub(crate) async fn value(
    client: &mut Client,
    object: ScaledObjectRef,
) -> Result<(i64, f64), Status> {
    let metric_name = METRIC_NAME.to_owned();
    let request = GetMetricsRequest { scaled_object_ref: Some(object), metric_name };
    let answer = client.get_metrics(request).await?.into_inner();
    let [value] = answer.metric_values.as_slice() else { panic!("{answer:?}") };
    assert_eq!(value.metric_name, METRIC_NAME);
    Ok((value.metric_value, value.metric_value_float))
}

pub(crate) async fn push(
    client: &mut Client,
    object: ScaledObjectRef,
) -> Streaming<IsActiveResponse> {
    client.stream_is_active(object).await.unwrap().into_inner()
}

/// The next message, which has to come soon.
pub(crate) async fn soon(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    let next = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    next.unwrap().map(|message| message.result)
}

/// Whether the stream stays silent and open for a while.
pub(crate) async fn is_silent(stream: &mut Streaming<IsActiveResponse>) -> bool {
    timeout(Duration::from_millis(300), stream.message()).await.is_err()
}

/// Waits, at most 5 s, until the object has this value.
pub(crate) async fn until_value(client: &mut Client, object: &ScaledObjectRef, wanted: i64) {
    for _ in 0..500 {
        if value(client, object.clone()).await.is_ok_and(|(value, _)| value == wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never had the value {wanted}");
}
