//! vLLM, 0.6 to 0.33: engines V0 and V1, the Python and the Rust frontend.
//!
//! Read in the metric code of 20 released versions. What changed under the reader's feet:
//! `gpu_cache_usage_perc` (to 0.10, hidden to 0.11) became `kv_cache_usage_perc` (from 0.9.2; both
//! are exported in between), `time_per_output_token` became `inter_token_latency` (0.10.2). The
//! label `engine` (data-parallel rank) exists from 0.8.5; `pid` appears on gauges of 0.9.2 to 0.11.0
//! with several API servers. The production-stack router exports the same names with `server`.
//! The Rust frontend's counters have no `_total` in their TYPE line; in their samples they do.
//!
//! Waiting is the whole queue, deferred requests included (from 0.18.1): more replicas do not help
//! all of those, but a pod whose queue holds only deferred requests is not idle.

use crate::engine::observation::{Combine, Latency, Role};
use crate::source::preset::table::{Family, Histogram, Label, Preset, Value};

const OF_THE_ENGINE: &[Label] = &[Label::Is("server", "")];

/// The preset.
pub(crate) const PRESET: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["vllm:num_requests_waiting"]).with(OF_THE_ENGINE),
        Family::sum(Role::Running, &["vllm:num_requests_running"]).with(OF_THE_ENGINE),
        Family::mean(Role::KvUsage, &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"])
            .with(OF_THE_ENGINE),
        Family {
            role: Role::KvTokens,
            names: &["vllm:cache_config_info"],
            also: &[],
            combine: Combine::Sum,
            value: Value::LabelProduct("num_gpu_blocks", "block_size"),
            labels: &[],
            lazy: false,
        },
        Family::sum(Role::PromptTokens, &["vllm:prompt_tokens_total"]),
        Family::sum(
            Role::CachedTokens,
            &[
                "vllm:prompt_tokens_cached_total",
                "vllm:prefix_cache_hits_total",
                "vllm:gpu_prefix_cache_hits_total",
            ],
        )
        .with(OF_THE_ENGINE),
        Family::sum(Role::GenerationTokens, &["vllm:generation_tokens_total"]),
        // V0 creates a finish reason with its first request; V1 creates all of them at start.
        Family::sum(Role::Finished, &["vllm:request_success_total"]).lazily(),
        Family::sum(Role::Rejections, &["vllm:admission_rejections_total"]),
        Family {
            combine: Combine::Max,
            ..Family::sum(Role::Awake, &["vllm:engine_sleep_state"])
                .with(&[Label::Is("sleep_state", "awake")])
        },
    ],
    histograms: &[
        Histogram {
            latency: Latency::Ttft,
            names: &["vllm:time_to_first_token_seconds"],
            scale: 1.0,
        },
        Histogram {
            latency: Latency::InterToken,
            names: &["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"],
            scale: 1.0,
        },
        Histogram {
            latency: Latency::Request,
            names: &["vllm:e2e_request_latency_seconds"],
            scale: 1.0,
        },
    ],
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "engine", "finished_reason", "reason", "sleep_state"],
    alive: &[],
};
