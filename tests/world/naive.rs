//! The loop that the closed form stands for: every iteration walked, every sequence counted for
//! itself, nothing remembered between iterations but the sequences. Slow and plain on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use prescale::engine::replay::profile::Settings;
use prescale::engine::replay::replica::{Events, Finished, FirstToken, Request, Totals};

#[derive(Debug, Clone)]
struct Sequence {
    serial: u64,
    request: Request,
    blocks: Vec<u64>,
    generated: u64,
    computed: u64,
    /// Tokens of this iteration.
    chunk: u64,
    decodes: bool,
    admitted: Option<u128>,
    first: Option<u128>,
    last: u128,
}

impl Sequence {
    fn left(&self) -> u64 {
        u64::from(self.request.prompt) + self.generated - self.computed
    }
}

/// The blocks of the KV cache, each for itself.
#[derive(Debug)]
struct Cache {
    size: u64,
    /// Those nobody has, the next one to be given out first.
    free: VecDeque<u64>,
    /// Whose tokens a full block has, and which block of theirs it is.
    content: BTreeMap<u64, (u64, u64)>,
}

impl Cache {
    fn take(&mut self) -> u64 {
        let block = self.free.pop_front().unwrap();
        self.content.remove(&block);
        block
    }

    /// Takes all blocks of `sequence` back, the last one first.
    fn give_back(&mut self, sequence: &mut Sequence) {
        let full = sequence.computed / self.size;
        for (idx, block) in (0..).zip(&sequence.blocks) {
            if idx < full {
                self.content.insert(*block, (sequence.serial, idx));
            }
        }
        self.free.extend(sequence.blocks.drain(..).rev());
    }

    /// The free blocks that have the tokens of a sequence, from its first one on.
    fn find(&self, serial: u64) -> Vec<u64> {
        let of = |idx| self.free.iter().find(|b| self.content.get(b) == Some(&(serial, idx)));
        (0..).map_while(of).copied().collect()
    }
}

#[derive(Debug)]
pub(crate) struct Naive {
    settings: Settings,
    clock: u128,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    cache: Cache,
    serial: u64,
    busy: u128,
    pub(crate) totals: Totals,
}

fn ps(span: Duration) -> u128 {
    span.as_nanos() * 1000
}

fn span(ps: u128) -> Duration {
    Duration::from_nanos(u64::try_from(ps / 1000).unwrap())
}

fn exact(seconds: f64) -> u128 {
    Duration::from_secs_f64(seconds * 1000.0).as_nanos()
}

impl Naive {
    pub(crate) fn new(settings: Settings) -> Self {
        let profile = &settings.profile;
        let size = u64::from(profile.block_tokens);
        let usable = (profile.kv_tokens / size).saturating_sub(1);
        let cache = Cache { size, free: (0..usable).collect(), content: BTreeMap::new() };
        Self {
            settings,
            clock: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            cache,
            serial: 0,
            busy: 0,
            totals: Totals::default(),
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn kv_blocks(&self) -> u64 {
        let held: u64 = self.running.iter().map(|sequence| self.blocks(sequence.computed)).sum();
        assert!(self.encoder() || held == self.usable() - self.free());
        held
    }

    fn blocks(&self, tokens: u64) -> u64 {
        let size = u64::from(self.settings.profile.block_tokens);
        if self.encoder() { 0 } else { tokens.div_ceil(size) }
    }

    fn encoder(&self) -> bool {
        self.settings.profile.kv_tokens == 0
    }

    fn usable(&self) -> u64 {
        let profile = &self.settings.profile;
        (profile.kv_tokens / u64::from(profile.block_tokens)).saturating_sub(1)
    }

    fn free(&self) -> u64 {
        u64::try_from(self.cache.free.len()).unwrap()
    }

    /// Gives `sequence` blocks for what it has and computes next.
    fn grow(&mut self, sequence: &mut Sequence) {
        let need = self.blocks(sequence.computed + sequence.chunk);
        while u64::try_from(sequence.blocks.len()).unwrap() < need {
            sequence.blocks.push(self.cache.take());
        }
    }

    pub(crate) fn push(&mut self, mut request: Request) -> bool {
        request.output = if self.encoder() { 1 } else { request.output };
        let most = u64::from(request.prompt) + u64::from(request.output) - 1;
        let full = self.settings.max_queued;
        let inside = self.waiting.len() + self.running.len();
        if full.is_some_and(|full| inside >= usize::try_from(full).unwrap())
            || self.blocks(most) > self.usable()
        {
            self.totals.rejected += 1;
            return false;
        }
        if inside == 0 {
            self.clock = self.clock.max(ps(request.queued));
        }
        self.serial += 1;
        self.waiting.push_back(Sequence {
            serial: self.serial,
            request,
            blocks: Vec::new(),
            generated: 0,
            computed: 0,
            chunk: 0,
            decodes: false,
            admitted: None,
            first: None,
            last: 0,
        });
        true
    }

    pub(crate) fn advance(&mut self, to: Duration, events: &mut Events) {
        while self.clock < ps(to) && self.waiting.len() + self.running.len() > 0 {
            self.hang_up(self.clock, events);
            self.schedule();
            if !self.running.is_empty() {
                self.iterate(events);
            }
        }
        self.hang_up(ps(to), events);
    }

    fn hang_up(&mut self, now: u128, events: &mut Events) {
        let Some(patience) = self.settings.patience else { return };
        let stays = |s: &Sequence| s.first.is_some() || ps(s.request.arrived) + ps(patience) > now;
        let before = self.waiting.len() + self.running.len();
        self.waiting.retain(stays);
        for sequence in self.running.iter_mut().filter(|s| !stays(s)) {
            self.cache.give_back(sequence);
        }
        self.running.retain(stays);
        let after = self.waiting.len() + self.running.len();
        events.gave_up += u64::try_from(before - after).unwrap();
    }

    fn preempt_last(&mut self) {
        let mut last = self.running.pop().unwrap();
        self.totals.preemptions += 1;
        self.cache.give_back(&mut last);
        self.waiting.push_front(Sequence {
            computed: 0,
            chunk: 0,
            decodes: false,
            last: self.clock,
            ..last
        });
    }

    fn schedule(&mut self) {
        let mut budget = u64::from(self.settings.profile.token_budget);
        let preempted = self.totals.preemptions;
        let mut idx = 0;
        while idx < self.running.len() {
            let mut sequence = self.running[idx].clone();
            let chunk = sequence.left().min(budget);
            let need = self.blocks(sequence.computed + chunk) - self.blocks(sequence.computed);
            if !self.encoder() && need > self.free() {
                self.preempt_last();
                continue;
            }
            sequence.chunk = chunk;
            self.grow(&mut sequence);
            self.running[idx] = sequence;
            budget -= chunk;
            idx += 1;
        }
        let most = usize::try_from(self.settings.profile.max_sequences).unwrap();
        while preempted == self.totals.preemptions && budget > 0 && self.running.len() < most {
            let Some(mut next) = self.waiting.front().cloned() else { break };
            let found = self.cache.find(next.serial);
            let kept = u64::try_from(found.len()).unwrap() * self.cache.size;
            next.computed = u64::from(next.request.cached).max(kept);
            next.chunk = next.left().min(budget);
            if self.encoder() && next.left() > budget {
                if !self.running.is_empty() {
                    break;
                }
                next.chunk = next.left();
            }
            if !self.encoder() && self.blocks(next.computed + next.chunk) > self.free() {
                break;
            }
            budget = budget.saturating_sub(next.chunk);
            self.cache.free.retain(|block| !found.contains(block));
            next.blocks = found;
            self.grow(&mut next);
            next.admitted = next.admitted.or(Some(self.clock));
            self.waiting.pop_front();
            self.running.push(next);
        }
    }

    fn iterate(&mut self, events: &mut Events) {
        let profile = &self.settings.profile;
        let tokens: u64 = self.running.iter().filter(|s| !s.decodes).map(|s| s.chunk).sum();
        let kv: u64 = self.running.iter().map(|s| s.computed).sum();
        let batch = u128::try_from(self.running.len()).unwrap();
        let spent = exact(profile.base)
            + exact(profile.per_token) * u128::from(tokens)
            + exact(profile.per_kv_token) * u128::from(kv)
            + exact(profile.per_sequence) * batch;
        let overhead = Duration::from_secs_f64(profile.overhead);
        self.clock += spent;
        self.busy += spent;
        self.totals.busy = span(self.busy);
        let (now, seen) = (self.clock, span(self.clock) + overhead);
        for sequence in &mut self.running {
            sequence.computed += sequence.chunk;
            sequence.chunk = 0;
            if sequence.left() > 0 {
                continue;
            }
            sequence.generated += 1;
            self.totals.generation_tokens += 1;
            let request = sequence.request;
            if sequence.first.is_some() {
                self.totals.itl.ramp(now - sequence.last, 0, 0..1, 1);
            } else {
                sequence.first = Some(now);
                self.totals.prompt_tokens += u64::from(request.prompt);
                self.totals.cached_tokens += u64::from(request.cached);
                self.totals.ttft.observe(seen - request.queued, 1);
                events.answered.push(FirstToken { at: seen, ttft: seen - request.arrived });
            }
            (sequence.last, sequence.decodes) = (now, true);
            if sequence.generated == u64::from(request.output) {
                self.totals.finished += 1;
                self.totals.e2e.observe(seen - request.queued, 1);
                let admitted = span(sequence.admitted.unwrap());
                self.totals.queue.observe(admitted - request.queued, 1);
                let ttft = span(sequence.first.unwrap()) + overhead - request.arrived;
                let (e2e, output) = (seen - request.arrived, request.output);
                events.finished.push(Finished { at: seen, ttft, e2e, output });
            }
        }
        let ended = |s: &Sequence| s.generated >= u64::from(s.request.output);
        // Theirs come back in any order: nobody looks for them.
        for sequence in self.running.iter_mut().filter(|s| ended(s)) {
            self.cache.give_back(sequence);
        }
        self.running.retain(|s| !ended(s));
    }
}
