//! At what age each stream ends, and how far ends are spread at shutdown.
//!
//! All scaled objects of a cluster share one connection: streams that end together come back
//! together. So each has an age of its own, from its number and a seed; nothing here is secret.

use std::time::Duration;

/// KEDA resets its back-off only at a clean end, so a stream must have one now and then.
const AGE_MIN: Duration = Duration::from_secs(30 * 60);

/// What the uniform draw adds at most: all streams have ended within 90 minutes, well before the
/// connection is asked to at 2 h.
const AGE_SPREAD: Duration = Duration::from_secs(60 * 60);

/// When there is no room for a scaler its stream ends sooner, for KEDA to ask again.
const UNSERVED_MIN: Duration = Duration::from_secs(30);

/// See [`UNSERVED_MIN`].
const UNSERVED_SPREAD: Duration = Duration::from_secs(60);

/// At shutdown; KEDA comes back 2 s after an end, and 10 s are all there is.
const ENDING_SPREAD: Duration = Duration::from_secs(2);

/// The draws of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ages {
    draw: u64,
}

impl Ages {
    /// Those of stream `number` of a server with `seed`.
    pub(crate) const fn of(seed: u64, number: u64) -> Self {
        Self { draw: mix(seed ^ mix(number)) }
    }

    /// Age at which it ends: 30 to 90 minutes.
    pub(crate) fn end(self) -> Duration {
        AGE_MIN + share(AGE_SPREAD, self.draw)
    }

    /// The same when there was no room: 30 to 90 seconds.
    pub(crate) fn unserved_end(self) -> Duration {
        UNSERVED_MIN + share(UNSERVED_SPREAD, self.draw)
    }

    /// Delay of its end at shutdown: 0 to 2 s.
    pub(crate) fn last_moment(self) -> Duration {
        share(ENDING_SPREAD, self.draw)
    }
}

/// `span` times a draw between 0 and 1, in whole milliseconds.
fn share(span: Duration, draw: u64) -> Duration {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(draw % span_ms.saturating_add(1))
}

/// Finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the result depends on every
/// bit of the input.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Ages;

    #[test]
    fn ages_are_spread_evenly_over_30_to_90_minutes() {
        let mut tenths = [0_u32; 10];
        for number in 0..10_000 {
            let ages = Ages::of(7, number);
            let minutes = ages.end().as_secs() / 60;
            assert!((30..=90).contains(&minutes), "{minutes}");
            assert!(ages.last_moment().as_millis() <= 2_000);
            assert!((30..=90).contains(&ages.unserved_end().as_secs()));
            let tenth = usize::try_from(((minutes - 30) / 6).min(9)).unwrap();
            tenths[tenth] += 1;
        }
        // A uniform draw of 10 000 stays within 5 standard deviations (150) of 1 000 in each tenth.
        assert!(tenths.iter().all(|count| (850..=1150).contains(count)), "{tenths:?}");
    }

    #[test]
    fn another_seed_gives_other_ages_and_the_same_seed_the_same() {
        assert_eq!(Ages::of(1, 5).end(), Ages::of(1, 5).end());
        assert_ne!(Ages::of(1, 5).end(), Ages::of(2, 5).end());
    }
}
