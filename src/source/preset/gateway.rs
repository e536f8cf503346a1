//! Where demand shows while there are no pods: the gateways, what each holds or refuses, and how its
//! series say whose they are.
//!
//! Read in the code and the pages of llm-d-router 0.10 and GIE 1.1 to 1.5, http-add-on 0.11 to 0.15,
//! production-stack, Knative 1.18 and 1.23, LiteLLM 1.109, Dynamo 1.6, ray 2.51, ingress-nginx, Envoy
//! AI Gateway, and in Istio's documentation. Three traps are common to them:
//!
//! - **Who refuses holds nothing.** Where a request without a pod is answered with an error, the gauges
//!   stay at zero and only a counter moves: its growth within the last minute stands for what is held.
//! - **Absent is not zero.** Most create a series with its first request. Absent is zero only beside a
//!   family that shows that the gateway lives.
//! - **Whose is it.** A label of the series may carry the name of a label of the scrape, and a server
//!   without `honorLabels` renames it to `exported_...`: then `namespace` is the gateway's own.
//!
//! Traefik is none of them: its `service` begins with the namespace and a dash, and a dash may stand in a
//! namespace, so `llm-x-chat` may be `x-chat` of `llm` or `chat` of `llm-x`.

use crate::source::exposition::Wanted;
use crate::spec::{Gateway, Target};

/// Which label of a gateway's series carries the namespace of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenant {
    /// The scrape's label: the gateway runs in the workload's namespace. Its own page need not have it.
    Label(&'static str),
    /// A label of the series itself, on its page too.
    Own(&'static str),
    /// The same, under a name that the scrape may take: then it is `exported_` and the name.
    Renamed(&'static str),
    /// A label with `namespace/name`.
    Prefix(&'static str),
    /// A label with the name of a cluster in Envoy Gateway, `httproute/namespace/name/rule/0`.
    Route(&'static str),
}

/// How series say which served model they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// They do not, or not by the name that the engine serves: the user's matchers tell.
    Unsaid,
    /// By this label; compared where the trigger names a model.
    Label(&'static str),
    /// The same, without regard to case.
    AnyCase(&'static str),
    /// They count all models together: not asked where the trigger names one.
    Mixed,
}

/// Counters of requests refused because nobody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// Names, best first.
    pub names: &'static [&'static str],
    /// The label and the value that mark a refusal among all requests of the family.
    pub only: Option<(&'static str, &'static str)>,
}

/// One way to ask a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Gauges of requests held, best first.
    pub held: &'static [&'static str],
    /// Counters of requests refused at zero pods: those of the last minute stand for requests held.
    pub refused: Option<Refusals>,
    /// Counters of requests arrived, best first.
    pub arrivals: &'static [&'static str],
    /// Requests are refused, not held, at zero pods, and only counted with all others: arrivals of the
    /// last minute stand for them.
    pub edge: bool,
    /// Families that show that the gateway lives while it holds nothing; compared with no model.
    pub alive: &'static [&'static str],
    /// Labels of a flow, each with the label under which `alive` knows the same thing, if it does.
    pub flow: &'static [(&'static str, Option<&'static str>)],
    /// Labels that all its series must have.
    pub with: &'static [(&'static str, &'static str)],
    /// Label of the namespace.
    pub tenant: Tenant,
    /// Label of the scaled object's name.
    pub object: Option<&'static str>,
    /// Label of the model.
    pub model: Model,
    /// Label that the user's matchers must name: only they tell whose the series are.
    pub needs: Option<&'static str>,
}

impl Asked {
    /// A way that knows nothing but the namespace.
    const fn of(tenant: Tenant) -> Self {
        Self {
            held: &[],
            refused: None,
            arrivals: &[],
            edge: false,
            alive: &[],
            flow: &[],
            with: &[],
            tenant,
            object: None,
            model: Model::Unsaid,
            needs: None,
        }
    }

    /// Families in which demand shows, each once.
    #[must_use]
    pub fn demand(&self) -> Vec<&'static str> {
        let refused = self.refused.map(|refused| refused.names).unwrap_or_default();
        let mut names = Vec::new();
        for name in self.held.iter().chain(refused).chain(self.arrivals) {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names
    }

    /// Whether it may be asked for a trigger: not for all models where it names one, and not without the
    /// matcher that it needs.
    #[must_use]
    pub fn fits(&self, target: &Target) -> bool {
        let mixed = target.model.is_some() && self.model == Model::Mixed;
        let given = |label| target.gateway_selector.iter().any(|matcher| matcher.label == label);
        !mixed && self.needs.is_none_or(given)
    }
}

/// llm-d's endpoint picker exports every family twice, new name and old: the first found counts, they
/// are never added. Its queue series come and go with flows; the pool's ready count, exported at zero
/// pods too, shows that it lives.
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
    ..Asked::of(Tenant::Label("namespace"))
}];

const KEDA_HTTP: &[Asked] = &[
    Asked {
        held: &["interceptor_request_concurrency"],
        ..Asked::of(Tenant::Label("route_namespace"))
    },
    // To 0.13.
    Asked { held: &["interceptor_pending_request_count"], ..Asked::of(Tenant::Prefix("host")) },
];

const PRODUCTION_STACK: &[Asked] = &[Asked {
    arrivals: &["vllm:num_incoming_requests_total"],
    edge: true,
    model: Model::Label("model"),
    ..Asked::of(Tenant::Label("namespace"))
}];

/// The activator stands before every revision at zero and holds what comes; queue-proxies are in the
/// pods and silent then. A revision's gauges appear with its first request and stay.
const KNATIVE: &[Asked] = &[
    Asked {
        held: &["kn_revision_request_concurrency", "kn_revision_request_queued"],
        ..Asked::of(Tenant::Own("k8s_namespace_name"))
    },
    // OpenCensus, to 1.18.
    Asked { held: &["activator_request_concurrency"], ..Asked::of(Tenant::Own("namespace_name")) },
];

/// Envoy answers 503 where a route has no endpoint, and counts that per cluster, whose name says the
/// route's namespace. Its AI metrics come from another process, count requests when they end, and know
/// a model but no route.
const ENVOY_AI: &[Asked] = &[
    Asked {
        held: &["envoy_cluster_upstream_rq_active"],
        refused: Some(Refusals { names: &["envoy_cluster_upstream_cx_none_healthy"], only: None }),
        needs: Some("envoy_cluster_name"),
        ..Asked::of(Tenant::Route("envoy_cluster_name"))
    },
    Asked {
        arrivals: &["gen_ai_server_request_duration_seconds_count"],
        edge: true,
        model: Model::Label("gen_ai_request_model"),
        ..Asked::of(Tenant::Label("namespace"))
    },
];

/// In-flight and queued requests are those of the whole proxy, without a model. Requests by model are
/// counted when they end, failed ones included.
const LITELLM: &[Asked] = &[
    Asked {
        held: &["litellm_in_flight_requests", "litellm_admission_queued_requests"],
        model: Model::Mixed,
        ..Asked::of(Tenant::Label("namespace"))
    },
    Asked {
        arrivals: &["litellm_proxy_total_requests_metric_total"],
        edge: true,
        alive: &["litellm_in_flight_requests"],
        model: Model::Label("requested_model"),
        ..Asked::of(Tenant::Label("namespace"))
    },
];

/// Without a worker the frontend refuses; it counts requests when they begin (from 1.0). Request
/// metrics lower-case the model. The gauge of disconnected clients has no label and is always there.
const DYNAMO: &[Asked] = &[Asked {
    arrivals: &["dynamo_frontend_requests_started_total", "dynamo_frontend_requests_total"],
    edge: true,
    alive: &["dynamo_frontend_disconnected_clients"],
    model: Model::AnyCase("model"),
    ..Asked::of(Tenant::Label("namespace"))
}];

/// Handles queue until a replica is there. The series are those of whoever holds the handle, mostly the
/// proxy on the head node, and appear with the first request of a deployment.
const RAY: &[Asked] = &[Asked {
    held: &["ray_serve_deployment_queued_queries"],
    arrivals: &["ray_serve_handle_request_counter_total", "ray_serve_handle_request_counter"],
    alive: &["ray_serve_num_ongoing_http_requests"],
    flow: &[("application", None), ("deployment", None), ("handle", None), ("actor_id", None)],
    ..Asked::of(Tenant::Label("namespace"))
}];

/// A service without endpoints is answered 503 by the controller itself. Any other answer of the same
/// service shows that it lives.
const INGRESS_NGINX: &[Asked] = &[Asked {
    refused: Some(Refusals {
        names: &["nginx_ingress_controller_requests"],
        only: Some(("status", "503")),
    }),
    arrivals: &["nginx_ingress_controller_requests"],
    ..Asked::of(Tenant::Renamed("namespace"))
}];

/// `UH`: no healthy upstream. Only the sender reports it; receivers would count the rest twice.
const ISTIO: &[Asked] = &[Asked {
    refused: Some(Refusals {
        names: &["istio_requests_total"],
        only: Some(("response_flags", "UH")),
    }),
    arrivals: &["istio_requests_total"],
    with: &[("reporter", "source")],
    ..Asked::of(Tenant::Own("destination_service_namespace"))
}];

/// The gate shows every scaled object from its start, idle ones at zero: absent is unknown.
const PRESCALE_GATE: &[Asked] = &[Asked {
    held: &["prescale_gate_requests_in_flight", "prescale_gate_requests_held"],
    arrivals: &["prescale_gate_requests_total"],
    object: Some("name"),
    ..Asked::of(Tenant::Renamed("namespace"))
}];

/// The ways to ask `gateway`, best first.
#[must_use]
pub const fn asked(gateway: Gateway) -> &'static [Asked] {
    match gateway {
        Gateway::LlmD => LLM_D,
        Gateway::KedaHttp => KEDA_HTTP,
        Gateway::ProductionStack => PRODUCTION_STACK,
        Gateway::Knative => KNATIVE,
        Gateway::EnvoyAi => ENVOY_AI,
        Gateway::Litellm => LITELLM,
        Gateway::Dynamo => DYNAMO,
        Gateway::Ray => RAY,
        Gateway::IngressNginx => INGRESS_NGINX,
        Gateway::Istio => ISTIO,
        Gateway::PrescaleGate => PRESCALE_GATE,
    }
}

/// The gateways whose families a page of held demand may show: the one named, else any of those whose
/// series cannot be taken for something else.
#[must_use]
pub fn on_any_page(named: Option<Gateway>) -> Vec<Gateway> {
    let any = [Gateway::LlmD, Gateway::KedaHttp, Gateway::ProductionStack, Gateway::PrescaleGate];
    named.map_or_else(|| any.to_vec(), |one| vec![one])
}

/// What has to be on a page for these ways.
pub fn wanted<'a>(ways: impl IntoIterator<Item = &'a Asked>) -> Wanted {
    let names = ways.into_iter().flat_map(|way| {
        way.demand().into_iter().chain(way.alive.iter().copied()).collect::<Vec<_>>()
    });
    Wanted::names(names)
}
