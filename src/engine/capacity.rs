//! What one replica carries: KV tokens, output and prompt tokens per second, requests per second.
//!
//! Part of the memory. K is read from the engine; G and P are learned from censored observations
//! and seeded by a profile. Given a tick's signals; promises positive finite numbers or `None`.
//! Decisions use what was known before the tick: demand of this tick must not redefine capacity
//! under itself. Sources: the control law in the literature on admission by tokens, DESIGN 5.

mod learned;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::numeric::{count, fade, share};
use crate::engine::observation::Role;
use crate::engine::setup::CapacitySeed;
use crate::engine::signals::{Bound, PodReading, Signals};
use crate::engine::units::Timestamp;

pub use learned::Learned;

/// Rates reach back a minute, so windows a minute apart share no sample.
const WINDOW: Duration = Duration::from_mins(1);
/// The most seen without a queue is half forgotten after a day, as other bounds are.
const HALF_LIFE: Duration = Duration::from_hours(24);
/// Request sizes follow the traffic within about ten minutes.
const SHAPE_HALF_LIFE: Duration = Duration::from_mins(10);
/// Finished requests per second below which a minute says nothing about sizes: three per minute.
const SHAPE_RATE_MIN: f64 = 0.05;
/// A KV cache fuller than this preempts: the replica is saturated, queue or not.
const KV_FULL: f64 = 0.9;
/// A batch is full from here on of the largest one lately seen.
const BATCH_FULL: f64 = 0.9;
/// Prompt tokens per output token above which prefill binds: engines prefill about ten times as
/// many tokens per second as they generate. Below, a saturated replica says nothing about P.
const PREFILL_BOUND: f64 = 10.0;

/// Mean size of a request, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Prompt tokens that have to be computed.
    pub uncached: f64,
    /// Output tokens.
    pub output: f64,
    /// When it was last seen.
    pub at: Timestamp,
}

/// What one replica carries.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// K: KV-cache tokens.
    pub kv_tokens: Option<f64>,
    /// G: output tokens per second.
    pub generation: Learned,
    /// P: prompt tokens computed per second.
    pub prefill: Learned,
    /// The same as G in requests per second, for engines that count no tokens.
    pub requests: Learned,
    /// The most requests one replica ran without a queue, fading.
    pub running_without_queue: Option<f64>,
    /// The most requests one replica ran at all, fading: a full batch.
    pub running_most: Option<f64>,
    /// Mean request size.
    pub shape: Option<Shape>,
    /// Share of one KV cache that a running request holds, and when it was last seen: sizes a queue
    /// where tokens are not counted.
    pub cache_per_request: Option<(f64, Timestamp)>,
    /// When the last window was learned from.
    pub learned_at: Option<Timestamp>,
}

impl Capacity {
    /// Starts from a profile's values where nothing is known yet.
    pub fn seed(&mut self, seed: &CapacitySeed) {
        self.kv_tokens = self.kv_tokens.or(seed.kv_tokens);
        self.generation.seed(seed.generation_tokens_per_second);
        self.prefill.seed(seed.prefill_tokens_per_second);
    }

    /// Requests per second that one replica serves, when that is known.
    #[must_use]
    pub fn request_rate(&self) -> Option<f64> {
        let tokens = self
            .generation
            .known()
            .zip(self.shape)
            .and_then(|(generation, shape)| share(generation, shape.output));
        tokens.or_else(|| self.requests.known()).filter(|rate| *rate > 0.0)
    }

    /// Learns from a tick in which `slow` says that a latency objective is missed.
    pub fn learn(&mut self, signals: &Signals, slow: bool) {
        let now = signals.fresh.now;
        if let Some(tokens) = mean(signals.serving.values(), |pod| pod.level(Role::KvTokens)) {
            self.kv_tokens = Some(tokens).filter(|tokens| *tokens >= 1.0).or(self.kv_tokens);
        }
        self.learn_shape(signals, now);
        self.learn_cache(signals, now);
        let due = self.learned_at.is_none_or(|at| now.since(at) >= WINDOW || at > now);
        if !due {
            return;
        }
        self.learn_running(signals, now);
        self.learn_rates(signals, slow, now);
        self.learned_at = Some(now);
    }

    fn learn_rates(&mut self, signals: &Signals, slow: bool, now: Timestamp) {
        let most = self.running_most.unwrap_or(0.0);
        let (full, free): (Vec<_>, Vec<_>) =
            signals.believed().partition(|pod| is_saturated(pod, slow, most));
        let saturated = !full.is_empty();
        let pods = if saturated { full } else { free };
        let best = |role| pods.iter().filter_map(|pod| pod.rate(role)).reduce(f64::max);
        let average = |role| mean(pods.iter().copied(), |pod| pod.rate(role));
        let seen = |role| if saturated { average(role) } else { best(role) };
        let (output, finished) = (seen(Role::GenerationTokens), seen(Role::Finished));
        let prompt = seen(Role::PromptTokens)
            .map(|prompt| (prompt - seen(Role::CachedTokens).unwrap_or(0.0)).max(0.0));
        self.generation.learn(output.unwrap_or(0.0), saturated, now);
        self.requests.learn(finished.unwrap_or(0.0), saturated, now);
        let prefill_binds =
            prompt.zip(output).is_some_and(|(prompt, output)| prompt > PREFILL_BOUND * output);
        self.prefill.learn(prompt.unwrap_or(0.0), saturated && prefill_binds, now);
    }

    fn learn_running(&mut self, signals: &Signals, now: Timestamp) {
        let elapsed = self.learned_at.map_or(Duration::ZERO, |at| now.since(at));
        let most = |before: Option<f64>, seen: Option<f64>| {
            let before = before.map(|before| (before * fade(elapsed, HALF_LIFE)).max(1.0));
            before.into_iter().chain(seen.filter(|seen| *seen >= 1.0)).reduce(f64::max)
        };
        let running = |pod: &PodReading| pod.level(Role::Running);
        let free = |pod: &&PodReading| pod.waiting_range.is_some_and(|(_, most)| most <= 0.0);
        let without = signals.believed().filter(free).filter_map(running).reduce(f64::max);
        self.running_without_queue = most(self.running_without_queue, without);
        let ever = signals.believed().filter_map(running).reduce(f64::max);
        self.running_most = most(self.running_most, ever);
    }

    fn learn_cache(&mut self, signals: &Signals, now: Timestamp) {
        let running = signals.totals.level(Role::Running, Bound::Low);
        let used = signals.totals.kv_used.read(Bound::Low);
        let Some(running) = running.filter(|running| *running >= 1.0) else { return };
        let Some(seen) = used.and_then(|used| share(used, running)) else { return };
        let mixed = |(before, at): (f64, Timestamp)| {
            fade(now.since(at), SHAPE_HALF_LIFE).mul_add(before - seen, seen)
        };
        self.cache_per_request = Some((self.cache_per_request.map_or(seen, mixed), now));
    }

    fn learn_shape(&mut self, signals: &Signals, now: Timestamp) {
        let rate = |role| signals.totals.rate(role, Bound::Low);
        let Some(finished) = rate(Role::Finished).filter(|rate| *rate >= SHAPE_RATE_MIN) else {
            return;
        };
        let Some(output) = rate(Role::GenerationTokens).and_then(|rate| share(rate, finished))
        else {
            return;
        };
        let prompt = rate(Role::PromptTokens).unwrap_or(0.0);
        let computed = (prompt - rate(Role::CachedTokens).unwrap_or(0.0)).max(0.0);
        let seen = Shape { uncached: computed / finished, output: output.max(1.0), at: now };
        self.shape = Some(self.shape.map_or(seen, |before| before.towards(&seen)));
    }
}

impl Shape {
    fn towards(&self, seen: &Self) -> Self {
        let keep = fade(seen.at.since(self.at), SHAPE_HALF_LIFE);
        let mix = |before: f64, after: f64| keep.mul_add(before - after, after);
        Self {
            uncached: mix(self.uncached, seen.uncached),
            output: mix(self.output, seen.output),
            at: seen.at,
        }
    }

    /// KV tokens a queued request will hold on average: its prompt and half of its output.
    #[must_use]
    pub fn kv_tokens(&self) -> f64 {
        self.uncached + self.output / 2.0
    }
}

/// A queue, and something that says why: a missed objective, a full cache, or, with a queue
/// throughout the window, a full batch. A queue alone is not saturation: engines count requests that
/// wait for an adapter or a transfer, and a gauge may be stuck.
fn is_saturated(pod: &PodReading, slow: bool, running_most: f64) -> bool {
    let queued = pod.level(Role::Waiting).is_some_and(|waiting| waiting > 0.0);
    let throughout = pod.waiting_range.is_some_and(|(least, _)| least > 0.0);
    let full = pod.level(Role::KvUsage).is_some_and(|usage| usage > KV_FULL);
    let running = pod.level(Role::Running);
    let batch = running.is_some_and(|running| running >= BATCH_FULL * running_most);
    queued && (slow || full) || throughout && batch
}

fn mean<'a>(
    pods: impl Iterator<Item = &'a PodReading>,
    of: impl Fn(&PodReading) -> Option<f64>,
) -> Option<f64> {
    let values: Vec<f64> = pods.filter_map(of).collect();
    share(values.iter().sum(), f64::from(count(values.len())))
}
