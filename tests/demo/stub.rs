//! A stand-in for the server: one replica per 60 requests in the pods, one while requests are held.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::Stream;
use prescale::demo::{ServerError, Started, Wiring};
use prescale::grpc::proto::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use prescale::grpc::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

type Table = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;
type Stage<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Starts the stand-in as the demo starts the server.
pub(crate) async fn start(wiring: Wiring) -> Result<Started, ServerError> {
    let names = wiring.scrape.names.clone().ok_or("no names")?;
    assert!(wiring.scrape.allow_loopback);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let scaler = Stub { names, client };
    let grpc = TcpListener::bind(wiring.grpc).await?;
    let http = TcpListener::bind(wiring.http).await?;
    let (grpc_address, http_address) = (grpc.local_addr()?, http.local_addr()?);
    let (for_grpc, for_http) = (wiring.shutdown.clone(), wiring.shutdown);
    let task = tokio::spawn(async move {
        let pages = axum::serve(http, Router::new().route(API, get(report)));
        let pages = pages.with_graceful_shutdown(for_http.cancelled_owned());
        let calls = tonic::transport::Server::builder()
            .add_service(ExternalScalerServer::new(scaler))
            .serve_with_incoming_shutdown(
                tokio_stream::wrappers::TcpListenerStream::new(grpc),
                for_grpc.cancelled_owned(),
            );
        let (pages, calls) = tokio::join!(pages.into_future(), calls);
        pages?;
        calls?;
        Ok(())
    });
    Ok(Started { http: http_address, grpc: grpc_address, task })
}

const API: &str = "/api/v1/scalers/demo/vllm";

async fn report() -> &'static str {
    r#"{"state":"fresh","desired":3,"error":null,"terms":[{"text":"stub says"}],"reasons":[]}"#
}

struct Stub {
    names: Table,
    client: reqwest::Client,
}

impl Stub {
    async fn wanted(&self, reference: &ScaledObjectRef) -> Result<u32, Status> {
        let pods = self.sum(reference, "endpoints", "vllm:num_requests_running{").await?
            + self.sum(reference, "endpoints", "vllm:num_requests_waiting{").await?;
        let gateway = "interceptor_request_concurrency{";
        let held = self.sum(reference, "activationEndpoints", gateway).await?;
        let wanted = (1..=12).find(|count| pods <= 60.0 * f64::from(*count)).unwrap_or(12);
        Ok(if pods + held > 0.0 { wanted } else { 0 })
    }

    /// The sum of one family over all pages of one key; pages that refuse are loading.
    async fn sum(
        &self,
        reference: &ScaledObjectRef,
        key: &str,
        family: &str,
    ) -> Result<f64, Status> {
        let missing = || Status::invalid_argument(key.to_owned());
        let url = reference.scaler_metadata.get(key).ok_or_else(missing)?;
        let (_, rest) = url.split_once("://").ok_or_else(missing)?;
        let (host, port) = rest.trim_end_matches("/metrics").split_once(':').ok_or_else(missing)?;
        let name = format!("{host}.{}.svc.cluster.local", reference.namespace);
        let addresses = self.names.lock().unwrap().get(&name).cloned().ok_or_else(missing)?;
        let mut total = 0.0;
        for address in addresses {
            let at = SocketAddr::new(address, port.parse().map_err(|_| missing())?);
            if let Ok(page) = self.client.get(format!("http://{at}/metrics")).send().await {
                let page = page.text().await.unwrap_or_default();
                let lines = page.lines().filter(|line| line.starts_with(family));
                let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
                total += values.sum::<f64>();
            }
        }
        Ok(total)
    }
}

#[tonic::async_trait]
impl ExternalScaler for Stub {
    type StreamIsActiveStream = Stage<IsActiveResponse>;
    type StreamMetricSpecStream = Stage<GetMetricSpecResponse>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let result = self.wanted(request.get_ref()).await? > 0;
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        // Ends with OK after a while, as the real one does at its age; never pushes.
        let silent = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            None
        };
        let stream = futures_util::stream::once(silent);
        let stream = futures_util::StreamExt::filter_map(stream, std::future::ready);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let metric_name = "prescale-replicas".to_owned();
        let spec = MetricSpec { metric_name, target_size: 1, target_size_float: 1.0 };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let wanted = self.wanted(&scaled_object_ref.unwrap_or_default()).await?;
        let value = MetricValue {
            metric_name,
            metric_value: i64::from(wanted),
            metric_value_float: f64::from(wanted),
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }

    async fn stream_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}
