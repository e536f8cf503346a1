//! One inference server as vLLM's V1 scheduler runs it: continuous batching.
//!
//! Given requests and an instant, it promises what the scheduler would have done by then, the same
//! however often it is asked in between. In each iteration those that decode get one token, then a
//! prefill begun earlier goes on, then waiting requests are admitted first come, first served, while
//! token budget, batch size and blocks of the KV cache allow. When the cache is full, whoever was
//! admitted last is thrown out, to be computed again but for what the prefix cache still has of it: its
//! blocks are overwritten when those freed before them have been given out. An iteration takes
//! `base + per_token x prompt tokens + per_kv_token x KV tokens read + per_sequence x batch`.
//!
//! Iterations without a prefill are not walked: until a sequence ends, the cache is full or a client
//! hangs up, their times are an arithmetic series. Life and death of the pod around it are the
//! world's business. Not modelled: speculative decoding, shared prefix blocks (a cached token takes
//! its own room), and that time differs from one iteration to the next of equal size.

mod batch;
mod blocks;
mod exchange;
mod pace;

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::replay::profile::{Profile, Settings};
use crate::engine::replay::replica::batch::{Decoding, Sequence};
use crate::engine::replay::replica::blocks::Blocks;
pub use crate::engine::replay::replica::exchange::{Events, Finished, FirstToken, Request, Totals};
use crate::engine::replay::replica::pace::{Pace, Row, duration, picoseconds};

/// Iterations in a row in which nothing changes but the tokens.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    begun: u128,
    row: Row,
    done: u64,
    most: u64,
}

/// One inference server.
#[derive(Debug, Clone)]
pub struct Replica {
    profile: Profile,
    pace: Pace,
    patience: Option<u128>,
    queue_max: u64,
    /// The end of the last iteration, in picoseconds.
    clock: u128,
    iterations: u64,
    waiting: VecDeque<Sequence>,
    /// Admitted, and the prompt not computed to its end: one at most, as it used up a budget.
    partial: Option<Sequence>,
    decoding: Decoding,
    blocks: Blocks,
    stretch: Option<Stretch>,
    busy: u128,
    totals: Totals,
}

/// What an iteration computes beside the tokens of those that decode.
#[derive(Debug, Default)]
struct Plan {
    prefilled: Vec<Sequence>,
    partial: Option<Sequence>,
    tokens: u64,
    /// KV tokens of these sequences that are read.
    read: u64,
}

impl Plan {
    fn len(&self) -> u64 {
        len(self.prefilled.len()) + u64::from(self.partial.is_some())
    }
}

impl Replica {
    /// An empty server.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut profile = settings.profile.clone();
        // Less would let nothing ever begin; vLLM refuses to start with less.
        profile.max_sequences = profile.max_sequences.max(1);
        profile.token_budget = profile.token_budget.max(profile.max_sequences);
        Self {
            pace: Pace::new(&profile),
            patience: settings.patience.map(picoseconds),
            queue_max: settings.max_queued.map_or(u64::MAX, u64::from),
            clock: 0,
            iterations: 0,
            waiting: VecDeque::new(),
            partial: None,
            decoding: Decoding::default(),
            blocks: Blocks::new(profile.kv_tokens, profile.block_tokens),
            stretch: None,
            busy: 0,
            totals: Totals::default(),
            profile,
        }
    }

    /// Requests accepted and not admitted to the batch, or thrown out of it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Requests in the batch.
    #[must_use]
    pub fn running(&self) -> usize {
        usize::try_from(self.in_batch()).unwrap_or(usize::MAX)
    }

    /// Requests in the server; what least-load routing compares.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.waiting() + self.running()
    }

    /// Share of the blocks of the KV cache in use. One block is never given out, so that 1 is never
    /// reached; 0 without a cache.
    #[must_use]
    pub fn kv_usage(&self) -> f64 {
        let (used, total) = self.blocks.usage();
        if total == u64::MAX || total == 0 { 0.0 } else { float(used) / float(total) }
    }

    /// What it can do.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Totals since it began.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The end of the last iteration begun; it may lie ahead of the instant last advanced to.
    #[must_use]
    pub fn clock(&self) -> Duration {
        duration(self.clock)
    }

    /// Takes a request, or refuses it (false): too many are in, or it can never fit into the cache.
    /// The server has been advanced to the instant at which the request reaches it.
    #[must_use]
    pub fn push(&mut self, request: Request) -> bool {
        let mut sequence = Sequence::new(request);
        if self.profile.kv_tokens == 0 {
            sequence.request.output = 1;
        }
        if len(self.in_flight()) >= self.queue_max || !self.blocks.holds(sequence.tokens_max()) {
            self.totals.rejected += 1;
            return false;
        }
        if self.in_flight() == 0 {
            self.clock = self.clock.max(picoseconds(request.queued));
        }
        if self.waiting.is_empty() {
            self.stretch = None;
        }
        self.waiting.push_back(sequence);
        true
    }

    /// Lets time pass until `to`: runs every iteration that begins before. What happens meanwhile is
    /// appended to `events`.
    pub fn advance(&mut self, to: Duration, events: &mut Events) {
        let to = picoseconds(to);
        while self.clock < to && self.in_flight() > 0 {
            match self.stretch {
                Some(stretch) => self.decode(stretch, to, events),
                None => self.schedule(events),
            }
        }
        self.hang_up(to, events);
    }

    fn in_batch(&self) -> u64 {
        self.decoding.len() + u64::from(self.partial.is_some())
    }

    /// One iteration with prefills in it, or the beginning of a stretch without.
    fn schedule(&mut self, events: &mut Events) {
        self.hang_up(self.clock, events);
        let before = self.totals.preemptions;
        self.make_room();
        let plan = self.plan(before);
        let sequences = self.decoding.len();
        if plan.len() > 0 {
            self.iterate(plan, events);
        } else if sequences > 0 {
            let end = self.decoding.first_end().unwrap_or(self.iterations + 1);
            let most = self.blocks.lasting(self.iterations).min(end - self.iterations);
            // After a preemption nobody is admitted in the same iteration, but may be in the next.
            let most = if self.totals.preemptions > before { 1 } else { most.max(1) };
            let row = self.pace.row(sequences, self.decoding.tokens());
            self.stretch = Some(Stretch { begun: self.clock, row, done: 0, most });
        }
    }

    /// Throws out those admitted last until those that decode have a block each for the next token.
    fn make_room(&mut self) {
        while self.blocks.need(self.iterations, 1) > self.blocks.free() {
            let last = match self.partial.take() {
                Some(partial) => {
                    self.blocks.give_back(self.blocks.of(u64::from(partial.computed)));
                    Some(partial)
                }
                None => self.decoding.pop_youngest(self.iterations, &mut self.blocks),
            };
            let Some(sequence) = last else { break };
            self.preempt(sequence);
        }
    }

    /// `sequence`, whose blocks are free again, waits before all others.
    fn preempt(&mut self, sequence: Sequence) {
        self.totals.preemptions += 1;
        let lost_from = self.blocks.lost_from(self.blocks.of(u64::from(sequence.computed)));
        self.waiting.push_front(Sequence { lost_from, last: self.clock, ..sequence });
    }

    /// What the next iteration computes beside decoding. The blocks of the decoding tokens are kept
    /// free; those of the prefills are taken. `before` are the preemptions before this iteration: with
    /// more by now nobody is admitted.
    fn plan(&mut self, before: u64) -> Plan {
        let mut plan = Plan::default();
        let mut budget = u64::from(self.profile.token_budget).saturating_sub(self.decoding.len());
        if let Some(partial) = self.partial.take() {
            let held = self.blocks.of(u64::from(partial.computed));
            if !self.extend(&mut plan, partial, held, &mut budget) {
                self.blocks.give_back(held);
                self.preempt(partial);
            }
        }
        while self.totals.preemptions == before
            && self.decoding.len() + plan.len() < u64::from(self.profile.max_sequences)
        {
            let Some(next) = self.waiting.front() else { break };
            let admitted = next.admitted.or(Some(self.clock));
            let had = u64::from(next.computed);
            let kept = self.blocks.kept(had, next.lost_from, self.iterations);
            let computed = next.request.cached.max(u32::try_from(kept).unwrap_or(u32::MAX));
            let next = Sequence { computed, admitted, ..*next };
            if !self.extend(&mut plan, next, 0, &mut budget) {
                break;
            }
            self.blocks.found(self.blocks.of(kept));
            self.waiting.pop_front();
        }
        plan
    }

    /// Gives `sequence`, which holds so many blocks, what is left of the budget, if there is any and
    /// the free blocks allow. What the prefix cache answers takes room from the admission on.
    fn extend(
        &mut self,
        plan: &mut Plan,
        mut sequence: Sequence,
        held: u64,
        budget: &mut u64,
    ) -> bool {
        let left = u64::from(sequence.left());
        // An encoder looks at the whole prompt at once; one that exceeds the budget goes alone.
        let whole = self.profile.kv_tokens == 0;
        let chunk = if whole { left } else { left.min(*budget) };
        let fits = chunk <= *budget || (whole && plan.len() == 0);
        let had = u64::from(sequence.computed);
        let blocks = self.blocks.of(had + chunk).saturating_sub(held);
        let free = self.blocks.free().saturating_sub(self.blocks.need(self.iterations, 1));
        if *budget == 0 || !fits || blocks > free {
            return false;
        }
        self.blocks.take(blocks);
        *budget = budget.saturating_sub(chunk);
        plan.tokens += chunk;
        plan.read += had;
        let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
        sequence.computed = sequence.computed.saturating_add(chunk);
        if sequence.left() == 0 {
            plan.prefilled.push(sequence);
        } else {
            plan.partial = Some(sequence);
        }
        true
    }

    /// One iteration with prefills.
    fn iterate(&mut self, plan: Plan, events: &mut Events) {
        let decoding = self.decoding.len();
        let read = self.decoding.tokens() + plan.read;
        let span = self.pace.iteration(plan.tokens, read, decoding + plan.len());
        self.totals.itl.ramp(span, 0, 0..1, decoding);
        self.pass(1, span);
        self.finish(events);
        for sequence in plan.prefilled {
            self.answer(sequence, events);
        }
        self.partial = plan.partial;
    }

    /// Iterations of a stretch that begin before `to`.
    fn decode(&mut self, stretch: Stretch, to: u128, events: &mut Events) {
        let Stretch { begun, row, done, most } = stretch;
        let deadline = self.deadline();
        let until = deadline.map_or(to, |deadline| deadline.min(to));
        let count = row.count_in(until.saturating_sub(begun), done, most);
        self.totals.itl.ramp(row.first, row.growth, done..count, self.decoding.len());
        self.pass(count - done, begun + row.elapsed(count) - self.clock);
        let over = count >= most || deadline.is_some_and(|deadline| deadline <= self.clock);
        self.stretch = (!over).then_some(Stretch { done: count, ..stretch });
        self.finish(events);
    }

    /// `count` iterations have passed, in which those that decode got a token each.
    fn pass(&mut self, count: u64, span: u128) {
        self.blocks.take(self.blocks.need(self.iterations, count));
        self.totals.generation_tokens += count * self.decoding.len();
        self.decoding.pass(count);
        self.iterations += count;
        self.clock += span;
        self.busy += span;
        self.totals.busy = duration(self.busy);
    }

    /// The end of a prefill gives a token: the first, or after a preemption the next.
    fn answer(&mut self, mut sequence: Sequence, events: &mut Events) {
        sequence.generated += 1;
        self.totals.generation_tokens += 1;
        if sequence.first.is_none() {
            sequence.first = Some(self.clock);
            let request = &sequence.request;
            self.totals.prompt_tokens += u64::from(request.prompt);
            self.totals.cached_tokens += u64::from(request.cached);
            let at = self.seen();
            self.totals.ttft.observe(at.saturating_sub(request.queued), 1);
            let ttft = at.saturating_sub(request.arrived);
            events.answered.push(FirstToken { at, ttft });
        } else {
            self.totals.itl.ramp(self.clock - sequence.last, 0, 0..1, 1);
        }
        if sequence.generated >= sequence.request.output {
            self.blocks.give_back(self.blocks.of(u64::from(sequence.computed)));
            self.end(sequence, events);
        } else {
            self.decoding.join(sequence, self.iterations, &mut self.blocks);
        }
    }

    fn finish(&mut self, events: &mut Events) {
        while let Some(sequence) = self.decoding.pop_ended(self.iterations, &mut self.blocks) {
            self.end(sequence, events);
        }
    }

    fn end(&mut self, sequence: Sequence, events: &mut Events) {
        let Request { arrived, queued, output, .. } = sequence.request;
        let at = self.seen();
        let first = duration(sequence.first.unwrap_or(self.clock)) + self.overhead();
        let admitted = duration(sequence.admitted.unwrap_or(self.clock));
        self.totals.finished += 1;
        self.totals.e2e.observe(at.saturating_sub(queued), 1);
        self.totals.queue.observe(admitted.saturating_sub(queued), 1);
        let (ttft, e2e) = (first.saturating_sub(arrived), at.saturating_sub(arrived));
        events.finished.push(Finished { at, ttft, e2e, output });
    }

    /// When a client sees what the last iteration gave.
    fn seen(&self) -> Duration {
        duration(self.clock) + self.overhead()
    }

    fn overhead(&self) -> Duration {
        Duration::try_from_secs_f64(self.profile.overhead).unwrap_or_default()
    }

    /// When the first client that waits for admission hangs up. They came in order.
    fn deadline(&self) -> Option<u128> {
        let patience = self.patience?;
        let first = self.waiting.iter().find(|sequence| sequence.first.is_none())?;
        Some(picoseconds(first.request.arrived) + patience)
    }

    /// Clients without a first token whose patience is over by `now` are gone. A token of an
    /// iteration under way still counts as in time.
    fn hang_up(&mut self, now: u128, events: &mut Events) {
        let Some(patience) = self.patience else { return };
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let first = self.waiting.iter().position(|sequence| sequence.first.is_none());
            let Some(idx) = first else { return };
            self.waiting.remove(idx);
            events.gave_up += 1;
        }
        let gone = |sequence: &mut Sequence| {
            sequence.first.is_none() && picoseconds(sequence.request.arrived) + patience <= now
        };
        if let Some(partial) = self.partial.take_if(gone) {
            self.blocks.give_back(self.blocks.of(u64::from(partial.computed)));
            events.gave_up += 1;
        }
    }
}

/// A count as a float, exact up to 2^32 and at most that: no count here that is used so comes near.
#[must_use]
pub fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A length as a count.
#[must_use]
pub fn len(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
