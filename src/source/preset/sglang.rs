//! SGLang, 0.4 to 0.5.23.
//!
//! Read in the metric code of 11 released versions. `priority=""` is the total, other priorities
//! its breakdown. Tensor-, pipeline- and expert-parallel ranks repeat one queue; data-parallel ranks
//! are queues of their own. `generation_tokens_total` is counted at the end of a request, so the
//! live `realtime_tokens_total` (from 0.5.9) is preferred. Counters appear with the first request.
//! There is no arrival counter: `http_requests_total` is counted when the response ends.

use crate::engine::observation::{Latency, Role};
use crate::source::preset::table::{Family, Histogram, Label, Preset};

const TOTAL: &[Label] = &[Label::Is("priority", "")];

/// The preset.
pub(crate) const PRESET: Preset = Preset {
    families: &[
        Family::sum(Role::Waiting, &["sglang:num_queue_reqs"]).with(TOTAL),
        Family::sum(Role::Running, &["sglang:num_running_reqs"]).with(TOTAL),
        Family::mean(Role::KvUsage, &["sglang:token_usage"]).with(TOTAL),
        Family::sum(Role::KvTokens, &["sglang:max_total_num_tokens"]),
        Family::sum(Role::PromptTokens, &["sglang:prompt_tokens_total"]).lazily(),
        Family::sum(Role::CachedTokens, &["sglang:cached_tokens_total"]).lazily(),
        Family::sum(
            Role::GenerationTokens,
            &["sglang:realtime_tokens_total", "sglang:generation_tokens_total"],
        )
        .with(&[Label::Is("mode", "decode")])
        .lazily(),
        Family::sum(Role::Finished, &["sglang:num_requests_total"]).lazily(),
    ],
    histograms: &[
        Histogram {
            latency: Latency::Ttft,
            names: &["sglang:time_to_first_token_seconds"],
            scale: 1.0,
        },
        Histogram {
            latency: Latency::InterToken,
            names: &["sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"],
            scale: 1.0,
        },
        Histogram {
            latency: Latency::Request,
            names: &["sglang:e2e_request_latency_seconds"],
            scale: 1.0,
        },
    ],
    model_label: Some("model_name"),
    model_any_case: false,
    identity: &["model_name", "engine_type", "dp_rank", "mode", "is_streaming", "cache_source"],
    alive: &[],
};
