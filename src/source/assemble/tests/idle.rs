//! The later engines, and what an idle page of each says.

use super::{check, page, value};
use crate::engine::observation::Role;
use crate::source::assemble::roles;
use crate::source::preset::preset;
use crate::spec::Engine;

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/data/prometheus/", $name, ".prom"))
    };
}

#[test]
fn lmdeploy_nim_and_ray_read_right() {
    use Role::{CachedTokens, Finished, GenerationTokens, KvTokens, KvUsage, Running, Waiting};
    // Two wait in the engine and six for a slot of the API.
    check(
        Engine::Lmdeploy,
        data!("lmdeploy-0.16"),
        &[
            (Waiting, Some(8.0)),
            (Running, Some(12.0)),
            (KvUsage, Some(0.3125)),
            (CachedTokens, Some(0.0)),
            (GenerationTokens, Some(45_321.0)),
            (Finished, Some(310.0)),
        ],
    );
    check(
        Engine::Nim,
        data!("nim-1.x"),
        &[
            (Waiting, Some(0.0)),
            (Running, Some(1.0)),
            (KvUsage, Some(0.000_284_819_139_846_197_7)),
            (GenerationTokens, Some(174.0)),
            (Finished, Some(5.0)),
        ],
    );
    // From 3.0 it is vLLM.
    check(
        Engine::Nim,
        data!("vllm-v1-0.33.0-idle"),
        &[(Waiting, Some(0.0)), (Running, Some(0.0)), (KvTokens, Some(27_838.0 * 16.0))],
    );
    check(
        Engine::Ray,
        data!("ray-serve-llm"),
        &[
            (Waiting, Some(5.0)),
            (Running, Some(12.0)),
            (KvUsage, Some(0.427_187_5)),
            (GenerationTokens, Some(96_211.0)),
        ],
    );
    let (found, _) = roles(&preset(Engine::Ray), None, &[], &page(data!("ray-vllm-2.32")));
    assert!(found.contains_key(&Waiting) && found.contains_key(&KvUsage), "{:?}", found.keys());
    // Two replicas on one node are two queues; a worker that says the same twice is one.
    check(
        Engine::Ray,
        "ray_vllm_num_requests_waiting{ReplicaId=\"a\",WorkerId=\"1\"} 3\n\
         ray_vllm_num_requests_waiting{ReplicaId=\"b\",WorkerId=\"2\"} 4\n\
         ray_vllm_num_requests_waiting{ReplicaId=\"b\",WorkerId=\"2\",job=\"twice\"} 4",
        &[(Waiting, Some(7.0))],
    );
}

/// Of each engine: what an idle page says of the queue, and what a page that lacks it says.
#[test]
fn an_idle_page_is_known_zero_and_a_page_without_the_family_is_not() {
    let rows = [
        (Engine::Vllm, data!("vllm-v1-0.33.0-idle"), "vllm:num_requests_waiting", false),
        (
            Engine::Sglang,
            "sglang:num_queue_reqs 0\nsglang:num_running_reqs 0",
            "sglang:num_queue_reqs",
            false,
        ),
        (Engine::Tgi, "tgi_batch_max_total_tokens 32768", "tgi_batch_max_total_tokens", true),
        (
            Engine::Trtllm,
            "trtllm_num_requests_waiting 0\ntrtllm_num_requests_running 0\ntrtllm_request_success_total 4",
            "trtllm_num_requests_waiting",
            false,
        ),
        (
            Engine::Triton,
            "nv_inference_pending_request_count{model=\"m\"} 0\nnv_inference_request_success 3",
            "nv_inference_pending_request_count",
            false,
        ),
        (
            Engine::Llamacpp,
            "llamacpp:requests_deferred 0\nllamacpp:requests_processing 0",
            "llamacpp:requests_deferred",
            false,
        ),
        (
            Engine::Dynamo,
            "dynamo_frontend_disconnected_clients 0",
            "dynamo_frontend_disconnected_clients",
            true,
        ),
        (
            Engine::Lmdeploy,
            "lmdeploy:num_requests_waiting 0\nlmdeploy:num_requests_running 0",
            "lmdeploy:num_requests_waiting",
            false,
        ),
        (
            Engine::Nim,
            "num_requests_waiting 0\nnum_requests_running 0",
            "num_requests_waiting",
            false,
        ),
        (
            Engine::Ray,
            "ray_vllm_cache_config_info{num_gpu_blocks=\"100\",block_size=\"16\"} 1",
            "ray_vllm_cache_config_info",
            true,
        ),
    ];
    for (engine, idle, family, lazy) in rows {
        let waiting = |text: &str| {
            let (found, zero) = roles(&preset(engine), None, &[], &page(text));
            let read = found.get(&Role::Waiting).map(value);
            read.or_else(|| zero.contains(&Role::Waiting).then_some(0.0))
        };
        assert_eq!(waiting(idle), Some(0.0), "{engine:?} idle");
        let (found, _) = roles(&preset(engine), None, &[], &page(idle));
        assert_eq!(found.contains_key(&Role::Waiting), !lazy, "{engine:?} lazy");
        // Without the family, or without what vouches for a lazy one, nothing is known.
        let without: String =
            idle.lines().filter(|line| !line.contains(family)).map(|l| format!("{l}\n")).collect();
        assert_eq!(waiting(&without), None, "{engine:?} without {family}");
    }
}

/// The page of a Dynamo worker says nothing of requests: it must not read as an idle frontend.
#[test]
fn a_page_of_a_dynamo_worker_is_not_an_idle_frontend() {
    let worker = "dynamo_component_gpu_cache_usage_percent{dynamo_component=\"backend\"} 0.4";
    let (found, zero) = roles(&preset(Engine::Dynamo), None, &[], &page(worker));
    assert!(found.contains_key(&Role::KvUsage));
    assert!(zero.is_empty(), "{zero:?}");
    // Of a frontend, a model that nobody asked for yet is idle, whatever else it serves.
    let other = data!("dynamo-frontend");
    let (_, zero) = roles(&preset(Engine::Dynamo), Some("other"), &[], &page(other));
    assert!(zero.contains(&Role::Waiting) && zero.contains(&Role::Running), "{zero:?}");
}

#[test]
fn triton_tells_latency_in_milliseconds() {
    let preset = preset(Engine::Triton);
    let ttft = preset.histograms.iter().find(|one| one.names[0].ends_with("_ms")).unwrap();
    assert!((ttft.scale - 0.001).abs() < f64::EPSILON);
}
