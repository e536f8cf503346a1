//! The server under measurement and the baseline, each in a process of its own, so that neither
//! its time nor its memory is mixed with the callers'.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use prescale::clock::Clock;
use prescale::grpc::METRIC_NAME;
use prescale::grpc::proto::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use prescale::grpc::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricValue,
    ScaledObjectRef,
};
use prescale::grpc::transport::{self, Options};
use prescale::scaler::Registry;
use prescale::spec::Limits;
use tokio::net::TcpListener;
use tokio_stream::Pending;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::scripted::{Script, Scripted};

/// Which server a child process is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// prescale's, in a scripted world.
    Scripted,
    /// Tonic with constant answers.
    Constant,
}

impl Kind {
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Scripted, Self::Constant].into_iter().find(|kind| kind.word() == word)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Scripted => "serve-scripted",
            Self::Constant => "serve-constant",
        }
    }
}

/// A server in a process of its own; it ends with the value.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) address: SocketAddr,
    process: std::process::Child,
}

impl Child {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut process = command.arg(kind.word()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), process }
    }

    /// Resident memory in MiB; 0 on other systems than Linux.
    pub(crate) fn memory(&self) -> f64 {
        let file = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(file).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
        f64::from(kib.unwrap_or_default()) / 1024.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Serves until the process is killed; the first line printed is the address.
pub(crate) fn serve(kind: Kind) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        match kind {
            Kind::Scripted => {
                let world = Arc::new(Scripted(Arc::new(Script::default())));
                let limits = Limits { scalers: 20_000, ..Limits::default() };
                let registry = Registry::in_world(world, Clock::system(), limits);
                let never = CancellationToken::new();
                transport::serve(listener, Options::default(), registry, never).await.unwrap();
            }
            Kind::Constant => {
                let server = tonic::transport::Server::builder();
                let mut server = server.initial_connection_window_size(16 << 20);
                let router = server.add_service(ExternalScalerServer::new(Constant));
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                router.serve_with_incoming(incoming).await.unwrap();
            }
        }
    });
}

/// Answers the same to everybody and looks at nothing.
struct Constant;

#[tonic::async_trait]
impl ExternalScaler for Constant {
    type StreamIsActiveStream = Pending<Result<IsActiveResponse, Status>>;
    type StreamMetricSpecStream = Pending<Result<GetMetricSpecResponse, Status>>;

    async fn get_metrics(
        &self,
        _request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let value = MetricValue {
            metric_name: METRIC_NAME.to_owned(),
            metric_value: 1,
            metric_value_float: 1.0,
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }

    async fn is_active(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        Ok(Response::new(IsActiveResponse { result: true }))
    }

    async fn get_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        Ok(Response::new(GetMetricSpecResponse::default()))
    }

    async fn stream_is_active(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }

    async fn stream_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}
