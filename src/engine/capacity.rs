//! What one replica carries: KV tokens, output and prompt tokens per second, requests per second.
//!
//! Part of the memory. K is read from the engine; G and P are learned from censored observations
//! and seeded by a profile. Given a tick's signals; promises positive finite numbers or `None`.
//! Decisions use what was known before the tick: demand of this tick must not redefine capacity
//! under itself.
//!
//! **Work.** A replica divides its time between prompts and output: `g/G + p/P = 1` when it is busy.
//! So G is not the output rate that was seen, which halves when prompts get longer, but that rate
//! over the share of time left for it: the same number under any mix of requests, in a ramp (all
//! prompts) and while a batch runs empty (all output). A request costs `output/G + uncached/P`.
//!
//! **Saturation.** A server that always had a queue did all it can: only a pod whose queue was
//! there throughout the window counts, together with something that says why more requests were not
//! admitted. A queue at an instant says nothing about the minute that the rate is about.
//!
//! **Foresight.** Before anything was saturated, the pace of batches that were not full says what a
//! full one would give. It gives way to what saturation shows, and comes before a profile.
//!
//! **Belief.** Throughput below saturation is a lower bound, and a fact: it is kept, half-forgotten
//! after a day. Observations at saturation move value and bound by the same weight, so that one
//! window that was not what it seemed (a pod that just began, a mix without equal) does not undo what
//! was delivered before. A seed is nobody's observation: the first one replaces it.

mod learned;
mod pace;
mod work;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::capacity::pace::Pace;
use crate::engine::capacity::work::{Speed, Tokens};
use crate::engine::numeric::{count, fade, share};
use crate::engine::observation::Role;
use crate::engine::setup::CapacitySeed;
use crate::engine::signals::{Bound, PodReading, Signals};
use crate::engine::units::Timestamp;

pub use learned::Learned;

/// Half of what rates reach back. Two in a row are a queue of a minute and a half, about as long as
/// one lasts before the replicas it asked for are ready: with a minute, saturation is over before it
/// is believed, and the next ramp meets the same ignorance.
const WINDOW: Duration = Duration::from_secs(30);
/// Where windows begin, after the minute and after its half. All who look at a workload learn at the
/// same instants, whatever they missed before: one that was restarted knew a saturation, and asked for
/// two replicas more, a tick before its twin did. Which instants is chance; with these more of the
/// requests in Azure's bursts are served.
const WINDOW_FROM: Duration = Duration::from_secs(15);
/// The most seen without a queue is half forgotten after a day, as other bounds are.
const HALF_LIFE: Duration = Duration::from_hours(24);
/// Request sizes follow the traffic within about ten minutes.
const SHAPE_HALF_LIFE: Duration = Duration::from_mins(10);
/// Finished requests per second below which a minute says nothing about sizes: three per minute.
const SHAPE_RATE_MIN: f64 = 0.05;
/// When ten times more requests begin than end, or end than begin, hardly any token is of a request
/// that could be counted, or the gauge of running requests lies.
const UNEVEN: f64 = 10.0;
/// A KV cache fuller than this preempts: the replica is saturated, queue or not.
const KV_FULL: f64 = 0.9;
/// Sequences in a full batch where the cache would hold more: vLLM's default on most GPUs; beyond, speed
/// hardly grows.
const BATCH_USUAL: f64 = 256.0;
/// A batch is full from here on of the largest one lately seen.
const BATCH_FULL: f64 = 0.9;

/// Mean size of a request, in tokens: tokens over requests, both summed over the last minutes. A mean
/// of quotients would take its first seconds, when three requests have finished, for ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Prompt tokens that have to be computed.
    pub uncached: f64,
    /// Output tokens.
    pub output: f64,
    /// Requests it is the mean of, fading.
    #[serde(default)]
    pub requests: f64,
    /// When it was last seen.
    pub at: Timestamp,
}

/// What one replica carries.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capacity {
    /// K: KV-cache tokens.
    pub kv_tokens: Option<f64>,
    /// G: output tokens per second while nothing is prefilled.
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
    /// How fast a replica answers by how much it has to do: capacity before any saturation.
    pub pace: Pace,
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

    /// Requests per second that one replica serves: as seen at saturation, else as foreseen from its
    /// pace, else as a profile has it. A profile's rate is that of other requests; a pace is of these.
    #[must_use]
    pub fn request_rate(&self) -> Option<f64> {
        let seen = self.generation.observed().and_then(|generation| self.served(generation));
        let known = seen
            .or_else(|| self.requests.known())
            .or_else(|| self.foreseen())
            .or_else(|| self.served(self.generation.known()?));
        known.filter(|rate| *rate > 0.0)
    }

    /// Requests per second at `generation` output tokens per second.
    fn served(&self, generation: f64) -> Option<f64> {
        let speed = Speed { generation, prefill: self.prefill.known() };
        share(1.0, speed.seconds(self.shape?.uncached, self.shape?.output)?)
    }

    /// Requests per second of a replica with a full batch, from the pace of batches that were not; no
    /// fewer than it was seen to serve.
    fn foreseen(&self) -> Option<f64> {
        let (held, _) = self.cache_per_request?;
        // Engines that count what they cached as used seem to be full with less than one request.
        let batch = share(KV_FULL, held)?.clamp(1.0, BATCH_USUAL);
        let foreseen = share(self.pace.output(batch)?, self.shape?.output)?;
        let least = self.generation.least().and_then(|generation| self.served(generation));
        Some(foreseen.max(least.unwrap_or(0.0)))
    }

    /// Learns from a tick in which `slow` says that a latency objective is missed.
    pub fn learn(&mut self, signals: &Signals, slow: bool) {
        let now = signals.fresh.now;
        if let Some(tokens) = mean(signals.serving.values(), |pod| pod.level(Role::KvTokens)) {
            self.kv_tokens = Some(tokens).filter(|tokens| *tokens >= 1.0).or(self.kv_tokens);
        }
        self.learn_shape(signals, now);
        self.learn_cache(signals, now);
        let due = self.learned_at.is_none_or(|at| window_of(at) != window_of(now));
        if !due {
            return;
        }
        self.learn_running(signals, now);
        self.learn_pace(signals, now);
        self.learn_rates(signals, slow, now);
        self.learned_at = Some(now);
    }

    fn learn_rates(&mut self, signals: &Signals, slow: bool, now: Timestamp) {
        let most = self.running_most.unwrap_or(0.0);
        let (full, free): (Vec<_>, Vec<_>) =
            signals.believed().partition(|pod| is_saturated(pod, slow, most));
        let saturated = !full.is_empty();
        let pods = if saturated { full } else { free };
        let seen = |of: &dyn Fn(&PodReading) -> Option<f64>| {
            let values = pods.iter().filter_map(|pod| of(pod));
            if saturated { average(values) } else { values.reduce(f64::max) }
        };
        let finished = seen(&|pod| pod.rate(Role::Finished));
        self.requests.learn(finished.unwrap_or(0.0), saturated, now);
        let speed = self.prefill.known();
        let generation = seen(&|pod| work::generation(Tokens::of(pod)?, speed));
        self.generation.learn(generation.unwrap_or(0.0), saturated, now);
        let binds = pods.iter().filter_map(|pod| Tokens::of(pod)).all(Tokens::prefill_binds);
        let binds = saturated && binds;
        // Both in one window: what is known of G takes its share of the time before P does.
        let speed = self.generation.known().filter(|_| binds);
        let prompt = seen(&|pod| work::prefill(Tokens::of(pod)?, speed));
        self.prefill.learn(prompt.unwrap_or(0.0), binds, now);
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

    fn learn_pace(&mut self, signals: &Signals, now: Timestamp) {
        let interval = signals.scrape_interval.as_secs_f64().max(1.0);
        let readings = signals.fresh.rate_window.as_secs_f64() / interval;
        for pod in signals.believed() {
            if let Some((batch, output)) = pod.running_mean.zip(pod.rate(Role::GenerationTokens)) {
                self.pace.learn((batch, readings), output, now);
            }
        }
    }

    fn learn_cache(&mut self, signals: &Signals, now: Timestamp) {
        // Of the same pods: one whose cache cannot be read must not make the requests look smaller.
        let both = |pod: &PodReading| Some((pod.level(Role::Running)?, pod.level(Role::KvUsage)?));
        let sum = |(running, used), (more, more_used)| (running + more, used + more_used);
        let (running, used) = signals.serving.values().filter_map(both).fold((0.0, 0.0), sum);
        let Some(seen) = share(used, running).filter(|_| running >= 1.0) else { return };
        let mixed = |(before, at): (f64, Timestamp)| {
            fade(now.since(at), SHAPE_HALF_LIFE).mul_add(before - seen, seen)
        };
        self.cache_per_request = Some((self.cache_per_request.map_or(seen, mixed), now));
    }

    /// Tokens over the requests that they belong to. While a batch grows, tokens are counted of
    /// requests that finish later: each of those has its prompt behind it, and half of its output.
    fn learn_shape(&mut self, signals: &Signals, now: Timestamp) {
        let totals = &signals.totals.rates;
        let Some(all) = totals.get(&Role::Finished) else { return };
        let rate = |role| totals.get(&role).and_then(|total| total.read(Bound::Low));
        // Of the same pods: tokens that cannot be read must not make the requests look smaller.
        let counts = |pod: &&PodReading| pod.rate(Role::Finished).is_some();
        let unrated =
            |role| signals.serving.values().filter(counts).any(|pod| pod.unrated.contains(&role));
        let of_others =
            |role| unrated(role) || totals.get(&role).is_some_and(|total| total.known != all.known);
        let tokens = [Role::GenerationTokens, Role::PromptTokens, Role::CachedTokens];
        let Some((finished, output)) = rate(Role::Finished).zip(rate(Role::GenerationTokens))
        else {
            return;
        };
        let more = signals.came.growth;
        let (started, half) = (finished + more, finished + more / 2.0);
        let few = finished.min(started) < SHAPE_RATE_MIN;
        if few
            || finished.max(started) > UNEVEN * finished.min(started)
            || tokens.into_iter().any(of_others)
        {
            return;
        }
        let prompt = rate(Role::PromptTokens).unwrap_or(0.0);
        let computed = (prompt - rate(Role::CachedTokens).unwrap_or(0.0)).max(0.0);
        let span = self.shape.map_or(WINDOW, |before| now.since(before.at).min(WINDOW));
        let seen = Shape {
            uncached: computed / started,
            output: (output / half).max(1.0),
            requests: half * span.as_secs_f64(),
            at: now,
        };
        self.shape = Some(self.shape.map_or(seen, |before| before.towards(&seen)));
    }
}

impl Shape {
    fn towards(&self, seen: &Self) -> Self {
        let before = self.requests * fade(seen.at.since(self.at), SHAPE_HALF_LIFE);
        let requests = before + seen.requests;
        let keep = share(before, requests).unwrap_or(1.0);
        let mix = |before: f64, after: f64| keep.mul_add(before - after, after);
        Self {
            uncached: mix(self.uncached, seen.uncached),
            output: mix(self.output, seen.output),
            requests,
            at: seen.at,
        }
    }

    /// KV tokens a queued request will hold on average: its prompt and half of its output.
    #[must_use]
    pub fn kv_tokens(&self) -> f64 {
        self.uncached + self.output / 2.0
    }
}

/// The number of the window that an instant is in, since the epoch.
fn window_of(at: Timestamp) -> u128 {
    let passed = at.plus(WINDOW_FROM).since(Timestamp::default());
    passed.as_nanos() / WINDOW.as_nanos()
}

/// A queue throughout the window, and something that says why: a full batch or cache, or a missed
/// objective. A queue alone is not saturation: engines count requests that wait for an adapter or a
/// transfer, and a gauge may be stuck.
fn is_saturated(pod: &PodReading, slow: bool, running_most: f64) -> bool {
    let throughout = pod.waiting_range.is_some_and(|(least, _)| least > 0.0);
    let full = pod.level(Role::KvUsage).is_some_and(|usage| usage > KV_FULL);
    let running = pod.level(Role::Running);
    let batch = running.is_some_and(|running| running >= BATCH_FULL * running_most);
    throughout && (slow || full || batch)
}

fn mean<'a>(
    pods: impl Iterator<Item = &'a PodReading>,
    of: impl Fn(&PodReading) -> Option<f64>,
) -> Option<f64> {
    average(pods.filter_map(of))
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    share(values.iter().sum(), f64::from(count(values.len())))
}
