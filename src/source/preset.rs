//! Presets: which metric families of an engine carry which role, under all names they ever had.
//!
//! Each table says where its names were read and which traps it steps around. Tables are data: what
//! is done with them is [`crate::source::assemble`]'s and [`crate::source::plan`]'s.

pub(crate) mod cluster;
mod engines;
mod gateway;
mod gpu;
mod sglang;
mod table;
mod vllm;

use crate::spec::{Engine, Gateway};

pub use gateway::{Asked, Tenant, asked};
pub use table::{Family, Histogram, Label, Preset, Value, is_ratio};

/// The preset of `engine`; empty for `custom`.
#[must_use]
pub const fn preset(engine: Engine) -> Preset {
    match engine {
        Engine::Vllm => vllm::PRESET,
        Engine::Sglang => sglang::PRESET,
        Engine::Tgi => engines::TGI,
        Engine::Trtllm => engines::TRTLLM,
        Engine::Triton => engines::TRITON,
        Engine::Llamacpp => engines::LLAMACPP,
        Engine::Dynamo => engines::DYNAMO,
        Engine::Gpu => gpu::PRESET,
        Engine::Custom => Preset::NONE,
    }
}

/// Whether this version reads `engine`.
#[must_use]
pub const fn engine_supported(engine: Engine) -> bool {
    matches!(engine, Engine::Custom) || !preset(engine).families.is_empty()
}

/// Whether this version reads `gateway`; the others are for a later one.
#[must_use]
pub const fn gateway_supported(gateway: Gateway) -> bool {
    !asked(gateway).is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Engine, Gateway, Value, engine_supported, gateway_supported, preset};

    const ENGINES: [Engine; 9] = [
        Engine::Vllm,
        Engine::Sglang,
        Engine::Tgi,
        Engine::Trtllm,
        Engine::Triton,
        Engine::Llamacpp,
        Engine::Dynamo,
        Engine::Gpu,
        Engine::Custom,
    ];

    #[test]
    fn tables_hold_only_names_that_prometheus_accepts() {
        for engine in ENGINES {
            for family in preset(engine).families {
                assert!(!family.names.is_empty(), "{engine:?} {:?}", family.role);
                for name in family.every_name() {
                    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                    assert!(name.chars().all(fits), "{name}");
                }
            }
        }
    }

    #[test]
    fn factors_are_positive() {
        for engine in ENGINES {
            for family in preset(engine).families {
                if let Value::Scaled(factor) = family.value {
                    assert!(factor > 0.0, "{engine:?} {:?}", family.role);
                }
            }
        }
    }

    #[test]
    fn every_llm_engine_says_what_waits_and_what_runs() {
        for engine in ENGINES.into_iter().filter(|e| !matches!(e, Engine::Gpu | Engine::Custom)) {
            let roles: BTreeSet<String> =
                preset(engine).families.iter().map(|f| format!("{:?}", f.role)).collect();
            assert!(roles.contains("Waiting") && roles.contains("Running"), "{engine:?}");
        }
    }

    #[test]
    fn what_is_not_read_yet_says_so() {
        for engine in ENGINES {
            assert!(engine_supported(engine), "{engine:?}");
        }
        let rows = [
            (Gateway::LlmD, true),
            (Gateway::KedaHttp, true),
            (Gateway::ProductionStack, true),
            (Gateway::Knative, false),
            (Gateway::EnvoyAi, false),
            (Gateway::Litellm, false),
            (Gateway::Dynamo, false),
            (Gateway::Ray, false),
        ];
        for (gateway, expected) in rows {
            assert_eq!(gateway_supported(gateway), expected, "{gateway:?}");
            assert_eq!(gateway.acts(), expected, "{gateway:?}: the parser says otherwise");
        }
    }
}
