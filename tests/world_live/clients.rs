//! Clients in a closed loop before one simulated replica: each sends its next request when the one
//! before is answered in full.

use std::time::Duration;

use prescale::engine::replay::profile::{Profile, Settings};
use prescale::engine::replay::random::Random;
use prescale::engine::replay::replica::{Events, Replica, Request};

/// Of the recorded server: four sequences, 64 blocks of 32 tokens (one is never given out). Alone, a
/// token took 4.6 ms, with four in the batch 5.5 ms, a prompt of 250 tokens 20 ms.
fn settings() -> Settings {
    let profile = Profile {
        name: "recorded".to_owned(),
        gpus: 1,
        base: 0.0043,
        per_token: 80e-6,
        per_kv_token: 0.0,
        per_sequence: 0.22e-3,
        overhead: 0.002,
        kv_tokens: 64 * 32,
        block_tokens: 32,
        max_sequences: 4,
        token_budget: 2048,
    };
    Settings { profile, ..Settings::demo() }
}

/// The replica and its clients.
pub(crate) struct Simulated {
    replica: Replica,
    random: Random,
    now: Duration,
    inside: u32,
    first_tokens: Vec<Duration>,
}

impl Simulated {
    pub(crate) fn new() -> Self {
        let replica = Replica::new(&settings());
        let random = Random::new(1);
        Self { replica, random, now: Duration::ZERO, inside: 0, first_tokens: Vec::new() }
    }

    /// Lets time pass with so many clients; those too many leave when they have been answered.
    pub(crate) fn advance(&mut self, to: Duration, clients: u32) {
        let step = Duration::from_millis(5);
        while self.now < to {
            while self.inside < clients {
                let request = self.request();
                assert!(self.replica.push(request), "nothing is refused");
                self.inside += 1;
            }
            self.now = (self.now + step).min(to);
            let mut events = Events::default();
            self.replica.advance(self.now, &mut events);
            self.inside -= u32::try_from(events.finished.len()).unwrap();
            self.first_tokens.extend(events.answered.iter().map(|token| token.ttft));
        }
    }

    /// Running and waiting.
    pub(crate) fn gauges(&self) -> (u32, u32) {
        let count = |count: usize| u32::try_from(count).unwrap();
        (count(self.replica.running()), count(self.replica.waiting()))
    }

    pub(crate) fn kv_usage(&self) -> f64 {
        self.replica.kv_usage()
    }

    /// First tokens so far, and those that took longer than `limit`.
    pub(crate) fn first_tokens(&self, limit: Duration) -> (u64, u64) {
        let count = |count: usize| u64::try_from(count).unwrap();
        let slow = self.first_tokens.iter().filter(|ttft| **ttft > limit).count();
        (count(self.first_tokens.len()), count(slow))
    }

    /// The recorded ones had about 248 prompt and 257 output tokens on average.
    fn request(&mut self) -> Request {
        let mut draw = |low: u32, high: u32| {
            let bits = u32::try_from(self.random.bits() >> 40).unwrap();
            low + bits % (high - low)
        };
        let (prompt, output) = (draw(50, 450), draw(16, 500));
        Request { arrived: self.now, queued: self.now, prompt, cached: 0, output }
    }
}
