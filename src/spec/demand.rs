//! What one replica should carry: targets, objectives and own signals, and which of them fit the
//! engine.

use std::time::Duration;

use crate::engine::observation::Latency;
use crate::engine::setup::{Family, GpuTargets, Objectives, OwnRole, OwnSignal, Targets};
use crate::engine::units::Ratio;
use crate::spec::raw::Raw;
use crate::spec::target::{Engine, OwnQuery};
use crate::spec::{number, power, quantile, share, signals, span};

/// Where a KV cache is full enough: above it preemptions begin (vLLM), below it memory idles.
const KV_CACHE: f64 = 0.70;
/// AHPA's example and what BERT-sized models reach before latency climbs.
const GPU_UTILIZATION: f64 = 0.80;

/// The part of the metadata that says what a replica carries.
pub(crate) struct Demand {
    pub(crate) family: Family,
    pub(crate) has_kv: bool,
    pub(crate) prefill_waits: bool,
    pub(crate) targets: Targets,
    pub(crate) gpu: GpuTargets,
    pub(crate) objectives: Objectives,
    pub(crate) latency_quantile: quantile::Quantile,
    pub(crate) own: Vec<OwnSignal>,
    pub(crate) queries: Vec<OwnQuery>,
}

impl Demand {
    /// The latencies that an objective asks for.
    pub(crate) fn latencies(&self) -> Vec<Latency> {
        let Objectives { ttft, inter_token, request } = self.objectives;
        let all = [
            (Latency::Ttft, ttft),
            (Latency::InterToken, inter_token),
            (Latency::Request, request),
        ];
        all.iter().filter(|(_, objective)| objective.is_some()).map(|(kind, _)| *kind).collect()
    }

    /// Whether GPU metrics are wanted.
    pub(crate) fn reads_gpu(&self) -> bool {
        self.family == Family::Gpu || has_gpu_target(self.gpu)
    }
}

/// Reads it for `engine`.
pub(crate) fn read(raw: &mut Raw, engine: Engine) -> Demand {
    let family = family(engine);
    let has_kv = has_kv(engine) || raw.has("kvCache");
    let prefill_waits = engine == Engine::Dynamo;
    let mut targets = targets(raw);
    let mut gpu = gpu_targets(raw);
    let objectives = objectives(raw);
    let percentile = raw.take("latencyQuantile", |text| quantile::within(text, 0.5, 0.99));
    let parsed = raw.take_list("signals", |text| signals::parse("signals", text));
    let (own, queries): (Vec<OwnSignal>, Vec<OwnQuery>) =
        parsed.unwrap_or_default().into_iter().unzip();
    if engine == Engine::Tgi && raw.has("kvCache") {
        raw.refuse(
            "kvCache",
            "is not readable with engine: tgi, which exports no use of its cache",
        );
    }
    if family == Family::Llm {
        targets.kv_cache = targets.kv_cache.or_else(|| ratio(KV_CACHE).filter(|_| has_kv));
    } else {
        refuse_engine_keys(raw, engine);
    }
    if family == Family::Gpu {
        gpu.utilization = gpu.utilization.or_else(|| ratio(GPU_UTILIZATION));
    }
    if family == Family::Custom {
        require_signals(raw, &own, gpu);
    }
    let latency_quantile = percentile.unwrap_or(quantile::Quantile::P95);
    Demand {
        family,
        has_kv,
        prefill_waits,
        targets,
        gpu,
        objectives,
        latency_quantile,
        own,
        queries,
    }
}

const fn family(engine: Engine) -> Family {
    match engine {
        Engine::Gpu => Family::Gpu,
        Engine::Custom => Family::Custom,
        Engine::Vllm
        | Engine::Sglang
        | Engine::Tgi
        | Engine::Trtllm
        | Engine::Triton
        | Engine::Llamacpp
        | Engine::Dynamo
        | Engine::Lmdeploy
        | Engine::Nim
        | Engine::Ray => Family::Llm,
    }
}

/// Engines that always have a KV gauge. Triton has one with its TRT-LLM backend only, llama.cpp had
/// one until May 2025, Dynamo has it on the pages of its workers: there the user says so by giving
/// `kvCache`. TGI has none: a target for it would be missing for ever, and what is missing holds.
const fn has_kv(engine: Engine) -> bool {
    matches!(
        engine,
        Engine::Vllm
            | Engine::Sglang
            | Engine::Trtllm
            | Engine::Lmdeploy
            | Engine::Nim
            | Engine::Ray
    )
}

fn ratio(value: f64) -> Option<Ratio> {
    Ratio::try_new(value).ok()
}

fn targets(raw: &mut Raw) -> Targets {
    Targets {
        queue_depth: raw.take("queueDepth", number::positive),
        concurrency: raw.take("concurrency", number::positive),
        request_rate: raw.take("requestRate", number::positive),
        token_rate: raw.take("tokenRate", number::positive),
        kv_cache: raw.take("kvCache", share::ratio),
    }
}

fn gpu_targets(raw: &mut Raw) -> GpuTargets {
    GpuTargets {
        utilization: raw.take("gpuUtilization", share::ratio),
        memory: raw.take("gpuMemory", share::ratio),
        memory_bandwidth: raw.take("gpuMemoryBandwidth", share::ratio),
        power: raw.take("gpuPower", power::parse),
    }
}

const fn has_gpu_target(gpu: GpuTargets) -> bool {
    let GpuTargets { utilization, memory, memory_bandwidth, power } = gpu;
    utilization.is_some() || memory.is_some() || memory_bandwidth.is_some() || power.is_some()
}

fn objectives(raw: &mut Raw) -> Objectives {
    let shortest = Duration::from_millis(1);
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let token = |text: &str| span::within(text, shortest, minutes(10));
    Objectives {
        ttft: raw.take("ttft", token),
        inter_token: raw.take("interTokenLatency", token),
        request: raw.take("requestLatency", |text| span::within(text, shortest, minutes(60))),
    }
}

/// Targets that are read from an engine's own page never act where there is none: said, not ignored.
/// A rate of requests may come from a gateway.
fn refuse_engine_keys(raw: &mut Raw, engine: Engine) {
    let from_engine = [
        "queueDepth",
        "concurrency",
        "tokenRate",
        "kvCache",
        "ttft",
        "interTokenLatency",
        "requestLatency",
    ];
    let rate = (!raw.has("gateway")).then_some("requestRate");
    for key in from_engine.into_iter().chain(rate) {
        if raw.has(key) {
            raw.refuse(
                key,
                format!("is not readable with engine: {engine}; write it as one of signals"),
            );
        }
    }
}

fn require_signals(raw: &mut Raw, own: &[OwnSignal], gpu: GpuTargets) {
    if !raw.has("signals") {
        raw.refuse("signals", "is missing: engine: custom has no other demand");
    } else if !own.is_empty()
        && !own.iter().any(|signal| signal.role == OwnRole::Demand)
        && !has_gpu_target(gpu)
    {
        let problem = "needs a signal of role: demand, or a GPU target, with engine: custom";
        raw.refuse("signals", problem);
    }
}
