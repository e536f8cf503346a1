//! Profiles: what one replica carries, by name, until it was observed.
//!
//! | profile | KV tokens | prompt tokens/s | output tokens/s |
//! |---|---|---|---|
//! | `llama-3-8b-a100` | (80 GB x 0.9 - 15 - 5.5 - 0.15) GiB / 131,072 B | 1 / 67 µs | a 9.3 ms, g 125 ns, s 5 µs |
//! | `llama-3-8b-h100` | same card size, same model | 1 / 31 µs | a 6.9 ms, g 76 ns, s 4.4 µs |
//! | `qwen3-32b-tp2-h100` | llm-d, TP2 | llm-d, measured prefill rate | a 13.5 ms, g 51 ns, s 20 µs |
//!
//! An iteration of a vLLM-like engine takes `a + b x prompt tokens + g x KV tokens + s x batch` (a:
//! Vidur's profiles and BLIS; b: seconds per token, 1 / prompt rate; g: BLIS), with the constants of
//! the replay's own profiles. Output at full batch is `batch / iteration` where no prompt is computed
//! beside it, the batch being what fits: for the 8B models 1,260 tokens per sequence (the
//! mean of the public Azure conversation trace) and at most 256 sequences on A100, 334 fit on H100;
//! for the 32B model 4,500 tokens (llm-d's 4,000/1,000 workload). They are seeds: observations
//! correct them.

use crate::engine::setup::CapacitySeed;

/// A named set of capacity numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) capacity: CapacitySeed,
}

const fn llm(kv_tokens: f64, prefill: f64, generation: f64) -> CapacitySeed {
    CapacitySeed {
        kv_tokens: Some(kv_tokens),
        prefill_tokens_per_second: Some(prefill),
        generation_tokens_per_second: Some(generation),
    }
}

/// All profiles. `bert-gpu` has no KV cache and no tokens: the simulator knows it, a live decision
/// takes nothing from it.
pub(crate) const PROFILES: [Profile; 4] = [
    Profile { name: "llama-3-8b-a100", capacity: llm(421_000.0, 14_900.0, 5_030.0) },
    Profile { name: "llama-3-8b-h100", capacity: llm(421_000.0, 32_000.0, 8_280.0) },
    Profile { name: "qwen3-32b-tp2-h100", capacity: llm(350_000.0, 15_928.0, 2_350.0) },
    Profile {
        name: "bert-gpu",
        capacity: CapacitySeed {
            kv_tokens: None,
            prefill_tokens_per_second: None,
            generation_tokens_per_second: None,
        },
    },
];

#[cfg(test)]
mod tests {
    use super::PROFILES;

    /// Name, constant, prompt seconds per token, seconds per KV token, per sequence, tokens, batch.
    #[test]
    fn output_rates_follow_from_the_cited_constants() {
        let rows = [
            ("llama-3-8b-a100", 9.3e-3, 67e-6, 125e-9, 5e-6, 1260.0, 256.0),
            ("llama-3-8b-h100", 6.9e-3, 31e-6, 76e-9, 4.4e-6, 1260.0, 334.0),
            ("qwen3-32b-tp2-h100", 13.5e-3, 62.8e-6, 51e-9, 20e-6, 4500.0, 77.0),
        ];
        for (name, a, b, g, s, context, batch) in rows {
            let profile = PROFILES.iter().find(|profile| profile.name == name).unwrap();
            let iteration = a + g * context * batch + s * batch;
            let expected: f64 = batch / iteration;
            let given = profile.capacity.generation_tokens_per_second.unwrap();
            assert!((given / expected - 1.0).abs() < 0.02, "{name}: {given} but {expected}");
            let prefill = profile.capacity.prefill_tokens_per_second.unwrap();
            assert!((prefill * b - 1.0).abs() < 0.02, "{name}: {prefill}");
            assert!(batch * context <= profile.capacity.kv_tokens.unwrap() * 1.001, "{name}");
        }
    }
}
