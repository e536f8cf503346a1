//! Where demand shows while there are no pods: llm-d's endpoint picker, KEDA's http-add-on, vLLM's
//! production-stack router.
//!
//! The endpoint picker exports every family twice, new name and old: the first found counts, they
//! are never added. Its queue series come and go with flows, so an absent queue beside a living
//! picker is zero; the pool's ready count, exported at zero pods too, shows that it lives.

use crate::spec::Gateway;

/// Which label of a gateway's series carries the namespace of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenant {
    /// A label with the namespace.
    Label(&'static str),
    /// A label with `namespace/name`.
    Prefix(&'static str),
}

/// One way to ask a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Gauges of requests held, best first.
    pub held: &'static [&'static str],
    /// Counters of requests arrived, best first.
    pub arrivals: &'static [&'static str],
    /// Families that show that the gateway lives while it holds nothing.
    pub alive: &'static [&'static str],
    /// Labels of a flow, each with the label under which `alive` knows the same thing, if it does.
    pub flow: &'static [(&'static str, Option<&'static str>)],
    /// Label of the namespace.
    pub tenant: Tenant,
    /// Requests are refused, not held, at zero pods: arrivals of the last minute stand for them.
    pub edge: bool,
}

const LLM_D: &[Asked] = &[Asked {
    held: &["llm_d_epp_flow_control_queue_size", "inference_extension_flow_control_queue_size"],
    arrivals: &["llm_d_epp_request_total", "inference_objective_request_total"],
    alive: &["llm_d_epp_ready_endpoints", "inference_pool_ready_pods"],
    flow: &[
        ("inference_pool", Some("name")),
        ("model_name", None),
        ("target_model_name", None),
        ("fairness_id", None),
        ("priority", None),
    ],
    tenant: Tenant::Label("namespace"),
    edge: false,
}];

const KEDA_HTTP: &[Asked] = &[
    Asked {
        held: &["interceptor_request_concurrency"],
        arrivals: &[],
        alive: &[],
        flow: &[],
        tenant: Tenant::Label("route_namespace"),
        edge: false,
    },
    // To 0.13.
    Asked {
        held: &["interceptor_pending_request_count"],
        arrivals: &[],
        alive: &[],
        flow: &[],
        tenant: Tenant::Prefix("host"),
        edge: false,
    },
];

const PRODUCTION_STACK: &[Asked] = &[Asked {
    held: &[],
    arrivals: &["vllm:num_incoming_requests_total"],
    alive: &[],
    flow: &[],
    tenant: Tenant::Label("namespace"),
    edge: true,
}];

/// The ways to ask `gateway`, best first; none where it is not supported yet.
#[must_use]
pub const fn asked(gateway: Gateway) -> &'static [Asked] {
    match gateway {
        Gateway::LlmD => LLM_D,
        Gateway::KedaHttp => KEDA_HTTP,
        Gateway::ProductionStack => PRODUCTION_STACK,
        Gateway::Knative | Gateway::EnvoyAi | Gateway::Litellm | Gateway::Dynamo | Gateway::Ray => {
            &[]
        }
    }
}
