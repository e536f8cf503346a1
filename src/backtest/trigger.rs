//! The trigger that prescale runs with in a backtest: metadata, read as the server reads it.
//!
//! Promises a setup that follows from the world's objectives and limits and the user's own keys, and
//! nothing else: what a replica carries is learned during the run, unless a `profile` is named.

use std::collections::BTreeMap;

use crate::backtest::error::Error;
use crate::engine::replay::score::Objectives;
use crate::engine::setup::Setup;
use crate::spec::{self, Limits, Span};

/// Keys that change a decision and need nothing that the world has not. The others say where to read
/// from, or belong to the forecast; limits, strategy and headroom are given by the flags.
const ACTING: [&str; 20] = [
    "profile",
    "queueDepth",
    "concurrency",
    "requestRate",
    "tokenRate",
    "kvCache",
    "ttft",
    "interTokenLatency",
    "latencyQuantile",
    "gpuUtilization",
    "activation",
    "idleAfter",
    "activationTimeout",
    "scaleUpForward",
    "coldStartCost",
    "headroomTrusted",
    "timezone",
    "holidays",
    "onNoData",
    "hpaTolerance",
];

/// What the trigger's metadata follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Whether the replicas have a KV cache; those without are encoders, watched by their GPU.
    pub(super) has_kv: bool,
    /// What a request must meet.
    pub(super) objectives: Objectives,
    /// Fewest and most replicas.
    pub(super) limits: (u32, u32),
}

/// The setup of a trigger with `own` keys over those of the `frame`.
pub(super) fn setup(frame: Frame, own: &[(String, String)]) -> Result<Setup, Error> {
    let mut metadata = given(frame);
    for (key, value) in own {
        // An unknown key is left to the parser, which knows what was meant.
        if spec::key(key).is_some() && !ACTING.contains(&key.as_str()) {
            return Err(Error::InertKey { key: key.clone(), known: ACTING.join(", ") });
        }
        metadata.insert(key.clone(), value.clone());
    }
    let parsed = spec::parse("backtest", "workload", &metadata, &Limits::default());
    parsed.map(|spec| spec.setup).map_err(Error::Metadata)
}

fn given(Frame { has_kv, objectives, limits: (min, max) }: Frame) -> BTreeMap<String, String> {
    let mut rows = vec![
        ("engine", if has_kv { "vllm" } else { "gpu" }.to_owned()),
        ("minReplicas", min.to_string()),
        ("maxReplicas", max.to_string()),
        ("scaleStrategy", "reactive".to_owned()),
        // The world's gateway is always there; any preset says that demand shows while there are no
        // replicas.
        ("gateway", "production-stack".to_owned()),
    ];
    if has_kv {
        rows.push(("ttft", Span(objectives.ttft).to_string()));
        rows.push(("interTokenLatency", Span(objectives.tpot).to_string()));
    }
    rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ACTING, Frame, setup};
    use crate::engine::replay::score::Objectives;
    use crate::engine::setup::{CapacitySeed, Family};
    use crate::spec;

    const FRAME: Frame = Frame {
        has_kv: true,
        objectives: Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) },
        limits: (0, 12),
    };

    fn own(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn objectives_and_limits_are_the_worlds_and_capacity_is_not_given() {
        let setup = setup(FRAME, &[]).unwrap();
        assert_eq!(setup.objectives.ttft, Some(Duration::from_secs(3)));
        assert_eq!(setup.objectives.inter_token, Some(Duration::from_millis(100)));
        assert_eq!(setup.max_replicas.unwrap().get(), 12);
        assert_eq!(setup.min_replicas.unwrap().get(), 0);
        assert_eq!(setup.capacity, CapacitySeed::default());
        assert_eq!(setup.family, Family::Llm);
        assert!(setup.wake_path);
    }

    #[test]
    fn an_encoder_is_watched_by_its_gpu() {
        let setup = setup(Frame { has_kv: false, ..FRAME }, &[]).unwrap();
        assert_eq!(setup.family, Family::Gpu);
    }

    #[test]
    fn own_keys_win_and_a_profile_seeds_the_capacity() {
        let keys = own(&[("kvCache", "80%"), ("profile", "llama-3-8b-h100"), ("ttft", "1s")]);
        let setup = setup(FRAME, &keys).unwrap();
        assert!((setup.targets.kv_cache.unwrap().get() - 0.8).abs() < 1e-12);
        assert!(setup.capacity.kv_tokens.is_some());
        assert_eq!(setup.objectives.ttft, Some(Duration::from_secs(1)));
    }

    #[test]
    fn keys_that_mean_nothing_here_are_refused_with_those_that_do() {
        let rows = [
            ("endpoints", "dns://a:80/metrics", "endpoints does not act in a backtest"),
            ("maxReplicas", "5", "maxReplicas does not act"),
            ("headroom", "0.7", "headroom does not act"),
            ("kvcache", "0.7", "kvCache"),
            ("kvCache", "70", "is ambiguous"),
        ];
        for (key, value, expected) in rows {
            let error = setup(FRAME, &own(&[(key, value)])).unwrap_err().to_string();
            assert!(error.contains(expected), "{key}={value}: {error}");
        }
    }

    #[test]
    fn every_key_that_acts_is_one_of_the_table() {
        for name in ACTING {
            assert!(spec::key(name).is_some(), "{name}");
        }
    }
}
