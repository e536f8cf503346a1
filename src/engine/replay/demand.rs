//! What the requests of a trace ask of replicas, second by second: known only to whoever may look at
//! the whole trace, the clairvoyant and the operator who plans from history.
//!
//! Given arrivals and what one replica carries of their mix, promises work in replica-seconds: a
//! trace that arrives at the knee asks for exactly one replica, and each request for its share by
//! the tokens it costs. Whether replicas can be had in time is left to others.

use std::time::Duration;

use crate::engine::numeric::count;
use crate::engine::replay::profile::Profile;
use crate::engine::replay::request::Arrival;

/// Work that arrives, accumulated per second.
#[derive(Debug, Clone)]
pub struct Demand {
    /// Replica-seconds that arrived before the end of each second; the first is 0 at the beginning.
    sums: Vec<f64>,
}

impl Demand {
    /// Of `arrivals`, of whose mix one replica carries `knee` per second; none when that is not
    /// above zero.
    #[must_use]
    pub fn of(arrivals: &[Arrival], profile: &Profile, knee: f64, length: Duration) -> Self {
        let seconds = usize::try_from(length.as_secs().max(1)).unwrap_or(usize::MAX);
        let mut sums = vec![0.0; seconds.saturating_add(1)];
        let costs = costs(arrivals, profile, knee);
        for (arrival, cost) in arrivals.iter().zip(costs) {
            let second = usize::try_from(arrival.at.as_secs()).unwrap_or(usize::MAX);
            if let Some(sum) = sums.get_mut(second.saturating_add(1)) {
                *sum += cost;
            }
        }
        let mut sum = 0.0;
        for slot in &mut sums {
            sum += *slot;
            *slot = sum;
        }
        Self { sums }
    }

    /// Replicas that were busy on average if what arrived in the seconds `from..to` were done in
    /// that time.
    #[must_use]
    pub fn mean(&self, from: u64, to: u64) -> f64 {
        let at = |second: u64| {
            let idx = usize::try_from(second).unwrap_or(usize::MAX).min(self.sums.len() - 1);
            self.sums.get(idx).copied().unwrap_or(0.0)
        };
        let span = Duration::from_secs(to.saturating_sub(from)).as_secs_f64();
        if span > 0.0 { (at(to) - at(from)) / span } else { 0.0 }
    }

    /// The largest mean over `window` that ends in `from..=to`; before the beginning nothing came.
    #[must_use]
    pub fn peak(&self, from: u64, to: u64, window: Duration) -> f64 {
        let window = window.as_secs().max(1);
        let last = to.min(self.seconds().saturating_add(window));
        let means = (from..=last.max(from)).map(|end| match end.checked_sub(window) {
            Some(begin) => self.mean(begin, end),
            None => self.mean(0, end) * share(end, window),
        });
        means.fold(0.0, f64::max)
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.sums.len() - 1).unwrap_or(u64::MAX)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    Duration::from_secs(part).div_duration_f64(Duration::from_secs(whole))
}

/// Replica-seconds of each request. Its own tokens cost what the profile says: prompt tokens that
/// are not cached, and for each output token a place in the batch and the reading of the KV cache so
/// far. What is left of a replica-second at the knee is the iterations' base, spread evenly over
/// output tokens. So the mean request costs `1 / knee` by construction.
fn costs(arrivals: &[Arrival], profile: &Profile, knee: f64) -> Vec<f64> {
    let requests = f64::from(count(arrivals.len()));
    if !(knee.is_finite() && knee > 0.0 && requests > 0.0) {
        return vec![0.0; arrivals.len()];
    }
    let own = |arrival: &Arrival| {
        let (prompt, output) = (f64::from(arrival.prompt), f64::from(arrival.output));
        let computed = f64::from(arrival.prompt.saturating_sub(arrival.cached));
        let context = prompt + output / 2.0;
        let token = profile.per_sequence + profile.per_kv_token * context;
        profile.per_token * computed + token * output
    };
    let mean = |of: &dyn Fn(&Arrival) -> f64| arrivals.iter().map(of).sum::<f64>() / requests;
    let outputs = mean(&|arrival| f64::from(arrival.output)).max(1.0);
    let base = ((1.0 / knee - mean(&own)) / outputs).max(0.0);
    let cost = |arrival: &Arrival| own(arrival) + base * f64::from(arrival.output);
    let scale = 1.0 / (knee * mean(&cost));
    if !scale.is_finite() {
        return vec![1.0 / knee; arrivals.len()];
    }
    arrivals.iter().map(|arrival| cost(arrival) * scale).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Demand;
    use crate::engine::replay::profile::Profile;
    use crate::engine::replay::request::Arrival;

    fn arrival(second: u64, prompt: u32, output: u32) -> Arrival {
        Arrival { at: Duration::from_secs(second), prompt, cached: 0, output }
    }

    fn demand(arrivals: &[Arrival], knee: f64) -> Demand {
        let profile = Profile::llama_3_8b_h100();
        Demand::of(arrivals, &profile, knee, Duration::from_secs(100))
    }

    /// A millionth: sums of a hundred products.
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    }

    #[test]
    fn a_trace_at_the_knee_asks_for_one_replica() {
        let arrivals: Vec<Arrival> = (0..200).map(|half| arrival(half / 2, 1000, 200)).collect();
        for (knee, expected) in [(2.0, 1.0), (1.0, 2.0), (4.0, 0.5)] {
            near(demand(&arrivals, knee).mean(0, 100), expected);
        }
    }

    #[test]
    fn a_request_costs_its_share_by_tokens() {
        let mixed = [arrival(0, 500, 100), arrival(10, 4000, 800)];
        let demand = demand(&mixed, 0.5);
        let (small, large) = (demand.mean(0, 10) * 10.0, demand.mean(10, 20) * 10.0);
        near(small + large, 4.0);
        // Eight times the tokens cost eight times as much, and more for a longer context; by hand,
        // 0.0155 + 100 x (4.4 us + 76 ns x 550 + base) and 0.124 + 800 x (4.4 us + 76 ns x 4400 + base)
        // with base = (2 - mean) / 450.
        let (own_small, own_large) = (0.0155 + 100.0 * 46.2e-6, 0.124 + 800.0 * 338.8e-6);
        let base = (2.0 - (own_small + own_large) / 2.0) / 450.0;
        near(small, own_small + 100.0 * base);
        near(large, own_large + 800.0 * base);
    }

    #[test]
    fn the_peak_is_a_mean_over_the_window() {
        // 30 requests in second 50, one replica-second each.
        let burst: Vec<Arrival> = (0..30).map(|_| arrival(50, 1000, 200)).collect();
        let demand = demand(&burst, 1.0);
        let window = Duration::from_secs(10);
        let rows = [(0, 50, 0.0), (0, 51, 3.0), (51, 51, 3.0), (60, 60, 3.0), (61, 90, 0.0)];
        for (from, to, expected) in rows {
            near(demand.peak(from, to, window), expected);
        }
        near(demand.peak(0, 500, Duration::from_secs(300)), 0.1);
    }

    #[test]
    fn no_knee_and_no_requests_are_no_demand() {
        let one = [arrival(3, 10, 10)];
        for (arrivals, knee) in [(&one[..], 0.0), (&one[..], f64::NAN), (&[][..], 1.0)] {
            near(demand(arrivals, knee).peak(0, 100, Duration::from_secs(5)), 0.0);
        }
        near(demand(&one, 1.0).mean(200, 100), 0.0);
    }
}
