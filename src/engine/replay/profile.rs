//! What a replica and the machine under it can do, as numbers: iteration time, KV cache, cold start.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::replay::score::Objectives;

/// One replica: an engine on its GPUs. An iteration takes
/// `base + per_token x new tokens + per_kv_token x KV tokens read + per_sequence x batch` seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// GPUs of one replica; what GPU-hours are counted in.
    pub gpus: u32,
    /// Seconds of any iteration.
    pub base: f64,
    /// Seconds per token computed.
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
    /// Llama 3 8B on one H100: fitted to published measurements (BLIS, Vidur, llm-d; 51.4 GiB of cache
    /// at 128 KiB a token).
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
            max_sequences: 256,
            token_budget: 8192,
        }
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
            objectives: Objectives {
                ttft: Duration::from_secs(3),
                tpot: Duration::from_millis(100),
            },
            patience: None,
            max_queued: None,
        }
    }
}
