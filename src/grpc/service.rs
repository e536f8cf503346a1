//! The five calls, each a few lines: which scaler, what it says, how long that may take.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status};

use crate::clock::Clock;
use crate::engine::decision::Decision;
use crate::grpc::age::Ages;
use crate::grpc::answer::{self, METRIC_NAME};
use crate::grpc::metrics::{Method, Metrics};
use crate::grpc::proto::external_scaler_server::ExternalScaler;
use crate::grpc::proto::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, ScaledObjectRef,
};
use crate::grpc::status::{Problem, status};
use crate::grpc::stream::{self, Life, Messages};
use crate::scaler::{OpenStream, Reference, Refused, Registry};

/// KEDA sets no deadline and stops polling an object whose call hangs: we set our own.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long the first call of a new scaler may wait for its first tick; the rest of the deadline is
/// for the answer to be written.
const FIRST_TICK: Duration = Duration::from_millis(900);

/// KEDA's protocol on a registry.
#[derive(Debug)]
pub(crate) struct Service {
    registry: Arc<Registry>,
    metrics: Metrics,
    ending: CancellationToken,
    streams: TaskTracker,
    seed: u64,
    stream_numbers: AtomicU64,
}

impl Service {
    /// Streams end when `ending` is cancelled, and are counted by `streams`.
    pub(crate) fn new(
        registry: Arc<Registry>,
        metrics: Metrics,
        ending: CancellationToken,
        streams: TaskTracker,
    ) -> Self {
        let seed = registry.clock().now().unix_ms().unsigned_abs();
        Self { registry, metrics, ending, streams, seed, stream_numbers: AtomicU64::new(0) }
    }

    /// The decision that may be told of `reference`.
    async fn decision(&self, reference: &Reference) -> Result<Arc<Decision>, Problem> {
        let scaler = self.registry.scaler(reference).map_err(Problem::Refused)?;
        scaler.first_tick(FIRST_TICK).await;
        scaler.answer().map_err(Problem::Unanswered)
    }

    async fn value_of(&self, request: GetMetricsRequest) -> Result<GetMetricsResponse, Problem> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request;
        let message = scaled_object_ref.ok_or(Problem::NoReference)?;
        if metric_name != METRIC_NAME {
            return Err(Problem::OtherMetric(metric_name));
        }
        answer::metrics(&*self.decision(&answer::reference(message)).await?)
    }

    async fn active(&self, message: ScaledObjectRef) -> Result<IsActiveResponse, Problem> {
        answer::is_active(&*self.decision(&answer::reference(message)).await?)
    }

    /// Every unary call goes through here: deadline, panics, counts.
    async fn unary<T>(
        &self,
        method: Method,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<Response<T>, Status> {
        let clock = Clock::system();
        let mut count = Count { metrics: &self.metrics, method, code: Code::Cancelled };
        let guarded = AssertUnwindSafe(work).catch_unwind();
        let result = match tokio::time::timeout(DEADLINE, guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Problem::Panicked),
            Err(_) => Err(Problem::Overdue),
        };
        self.metrics.took(method, clock.elapsed());
        let result = result.map(Response::new).map_err(|problem| status(&problem));
        count.code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
        result
    }

    /// The scaler of a new stream; else whether that is final. An error would be answered by KEDA
    /// with a growing back-off, and a panic takes the answer with it: the stream is silent instead.
    fn open(&self, reference: &Reference) -> Result<OpenStream, bool> {
        let scaler = || self.registry.scaler(reference);
        match std::panic::catch_unwind(AssertUnwindSafe(scaler)) {
            Ok(Ok(scaler)) => Ok(scaler.open_stream()),
            Ok(Err(refused)) => Err(is_final(&refused)),
            Err(_) => Err(true),
        }
    }

    fn life(&self, method: Method, served: bool) -> Life {
        let number = self.stream_numbers.fetch_add(1, Ordering::Relaxed);
        let ages = Ages::of(self.seed, number);
        let clock = self.registry.clock().clone();
        Life {
            opened: clock.elapsed(),
            clock,
            age: if served { ages.end() } else { ages.unserved_end() },
            ages,
            ending: self.ending.clone(),
            _open: self.metrics.stream(method),
            _token: self.streams.token(),
        }
    }
}

/// Counts the call when dropped: a call that the client gave up is counted as cancelled.
struct Count<'a> {
    metrics: &'a Metrics,
    method: Method,
    code: Code,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.method, self.code);
    }
}

/// Whether waiting for longer will not help: wrong metadata stays wrong, while room may appear.
const fn is_final(refused: &Refused) -> bool {
    match refused {
        Refused::Metadata(_) | Refused::Malformed(_) => true,
        Refused::Full(_) | Refused::Ending => false,
    }
}

#[tonic::async_trait]
impl ExternalScaler for Service {
    type StreamIsActiveStream = Messages<IsActiveResponse>;
    type StreamMetricSpecStream = Messages<GetMetricSpecResponse>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        self.unary(Method::IsActive, self.active(request.into_inner())).await
    }

    async fn get_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        self.unary(Method::GetMetricSpec, async { Ok(answer::metric_spec()) }).await
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        self.unary(Method::GetMetrics, self.value_of(request.into_inner())).await
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let method = Method::StreamIsActive;
        self.metrics.ended(method, Code::Ok);
        let messages = match self.open(&answer::reference(request.into_inner())) {
            Ok(scaler) => stream::activity(scaler, self.life(method, true)),
            Err(last) => stream::quiet(None, self.life(method, last)),
        };
        Ok(Response::new(messages))
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        let method = Method::StreamMetricSpec;
        self.metrics.ended(method, Code::Ok);
        let first = answer::metric_spec();
        let messages = match self.open(&answer::reference(request.into_inner())) {
            Ok(scaler) => stream::quiet_with(first, scaler, self.life(method, true)),
            Err(last) => stream::quiet(Some(first), self.life(method, last)),
        };
        Ok(Response::new(messages))
    }
}
