//! The smaller engines: TGI, TensorRT-LLM's server, Triton, llama.cpp and Dynamo.
//!
//! Read in the metric code of TGI 3.3.7, trtllm-serve 1.2 and 1.3rc, tensorrtllm_backend, llama.cpp
//! before and after May 2025, and a captured Dynamo frontend page. Their traps stand at the rows.

use crate::engine::observation::{Combine, Latency, Role};
use crate::source::preset::table::{Family, Histogram, Label, Preset, Value};

/// TGI 3. Everything but the token budget, which is set once the model is warm, is created with the
/// first request; counters lack `_total`; tokens are counted at the end of a request. There is no TTFT
/// histogram and no KV gauge (budgets are not usage).
pub(crate) const TGI: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["tgi_queue_size"]).lazily(),
        Family::sum(Role::Running, &["tgi_batch_current_size"]).lazily(),
        Family::sum(Role::KvTokens, &["tgi_batch_max_total_tokens"]),
        Family::sum(Role::PromptTokens, &["tgi_request_input_length_sum"]).lazily(),
        Family::sum(Role::GenerationTokens, &["tgi_request_generated_tokens_sum"]).lazily(),
        Family::sum(Role::Finished, &["tgi_request_success"]).lazily(),
        Family::sum(Role::Arrivals, &["tgi_request_count"]).lazily(),
        Family::sum(Role::Rejections, &["tgi_request_failure"])
            .with(&[Label::Is("err", "overloaded")])
            .lazily(),
    ],
    histograms: &[
        Histogram::seconds(Latency::InterToken, &["tgi_request_mean_time_per_token_duration"]),
        Histogram::seconds(Latency::Request, &["tgi_request_duration"]),
    ],
    model_label: None,
    model_any_case: false,
    identity: &["err"],
    alive: &[],
};

/// trtllm-serve. Stable versions to 1.2 have no queue gauge, only latencies without a prefix; the
/// `trtllm_` families are those of 1.3. Gauges carry `pid`, and a dead process may linger. They need
/// `enable_iter_perf_stats`, the counters do not: a page with counters and no gauges says nothing of
/// the queue, so the gauges are not lazy although they appear with the first iteration. `/metrics` is
/// JSON; the page is `/prometheus/metrics`.
pub(crate) const TRTLLM: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["trtllm_num_requests_waiting"]),
        Family::sum(Role::Running, &["trtllm_num_requests_running"]),
        Family::mean(Role::KvUsage, &["trtllm_kv_cache_utilization"]),
        Family::sum(Role::PromptTokens, &["trtllm_prompt_tokens_total"]).lazily(),
        Family::sum(Role::GenerationTokens, &["trtllm_generation_tokens_total"]).lazily(),
        Family::sum(Role::Finished, &["trtllm_request_success_total", "request_success_total"])
            .lazily(),
    ],
    histograms: &[
        Histogram::seconds(
            Latency::Ttft,
            &["trtllm_time_to_first_token_seconds", "time_to_first_token_seconds"],
        ),
        Histogram::seconds(
            Latency::InterToken,
            &["trtllm_time_per_output_token_seconds", "time_per_output_token_seconds"],
        ),
        Histogram::seconds(
            Latency::Request,
            &["trtllm_e2e_request_latency_seconds", "e2e_request_latency_seconds"],
        ),
    ],
    // To 1.2 the label literally says "undefined", so it selects nothing there.
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "finished_reason"],
    alive: &[],
};

/// Triton: the TensorRT-LLM backend's gauges, else the server's own pending count. The model label
/// is Triton's (`tensorrt_llm`), not the served name.
pub(crate) const TRITON: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["nv_trt_llm_request_metrics"])
            .with(&[Label::Is("request_type", "waiting")]),
        Family::sum(Role::Waiting, &["nv_inference_pending_request_count"]),
        Family::sum(Role::Running, &["nv_trt_llm_request_metrics"])
            .with(&[Label::Is("request_type", "active")]),
        Family::mean(Role::KvUsage, &["nv_trt_llm_kv_cache_block_metrics"])
            .with(&[Label::Is("kv_cache_block_type", "fraction")]),
        Family::sum(Role::GenerationTokens, &["nv_llm_output_token_len_sum"]).lazily(),
        Family::sum(Role::Finished, &["nv_inference_request_success"]).lazily(),
    ],
    histograms: &[Histogram {
        latency: Latency::Ttft,
        names: &["nv_inference_first_response_histogram_ms"],
        scale: 0.001,
    }],
    model_label: Some("model"),
    model_any_case: false,
    identity: &["model", "version", "request_type", "kv_cache_block_type"],
    alive: &[],
};

/// llama.cpp. No labels at all; the KV gauge was removed in May 2025 (pull request 13660).
pub(crate) const LLAMACPP: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["llamacpp:requests_deferred"]),
        Family::sum(Role::Running, &["llamacpp:requests_processing"]),
        Family::mean(Role::KvUsage, &["llamacpp:kv_cache_usage_ratio"]),
        Family::sum(Role::PromptTokens, &["llamacpp:prompt_tokens_total"]),
        Family::sum(Role::GenerationTokens, &["llamacpp:tokens_predicted_total"]),
    ],
    histograms: &[],
    model_label: None,
    model_any_case: false,
    identity: &[],
    alive: &[],
};

/// Dynamo's frontend. `queued` counts until the first token, so it includes prefill and is part of
/// `inflight`; the router's own pending queue is what waits. Request metrics lower-case the model and
/// appear with its first request. A worker's page has the cache and none of these: it says nothing of
/// requests, and what is absent from it is not zero. Workers alone are read as their engine, `vllm` or
/// `sglang`, whose families they pass through.
pub(crate) const DYNAMO: Preset = Preset {
    families: &[
        // Until the first token; what waits at the router is a part of it, without a model.
        Family::sum(Role::Waiting, &["dynamo_frontend_queued_requests"]).lazily(),
        Family::sum(
            Role::Running,
            &["dynamo_frontend_inflight_requests", "dynamo_frontend_active_requests"],
        )
        .lazily(),
        Family {
            role: Role::KvUsage,
            names: &[
                "dynamo_component_gpu_cache_usage_percent",
                "dynamo_component_kvstats_gpu_cache_usage_percent",
            ],
            also: &[],
            combine: Combine::Mean,
            // The name says percent, the value is 0..1.
            value: Value::Scaled(1.0),
            labels: &[],
            lazy: false,
        },
        Family::sum(Role::GenerationTokens, &["dynamo_frontend_output_tokens_total"]).lazily(),
        Family::sum(Role::Finished, &["dynamo_frontend_requests_total"]).lazily(),
        Family::sum(Role::Arrivals, &["dynamo_frontend_requests_started_total"]).lazily(),
    ],
    histograms: &[
        Histogram::seconds(Latency::Ttft, &["dynamo_frontend_time_to_first_token_seconds"]),
        Histogram::seconds(Latency::InterToken, &["dynamo_frontend_inter_token_latency_seconds"]),
        Histogram::seconds(Latency::Request, &["dynamo_frontend_request_duration_seconds"]),
    ],
    model_label: Some("model"),
    model_any_case: true,
    identity: &[
        "model",
        "worker_type",
        "status",
        "endpoint",
        "request_type",
        "error_type",
        "dynamo_component",
        "dynamo_endpoint",
        "worker_id",
    ],
    alive: &["dynamo_frontend_disconnected_clients"],
};
