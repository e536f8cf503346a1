//! LMDeploy, NIM, and vLLM under Ray Serve.
//!
//! Read in the metric code of LMDeploy 0.16, a captured page of NIM 1.x, vLLM's wrappers for Ray (0.11
//! to 0.33) and a captured page of Ray 2.32. Their traps stand at the rows.

use crate::engine::observation::{Combine, Latency, Role};
use crate::source::preset::table::{Family, Histogram, Label, Preset, Value};

const OF_THE_ENGINE: &[Label] = &[Label::Is("server", "")];

/// LMDeploy from 0.9.2. What waits for an API slot and what waits in the engine are two queues; both
/// wait. The gauges are there from the start.
pub(crate) const LMDEPLOY: Preset = Preset {
    families: &[
        Family {
            also: &["lmdeploy:num_api_requests_waiting"],
            ..Family::sum(Role::Waiting, &["lmdeploy:num_requests_waiting"])
        },
        Family::sum(Role::Running, &["lmdeploy:num_requests_running"]),
        Family::mean(Role::KvUsage, &["lmdeploy:gpu_cache_usage_perc"]),
        Family::sum(Role::PromptTokens, &["lmdeploy:prompt_tokens_total"]),
        Family::sum(Role::CachedTokens, &["lmdeploy:cached_tokens_total"]),
        Family::sum(Role::GenerationTokens, &["lmdeploy:generation_tokens_total"]),
        Family::sum(Role::Finished, &["lmdeploy:request_success_total"]).lazily(),
    ],
    histograms: &[
        Histogram::seconds(Latency::Ttft, &["lmdeploy:time_to_first_token_seconds"]),
        Histogram::seconds(
            Latency::InterToken,
            &["lmdeploy:iter_token_latency", "lmdeploy:time_per_output_token_seconds"],
        ),
        Histogram::seconds(Latency::Request, &["lmdeploy:e2e_request_latency_seconds"]),
    ],
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "engine", "finished_reason"],
    alive: &[],
};

/// NIM for LLMs: 1.x under names without a prefix, so only the pods of the workload may be asked; 3.0
/// runs vLLM and has its names. The page is `/v1/metrics`.
pub(crate) const NIM: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["num_requests_waiting", "vllm:num_requests_waiting"])
            .with(OF_THE_ENGINE),
        Family::sum(Role::Running, &["num_requests_running", "vllm:num_requests_running"])
            .with(OF_THE_ENGINE),
        Family::mean(Role::KvUsage, &["gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"])
            .with(OF_THE_ENGINE),
        Family {
            value: Value::LabelProduct("num_gpu_blocks", "block_size"),
            ..Family::sum(Role::KvTokens, &["vllm:cache_config_info"])
        },
        Family::sum(Role::PromptTokens, &["prompt_tokens_total", "vllm:prompt_tokens_total"]),
        Family::sum(
            Role::GenerationTokens,
            &["generation_tokens_total", "vllm:generation_tokens_total"],
        ),
        Family::sum(Role::Finished, &["request_success_total", "vllm:request_success_total"])
            .lazily(),
        Family {
            combine: Combine::Max,
            ..Family::sum(Role::Awake, &["vllm:engine_sleep_state"])
                .with(&[Label::Is("sleep_state", "awake")])
        },
    ],
    histograms: &[
        Histogram::seconds(
            Latency::Ttft,
            &["time_to_first_token_seconds", "vllm:time_to_first_token_seconds"],
        ),
        Histogram::seconds(
            Latency::InterToken,
            &["time_per_output_token_seconds", "vllm:inter_token_latency_seconds"],
        ),
        Histogram::seconds(
            Latency::Request,
            &["e2e_request_latency_seconds", "vllm:e2e_request_latency_seconds"],
        ),
    ],
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "engine", "finished_reason", "sleep_state"],
    alive: &[],
};

/// vLLM under Ray Serve. The page is the agent's of a Ray node, which in KubeRay is a pod: it shows
/// every replica on that node, told apart by `ReplicaId` (before vLLM 0.12 by `WorkerId`), and they are
/// added. It is therefore right where each pod of the workload is a Ray node, and finds nothing where
/// the series have no `pod`. Ray drops a series that was never set and a counter that was never raised,
/// so an idle replica shows nothing but the configuration of its cache.
pub(crate) const RAY: Preset = Preset {
    families: &[
        Family::sum(
            Role::Waiting,
            &["ray_vllm_num_requests_waiting", "ray_vllm:num_requests_waiting"],
        )
        .lazily(),
        Family::sum(
            Role::Running,
            &["ray_vllm_num_requests_running", "ray_vllm:num_requests_running"],
        )
        .lazily(),
        Family::mean(
            Role::KvUsage,
            &[
                "ray_vllm_kv_cache_usage_perc",
                "ray_vllm_gpu_cache_usage_perc",
                "ray_vllm:gpu_cache_usage_perc",
            ],
        )
        .lazily(),
        Family {
            value: Value::LabelProduct("num_gpu_blocks", "block_size"),
            ..Family::sum(
                Role::KvTokens,
                &["ray_vllm_cache_config_info", "ray_vllm:cache_config_info"],
            )
        },
        Family::sum(
            Role::PromptTokens,
            &["ray_vllm_prompt_tokens_total", "ray_vllm:prompt_tokens_total"],
        )
        .lazily(),
        Family::sum(
            Role::GenerationTokens,
            &["ray_vllm_generation_tokens_total", "ray_vllm:generation_tokens_total"],
        )
        .lazily(),
        Family::sum(
            Role::Finished,
            &["ray_vllm_request_success_total", "ray_vllm:request_success_total"],
        )
        .lazily(),
    ],
    histograms: &[
        Histogram::seconds(
            Latency::Ttft,
            &["ray_vllm_time_to_first_token_seconds", "ray_vllm:time_to_first_token_seconds"],
        ),
        Histogram::seconds(
            Latency::InterToken,
            &[
                "ray_vllm_inter_token_latency_seconds",
                "ray_vllm_time_per_output_token_seconds",
                "ray_vllm:time_per_output_token_seconds",
            ],
        ),
        Histogram::seconds(
            Latency::Request,
            &["ray_vllm_e2e_request_latency_seconds", "ray_vllm:e2e_request_latency_seconds"],
        ),
    ],
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "engine", "ReplicaId", "WorkerId", "finished_reason"],
    alive: &["ray_vllm_cache_config_info", "ray_vllm:cache_config_info"],
};
