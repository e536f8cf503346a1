//! What the simulated day cost and gave: counted by the world, told by the summary.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::replay::replica::{FirstToken, float, len};

/// The objective the demo reports: a first token within this time of reaching the gateway. It is the
/// usual one for interactive use of models of this size.
pub const OBJECTIVE: Duration = Duration::from_secs(3);

/// How far back the live p95 looks.
const RECENT: Duration = Duration::from_secs(300);

/// How far back the live arrival rate looks.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Totals of the day so far.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Requests that reached the gateway.
    pub arrived: u64,
    /// Requests that got a first token.
    pub answered: u64,
    /// Requests that got one within [`OBJECTIVE`].
    pub within: u64,
    /// Requests given up: held too long at the gateway, or cut off by the end of a pod.
    pub failed: u64,
    /// Seconds of all pods, from creation to termination.
    pub pod_seconds: f64,
    /// Most replicas wanted at once: what a fleet of constant size would need.
    pub wanted_max: u32,
    /// Pods created, those at the beginning not counted.
    pub cold_starts: u64,
    /// Changes of the wanted replicas upwards.
    pub scaled_up: u64,
    /// Changes of the wanted replicas downwards.
    pub scaled_down: u64,
    /// Seconds with zero replicas wanted.
    pub asleep_seconds: f64,
    /// Times it was woken.
    pub wakes: u64,
    /// Every time to first token, in order of the answers.
    all: Vec<Duration>,
    recent: VecDeque<FirstToken>,
    arrivals: VecDeque<Duration>,
}

impl Ledger {
    /// Counts a request that reached the gateway.
    pub fn arrive(&mut self, at: Duration) {
        self.arrived += 1;
        self.arrivals.push_back(at);
    }

    /// Counts first tokens.
    pub fn answer(&mut self, answered: &[FirstToken]) {
        for token in answered {
            self.answered += 1;
            self.within += u64::from(token.ttft <= OBJECTIVE);
            self.all.push(token.ttft);
            self.recent.push_back(*token);
        }
    }

    /// Counts a change of the wanted replicas.
    pub fn scale(&mut self, from: u32, to: u32) {
        self.scaled_up += u64::from(to > from);
        self.scaled_down += u64::from(to < from);
        self.wakes += u64::from(from == 0 && to > 0);
    }

    /// Counts `span` with `pods` pods and `wanted` replicas.
    pub fn pass(&mut self, span: Duration, pods: usize, wanted: u32) {
        self.pod_seconds += span.as_secs_f64() * float(len(pods));
        self.wanted_max = self.wanted_max.max(wanted);
        if wanted == 0 {
            self.asleep_seconds += span.as_secs_f64();
        }
    }

    /// Forgets what the live quantile no longer looks at.
    pub fn forget(&mut self, now: Duration) {
        while self.recent.front().is_some_and(|token| token.at + RECENT < now) {
            self.recent.pop_front();
        }
        while self.arrivals.front().is_some_and(|at| *at + RATE_WINDOW < now) {
            self.arrivals.pop_front();
        }
    }

    /// Requests per second over the last minute, or over the time since the beginning if that is
    /// shorter; zero at the very beginning.
    pub fn arrival_rate(&self, now: Duration) -> f64 {
        let seconds = RATE_WINDOW.min(now).as_secs_f64();
        if seconds > 0.0 { float(len(self.arrivals.len())) / seconds } else { 0.0 }
    }

    /// Every time to first token so far, in order of the answers.
    #[must_use]
    pub fn ttfts(&self) -> &[Duration] {
        &self.all
    }

    /// 95th percentile of the TTFT of the last five minutes; `None` when nobody was answered.
    pub fn ttft_p95_recent(&self) -> Option<Duration> {
        quantile(self.recent.iter().map(|token| token.ttft).collect(), 95)
    }

    /// A percentile of the TTFT of the whole day; `None` when nobody was answered.
    pub fn ttft(&self, percent: usize) -> Option<Duration> {
        quantile(self.all.clone(), percent)
    }
}

/// The nearest-rank quantile; `percent` in 1..=100, so that the rank is exact in whole numbers.
fn quantile(mut values: Vec<Duration>, percent: usize) -> Option<Duration> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ledger, quantile};
    use crate::engine::replay::replica::FirstToken;

    fn seconds(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        values.into_iter().map(Duration::from_secs).collect()
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let rows = [
            (seconds([]), 95, None),
            (seconds([4]), 50, Some(4)),
            (seconds((1..=100).rev()), 95, Some(95)),
            (seconds(1..=10), 99, Some(10)),
        ];
        for (values, percent, expected) in rows {
            let found = quantile(values, percent).map(|value| value.as_secs());
            assert_eq!(found, expected, "{percent}");
        }
    }

    #[test]
    fn the_arrival_rate_is_that_of_the_last_minute() {
        let mut ledger = Ledger::default();
        (1..=200).for_each(|second| ledger.arrive(Duration::from_secs(second)));
        for (now, expected) in [(200, 61.0 / 60.0), (230, 31.0 / 60.0), (300, 0.0)] {
            let now = Duration::from_secs(now);
            ledger.forget(now);
            assert!((ledger.arrival_rate(now) - expected).abs() < 1e-9, "{now:?}");
        }
    }

    #[test]
    fn only_answers_within_the_objective_count_as_such() {
        let mut ledger = Ledger::default();
        let at = Duration::from_secs(100);
        let tokens = [1, 3, 4].map(|ttft| FirstToken { at, ttft: Duration::from_secs(ttft) });
        ledger.answer(&tokens);
        assert_eq!((ledger.answered, ledger.within), (3, 2));
        ledger.forget(Duration::from_secs(401));
        assert_eq!(ledger.ttft_p95_recent(), None);
        assert_eq!(ledger.ttft(50), Some(Duration::from_secs(3)));
    }

    #[test]
    fn time_asleep_costs_nothing_and_is_counted() {
        let mut ledger = Ledger::default();
        ledger.pass(Duration::from_secs(10), 3, 3);
        ledger.pass(Duration::from_secs(20), 0, 0);
        ledger.scale(3, 0);
        ledger.scale(0, 1);
        assert!((ledger.pod_seconds - 30.0).abs() < 1e-9, "{}", ledger.pod_seconds);
        assert!((ledger.asleep_seconds - 20.0).abs() < 1e-9, "{}", ledger.asleep_seconds);
        assert_eq!((ledger.scaled_up, ledger.scaled_down, ledger.wakes), (1, 1, 1));
    }
}
