//! Decisions to the messages of the protocol.

use crate::engine::decision::{Decision, Verdict};
use crate::grpc::proto::{
    GetMetricSpecResponse, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use crate::grpc::status::Problem;
use crate::scaler::Reference;

/// The one metric of every trigger.
pub const METRIC_NAME: &str = "prescale-replicas";

/// The reference of a message.
pub(crate) fn reference(message: ScaledObjectRef) -> Reference {
    let ScaledObjectRef { name, namespace, scaler_metadata } = message;
    Reference { namespace, name, metadata: scaler_metadata }
}

/// The specification: the same for every trigger, whatever its metadata, so that neither missing
/// data nor a wrong key takes the metric out of the HPA. KEDA before 2.17 reads the integers only.
pub(crate) fn metric_spec() -> GetMetricSpecResponse {
    let spec =
        MetricSpec { metric_name: METRIC_NAME.to_owned(), target_size: 1, target_size_float: 1.0 };
    GetMetricSpecResponse { metric_specs: vec![spec] }
}

/// The number of a decision, in both fields: KEDA falls back to the integer when the float is 0.
pub(crate) fn metrics(decision: &Decision) -> Result<GetMetricsResponse, Problem> {
    match &decision.verdict {
        Verdict::Scale { sent, .. } => {
            let value = MetricValue {
                metric_name: METRIC_NAME.to_owned(),
                metric_value: i64::from(sent.get()),
                metric_value_float: f64::from(sent.get()),
            };
            Ok(GetMetricsResponse { metric_values: vec![value] })
        }
        Verdict::Refuse(refusal) => Err(Problem::NoNumber(refusal.clone())),
    }
}

/// Whether a decision is active: also for a cold one that has no number while replicas run or demand
/// shows outside of the pods.
pub(crate) fn is_active(decision: &Decision) -> Result<IsActiveResponse, Problem> {
    match (decision.active(), &decision.verdict) {
        (Some(result), _) => Ok(IsActiveResponse { result }),
        (None, Verdict::Refuse(refusal)) => Err(Problem::NoNumber(refusal.clone())),
        (None, Verdict::Scale { active, .. }) => Ok(IsActiveResponse { result: *active }),
    }
}
