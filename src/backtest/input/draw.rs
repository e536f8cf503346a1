//! Recorded requests and counts to the requests of one run, by a seed.
//!
//! Pure. Given sorted input, it promises sorted output in one allocation: a week of a large service
//! is a gigabyte.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::replay::random::Random;
use crate::engine::replay::request::Arrival;
use crate::engine::units::Ratio;

/// Copies of a recorded request come within this time of it.
///
/// A burst is many requests within a second or two. Copies spread over much more would make a busy
/// plateau of it; copies at the very same instant would be one request of many prompts, which no
/// population of users sends. A second keeps the counts of every few seconds in proportion.
pub(crate) const SPREAD: Duration = Duration::from_secs(1);

/// One recorded request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// Microseconds since the beginning.
    pub(crate) at_micros: u64,
    /// Tokens of its prompt.
    pub(crate) prompt: u32,
    /// Tokens generated.
    pub(crate) output: u32,
}

/// Requests counted over some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// When it begins, since the beginning of the trace.
    pub(crate) at: Duration,
    /// How long it lasts.
    pub(crate) width: Duration,
    /// Requests; may be a fraction.
    pub(crate) count: f64,
    /// Prompt tokens of each.
    pub(crate) prompt: u32,
    /// Output tokens of each.
    pub(crate) output: u32,
}

/// A request as it reaches the gateway: at least one token each way, one of the prompt not cached.
pub(crate) fn arrival(at: Duration, (prompt, output): (u32, u32), cached: Ratio) -> Arrival {
    let (prompt, output) = (prompt.max(1), output.max(1));
    let cached = tokens(f64::from(prompt) * cached.get()).min(prompt - 1);
    Arrival { at, prompt, cached, output }
}

/// Each request as often as `scale` says: the whole part of it, and once more by chance for the
/// rest. The first copy stays where it was, the others follow within [`SPREAD`].
pub(crate) fn repeated(
    requests: &[Request],
    cached: Ratio,
    seed: u64,
    scale: f64,
) -> Arc<[Arrival]> {
    let mut random = Random::new(seed);
    let (copies, mut places) = (random.split(), random.split());
    let counted = |mut copies: Random| requests.iter().map(move |_| rounded(scale, &mut copies));
    let total: u64 = counted(copies.clone()).sum();
    let copied = requests.iter().zip(counted(copies)).flat_map(|(request, count)| {
        let Request { at_micros, prompt, output } = *request;
        let at = Duration::from_micros(at_micros);
        let mut place = |copy: u64| {
            if copy == 0 { at } else { at + SPREAD.mul_f64(places.unit()) }
        };
        let instants: Vec<Duration> = (0..count).map(&mut place).collect();
        instants.into_iter().map(move |at| arrival(at, (prompt, output), cached))
    });
    let mut arrivals = collected(total, copied);
    if let Some(all) = Arc::get_mut(&mut arrivals) {
        all.sort_by_key(|arrival| arrival.at);
    }
    arrivals
}

/// The counted requests, times `scale`, each anywhere within its step with equal chance. What a
/// Poisson process looks like once its count is known.
pub(crate) fn placed(steps: &[Step], cached: Ratio, seed: u64, scale: f64) -> Arc<[Arrival]> {
    let mut random = Random::new(seed);
    let (counts, mut places) = (random.split(), random.split());
    let counted =
        |mut counts: Random| steps.iter().map(move |step| rounded(step.count * scale, &mut counts));
    let total: u64 = counted(counts.clone()).sum();
    let drawn = steps.iter().zip(counted(counts)).flat_map(|(step, count)| {
        let mut place = |_| step.at + step.width.mul_f64(places.unit());
        let mut instants: Vec<Duration> = (0..count).map(&mut place).collect();
        instants.sort_unstable();
        let size = (step.prompt, step.output);
        instants.into_iter().map(move |at| arrival(at, size, cached))
    });
    collected(total, drawn)
}

/// All of them in one allocation, which a collection of unknown length would need twice.
fn collected(total: u64, mut arrivals: impl Iterator<Item = Arrival>) -> Arc<[Arrival]> {
    let total = usize::try_from(total).unwrap_or(usize::MAX);
    #[expect(clippy::expect_used, reason = "the same stream counted them and gives them")]
    let next = |_| arrivals.next().expect("as many arrivals as were counted");
    (0..total).map(next).collect()
}

/// `value` as a whole number: up with the chance of its fraction, so that the mean is `value`.
fn rounded(value: f64, random: &mut Random) -> u64 {
    whole(value) + u64::from(random.unit() < value.fract())
}

/// The whole part of `value`; zero below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates at both ends, and callers stay far below 2^53"
)]
pub(crate) const fn whole(value: f64) -> u64 {
    value as u64
}

/// The whole part of `value` as tokens.
pub(crate) fn tokens(value: f64) -> u32 {
    u32::try_from(whole(value)).unwrap_or(u32::MAX)
}

/// How many, as a number to calculate with; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "no collection has 2^53 items")]
pub(crate) const fn as_f64(items: usize) -> f64 {
    items as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop, proptest};

    use super::{Request, Step, arrival, as_f64, placed, repeated};
    use crate::engine::units::Ratio;

    const NOTHING: f64 = 0.0;

    fn share(value: f64) -> Ratio {
        Ratio::try_new(value).unwrap()
    }

    fn steps(counts: &[f64]) -> Vec<Step> {
        let step = |(idx, count): (usize, &f64)| Step {
            at: Duration::from_secs(60) * u32::try_from(idx).unwrap(),
            width: Duration::from_secs(60),
            count: *count,
            prompt: 700,
            output: 30,
        };
        counts.iter().enumerate().map(step).collect()
    }

    #[test]
    fn the_share_that_a_cache_answers_never_is_the_whole_prompt() {
        let rows = [
            ((1000, 200), 0.5, (1000, 500, 200)),
            ((1000, 200), 1.0, (1000, 999, 200)),
            ((3, 1), 0.5, (3, 1, 1)),
            ((1, 0), 1.0, (1, 0, 1)),
            ((0, 0), 0.0, (1, 0, 1)),
        ];
        for (size, cached, expected) in rows {
            let made = arrival(Duration::ZERO, size, share(cached));
            assert_eq!((made.prompt, made.cached, made.output), expected, "{size:?} at {cached}");
        }
    }

    #[test]
    fn a_factor_repeats_or_thins_and_copies_stay_within_a_second() {
        let request = |at_micros| Request { at_micros, prompt: 10, output: 2 };
        let requests: Vec<Request> = (0..4000).map(|idx| request(idx * 5_000_000)).collect();
        for (scale, low, high) in [(1.0, 4000, 4000), (8.0, 32_000, 32_000)] {
            let drawn = repeated(&requests, share(NOTHING), 3, scale);
            assert!((low..=high).contains(&drawn.len()), "{scale}: {}", drawn.len());
        }
        // Standard deviation at a half is sqrt(1000) = 32: five of them.
        for (scale, mean) in [(0.5, 2000.0), (2.5, 10_000.0)] {
            let drawn = repeated(&requests, share(NOTHING), 3, scale);
            assert!((as_f64(drawn.len()) - mean).abs() < 160.0, "{scale}: {}", drawn.len());
            let late = |at: Duration| at.as_micros() % 5_000_000;
            assert!(drawn.iter().all(|arrival| late(arrival.at) < 1_000_000), "{scale}");
        }
    }

    #[test]
    fn fractions_come_out_in_the_mean() {
        // 10 000 steps of 0.25: standard deviation 43, five of them.
        let drawn = placed(&steps(&[0.25; 10_000]), share(NOTHING), 1, 1.0);
        assert!((as_f64(drawn.len()) - 2500.0).abs() < 217.0, "{}", drawn.len());
        let scaled = placed(&steps(&[0.25; 10_000]), share(NOTHING), 1, 4.0);
        assert_eq!(scaled.len(), 10_000);
    }

    #[test]
    fn counts_are_placed_evenly_over_their_step() {
        let drawn = placed(&steps(&[40_000.0]), share(NOTHING), 5, 1.0);
        let early = drawn.iter().filter(|arrival| arrival.at < Duration::from_secs(15)).count();
        // A quarter, standard deviation 87: five of them.
        assert!((as_f64(early) - 10_000.0).abs() < 433.0, "{early}");
    }

    proptest! {
        #[test]
        fn every_counted_request_arrives_once_in_order_and_in_its_step(
            counts in prop::collection::vec(0_u32..40, 1..50),
            seed in any::<u64>(),
        ) {
            let given: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
            let drawn = placed(&steps(&given), share(NOTHING), seed, 1.0);
            assert!(drawn.is_sorted_by_key(|arrival| arrival.at));
            let mut seen = vec![0_u32; counts.len()];
            for arrival in drawn.iter() {
                seen[usize::try_from(arrival.at.as_secs() / 60).unwrap()] += 1;
                assert_eq!((arrival.prompt, arrival.output), (700, 30));
            }
            assert_eq!(seen, counts);
            assert_eq!(drawn, placed(&steps(&given), share(NOTHING), seed, 1.0));
        }

        #[test]
        fn repeated_requests_are_sorted_and_the_same_for_a_seed(
            mut instants in prop::collection::vec(0_u64..10_000_000, 0..80),
            seed in any::<u64>(),
            scale in 0.1_f64..6.0,
        ) {
            instants.sort_unstable();
            let request = |at_micros: &u64| Request { at_micros: *at_micros, prompt: 9, output: 4 };
            let requests: Vec<Request> = instants.iter().map(request).collect();
            let drawn = repeated(&requests, share(NOTHING), seed, scale);
            assert!(drawn.is_sorted_by_key(|arrival| arrival.at));
            assert_eq!(drawn, repeated(&requests, share(NOTHING), seed, scale));
            let once = repeated(&requests, share(NOTHING), seed, 1.0);
            assert!(once.iter().map(|arrival| arrival.at).eq(instants.iter().map(|at| Duration::from_micros(*at))));
        }
    }
}
