//! Genuine pages in, roles out.

use std::collections::BTreeMap;

use super::{RawSeries, roles};
use crate::engine::observation::{Combine, Role, RoleSeries};
use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::preset::preset;
use crate::spec::{Engine, LabelMatcher, MatchOp};

#[cfg(test)]
mod idle;

/// A page as one sample per series: enough of the text format for the genuine pages here.
fn page(text: &str) -> Vec<RawSeries> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(raw).collect()
}

fn raw(line: &str) -> Option<RawSeries> {
    let (head, value) = line.trim().rsplit_once(' ')?;
    let (name, inner) = match head.split_once('{') {
        Some((name, rest)) => (name, rest.trim_end_matches('}')),
        None => (head, ""),
    };
    let labels = inner
        .split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(label, value)| (label.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    let sample = Sample { at: Timestamp::from_unix_ms(1), value: value.parse().ok()? };
    Some(RawSeries { name: name.to_owned(), labels, series: Series::new(vec![sample]) })
}

fn value(role: &RoleSeries) -> f64 {
    let values: Vec<f64> =
        role.series.iter().filter_map(Series::latest).map(|sample| sample.value).collect();
    match role.combine {
        Combine::Sum => values.iter().sum(),
        Combine::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Combine::Mean => {
            values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap_or(1))
        }
    }
}

/// The value of each role named, `None` where it must be absent.
fn check(engine: Engine, text: &str, expected: &[(Role, Option<f64>)]) {
    let (found, _) = roles(&preset(engine), None, &[], &page(text));
    let read: BTreeMap<Role, f64> = found.iter().map(|(role, s)| (*role, value(s))).collect();
    for (role, wanted) in expected {
        let close = match (read.get(role), wanted) {
            (Some(read), Some(wanted)) => (read - wanted).abs() <= 1e-9 * wanted.abs().max(1.0),
            (read, wanted) => read.is_none() && wanted.is_none(),
        };
        assert!(close, "{engine:?} {role:?}: {:?}, not {wanted:?}", read.get(role));
    }
}

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/prometheus/", $name, ".prom"))
    };
}

#[test]
fn vllm_reads_right_under_all_its_names() {
    use Role::{Awake, CachedTokens, Finished, GenerationTokens, KvTokens, KvUsage};
    use Role::{PromptTokens, Rejections, Running, Waiting};
    check(
        Engine::Vllm,
        data!("vllm-v0-0.6.6"),
        &[
            (Waiting, Some(5.0)),
            (Running, Some(12.0)),
            (KvUsage, Some(0.427_187_5)),
            (PromptTokens, Some(482_113.0)),
            (GenerationTokens, Some(96_211.0)),
            (Finished, Some(330.0)),
            (CachedTokens, None),
            (Awake, None),
        ],
    );
    check(
        Engine::Vllm,
        data!("vllm-v1-0.10.2"),
        &[
            (Waiting, Some(5.0)),
            (KvUsage, Some(0.427_187_5)),
            (KvTokens, Some(27_838.0 * 16.0)),
            (CachedTokens, Some(301_008.0)),
        ],
    );
    check(
        Engine::Vllm,
        data!("vllm-v1-0.33.0-dp2"),
        &[
            (Waiting, Some(7.0)),
            (Running, Some(21.0)),
            (KvUsage, Some(f64::midpoint(0.427_187_5, 0.636 / 2.0))),
            (KvTokens, Some(2.0 * 27_838.0 * 16.0)),
            (GenerationTokens, Some(147_411.0)),
            (Finished, Some(660.0)),
            (Rejections, Some(0.0)),
            (Awake, Some(1.0)),
        ],
    );
    check(
        Engine::Vllm,
        data!("vllm-v1-0.33.0-idle"),
        &[(Waiting, Some(0.0)), (Running, Some(0.0)), (Finished, Some(0.0))],
    );
    check(
        Engine::Vllm,
        data!("vllm-rust-frontend-0.33.0"),
        &[(Waiting, Some(7.0)), (Running, Some(21.0)), (Finished, Some(660.0)), (KvTokens, None)],
    );
    check(
        Engine::Vllm,
        data!("vllm-live-0.32.0-rejections"),
        &[(Waiting, Some(4.0)), (Running, Some(4.0)), (Rejections, Some(207.0))],
    );
}

#[test]
fn the_production_stack_router_is_no_engine() {
    let (found, zero) =
        roles(&preset(Engine::Vllm), None, &[], &page(data!("vllm-production-stack-router")));
    assert!(found.is_empty(), "{:?}", found.keys());
    assert!(zero.is_empty());
}

#[test]
fn sglang_reads_right_under_all_its_names() {
    use Role::{CachedTokens, Finished, GenerationTokens, KvTokens, KvUsage, Running, Waiting};
    let busy = [(Waiting, Some(26.0)), (Running, Some(162.0)), (KvUsage, Some(0.28))];
    for text in [data!("sglang-0.4.0"), data!("sglang-0.5.2"), data!("sglang-0.5.23")] {
        check(Engine::Sglang, text, &busy);
    }
    check(Engine::Sglang, data!("sglang-0.4.0"), &[(KvTokens, None), (Finished, None)]);
    check(
        Engine::Sglang,
        data!("sglang-0.5.23"),
        &[
            (KvTokens, Some(443_059.0)),
            (Finished, Some(11_228.0)),
            (CachedTokens, Some(2_500_021.0)),
            (GenerationTokens, Some(7_557_572.0)),
        ],
    );
}

#[test]
fn the_smaller_engines_read_right() {
    use Role::{Arrivals, Finished, GenerationTokens, KvUsage, Rejections, Running, Waiting};
    check(
        Engine::Tgi,
        data!("tgi-3"),
        &[
            (Waiting, Some(6.0)),
            (Running, Some(4.0)),
            (Arrivals, Some(42.0)),
            (Finished, Some(40.0)),
            (Rejections, Some(1.0)),
            (KvUsage, None),
        ],
    );
    check(
        Engine::Trtllm,
        data!("trtllm-serve-1.3"),
        &[(Waiting, Some(5.0)), (Running, Some(12.0)), (KvUsage, Some(0.3125))],
    );
    check(
        Engine::Trtllm,
        data!("trtllm-serve-1.2"),
        &[(Waiting, None), (Running, None), (Finished, Some(4.0))],
    );
    check(
        Engine::Triton,
        data!("triton-trtllm"),
        &[(Waiting, Some(1.0)), (Running, Some(0.0)), (KvUsage, Some(0.4875))],
    );
    check(
        Engine::Llamacpp,
        data!("llamacpp"),
        &[
            (Waiting, Some(46.0)),
            (Running, Some(4.0)),
            (KvUsage, None),
            (GenerationTokens, Some(18_722.0)),
        ],
    );
    check(Engine::Llamacpp, data!("llamacpp-old-kv"), &[(KvUsage, Some(0.125))]);
    check(
        Engine::Dynamo,
        data!("dynamo-frontend"),
        &[(Waiting, Some(0.0)), (Running, Some(0.0)), (GenerationTokens, Some(300.0))],
    );
}

#[test]
fn gpu_exporters_read_right_in_their_units() {
    use Role::{GpuMemoryBandwidth, GpuMemoryTotal, GpuMemoryUsed, GpuPower, GpuUtilization};
    const MEBIBYTE: f64 = 1_048_576.0;
    check(
        Engine::Gpu,
        data!("dcgm-exporter-k8s"),
        &[
            (GpuUtilization, Some(0.0)),
            (GpuMemoryUsed, Some(420.0 * MEBIBYTE)),
            (GpuMemoryTotal, Some(20_020.0 * MEBIBYTE)),
            (GpuMemoryBandwidth, Some(0.0)),
            (GpuPower, Some(15.237)),
        ],
    );
    let mig = data!("dcgm-exporter-mig");
    let instance = mig.replace("llama-7d9f-fghij", "llama-7d9f-abcde");
    check(
        Engine::Gpu,
        &instance,
        &[
            (GpuUtilization, Some(0.812_345 / 2.0)),
            (GpuMemoryUsed, Some(18_789.0 * MEBIBYTE)),
            (GpuMemoryTotal, None),
        ],
    );
    check(
        Engine::Gpu,
        data!("amd-device-metrics-exporter-mini"),
        &[(GpuUtilization, Some(0.0)), (GpuPower, Some(41.0)), (GpuMemoryTotal, Some(68_702e6))],
    );
}

#[test]
fn poison_and_blanks_are_missing_and_repeats_count_once() {
    let rows = [
        ("DCGM_FI_DEV_GPU_UTIL 9223372036854775794", Role::GpuUtilization, None),
        ("DCGM_FI_DEV_GPU_UTIL 2147483632", Role::GpuUtilization, None),
        ("DCGM_FI_DEV_GPU_UTIL 90", Role::GpuUtilization, Some(0.9)),
        ("DCGM_FI_DEV_GPU_UTIL 900", Role::GpuUtilization, None),
        ("DCGM_FI_DEV_GPU_UTIL NaN", Role::GpuUtilization, None),
        ("DCGM_FI_DEV_POWER_USAGE -1", Role::GpuPower, None),
        // Two jobs that scrape one exporter.
        (
            "DCGM_FI_DEV_FB_USED{gpu=\"0\",job=\"a\"} 2\nDCGM_FI_DEV_FB_USED{gpu=\"0\",job=\"b\"} 2",
            Role::GpuMemoryUsed,
            Some(2.0 * 1_048_576.0),
        ),
    ];
    for (text, role, expected) in rows {
        check(Engine::Gpu, text, &[(role, expected)]);
    }
    check(
        Engine::Vllm,
        "vllm:kv_cache_usage_perc{engine=\"0\",pid=\"1\"} 0.1\n\
         vllm:kv_cache_usage_perc{engine=\"0\",pid=\"2\"} 0.5\n\
         vllm:kv_cache_usage_perc{engine=\"1\",pid=\"1\"} 0.3",
        &[(Role::KvUsage, Some(0.4))],
    );
    check(
        Engine::Sglang,
        "sglang:num_queue_reqs{tp_rank=\"0\",dp_rank=\"0\"} 3\n\
         sglang:num_queue_reqs{tp_rank=\"1\",dp_rank=\"0\"} 3\n\
         sglang:num_queue_reqs{tp_rank=\"0\",dp_rank=\"1\",priority=\"\"} 2\n\
         sglang:num_queue_reqs{tp_rank=\"0\",dp_rank=\"1\",priority=\"5\"} 2\n\
         sglang:realtime_tokens_total{mode=\"prefill\"} 900\n\
         sglang:realtime_tokens_total{mode=\"decode\"} 40\n\
         sglang:generation_tokens_total 30",
        &[(Role::Waiting, Some(5.0)), (Role::GenerationTokens, Some(40.0))],
    );
}

#[test]
fn a_lazy_family_is_zero_only_beside_what_was_found() {
    let rows = [
        (Engine::Sglang, "sglang:num_queue_reqs 0", Role::Finished, true),
        (Engine::Sglang, "sglang:num_queue_reqs 0", Role::Running, false),
        (Engine::Sglang, "something_else 0", Role::Finished, false),
        (Engine::Tgi, "tgi_batch_max_total_tokens 5", Role::Waiting, true),
        (Engine::Tgi, "", Role::Waiting, false),
    ];
    for (engine, text, role, expected) in rows {
        let (_, zero) = roles(&preset(engine), None, &[], &page(text));
        assert_eq!(zero.contains(&role), expected, "{engine:?} {text} {role:?}");
    }
}

#[test]
fn model_and_selector_choose_series() {
    let text = "vllm:num_requests_waiting{model_name=\"a\",tier=\"gold\"} 1\n\
                vllm:num_requests_waiting{model_name=\"b\"} 2";
    let matcher = |op, value: &str| {
        vec![LabelMatcher { label: "tier".to_owned(), op, value: value.to_owned() }]
    };
    let rows = [
        (None, Vec::new(), Some(3.0)),
        (Some("a"), Vec::new(), Some(1.0)),
        (Some("A"), Vec::new(), None),
        (None, matcher(MatchOp::Equal, "gold"), Some(1.0)),
        (None, matcher(MatchOp::Equal, ""), Some(2.0)),
        (None, matcher(MatchOp::NotEqual, "gold"), Some(2.0)),
        (None, matcher(MatchOp::Regex, "go|gold"), Some(1.0)),
        (None, matcher(MatchOp::Regex, "go"), None),
        (None, matcher(MatchOp::NotRegex, "g.*"), Some(2.0)),
        (None, matcher(MatchOp::NotRegex, "("), None),
    ];
    for (model, selector, expected) in rows {
        let (found, _) = roles(&preset(Engine::Vllm), model, &selector, &page(text));
        assert_eq!(found.get(&Role::Waiting).map(value), expected, "{model:?} {selector:?}");
    }
    let dynamo = preset(Engine::Dynamo);
    let (found, _) = roles(&dynamo, Some("QWEN/qwen3-0.6b"), &[], &page(data!("dynamo-frontend")));
    assert!(found.contains_key(&Role::Running));
}
