//! The sequences of a replica: those that decode, by when they end, and what each has had.

use std::collections::BTreeMap;

use crate::engine::replay::replica::blocks::Blocks;
use crate::engine::replay::replica::exchange::Request;

/// A request and how far it is. Instants are picoseconds since the beginning of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    /// What was asked.
    pub(super) request: Request,
    /// Tokens generated so far.
    pub(super) generated: u32,
    /// Tokens computed of those that must be before the next one is generated; while it is out of
    /// the batch, those it had.
    pub(super) computed: u32,
    /// How many blocks will have been given out when the first of those it had is overwritten.
    pub(super) lost_from: u64,
    /// When it was first admitted.
    pub(super) admitted: Option<u128>,
    /// When its first token was ready.
    pub(super) first: Option<u128>,
    /// When its last token was ready, while it is out of the batch.
    pub(super) last: u128,
}

impl Sequence {
    /// A request that just came. Whatever is asked, one token is computed and one generated.
    pub(super) fn new(request: Request) -> Self {
        let prompt = request.prompt.max(1);
        let (cached, output) = (request.cached.min(prompt - 1), request.output.max(1));
        let request = Request { prompt, cached, output, ..request };
        Self {
            request,
            generated: 0,
            computed: 0,
            lost_from: 0,
            admitted: None,
            first: None,
            last: 0,
        }
    }

    /// Tokens that must be computed before the next one is generated: after a preemption, what it
    /// had generated as well.
    pub(super) const fn target(&self) -> u32 {
        self.request.prompt.saturating_add(self.generated)
    }

    /// Tokens it takes in the cache at its end: the last one generated never gets there.
    pub(super) fn tokens_max(&self) -> u64 {
        u64::from(self.request.prompt) + u64::from(self.request.output) - 1
    }

    /// Tokens still to compute.
    pub(super) const fn left(&self) -> u32 {
        self.target().saturating_sub(self.computed)
    }
}

#[derive(Debug, Clone, Copy)]
struct Decoder {
    sequence: Sequence,
    /// Iteration before which it had `tokens`.
    since: u64,
    tokens: u64,
}

impl Decoder {
    const fn tokens_at(&self, iteration: u64) -> u64 {
        self.tokens + (iteration - self.since)
    }
}

/// The sequences that get one token per iteration.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoding {
    /// By the iteration count at which it ends, then by order of admission.
    by_end: BTreeMap<(u64, u64), Decoder>,
    serial: u64,
    tokens: u64,
}

impl Decoding {
    /// How many.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.by_end.len()).unwrap_or(u64::MAX)
    }

    /// Tokens that they have in the cache.
    pub(super) const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The iteration count at which the first of them ends.
    pub(super) fn first_end(&self) -> Option<u64> {
        self.by_end.keys().next().map(|(end, _)| *end)
    }

    /// A sequence whose prefill is done begins to decode in iteration `now`.
    pub(super) fn join(&mut self, sequence: Sequence, now: u64, blocks: &mut Blocks) {
        let tokens = u64::from(sequence.computed);
        let end = now + u64::from(sequence.request.output.saturating_sub(sequence.generated));
        blocks.join(tokens, now);
        self.tokens += tokens;
        self.serial += 1;
        self.by_end.insert((end, self.serial), Decoder { sequence, since: now, tokens });
    }

    /// `count` iterations have passed.
    pub(super) fn pass(&mut self, count: u64) {
        self.tokens += count * self.len();
    }

    /// A sequence that has ended before iteration `now`; its blocks are free.
    pub(super) fn pop_ended(&mut self, now: u64, blocks: &mut Blocks) -> Option<Sequence> {
        let first = self.by_end.first_entry().filter(|entry| entry.key().0 <= now)?;
        let decoder = first.remove();
        Some(self.part(decoder, now, blocks))
    }

    /// The sequence admitted last, out of the batch before iteration `now`; its blocks are free.
    pub(super) fn pop_youngest(&mut self, now: u64, blocks: &mut Blocks) -> Option<Sequence> {
        let key = self.by_end.keys().max_by_key(|(_, serial)| *serial).copied()?;
        let decoder = self.by_end.remove(&key)?;
        Some(self.part(decoder, now, blocks))
    }

    fn part(&mut self, decoder: Decoder, now: u64, blocks: &mut Blocks) -> Sequence {
        let tokens = decoder.tokens_at(now);
        blocks.part(tokens, now);
        blocks.give_back(blocks.of(tokens));
        self.tokens -= tokens;
        let decoded = u32::try_from(now - decoder.since).unwrap_or(u32::MAX);
        Sequence {
            generated: decoder.sequence.generated.saturating_add(decoded),
            computed: u32::try_from(tokens).unwrap_or(u32::MAX),
            ..decoder.sequence
        }
    }
}
