//! What to read for one trigger, and from where.

use std::fmt;

use std::time::Duration;

use crate::engine::observation::Latency;

/// The preset of metric names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// vLLM, all name changes from 0.6 to 0.33.
    Vllm,
    /// SGLang.
    Sglang,
    /// Hugging Face TGI.
    Tgi,
    /// TensorRT-LLM's own server.
    Trtllm,
    /// Triton.
    Triton,
    /// llama.cpp.
    Llamacpp,
    /// NVIDIA Dynamo.
    Dynamo,
    /// LMDeploy.
    Lmdeploy,
    /// NVIDIA NIM.
    Nim,
    /// vLLM under Ray Serve.
    Ray,
    /// GPU exporter only.
    Gpu,
    /// The user's own signals only.
    Custom,
}

impl Engine {
    /// All engines by the name that metadata gives them.
    pub const NAMES: [(&'static str, Self); 12] = [
        ("vllm", Self::Vllm),
        ("sglang", Self::Sglang),
        ("tgi", Self::Tgi),
        ("trtllm", Self::Trtllm),
        ("triton", Self::Triton),
        ("llamacpp", Self::Llamacpp),
        ("dynamo", Self::Dynamo),
        ("lmdeploy", Self::Lmdeploy),
        ("nim", Self::Nim),
        ("ray", Self::Ray),
        ("gpu", Self::Gpu),
        ("custom", Self::Custom),
    ];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Self::NAMES, *self))
    }
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored
    Regex,
    /// `!~`, anchored
    NotRegex,
}

/// One label matcher, as in PromQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelMatcher {
    /// Label name.
    pub label: String,
    /// Comparison.
    pub op: MatchOp,
    /// Value, unescaped.
    pub value: String,
}

/// What kind of object carries the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// Deployment.
    Deployment,
    /// StatefulSet.
    StatefulSet,
}

/// The object that carries the pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadRef {
    /// Its kind; unknown when only a name was given.
    pub kind: Option<WorkloadKind>,
    /// Its name.
    pub name: String,
}

/// One page to scrape.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// `dns://`: every address of the name is a page. `http://`: one page.
    pub every_address: bool,
    /// Host name (within the namespace) or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path, beginning with a slash.
    pub path: String,
}

/// Where the engine's metrics come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef {
    /// A datasource of the server's configuration.
    Datasource(String),
    /// Direct scrape; replica facts still come from the datasource named, if it exists.
    Endpoints {
        /// The pages.
        endpoints: Vec<Endpoint>,
        /// Datasource for kube-state-metrics, GPU and own queries.
        datasource: String,
    },
}

impl SourceRef {
    /// The datasource's name.
    #[must_use]
    pub fn datasource(&self) -> &str {
        match self {
            Self::Datasource(name) | Self::Endpoints { datasource: name, .. } => name,
        }
    }
}

/// Where demand shows while there are no pods: a preset of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gateway {
    /// vLLM production-stack router.
    ProductionStack,
    /// llm-d / Gateway API inference extension endpoint picker.
    LlmD,
    /// KEDA http-add-on interceptor.
    KedaHttp,
    /// Knative activator.
    Knative,
    /// Envoy AI Gateway.
    EnvoyAi,
    /// LiteLLM proxy.
    Litellm,
    /// Dynamo frontend.
    Dynamo,
    /// Ray Serve.
    Ray,
    /// ingress-nginx.
    IngressNginx,
    /// Istio's proxies.
    Istio,
    /// prescale's own gate.
    PrescaleGate,
}

impl Gateway {
    /// All gateways by the name that metadata gives them.
    pub const NAMES: [(&'static str, Self); 11] = [
        ("production-stack", Self::ProductionStack),
        ("llm-d", Self::LlmD),
        ("keda-http", Self::KedaHttp),
        ("knative", Self::Knative),
        ("envoy-ai", Self::EnvoyAi),
        ("litellm", Self::Litellm),
        ("dynamo", Self::Dynamo),
        ("ray", Self::Ray),
        ("ingress-nginx", Self::IngressNginx),
        ("istio", Self::Istio),
        ("prescale-gate", Self::PrescaleGate),
    ];
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&Self::NAMES, *self))
    }
}

/// The word of `table` that stands for `value`.
pub(crate) fn word<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// The query of one of the user's own signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnQuery {
    /// The signal's name.
    pub name: String,
    /// PromQL, as given.
    pub query: String,
}

/// What to read for one trigger, and from where.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub scaled_object: String,
    /// Name of the HPA, `keda-hpa-<name>` unless given.
    pub hpa: String,
    /// The object that carries the pods, if given.
    pub workload: Option<WorkloadRef>,
    /// Preset of metric names.
    pub engine: Engine,
    /// Extra matchers for engine series.
    pub selector: Vec<LabelMatcher>,
    /// Served model name.
    pub model: Option<String>,
    /// Where the engine's metrics come from.
    pub source: SourceRef,
    /// Gateway preset.
    pub gateway: Option<Gateway>,
    /// Matchers of the gateway's series.
    pub gateway_selector: Vec<LabelMatcher>,
    /// The user's own query of held demand.
    pub activation_query: Option<String>,
    /// Pages that show held demand.
    pub activation_endpoints: Vec<Endpoint>,
    /// The user's own signals, in the order of the setup.
    pub own: Vec<OwnQuery>,
    /// Latencies that an objective asks for.
    pub latencies: Vec<Latency>,
    /// The quantile of those latencies, 0.5..=0.99.
    pub latency_quantile: f64,
    /// Whether GPU metrics are wanted (a GPU target is set, or `engine: gpu`).
    pub gpu: bool,
    /// Time between readings.
    pub tick: Duration,
}
