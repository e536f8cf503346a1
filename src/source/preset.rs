//! Presets: which metric families of an engine carry which role, under all names they ever had.
//!
//! Each table says where its names were read and which traps it steps around. Tables are data: what
//! is done with them is [`crate::source::assemble`]'s and [`crate::source::plan`]'s.

pub(crate) mod cluster;
mod engines;
mod gateway;
mod gpu;
mod others;
mod sglang;
mod table;
mod vllm;

use crate::spec::Engine;

pub use gateway::{Asked, Model, Refusals, Tenant, asked, on_any_page, wanted};
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
        Engine::Lmdeploy => others::LMDEPLOY,
        Engine::Nim => others::NIM,
        Engine::Ray => others::RAY,
        Engine::Gpu => gpu::PRESET,
        Engine::Custom => Preset::NONE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Engine, Value, asked, preset};
    use crate::spec::Gateway;

    fn engines() -> impl Iterator<Item = Engine> {
        Engine::NAMES.into_iter().map(|(_, engine)| engine)
    }

    #[test]
    fn tables_hold_only_names_that_prometheus_accepts() {
        for engine in engines() {
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
        for engine in engines() {
            for family in preset(engine).families {
                if let Value::Scaled(factor) = family.value {
                    assert!(factor > 0.0, "{engine:?} {:?}", family.role);
                }
            }
        }
    }

    #[test]
    fn every_llm_engine_says_what_waits_and_what_runs() {
        for engine in engines().filter(|e| !matches!(e, Engine::Gpu | Engine::Custom)) {
            let roles: BTreeSet<String> =
                preset(engine).families.iter().map(|f| format!("{:?}", f.role)).collect();
            assert!(roles.contains("Waiting") && roles.contains("Running"), "{engine:?}");
        }
    }

    #[test]
    fn every_gateway_shows_demand_under_names_that_prometheus_accepts() {
        for (word, gateway) in Gateway::NAMES {
            assert!(!asked(gateway).is_empty(), "{word}");
            for way in asked(gateway) {
                let names = way.demand();
                assert!(!names.is_empty(), "{word}");
                for name in names.iter().chain(way.alive) {
                    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                    assert!(name.chars().all(fits), "{name}");
                }
                // Each says in exactly one way what stands for requests held.
                let shows = [!way.held.is_empty() || way.refused.is_some(), way.edge];
                assert_eq!(shows.iter().filter(|shows| **shows).count(), 1, "{word}");
            }
        }
    }
}
