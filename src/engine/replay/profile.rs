//! What a replica and the machine under it can do, as numbers: iteration time, KV cache, cold start.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::replay::score::Objectives;

/// The objective of the demo: a first token within this time of reaching the gateway. It is the usual
/// one for interactive use of models of this size.
pub const OBJECTIVE: Duration = Duration::from_secs(3);

/// Seconds that no iteration of any model takes.
const MAX_SECONDS: f64 = 60.0;

/// The shortest iteration: a launched kernel takes some microseconds.
const BASE_MIN: f64 = 1e-6;

/// One replica: an engine on its GPUs. An iteration takes
/// `base + per_token x prompt tokens + per_kv_token x KV tokens read + per_sequence x batch` seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// GPUs of one replica; what GPU-hours are counted in.
    pub gpus: u32,
    /// Seconds of any iteration.
    pub base: f64,
    /// Seconds per prompt token computed. A token decoded costs `per_sequence`: at such batches its
    /// computing hides behind the reading of the weights, which is `base`.
    pub per_token: f64,
    /// Seconds per KV token read.
    pub per_kv_token: f64,
    /// Seconds per sequence in the batch.
    pub per_sequence: f64,
    /// Seconds per request outside of the engine (parsing, tokenising, first byte).
    pub overhead: f64,
    /// Tokens that fit into the KV cache; 0 for an engine without one (an encoder).
    pub kv_tokens: u64,
    /// Tokens of one block of it.
    pub block_tokens: u32,
    /// Sequences in a batch.
    pub max_sequences: u32,
    /// Tokens computed in one iteration.
    pub token_budget: u32,
}

impl Profile {
    /// The one of that name; `None`: there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let makers = [
            Self::llama_3_8b_a100,
            Self::llama_3_8b_h100,
            Self::qwen3_32b_tp2_h100,
            Self::bert_gpu,
        ];
        makers.iter().map(|make| make()).find(|profile| profile.name == name)
    }

    /// The names there are.
    #[must_use]
    pub const fn names() -> &'static [&'static str] {
        &["llama-3-8b-a100", "llama-3-8b-h100", "qwen3-32b-tp2-h100", "bert-gpu"]
    }

    /// Llama 3 8B on one A100 of 80 GB. Linear operators fitted to Vidur's published profiles, KV
    /// reads to BLIS; 51.4 GiB of cache at 128 KiB a token. Batch limits are vLLM's defaults on it.
    #[must_use]
    pub fn llama_3_8b_a100() -> Self {
        Self {
            name: "llama-3-8b-a100".to_owned(),
            base: 0.0093,
            per_token: 67e-6,
            per_kv_token: 125e-9,
            per_sequence: 5e-6,
            max_sequences: 256,
            token_budget: 2048,
            ..Self::llama_3_8b_h100()
        }
    }

    /// Llama 3 8B on one H100: fitted to published measurements (BLIS, Vidur, llm-d; 51.4 GiB of cache
    /// at 128 KiB a token). The time per prompt token is scaled from a 32B model: 30 % either way.
    #[must_use]
    pub fn llama_3_8b_h100() -> Self {
        Self {
            name: "llama-3-8b-h100".to_owned(),
            gpus: 1,
            base: 0.0069,
            per_token: 31e-6,
            per_kv_token: 76e-9,
            per_sequence: 4.4e-6,
            overhead: 0.0156,
            kv_tokens: 421_000,
            block_tokens: 16,
            max_sequences: 1024,
            token_budget: 8192,
        }
    }

    /// Qwen3 32B on two H100: prefill speed and cache as llm-d measured them (15 928 tokens/s, about
    /// 350 000 tokens). Time per iteration and per KV token are tuned from 14 ms and 60 ns, by 4 and
    /// 15 %, so that the knee is the measured one, 1.4 to 1.5 requests/s of 4000 prompt and 1000 output
    /// tokens: untuned it is 1.32. What is taken is taken from KV reads, as the time per token at
    /// moderate load, 20 to 45 ms in llm-d's guide, is mostly that of any iteration.
    #[must_use]
    pub fn qwen3_32b_tp2_h100() -> Self {
        Self {
            name: "qwen3-32b-tp2-h100".to_owned(),
            gpus: 2,
            base: 0.0135,
            per_token: 63e-6,
            per_kv_token: 51e-9,
            per_sequence: 20e-6,
            kv_tokens: 350_000,
            ..Self::llama_3_8b_h100()
        }
    }

    /// An encoder of BERT-large's size on one small data-centre GPU (an L4 class): whole prompts in
    /// batches of at most 16 384 tokens and 512 sequences, as text-embeddings-inference has them; no
    /// cache, one result a request. Its times are rounded from the arithmetic, 0.7 GFLOP a token at
    /// half of 120 TFLOP/s, not measured.
    #[must_use]
    pub fn bert_gpu() -> Self {
        Self {
            name: "bert-gpu".to_owned(),
            gpus: 1,
            base: 0.004,
            per_token: 12e-6,
            per_kv_token: 0.0,
            per_sequence: 20e-6,
            overhead: 0.002,
            kv_tokens: 0,
            block_tokens: 16,
            max_sequences: 512,
            token_budget: 16_384,
        }
    }

    /// Checks one that a user wrote.
    ///
    /// # Errors
    /// Every fault, with key, value and what would be accepted.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let second = 0.0..=MAX_SECONDS;
        let mut faults = Vec::new();
        for (key, value) in [
            ("base", self.base),
            ("perToken", self.per_token),
            ("perKvToken", self.per_kv_token),
            ("perSequence", self.per_sequence),
            ("overhead", self.overhead),
        ] {
            if !second.contains(&value) {
                faults.push(format!("{key}: {value}: accepted are seconds, 0 to {MAX_SECONDS}"));
            }
        }
        if self.base < BASE_MIN {
            faults.push(format!("base: {}: accepted is {BASE_MIN} or more", self.base));
        }
        let counts = [
            ("gpus", self.gpus, 1024),
            ("blockTokens", self.block_tokens, 4096),
            ("maxSequences", self.max_sequences, 65_536),
            ("tokenBudget", self.token_budget, 1 << 24),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                faults.push(format!("{key}: {value}: accepted are 1 to {most}"));
            }
        }
        if self.token_budget < self.max_sequences {
            let (budget, sequences) = (self.token_budget, self.max_sequences);
            faults.push(format!("tokenBudget: {budget}: less than maxSequences, {sequences}"));
        }
        // One block is never given out: with fewer than two nothing would ever fit.
        let least = 2 * u64::from(self.block_tokens);
        if self.kv_tokens > 0 && !(least..=1 << 40).contains(&self.kv_tokens) {
            let tokens = self.kv_tokens;
            faults.push(format!("kvTokens: {tokens}: accepted are 0 (no cache), {least} to 2^40"));
        }
        if self.name.trim().is_empty() {
            faults.push("name: empty".to_owned());
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// From creation to serving, as a sum of stages; each is drawn log-normal with a coefficient of
/// variation of 0.2 around its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ColdStart {
    /// Until the pod has a node.
    pub node: Duration,
    /// Until the image is there.
    pub pull: Duration,
    /// Until weights are loaded and graphs captured, and the readiness probe has passed.
    pub load: Duration,
}

impl ColdStart {
    /// 5 s: the process is there and its memory only has to be filled (sleep mode, snapshots).
    #[must_use]
    pub const fn hot() -> Self {
        Self::new(0, 0, 5)
    }

    /// 100 s: node and image are there; weights, graphs and the readiness probe take the time. llm-d
    /// measured 100 s for a 32B model with its compile cache filled.
    #[must_use]
    pub const fn warm_node() -> Self {
        Self::new(2, 8, 90)
    }

    /// 420 s: a node is added and a 10 to 20 GB image pulled and unpacked.
    #[must_use]
    pub const fn cold_node() -> Self {
        Self::new(60, 260, 100)
    }

    /// Any total, in the proportions of a warm node below 200 s and of a cold one from there on.
    #[must_use]
    pub fn of(total: Duration) -> Self {
        let like =
            if total < Duration::from_secs(200) { Self::warm_node() } else { Self::cold_node() };
        let share = |stage: Duration| total.mul_f64(stage.div_duration_f64(like.total()));
        let (node, pull) = (share(like.node), share(like.pull));
        Self { node, pull, load: total.saturating_sub(node + pull) }
    }

    const fn new(node: u64, pull: u64, load: u64) -> Self {
        let [node, pull, load] =
            [Duration::from_secs(node), Duration::from_secs(pull), Duration::from_secs(load)];
        Self { node, pull, load }
    }

    /// All stages together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.node + self.pull + self.load
    }
}

/// How requests are spread over ready pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// To the pod with the fewest requests.
    LeastLoad,
    /// In turns.
    RoundRobin,
}

/// The workload's surroundings in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The hardware.
    pub profile: Profile,
    /// From creation to serving.
    pub cold_start: ColdStart,
    /// How requests are spread.
    pub routing: Routing,
    /// How long the gateway holds a request while no pod is ready; zero: refused at once.
    pub hold: Duration,
    /// How long a pod that was told to end may finish what it has.
    pub grace: Duration,
    /// What a request must meet.
    pub objectives: Objectives,
    /// How long a client waits for its first token before it hangs up; `None`: for ever.
    pub patience: Option<Duration>,
    /// Requests, waiting and running, beyond which a replica refuses (`--max-num-queued-reqs`);
    /// `None`: never.
    pub max_queued: Option<u32>,
}

impl Settings {
    /// Those of the demo: Llama 3 8B on H100, a warm node, a gateway that holds for five minutes.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            profile: Profile::llama_3_8b_h100(),
            cold_start: ColdStart {
                node: Duration::from_secs(2),
                pull: Duration::from_secs(13),
                load: Duration::from_secs(65),
            },
            routing: Routing::LeastLoad,
            hold: Duration::from_mins(5),
            grace: Duration::from_mins(2),
            objectives: Objectives { ttft: OBJECTIVE, tpot: Duration::from_millis(100) },
            patience: None,
            max_queued: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ColdStart, Profile};

    #[test]
    fn every_named_profile_is_there_and_valid() {
        for name in Profile::names() {
            let profile = Profile::named(name).unwrap();
            assert_eq!((profile.name.as_str(), profile.validate()), (*name, Ok(())));
        }
        assert_eq!(Profile::named("llama"), None);
    }

    #[test]
    fn every_fault_is_named_with_its_value() {
        let good = Profile::llama_3_8b_h100;
        let rows = [
            (Profile { base: f64::NAN, ..good() }, "base: NaN"),
            (Profile { base: 0.0, ..good() }, "base: 0: accepted is 0.000001 or more"),
            (Profile { per_token: -1.0, ..good() }, "perToken: -1"),
            (Profile { per_kv_token: f64::INFINITY, ..good() }, "perKvToken: inf"),
            (Profile { gpus: 0, ..good() }, "gpus: 0: accepted are 1 to 1024"),
            (Profile { block_tokens: 0, ..good() }, "blockTokens: 0"),
            (Profile { token_budget: 10, ..good() }, "tokenBudget: 10: less than maxSequences"),
            (Profile { kv_tokens: 31, ..good() }, "kvTokens: 31: accepted are 0 (no cache), 32"),
            (Profile { name: " ".to_owned(), ..good() }, "name: empty"),
        ];
        for (profile, expected) in rows {
            let faults = profile.validate().unwrap_err();
            assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{faults:?}");
        }
    }

    #[test]
    fn a_cold_start_of_any_length_has_its_stages() {
        for total in [0, 5, 100, 199, 200, 420, 9000].map(Duration::from_secs) {
            assert_eq!(ColdStart::of(total).total(), total);
        }
        assert_eq!(ColdStart::of(Duration::from_secs(100)), ColdStart::warm_node());
        assert_eq!(ColdStart::of(Duration::from_secs(420)), ColdStart::cold_node());
        let totals = [ColdStart::hot(), ColdStart::warm_node(), ColdStart::cold_node()];
        assert_eq!(totals.map(|start| start.total().as_secs()), [5, 100, 420]);
    }
}
