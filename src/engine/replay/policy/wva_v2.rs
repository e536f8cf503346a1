//! wva-v2: llm-d's Workload Variant Autoscaler since 0.9, tokens in use and queued against a capacity.
//!
//! A replica carries `min(k1, k2)` tokens: `k1` is 80 % of its KV cache, `k2` what was in use while
//! five requests waited (mean of the last ten times), before that `N (I + O / 2)` with
//! `N = min(B O / (I + O), S)`. Demand is the tokens in use and queued. Up to `demand / 0.85`, down
//! to `demand / 0.70`, in whole capacities.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::numeric::{median, replicas_ceil, share};
use crate::engine::observation::{PodObservation, Role};
use crate::engine::replay::law::{Answer, Law, Metric, View};
use crate::engine::replay::policy::entry::{Actuator, Context, Keda, Knob, Policy};
use crate::engine::replay::policy::query;
use crate::engine::replay::policy::retention::{Retention, from_zero};

/// Share of the KV cache that may be used.
const KV_USABLE: f64 = 0.80;
/// With so many waiting the tokens in use are what a replica carries.
const QUEUE_FULL: f64 = 5.0;
/// How many of those times are averaged.
const KEPT: usize = 10;
/// Demand over capacity that adds replicas.
const UP: f64 = 0.85;
/// Demand over capacity that removes them, as a share of the one above: 0.70.
const DOWN: f64 = 0.70 / UP;
/// Sizes of requests are means over this window.
const SIZES: Duration = Duration::from_mins(5);

/// Token demand over token capacity.
pub(super) const WVA_V2: Policy = Policy {
    name: "wva-v2",
    about: "Tokens in use and queued against what a replica was seen to hold; adds what is missing for 85 %, removes what is \
            spare at 70 %, in whole replicas.",
    source: "llm-d workload-variant-autoscaler v0.9.0 (main of 2026-08-18, read in the fork deanlorenz 2976e4ee), \
             internal/engines/analyzers/saturation_v2: every 15 s; wva_desired_replicas through KEDA, AverageValue 1, the \
             HPA's default behaviour",
    simplifications: &[
        "one variant on one accelerator, so cost plays no part; only this analyzer, the throughput one is opt-in",
        "sizes of requests from token counters over finished requests, not from the engines' size histograms",
        "the endpoint picker's queue is the gateway's, counted in requests, not in bytes",
        "its samples leave the HPA's down-window at 0, 120 or 300 s; here the HPA's default of 300 s, the steadiest of them",
        "the scale-down threshold follows the scale-up one in the sweep, at the source's ratio 0.70 / 0.85",
        "from zero it polls the endpoint picker every 100 ms; here every 15 s, then at once",
    ],
    knob: Some(Knob {
        name: "utilisation that adds replicas",
        default: UP,
        values: &[1.3, 1.15, 1.0, 0.92, 0.85, 0.78, 0.7, 0.6, 0.5],
    }),
    every: Duration::from_secs(15),
    quantile: None,
    scrape: None,
    actuator: |context| Actuator::Keda(Keda { push: true, ..Keda::polled(context, 30, 300) }),
    law: |context, up| {
        Box::new(Tokens {
            context: context.clone(),
            up,
            sizes: None,
            seen: BTreeMap::new(),
            retention: Retention::default(),
        })
    },
};

/// Mean request.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sizes {
    input: f64,
    output: f64,
    /// Share of the input that the prefix cache answers.
    hit: f64,
}

#[derive(Debug)]
struct Tokens {
    context: Context,
    up: f64,
    /// The last known.
    sizes: Option<Sizes>,
    /// Tokens in use while five waited, by length of output.
    seen: BTreeMap<u8, VecDeque<f64>>,
    retention: Retention,
}

impl Law for Tokens {
    fn look(&mut self, view: &View<'_>) -> Answer {
        self.sizes = sizes(view).or(self.sizes);
        let idle = self.retention.is_over(view);
        let desired = if view.spec == 0 {
            from_zero(view)
        } else if idle && self.context.may_sleep() {
            0
        } else {
            self.desired(view).max(1)
        };
        let desired = self.context.within(desired);
        let metric = Metric::Average { value: f64::from(desired), target: 1.0 };
        Answer { metrics: vec![Some(metric)], active: Some(desired > 0), ..Answer::default() }
    }

    fn restart(&mut self) {
        self.sizes = None;
        self.seen.clear();
        self.retention = Retention::default();
    }
}

impl Tokens {
    fn desired(&mut self, view: &View<'_>) -> u32 {
        let loads: Vec<Load> =
            view.observation.pods.values().filter_map(|pod| Load::of(pod, view)).collect();
        for load in loads.iter().filter(|load| load.queue >= QUEUE_FULL) {
            self.note(load.in_use);
        }
        let capacities: Vec<f64> = loads.iter().map(|load| self.capacity(load)).collect();
        let Some(capacity) = median(&capacities).filter(|capacity| *capacity > 0.0) else {
            return view.spec;
        };
        let demand = self.demand(&loads, view);
        let (ready, all) = (f64::from(view.ready), f64::from(view.pods));
        let missing = share(demand, self.up).unwrap_or(0.0) - all * capacity;
        let spare = ready * capacity - share(demand, self.up * DOWN).unwrap_or(f64::INFINITY);
        if missing > 0.0 {
            view.spec.saturating_add(replicas_ceil(missing / capacity))
        } else if spare > 0.0 {
            // n - floor(x) is n - x rounded up.
            replicas_ceil(f64::from(view.spec) - spare / capacity)
        } else {
            view.spec
        }
    }

    fn note(&mut self, in_use: f64) {
        let seen = self.seen.entry(self.bucket()).or_default();
        seen.push_back(in_use);
        if seen.len() > KEPT {
            seen.pop_front();
        }
    }

    /// Short, middling and long outputs are remembered apart.
    fn bucket(&self) -> u8 {
        let output = self.sizes.map_or(0.0, |sizes| sizes.output);
        u8::from(output >= 100.0) + u8::from(output >= 500.0)
    }

    fn capacity(&self, load: &Load) -> f64 {
        let usable = KV_USABLE * load.kv_tokens;
        let seen = self.seen.get(&self.bucket());
        let mean = seen.and_then(|seen| {
            share(seen.iter().sum(), f64::from(crate::engine::numeric::count(seen.len())))
        });
        mean.or_else(|| self.sizes.and_then(|sizes| self.expected(sizes)))
            .map_or(usable, |k2| usable.min(k2))
    }

    /// Tokens that a full batch holds halfway.
    fn expected(&self, Sizes { input, output, .. }: Sizes) -> Option<f64> {
        let profile = &self.context.profile;
        let budget = f64::from(profile.token_budget);
        let batch = share(budget * output, input + output)?;
        let batch = batch.min(f64::from(profile.max_sequences));
        Some(batch * (input + output / 2.0)).filter(|tokens| *tokens > 0.0)
    }

    fn demand(&self, loads: &[Load], view: &View<'_>) -> f64 {
        let Sizes { input, output, hit } =
            self.sizes.unwrap_or(Sizes { input: 0.0, output: 0.0, hit: 0.0 });
        let engines: f64 = loads.iter().map(|load| load.in_use + load.queue * input).sum();
        let held = query::held(view.observation).unwrap_or(0.0);
        engines + held * (input * (1.0 - hit) + output)
    }
}

/// One replica.
#[derive(Debug, Clone, Copy)]
struct Load {
    kv_tokens: f64,
    in_use: f64,
    queue: f64,
}

impl Load {
    /// `None` where the pod does not say how large its cache is or how much of it is in use.
    fn of(pod: &PodObservation, view: &View<'_>) -> Option<Self> {
        let read = |role| query::of_pod(pod, role, view.at);
        let kv_tokens = read(Role::KvTokens)?;
        let in_use = read(Role::KvUsage)? * kv_tokens;
        Some(Self { kv_tokens, in_use, queue: read(Role::Waiting).unwrap_or(0.0) })
    }
}

fn sizes(view: &View<'_>) -> Option<Sizes> {
    let rate = |role| query::rate(view.observation, role, SIZES);
    let finished = rate(Role::Finished)?;
    let (prompts, outputs) = (rate(Role::PromptTokens)?, rate(Role::GenerationTokens)?);
    let cached = rate(Role::CachedTokens).and_then(|cached| share(cached, prompts));
    Some(Sizes {
        input: share(prompts, finished)?,
        output: share(outputs, finished)?,
        hit: cached.unwrap_or(0.0).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::WVA_V2;
    use crate::engine::observation::Role;
    use crate::engine::replay::law::{Law, Metric};
    use crate::engine::replay::policy::fixture::{Sight, context};

    /// Llama 3 8B on H100 in the fixture: a budget of 8192 tokens and 256 sequences.
    fn law() -> Box<dyn Law> {
        (WVA_V2.law)(&context((0, 20)), 0.85)
    }

    fn look(law: &mut dyn Law, sight: &Sight) -> f64 {
        match law.look(&sight.view()).metrics.as_slice() {
            [Some(Metric::Average { value, target: _ })] => *value,
            metrics => panic!("{metrics:?}"),
        }
    }

    /// Caches of 100 000 tokens, so k1 = 80 000; the share in use and the queue of each.
    fn sight(spec: u32, ready: u32, kv: &[f64], queue: &[f64]) -> Sight {
        let sizes = vec![100_000.0; kv.len()];
        Sight::new(spec, ready).pods(&[
            (Role::KvTokens, &sizes),
            (Role::KvUsage, kv),
            (Role::Waiting, queue),
        ])
    }

    fn check(sight: &Sight, expected: f64) {
        let desired = look(law().as_mut(), sight);
        assert!((desired - expected).abs() < 1e-9, "{desired} is not {expected}");
    }

    #[test]
    fn without_sizes_the_cache_is_the_capacity() {
        // 140 000 in use: / 0.85 = 164 706, 4 706 above 160 000: one more.
        check(&sight(2, 2, &[0.7, 0.7], &[0.0, 0.0]), 3.0);
        // 130 000: / 0.85 = 152 941 fits, / 0.70 = 185 714: none spare.
        check(&sight(2, 2, &[0.65, 0.65], &[0.0, 0.0]), 2.0);
        // 80 000 on four: 320 000 - 114 286 = 205 714 spare: two of 80 000.
        check(&sight(4, 4, &[0.2; 4], &[0.0; 4]), 2.0);
        // One of three pods is on its way and counts: 140 000 fit into 240 000; 160 000 - 200 000 is not spare.
        check(&sight(3, 2, &[0.7, 0.7], &[0.0, 0.0]), 3.0);
        // Nothing to remove below one.
        check(&sight(1, 1, &[0.0], &[0.0]), 1.0);
    }

    #[test]
    fn queues_count_in_tokens() {
        // Over the last minute 1 request/s of 2000 in, 500 out: N = min(8192 x 500 / 2500, 256) = 256,
        // k2 = 256 x 2250 = 576 000, so k1 = 80 000 stands. In use 100 000, queued 8 x 2000:
        // 116 000 / 0.85 = 136 471 < 160 000; / 0.70 = 165 714.
        let sizes = [
            (Role::Finished, &[1.0][..]),
            (Role::PromptTokens, &[2000.0]),
            (Role::GenerationTokens, &[500.0]),
        ];
        let queued = |queue: f64| sight(2, 2, &[0.5, 0.5], &[queue, queue]).counters(&sizes);
        check(&queued(4.0), 2.0);
        // Held at the gateway: 20 x 2500 = 50 000 more, 166 000 / 0.85 = 195 294: one more.
        check(&queued(4.0).gateway(20.0, 1.0), 3.0);
        // A quarter of the prompts cached: 20 x 2000 = 40 000, 156 000 / 0.85 = 183 529: still one.
        // And 10 x 2000: 136 000 / 0.85 = 160 000, just enough.
        let cached = [(Role::CachedTokens, &[500.0][..])];
        check(&queued(4.0).counters(&cached).gateway(20.0, 1.0), 3.0);
        check(&queued(4.0).counters(&cached).gateway(10.0, 1.0), 2.0);
        // Five waiting: what is in use, 50 000, is what a replica carries. 120 000 / 0.85 = 141 176:
        // 41 176 missing, one more.
        check(&queued(5.0), 3.0);
    }

    #[test]
    fn what_was_seen_under_load_is_averaged_and_lost_in_a_restart() {
        let mut law = law();
        let full = |kv: f64| sight(1, 1, &[kv], &[5.0]);
        // 40 000 in use: capacity 40 000; 40 000 / 0.85 = 47 059: one more.
        assert!((look(law.as_mut(), &full(0.4)) - 2.0).abs() < 1e-9);
        // Then 60 000: mean 50 000; 60 000 / 0.85 = 70 588: 20 588 missing.
        assert!((look(law.as_mut(), &full(0.6)) - 2.0).abs() < 1e-9);
        // 100 000 in use on two, no queue: 117 647 over 100 000: one more, where 160 000 would do.
        let quiet = sight(2, 2, &[0.5, 0.5], &[0.0, 0.0]);
        assert!((look(law.as_mut(), &quiet) - 3.0).abs() < 1e-9);
        law.restart();
        assert!((look(law.as_mut(), &quiet) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn small_batches_bound_the_capacity() {
        // 6000 in, 100 out: N = 8192 x 100 / 6100 = 134.3, k2 = 134.3 x 6050 = 812 485: k1 stands; in a
        // cache of 2 000 000 it is k2. In use 1 400 000 / 0.85 = 1 647 059: 834 574 missing, two more.
        let sizes = [
            (Role::Finished, &[1.0][..]),
            (Role::PromptTokens, &[6000.0]),
            (Role::GenerationTokens, &[100.0]),
        ];
        let large = Sight::new(1, 1)
            .pods(&[(Role::KvTokens, &[2e6]), (Role::KvUsage, &[0.7]), (Role::Waiting, &[0.0])])
            .counters(&sizes);
        check(&large, 3.0);
    }

    #[test]
    fn missing_and_poisoned_metrics_hold_what_there_is() {
        check(&Sight::new(3, 3), 3.0);
        check(&sight(3, 3, &[f64::NAN; 3], &[0.0; 3]), 3.0);
        check(&Sight::new(0, 0), 0.0);
        check(&Sight::new(0, 0).gateway(1.0, 0.0), 1.0);
        let poison = sight(2, 2, &[0.65, 0.65], &[f64::INFINITY, f64::NAN]).gateway(f64::NAN, -1.0);
        check(&poison, 2.0);
    }
}
