//! The KV cache in blocks: how many are free, and how many the next tokens of a batch will take.
//!
//! A sequence that gets one token per iteration needs a new block each time the one before is full,
//! which is at iterations a block's length apart. It is enough to know how many sequences share
//! which of these phases; the need of any number of iterations then follows without walking them.

/// Blocks of one cache. An engine without a cache has endless ones.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    size: u64,
    total: u64,
    usable: u64,
    used: u64,
    /// Given out since the beginning, each time anew.
    handed: u64,
    /// Sequences by the phase, iteration modulo block size, at which they need a new block.
    phases: Vec<u64>,
    sequences: u64,
}

impl Blocks {
    /// An empty cache for `tokens` (0: endless) in blocks of `size`, at least 1. One block is never
    /// given out: vLLM keeps it as the null block.
    pub(super) fn new(tokens: u64, size: u32) -> Self {
        let size = u64::from(size.max(1));
        let total = if tokens == 0 { u64::MAX } else { tokens / size };
        let usable = total.saturating_sub(1);
        let phases = (0..size).map(|_| 0).collect();
        Self { size, total, usable, used: 0, handed: 0, phases, sequences: 0 }
    }

    /// Blocks that `tokens` take.
    pub(super) const fn of(&self, tokens: u64) -> u64 {
        tokens.div_ceil(self.size)
    }

    /// Whether one sequence of `tokens` fits into the empty cache.
    pub(super) const fn holds(&self, tokens: u64) -> bool {
        self.of(tokens) <= self.usable
    }

    /// Blocks nobody has.
    pub(super) const fn free(&self) -> u64 {
        self.usable.saturating_sub(self.used)
    }

    /// Blocks given out, and all there are.
    pub(super) const fn usage(&self) -> (u64, u64) {
        (self.used, self.total)
    }

    /// Gives out `count` blocks.
    pub(super) const fn take(&mut self, count: u64) {
        self.used += count;
        self.handed += count;
    }

    /// Of the blocks given out last, `count` still had what was wanted in them: nobody else's were
    /// overwritten.
    pub(super) const fn found(&mut self, count: u64) {
        self.handed = self.handed.saturating_sub(count);
    }

    /// How many blocks will have been given out when the first of the `count` given back last is
    /// overwritten: free blocks are given out in the order in which they came back.
    pub(super) const fn lost_from(&self, count: u64) -> u64 {
        self.handed.saturating_add(self.free().saturating_sub(count))
    }

    /// Tokens that are still there of `tokens` whose blocks are overwritten from `lost_from` on, the
    /// last one first, at admission in iteration `now`, before which those who joined get theirs.
    /// Only full blocks are found again.
    pub(super) fn kept(&self, tokens: u64, lost_from: u64, now: u64) -> u64 {
        let handed = self.handed + self.need(now, 1);
        let left = self.of(tokens).saturating_sub(handed.saturating_sub(lost_from));
        (tokens / self.size).min(left) * self.size
    }

    /// Takes `count` blocks back.
    pub(super) const fn give_back(&mut self, count: u64) {
        self.used = self.used.saturating_sub(count);
    }

    /// A sequence with `tokens` begins to get one token per iteration, first in iteration `now`.
    pub(super) fn join(&mut self, tokens: u64, now: u64) {
        if let Some(count) = self.phases.get_mut(phase(self.size, tokens, now)) {
            *count += 1;
            self.sequences += 1;
        }
    }

    /// A sequence that has `tokens` before iteration `now` gets no more.
    pub(super) fn part(&mut self, tokens: u64, now: u64) {
        if let Some(count) = self.phases.get_mut(phase(self.size, tokens, now)) {
            *count -= 1;
            self.sequences -= 1;
        }
    }

    /// Blocks that all who joined need in `count` iterations from iteration `now` on.
    pub(super) fn need(&self, now: u64, count: u64) -> u64 {
        let rest = usize::try_from(count % self.size).unwrap_or(0);
        let begun: u64 = self.from(now).take(rest).sum();
        (count / self.size) * self.sequences + begun
    }

    /// Iterations from iteration `now` on for which the free blocks are enough; with nobody joined,
    /// or endless blocks, practically for ever.
    pub(super) fn lasting(&self, now: u64) -> u64 {
        let free = self.free();
        let Some(rounds) = free.checked_div(self.sequences) else { return u64::MAX };
        let mut left = free % self.sequences;
        let mut begun = 0;
        for need in self.from(now) {
            let Some(rest) = left.checked_sub(need) else { break };
            left = rest;
            begun += 1;
        }
        rounds.saturating_mul(self.size).saturating_add(begun)
    }

    /// The need of one iteration after the other, from iteration `now` on, for one round.
    fn from(&self, now: u64) -> impl Iterator<Item = u64> {
        let (low, high) = self
            .phases
            .split_at(usize::try_from(now % self.size).unwrap_or(0).min(self.phases.len()));
        high.iter().chain(low).copied()
    }
}

/// The iteration, modulo `size`, before which a sequence with `tokens` at iteration `now` has filled
/// its last block.
fn phase(size: u64, tokens: u64, now: u64) -> usize {
    usize::try_from((now % size + size - tokens % size) % size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Blocks;

    /// Tokens of each sequence at iteration `now`; compares the closed form with a walk.
    fn check(size: u32, tokens: &[u64], now: u64) {
        let mut blocks = Blocks::new(1600, size);
        for count in tokens {
            blocks.join(*count, now);
            blocks.take(blocks.of(*count));
        }
        let start = blocks.usage().0;
        let walked = |later: u64| -> u64 { tokens.iter().map(|t| blocks.of(t + later)).sum() };
        for later in 0..100 {
            assert_eq!(start + blocks.need(now, later), walked(later), "{tokens:?} {later}");
        }
        let lasting = blocks.lasting(now);
        let free = blocks.free();
        assert!(blocks.need(now, lasting) <= free && blocks.need(now, lasting + 1) > free);
    }

    #[test]
    fn the_need_of_many_iterations_is_that_of_each() {
        check(16, &[1, 15, 16, 17, 31, 32, 160], 0);
        check(16, &[5, 5, 5, 48], 1003);
        check(1, &[3, 4, 5], 7);
        check(7, &[1, 2, 3, 4, 5, 6, 7, 8], 13);
    }

    #[test]
    fn who_parts_needs_nothing_more() {
        let mut blocks = Blocks::new(1600, 16);
        blocks.join(30, 100);
        blocks.join(40, 100);
        blocks.part(45, 105);
        assert_eq!((blocks.need(105, 1), blocks.need(102, 1), blocks.need(105, 160)), (0, 1, 10));
    }

    #[test]
    fn one_block_is_never_given_out() {
        let blocks = Blocks::new(64 * 16, 16);
        assert_eq!(
            (blocks.free(), blocks.holds(63 * 16), blocks.holds(63 * 16 + 1)),
            (63, true, false)
        );
        assert_eq!(Blocks::new(0, 16).lasting(9), u64::MAX);
    }
}
