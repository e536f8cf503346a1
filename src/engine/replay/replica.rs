//! One inference server as vLLM's scheduler runs it: continuous batching, one iteration at a time.
//!
//! Given requests and an instant, it promises what the scheduler would have done by then: a request
//! waits until batch, token budget and KV cache admit it, its prompt is prefilled in chunks, then it
//! gets one token per iteration. An iteration takes `a + b x new tokens + g x KV tokens + s x batch`.
//! Life and death of the pod around it are the world's business.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::replay::histogram::{Histogram, ITL_BOUNDS, REQUEST_BOUNDS, TTFT_BOUNDS};
use crate::engine::replay::profile::Profile;

/// A request inside a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// When it reached the gateway.
    pub arrived: Duration,
    /// When it reached this replica.
    pub queued: Duration,
    /// Tokens to prefill.
    pub prompt: u32,
    /// Tokens to generate.
    pub output: u32,
    /// Whether its first token was sent (it was preempted afterwards).
    pub answered: bool,
}

/// A request that just got its first token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstToken {
    /// When.
    pub at: Duration,
    /// Time since the request reached the gateway.
    pub ttft: Duration,
}

/// A request that was answered in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// When.
    pub at: Duration,
    /// From the gateway to the first token.
    pub ttft: Duration,
    /// From the gateway to the last token.
    pub e2e: Duration,
    /// Tokens generated.
    pub output: u32,
}

/// Totals since the replica began, as its page shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Prompt tokens of the requests that got a first token, cached ones included.
    pub prompt_tokens: u64,
    /// Those of them that the prefix cache answered.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub generation_tokens: u64,
    /// Requests finished.
    pub finished: u64,
    /// Sequences thrown out of a full KV cache.
    pub preemptions: u64,
    /// Requests refused because too many were in already.
    pub rejected: u64,
    /// Time spent in iterations: what a GPU's utilisation is made of.
    pub busy: Duration,
    /// Time to first token as the engine sees it, observed when the token is sent.
    pub ttft: Histogram,
    /// Time between tokens of a request.
    pub itl: Histogram,
    /// Time from the request's coming to its last token, observed then.
    pub e2e: Histogram,
    /// Time from the request's coming to its admission, observed when it finishes, as vLLM does.
    pub queue: Histogram,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            prompt_tokens: 0,
            cached_tokens: 0,
            generation_tokens: 0,
            finished: 0,
            preemptions: 0,
            rejected: 0,
            busy: Duration::ZERO,
            ttft: Histogram::new(&TTFT_BOUNDS),
            itl: Histogram::new(&ITL_BOUNDS),
            e2e: Histogram::new(&REQUEST_BOUNDS),
            queue: Histogram::new(&REQUEST_BOUNDS),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    request: Request,
    prefilled: u32,
}

/// One inference server.
#[derive(Debug, Clone)]
pub struct Replica {
    profile: Profile,
    clock: Duration,
    waiting: VecDeque<Request>,
    prefilling: VecDeque<Sequence>,
    /// By the iteration that ends it, then by order of admission.
    decoding: BTreeMap<(u64, u64), Request>,
    iterations: u64,
    admitted: u64,
    kv_used: u64,
    prefill_left: u64,
    totals: Totals,
}

impl Replica {
    /// An empty server that begins at `clock`.
    pub fn new(profile: Profile, clock: Duration) -> Self {
        Self {
            profile,
            clock,
            waiting: VecDeque::new(),
            prefilling: VecDeque::new(),
            decoding: BTreeMap::new(),
            iterations: 0,
            admitted: 0,
            kv_used: 0,
            prefill_left: 0,
            totals: Totals::default(),
        }
    }

    /// Requests accepted and not yet admitted to the batch.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests in the batch.
    pub fn running(&self) -> usize {
        self.prefilling.len() + self.decoding.len()
    }

    /// Requests in the server; what least-load routing compares.
    pub fn in_flight(&self) -> usize {
        self.waiting() + self.running()
    }

    /// Share of the KV cache in use, 0..=1.
    pub fn kv_usage(&self) -> f64 {
        (float(self.kv_used) / float(self.profile.kv_tokens)).min(1.0)
    }

    /// What it can do.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Totals since it began.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Takes a request.
    pub fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Runs until `to`; the first tokens sent are appended to `answered`.
    pub fn advance(&mut self, to: Duration, answered: &mut Vec<FirstToken>) {
        while self.clock < to {
            self.admit();
            if self.running() == 0 {
                self.clock = to;
                return;
            }
            self.make_room();
            self.iterate(answered);
        }
    }

    /// First come, first served, while batch, token budget and KV cache allow.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.front() {
            let prompt = u64::from(next.prompt);
            let fits = self.kv_used + self.prefill_left + prompt <= self.profile.kv_tokens;
            let budget = self.prefill_left < u64::from(self.profile.token_budget);
            if len(self.running()) >= u64::from(self.profile.max_sequences) || !budget || !fits {
                return;
            }
            if let Some(request) = self.waiting.pop_front() {
                self.prefill_left += prompt;
                self.prefilling.push_back(Sequence { request, prefilled: 0 });
            }
        }
    }

    /// Throws out the sequences admitted last until one more token each fits; they are computed
    /// again later, with what they had generated as part of their prompt.
    fn make_room(&mut self) {
        while self.kv_used + len(self.decoding.len()) > self.profile.kv_tokens {
            let last = self.decoding.keys().max_by_key(|(_, serial)| *serial).copied();
            let Some(((end, _), request)) = last.and_then(|key| self.decoding.remove_entry(&key))
            else {
                return;
            };
            let left = u32::try_from(end.saturating_sub(self.iterations)).unwrap_or(request.output);
            let done = request.output.saturating_sub(left);
            self.kv_used = self.kv_used.saturating_sub(u64::from(request.prompt + done));
            self.totals.preemptions += 1;
            let again = Request { prompt: request.prompt + done, output: left.max(1), ..request };
            self.waiting.push_front(again);
        }
    }

    fn iterate(&mut self, answered: &mut Vec<FirstToken>) {
        let decoded = len(self.decoding.len());
        let room = self.profile.kv_tokens.saturating_sub(self.kv_used + decoded);
        let budget = u64::from(self.profile.token_budget).saturating_sub(decoded).min(room);
        let batch = self.running();
        let chunk = budget.min(self.prefill_left);
        let &Profile { base, per_token, per_kv_token, per_sequence, .. } = &self.profile;
        let seconds = base
            + per_token * float(decoded + chunk)
            + per_kv_token * float(self.kv_used)
            + per_sequence * float(len(batch));
        self.clock += Duration::from_secs_f64(seconds);
        self.totals.busy += Duration::from_secs_f64(seconds);
        self.iterations += 1;
        self.kv_used += decoded + chunk;
        self.totals.generation_tokens += decoded;
        self.finish();
        self.prefill(chunk, answered);
    }

    /// Gives `chunk` prompt tokens to the sequences in prefill, oldest first.
    fn prefill(&mut self, chunk: u64, answered: &mut Vec<FirstToken>) {
        self.prefill_left -= chunk;
        let mut left = u32::try_from(chunk).unwrap_or(u32::MAX);
        while let Some(front) = self.prefilling.front_mut() {
            let take = left.min(front.request.prompt - front.prefilled);
            front.prefilled += take;
            left -= take;
            if front.prefilled < front.request.prompt {
                return;
            }
            if let Some(sequence) = self.prefilling.pop_front() {
                self.start_decoding(sequence.request, answered);
            }
        }
    }

    /// The end of its prefill gives a request its first token.
    fn start_decoding(&mut self, mut request: Request, answered: &mut Vec<FirstToken>) {
        self.totals.prompt_tokens += u64::from(request.prompt);
        if !request.answered {
            request.answered = true;
            let at = self.clock + Duration::from_secs_f64(self.profile.overhead);
            self.totals.ttft.observe(at.saturating_sub(request.queued), 1);
            answered.push(FirstToken { at, ttft: at.saturating_sub(request.arrived) });
        }
        self.admitted += 1;
        let end = self.iterations + u64::from(request.output);
        self.decoding.insert((end, self.admitted), request);
    }

    fn finish(&mut self) {
        while let Some(entry) = self.decoding.first_entry() {
            if entry.key().0 > self.iterations {
                return;
            }
            let request = entry.remove();
            let held = u64::from(request.prompt) + u64::from(request.output);
            self.kv_used = self.kv_used.saturating_sub(held);
            self.totals.finished += 1;
        }
    }
}

/// A count as a float. Counts here are far below 2^32: a replica of the demo computes some 10^8 tokens.
pub fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A length as a count.
pub fn len(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Replica, Request};
    use crate::engine::replay::profile::Profile;

    fn request(prompt: u32, output: u32) -> Request {
        let zero = Duration::ZERO;
        Request { arrived: zero, queued: zero, prompt, output, answered: false }
    }

    fn replica(profile: Profile, requests: &[Request]) -> Replica {
        let mut replica = Replica::new(profile, Duration::ZERO);
        requests.iter().for_each(|request| replica.push(*request));
        replica
    }

    #[test]
    fn one_request_alone_takes_its_prefill_and_seven_milliseconds_a_token() {
        let mut replica = replica(Profile::llama_3_8b_h100(), &[request(1000, 100)]);
        let mut answered = Vec::new();
        replica.advance(Duration::from_secs(1), &mut answered);
        // 6.9 ms + 1000 x 31 us + 4 us + 15.6 ms of overhead.
        let ttft = answered[0].ttft.as_secs_f64();
        assert!((ttft - 0.0535).abs() < 0.0002, "{ttft}");
        assert_eq!((replica.totals().finished, replica.totals().generation_tokens), (1, 100));
        assert_eq!(replica.kv_used, 0);
    }

    #[test]
    fn a_full_batch_leaves_the_rest_waiting() {
        let profile = Profile { max_sequences: 256, ..Profile::llama_3_8b_h100() };
        let mut replica = replica(profile, &[request(8, 5000); 300]);
        replica.advance(Duration::from_secs(2), &mut Vec::new());
        assert_eq!((replica.running(), replica.waiting()), (256, 44));
    }

    #[test]
    fn a_full_cache_preempts_and_still_serves_everybody_once() {
        let profile = Profile { kv_tokens: 2000, ..Profile::llama_3_8b_h100() };
        let mut replica = replica(profile, &[request(400, 300); 12]);
        let mut answered = Vec::new();
        let mut fullest: f64 = 0.0;
        for tenth in 1..600 {
            replica.advance(Duration::from_millis(100 * tenth), &mut answered);
            fullest = fullest.max(replica.kv_usage());
        }
        assert!(replica.totals().preemptions > 0 && fullest > 0.9, "{fullest}");
        assert_eq!((replica.totals().finished, answered.len()), (12, 12));
        assert_eq!(replica.kv_used, 0);
    }

    #[test]
    fn tokens_are_conserved() {
        let sizes = [request(600, 180), request(1800, 350), request(3500, 450), request(6000, 700)];
        let mut replica = replica(Profile::llama_3_8b_h100(), &sizes);
        replica.advance(Duration::from_secs(60), &mut Vec::new());
        assert_eq!(replica.totals().prompt_tokens, 11_900);
        assert_eq!(replica.totals().generation_tokens, 1680);
        assert_eq!((replica.in_flight(), replica.kv_used), (0, 0));
    }
}
