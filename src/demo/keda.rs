//! The simulated KEDA and HPA: they call the server over gRPC exactly when and as the real ones do.
//!
//! KEDA 2.20: every poll and every HPA sync asks GetMetricSpec, GetMetrics and IsActive in this
//! order; a failed call is repeated once at once; an error changes nothing. One StreamIsActive is
//! held open; it is opened again 2 s after an end with OK, and ever later after errors. What the
//! answers lead to is the replay's arithmetic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::clock::Clock;
use crate::demo::fleet::Fleet;
use crate::engine::replay::actuate::Acting;
use crate::engine::replay::hpa::SYNC_PERIOD;
use crate::engine::replay::law::{Answer, Metric};
use crate::engine::replay::policy::{Actuator, Keda as ScaledObject};
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;
use crate::grpc::proto::external_scaler_client::ExternalScalerClient;
use crate::grpc::proto::{GetMetricsRequest, ScaledObjectRef};

/// Namespace of the demo's ScaledObject.
pub(super) const NAMESPACE: &str = "demo";

/// Name of the demo's ScaledObject.
pub(super) const NAME: &str = "vllm";

/// `maxReplicaCount` of the ScaledObject.
pub(super) const REPLICAS_MAX: u32 = 12;

/// First and last wait before a stream is opened again.
const REOPEN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Polls and syncs.
    pub(super) asked: u64,
    /// Those answered with an error, twice: held.
    pub(super) held: u64,
    /// `true` received on the stream.
    pub(super) pushed: u64,
    /// The last error's text.
    pub(super) last_error: Option<String>,
}

/// The simulated operator and controller.
#[derive(Debug)]
pub(super) struct Keda {
    fleet: Arc<Fleet>,
    clock: Clock,
    client: ExternalScalerClient<Channel>,
    reference: ScaledObjectRef,
    polling: Duration,
    acting: Mutex<Acting>,
    tally: Mutex<Tally>,
}

impl Keda {
    /// KEDA with one ScaledObject whose only trigger has `metadata` and `server` as its address.
    pub(super) fn new(
        fleet: Arc<Fleet>,
        clock: Clock,
        server: SocketAddr,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Arc<Self>, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("http://{server}"))?.connect_lazy();
        let reference = ScaledObjectRef {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            scaler_metadata: metadata.clone().into_iter().collect(),
        };
        let limits = (0, REPLICAS_MAX);
        let object = ScaledObject::recommended(limits);
        Ok(Arc::new(Self {
            fleet,
            clock,
            client: ExternalScalerClient::new(channel),
            reference,
            polling: object.polling,
            acting: Mutex::new(Acting::new(&Actuator::Keda(object), limits)),
            tally: Mutex::new(Tally::default()),
        }))
    }

    /// What was asked so far.
    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Polls, syncs and listens until `shutdown`.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.poll() => {}
            () = self.sync() => {}
            () = self.listen() => {}
        }
    }

    /// The operator's scale loop: activity opens and closes the door.
    async fn poll(&self) {
        let mut next = self.clock.now();
        loop {
            let answer = self.ask().await;
            self.act(|acting, world, now| acting.poll(&answer, world, now));
            next = next.plus(self.polling).max(self.clock.now());
            self.clock.sleep_until(next).await;
        }
    }

    /// The HPA controller: between one and the maximum the value decides.
    async fn sync(&self) {
        let mut next = self.clock.now();
        loop {
            next = next.plus(SYNC_PERIOD).max(self.clock.now());
            self.clock.sleep_until(next).await;
            // At zero the HPA is disabled and does not ask.
            if self.fleet.look(|world| world.census().wanted) > 0 {
                let answer = self.ask().await;
                self.act(|acting, world, now| acting.sync(&answer, world, now));
            }
        }
    }

    /// The push stream: `true` acts at once, nothing else does.
    async fn listen(&self) {
        let (first, last) = REOPEN;
        let mut wait = first;
        loop {
            let ended = self.follow().await;
            // Only an end with OK resets the wait; a stream that worked and then broke does not.
            wait = if ended.is_ok() { first } else { wait };
            self.clock.sleep(wait).await;
            wait = (wait * 2).min(last);
        }
    }

    async fn follow(&self) -> Result<(), Status> {
        let mut client = self.client.clone();
        let mut stream = client.stream_is_active(self.reference.clone()).await?.into_inner();
        while let Some(message) = stream.message().await? {
            if message.result {
                self.note(|tally| tally.pushed += 1);
                let answer = Answer { active: Some(true), ..Answer::default() };
                self.act(|acting, world, now| acting.answered(&answer, world, now));
            }
        }
        Ok(())
    }

    /// Lets `act` decide over the fleet as it is now, and does what it says.
    fn act(&self, act: impl FnOnce(&mut Acting, &World, Timestamp) -> Option<u32>) {
        self.fleet.look(|world| {
            let mut acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(replicas) = act(&mut acting, world, self.clock.now()) {
                world.scale(replicas);
            }
        });
    }

    /// The trigger's answer, asked for a second time at once if the first attempt fails; then it is
    /// an error, which holds.
    async fn ask(&self) -> Answer {
        let answer = match self.ask_once().await {
            Ok(answer) => Ok(answer),
            Err(_) => self.ask_once().await,
        };
        self.note(|tally| tally.asked += 1);
        answer.unwrap_or_else(|error| {
            self.note(|tally| {
                tally.held += 1;
                tally.last_error = Some(error.message().to_owned());
            });
            Answer { metrics: vec![None], ..Answer::default() }
        })
    }

    async fn ask_once(&self) -> Result<Answer, Status> {
        let mut client = self.client.clone();
        let specs = client.get_metric_spec(self.reference.clone()).await?.into_inner();
        let empty = || Status::new(Code::Internal, "got empty metric spec");
        let spec = specs.metric_specs.into_iter().next().ok_or_else(empty)?;
        let request = GetMetricsRequest {
            scaled_object_ref: Some(self.reference.clone()),
            metric_name: spec.metric_name,
        };
        let metrics = client.get_metrics(request).await?.into_inner();
        let none = || Status::new(Code::Internal, "no matching metrics found");
        let metric = metrics.metric_values.into_iter().next().ok_or_else(none)?;
        let active = client.is_active(self.reference.clone()).await?.into_inner().result;
        let metric = Metric::Average {
            value: float_first(metric.metric_value_float, metric.metric_value),
            target: float_first(spec.target_size_float, spec.target_size),
        };
        Ok(Answer { metrics: vec![Some(metric)], active: Some(active), ..Answer::default() })
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which of the two fields KEDA takes: the float when it is above zero.
fn float_first(float: f64, whole: i64) -> f64 {
    if float > 0.0 { float } else { f64::from(i32::try_from(whole.max(0)).unwrap_or(i32::MAX)) }
}

#[cfg(test)]
mod tests {
    use super::float_first;

    #[test]
    fn the_float_counts_when_it_is_above_zero() {
        for (float, whole, expected) in
            [(3.0, 7, 3.0), (0.0, 7, 7.0), (0.0, 0, 0.0), (0.0, -1, 0.0)]
        {
            let found = float_first(float, whole);
            assert!((found - expected).abs() < 1e-12, "{float} {whole}: {found}");
        }
    }
}
