//! What a run cost and gave: counted by the world, told by whoever asks.
//!
//! Instants come in ascending order; the totals are the same however often the world is looked at in
//! between. After [`freeze`](Ledger::freeze) time costs nothing more, and answers still count.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::replay::replica::{Finished, FirstToken, float, len};
use crate::engine::replay::score::Objectives;

/// How far back the live p95 looks.
const RECENT: Duration = Duration::from_secs(300);

/// How far back the live arrival rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// What is wanted in the time before says more of the beginning than of the policy.
const SETTLING: Duration = Duration::from_mins(15);

/// Totals of the run so far.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Requests that reached the gateway.
    pub arrived: u64,
    /// Requests that got a first token.
    pub answered: u64,
    /// Requests that got it within the objective.
    pub within: u64,
    /// Requests answered in full.
    pub finished: u64,
    /// Those of them that met both objectives.
    pub attained: u64,
    /// Requests given up: refused, held or waiting too long, or cut off by the end of a pod.
    pub failed: u64,
    /// Most replicas wanted at once: what a fleet of constant size would need.
    pub wanted_max: u32,
    /// Fewest and most replicas wanted after the first 15 minutes; `None` before.
    pub desired: Option<(u32, u32)>,
    /// Fewest replicas there (created and not gone).
    pub pods_min: u32,
    /// Most replicas there.
    pub pods_max: u32,
    /// Pods created, those at the beginning not counted.
    pub cold_starts: u64,
    /// Changes of the wanted replicas upwards.
    pub scaled_up: u64,
    /// Changes of the wanted replicas downwards.
    pub scaled_down: u64,
    /// Times it was woken.
    pub wakes: u64,
    /// Those of them that a request had to wait for.
    pub wakes_awaited: u64,
    /// It sleeps or wakes, and nobody has waited for it yet.
    unawaited: bool,
    objectives: Objectives,
    now: Duration,
    frozen: Option<Duration>,
    pods: u32,
    wanted: u32,
    pod_time: Duration,
    asleep: Duration,
    /// Every time to first token in seconds, in order of the answers.
    all: Vec<f32>,
    recent: VecDeque<FirstToken>,
    arrivals: VecDeque<Duration>,
}

impl Ledger {
    /// A run that begins with `replicas` wanted and there.
    #[must_use]
    pub const fn new(objectives: Objectives, replicas: u32) -> Self {
        Self {
            arrived: 0,
            answered: 0,
            within: 0,
            finished: 0,
            attained: 0,
            failed: 0,
            wanted_max: replicas,
            desired: None,
            pods_min: replicas,
            pods_max: replicas,
            cold_starts: 0,
            scaled_up: 0,
            scaled_down: 0,
            wakes: 0,
            wakes_awaited: 0,
            unawaited: replicas == 0,
            objectives,
            now: Duration::ZERO,
            frozen: None,
            pods: replicas,
            wanted: replicas,
            pod_time: Duration::ZERO,
            asleep: Duration::ZERO,
            all: Vec::new(),
            recent: VecDeque::new(),
            arrivals: VecDeque::new(),
        }
    }

    /// Counts a request that reached the gateway.
    pub fn arrive(&mut self, at: Duration) {
        self.arrived += 1;
        self.arrivals.push_back(at);
    }

    /// Notes that the gateway holds a request because no pod is ready.
    pub fn hold(&mut self) {
        self.wakes_awaited += u64::from(self.unawaited && !self.is_frozen());
        self.unawaited = false;
    }

    /// Counts first tokens.
    pub fn answer(&mut self, answered: &[FirstToken]) {
        self.unawaited &= answered.is_empty();
        for token in answered {
            self.answered += 1;
            self.within += u64::from(token.ttft <= self.objectives.ttft);
            self.all.push(token.ttft.as_secs_f32());
            self.recent.push_back(*token);
        }
    }

    /// Counts requests answered in full.
    pub fn finish(&mut self, finished: &[Finished]) {
        for request in finished {
            self.finished += 1;
            self.attained += u64::from(attains(request, self.objectives));
        }
    }

    /// Lets time pass until `now`, with the pods and the wanted replicas as they are.
    pub fn pass(&mut self, now: Duration) {
        let end = self.frozen.map_or(now, |frozen| frozen.min(now));
        let span = end.saturating_sub(self.now);
        self.pod_time += span * self.pods;
        if self.wanted == 0 {
            self.asleep += span;
        }
        if end > SETTLING && !span.is_zero() {
            let (low, high) = self.desired.unwrap_or((self.wanted, self.wanted));
            self.desired = Some((low.min(self.wanted), high.max(self.wanted)));
        }
        self.now = self.now.max(now);
    }

    /// From now on so many pods are there.
    pub fn pods(&mut self, pods: u32) {
        self.pods = pods;
        if !self.is_frozen() {
            self.pods_min = self.pods_min.min(pods);
            self.pods_max = self.pods_max.max(pods);
        }
    }

    /// Counts a pod created.
    pub fn create(&mut self) {
        self.cold_starts += u64::from(!self.is_frozen());
    }

    /// From now on so many replicas are wanted.
    pub fn scale(&mut self, wanted: u32) {
        if !self.is_frozen() {
            self.scaled_up += u64::from(wanted > self.wanted);
            self.scaled_down += u64::from(wanted < self.wanted);
            self.wakes += u64::from(self.wanted == 0 && wanted > 0);
            self.wanted_max = self.wanted_max.max(wanted);
        }
        self.unawaited = wanted == 0 || self.unawaited;
        self.wanted = wanted;
    }

    /// Nothing that happens after `at` costs anything: pods, cold starts and changes are no longer
    /// counted, requests still are.
    pub const fn freeze(&mut self, at: Duration) {
        self.frozen = Some(at);
    }

    fn is_frozen(&self) -> bool {
        self.frozen.is_some_and(|at| self.now >= at)
    }

    /// Forgets what the live numbers no longer look at.
    pub fn forget(&mut self, now: Duration) {
        while self.recent.front().is_some_and(|token| token.at + RECENT < now) {
            self.recent.pop_front();
        }
        while self.arrivals.front().is_some_and(|at| *at + RATE_WINDOW < now) {
            self.arrivals.pop_front();
        }
    }

    /// What a request must meet.
    #[must_use]
    pub const fn objectives(&self) -> Objectives {
        self.objectives
    }

    /// Time of all pods from creation to their end, in seconds.
    #[must_use]
    pub fn pod_seconds(&self) -> f64 {
        self.pod_time.as_secs_f64()
    }

    /// Time that was counted.
    #[must_use]
    pub fn counted(&self) -> Duration {
        self.frozen.map_or(self.now, |frozen| frozen.min(self.now))
    }

    /// Time with zero replicas wanted.
    #[must_use]
    pub const fn asleep(&self) -> Duration {
        self.asleep
    }

    /// Requests per second over the last minute, or over the time since the beginning if that is
    /// shorter; zero at the very beginning.
    #[must_use]
    pub fn arrival_rate(&self, now: Duration) -> f64 {
        let seconds = RATE_WINDOW.min(now).as_secs_f64();
        if seconds > 0.0 { float(len(self.arrivals.len())) / seconds } else { 0.0 }
    }

    /// 95th percentile of the TTFT of the last five minutes; `None` when nobody was answered.
    #[must_use]
    pub fn ttft_p95_recent(&self) -> Option<Duration> {
        let recent = self.recent.iter().map(|token| token.ttft.as_secs_f32()).collect();
        Duration::try_from_secs_f32(quantile(recent, 95)?).ok()
    }

    /// A percentile of the TTFT of the whole run; `None` when nobody was answered.
    #[must_use]
    pub fn ttft(&self, percent: usize) -> Option<Duration> {
        Duration::try_from_secs_f32(quantile(self.all.clone(), percent)?).ok()
    }

    /// Every time to first token so far in seconds, in order of the answers.
    #[must_use]
    pub fn ttfts(&self) -> &[f32] {
        &self.all
    }
}

/// Whether a request met both objectives; one token has no time per further token.
fn attains(request: &Finished, objectives: Objectives) -> bool {
    let rest = request.e2e.saturating_sub(request.ttft);
    let tpot = rest.checked_div(request.output.saturating_sub(1));
    request.ttft <= objectives.ttft && tpot.is_none_or(|tpot| tpot <= objectives.tpot)
}

/// The nearest-rank quantile; `percent` in 1..=100, so that the rank is exact in whole numbers.
#[must_use]
pub fn quantile(mut values: Vec<f32>, percent: usize) -> Option<f32> {
    let rank = (values.len() * percent).div_ceil(100);
    let idx = rank.checked_sub(1).filter(|idx| *idx < values.len())?;
    let (_, value, _) = values.select_nth_unstable_by(idx, f32::total_cmp);
    Some(*value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ledger, quantile};
    use crate::engine::replay::replica::{Finished, FirstToken};
    use crate::engine::replay::score::Objectives;

    const OBJECTIVES: Objectives =
        Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) };

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let floats = |range: std::ops::Range<u8>| range.rev().map(f32::from).collect::<Vec<_>>();
        let rows = [
            (floats(0..0), 95, None),
            (floats(4..5), 50, Some(4.0)),
            (floats(1..101), 95, Some(95.0)),
            (floats(1..11), 99, Some(10.0)),
            (floats(1..11), 101, None),
        ];
        for (values, percent, expected) in rows {
            assert_eq!(quantile(values, percent), expected, "{percent}");
        }
    }

    #[test]
    fn the_arrival_rate_is_that_of_the_last_minute() {
        let mut ledger = Ledger::new(OBJECTIVES, 1);
        (1..=200).for_each(|second| ledger.arrive(secs(second)));
        for (now, expected) in [(200, 61.0 / 60.0), (230, 31.0 / 60.0), (300, 0.0)] {
            ledger.forget(secs(now));
            assert!((ledger.arrival_rate(secs(now)) - expected).abs() < 1e-9, "{now:?}");
        }
    }

    #[test]
    fn only_answers_within_the_objective_count_as_such() {
        let mut ledger = Ledger::new(OBJECTIVES, 1);
        let tokens = [1, 3, 4].map(|ttft| FirstToken { at: secs(100), ttft: secs(ttft) });
        ledger.answer(&tokens);
        assert_eq!((ledger.answered, ledger.within), (3, 2));
        ledger.forget(secs(401));
        assert_eq!(ledger.ttft_p95_recent(), None);
        assert_eq!(ledger.ttft(50), Some(secs(3)));
    }

    #[test]
    fn a_request_attains_when_it_meets_both_objectives() {
        // TTFT, end to end, tokens.
        let rows = [
            (3.0, 13.0, 101, 1),
            (3.1, 4.0, 101, 0),
            (1.0, 12.0, 101, 0),
            (1.0, 1.0, 1, 1),
            (1.0, 1.1, 2, 1),
        ];
        for (ttft, e2e, output, expected) in rows {
            let mut ledger = Ledger::new(OBJECTIVES, 1);
            let [ttft, e2e] = [ttft, e2e].map(Duration::from_secs_f64);
            ledger.finish(&[Finished { at: e2e, ttft, e2e, output }]);
            assert_eq!((ledger.finished, ledger.attained), (1, expected), "{ttft:?} {e2e:?}");
        }
    }

    #[test]
    fn time_asleep_costs_nothing_and_is_counted() {
        let mut ledger = Ledger::new(OBJECTIVES, 3);
        ledger.pass(secs(10));
        ledger.scale(0);
        ledger.pods(0);
        ledger.pass(secs(30));
        ledger.scale(1);
        assert!((ledger.pod_seconds() - 30.0).abs() < 1e-9, "{}", ledger.pod_seconds());
        assert_eq!((ledger.asleep(), ledger.pods_min, ledger.pods_max), (secs(20), 0, 3));
        assert_eq!((ledger.scaled_up, ledger.scaled_down, ledger.wakes), (1, 1, 1));
    }

    #[test]
    fn a_wake_is_awaited_once_and_only_until_somebody_was_answered() {
        let answered = [FirstToken { at: secs(1), ttft: secs(1) }];
        // Held before it is woken, held while it wakes, and answered without anybody held.
        let rows =
            [(&[true, false][..], 1), (&[false, true], 1), (&[true, true], 1), (&[false], 0)];
        for (holds, expected) in rows {
            let mut ledger = Ledger::new(OBJECTIVES, 1);
            ledger.hold();
            ledger.scale(0);
            for held in holds {
                if *held {
                    ledger.hold();
                }
                ledger.scale(1);
            }
            ledger.answer(&answered);
            ledger.hold();
            assert_eq!((ledger.wakes, ledger.wakes_awaited), (1, expected), "{holds:?}");
        }
    }

    #[test]
    fn what_is_wanted_at_first_is_left_out_and_after_the_freeze_nothing_costs() {
        let mut ledger = Ledger::new(OBJECTIVES, 9);
        ledger.freeze(secs(2000));
        for (at, wanted) in [(100, 1), (900, 4), (1000, 6), (2500, 50)] {
            ledger.pass(secs(at));
            ledger.scale(wanted);
            ledger.pods(wanted);
        }
        ledger.pass(secs(9000));
        assert_eq!((ledger.desired, ledger.wanted_max), (Some((4, 6)), 9));
        let expected = f64::from(100 * 9 + 800 + 100 * 4 + 1000 * 6);
        assert!((ledger.pod_seconds() - expected).abs() < 1e-9, "{}", ledger.pod_seconds());
        assert_eq!((ledger.pods_max, ledger.counted()), (9, secs(2000)));
    }
}
