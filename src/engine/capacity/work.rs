//! Prompt and output tokens as one kind of work: shares of a replica's time.
//!
//! Given rates of tokens; promises finite numbers or `None`. What is learned from them is left to
//! [`crate::engine::capacity`].

use crate::engine::arrived::PROMPT_PER_OUTPUT;
use crate::engine::numeric::share;
use crate::engine::observation::Role;
use crate::engine::signals::PodReading;

/// A replica that prefills for more of its time than this says nothing about G: the rest, by which
/// its output is divided, is too small to be known.
const PREFILL_SHARE_MAX: f64 = 0.8;
/// Prompts that bind take half of a replica's time or more. Where output seems to, G is of other requests.
const OUTPUT_SHARE_MAX: f64 = 0.5;

/// Tokens per second of one replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tokens {
    /// Prompt tokens computed; absent where they are not counted.
    pub(super) prompt: Option<f64>,
    /// Tokens generated.
    pub(super) output: f64,
}

impl Tokens {
    /// What a pod did.
    pub(super) fn of(pod: &PodReading) -> Option<Self> {
        let cached = pod.rate(Role::CachedTokens).unwrap_or(0.0);
        let prompt = pod.rate(Role::PromptTokens).map(|prompt| (prompt - cached).max(0.0));
        Some(Self { prompt, output: pod.rate(Role::GenerationTokens)? })
    }

    /// Whether prompts are what keeps it busy.
    pub(super) fn prefill_binds(self) -> bool {
        self.prompt.is_some_and(|prompt| prompt > PROMPT_PER_OUTPUT * self.output)
    }
}

/// G as far as a replica showed it: its output over the share of time that prompts left, where
/// `prefill` is P. With P unknown, `g/G + p/(10 G) = 1`.
pub(super) fn generation(tokens: Tokens, prefill: Option<f64>) -> Option<f64> {
    let prompt = tokens.prompt.unwrap_or(0.0);
    let Some(prefill) = prefill else { return Some(tokens.output + prompt / PROMPT_PER_OUTPUT) };
    let busy = share(prompt, prefill)?;
    if busy > PREFILL_SHARE_MAX { None } else { share(tokens.output, 1.0 - busy) }
}

/// P as far as a replica showed it: its prompts over the share of time that output left, where
/// `generation` is G. With G unknown, what it computed beside its output.
pub(super) fn prefill(tokens: Tokens, generation: Option<f64>) -> Option<f64> {
    let Some(generation) = generation else { return tokens.prompt };
    let busy = share(tokens.output, generation)?;
    if busy > OUTPUT_SHARE_MAX { None } else { share(tokens.prompt?, 1.0 - busy) }
}

/// What one replica can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// G.
    pub(super) generation: f64,
    /// P, if known.
    pub(super) prefill: Option<f64>,
}

impl Speed {
    /// Seconds of a replica that a request takes.
    pub(super) fn seconds(self, uncached: f64, output: f64) -> Option<f64> {
        let prefill = self.prefill.unwrap_or(PROMPT_PER_OUTPUT * self.generation);
        Some(share(output, self.generation)? + share(uncached, prefill)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Speed, Tokens, generation, prefill};

    /// Prompt and output tokens per second, P -> G.
    fn check(prompt: Option<f64>, output: f64, prefill: Option<f64>, expected: Option<f64>) {
        let seen = generation(Tokens { prompt, output }, prefill);
        let near = match (seen, expected) {
            (Some(seen), Some(expected)) => (seen - expected).abs() < 1e-6,
            (seen, expected) => seen == expected,
        };
        assert!(near, "{prompt:?} {output} {prefill:?}: {seen:?} is not {expected:?}");
    }

    #[test]
    fn output_counts_for_the_time_that_prompts_left() {
        check(None, 100.0, None, Some(100.0));
        check(None, 100.0, Some(1000.0), Some(100.0));
        check(Some(0.0), 100.0, Some(1000.0), Some(100.0));
        check(Some(500.0), 50.0, Some(1000.0), Some(100.0));
        check(Some(500.0), 50.0, None, Some(100.0));
        check(Some(800.0), 20.0, Some(1000.0), Some(100.0));
        check(Some(801.0), 20.0, Some(1000.0), None);
        check(Some(5000.0), 20.0, Some(1000.0), None);
    }

    #[test]
    fn a_busy_replica_serves_what_it_was_seen_to_serve_under_any_assumption_about_prefill() {
        // Five requests of 2000 prompt and 300 output tokens per second.
        let tokens = Tokens { prompt: Some(10_000.0), output: 1500.0 };
        for prefill in [None, Some(13_000.0), Some(32_000.0), Some(1e9)] {
            let generation = generation(tokens, prefill).unwrap();
            let seconds = Speed { generation, prefill }.seconds(2000.0, 300.0).unwrap();
            // Two divisions.
            assert!((seconds - 0.2).abs() < 1e-9, "{prefill:?}: {seconds}");
        }
    }

    #[test]
    fn time_that_output_took_was_not_spent_on_prompts() {
        // Two requests of 4500 prompt and 400 output tokens per second; G is learned first.
        let tokens = Tokens { prompt: Some(9000.0), output: 800.0 };
        assert_eq!(prefill(tokens, None), Some(9000.0));
        for (given, expected) in
            [(Some(1600.0), Some(0.5)), (Some(1599.0), None), (None, Some(0.5))]
        {
            let generation = given.or_else(|| generation(tokens, None)).unwrap();
            let prefill = prefill(tokens, Some(generation));
            assert_eq!(prefill.is_some(), expected.is_some(), "{given:?}");
            let Some((prefill, expected)) = prefill.zip(expected) else { continue };
            let speed = Speed { generation, prefill: Some(prefill) };
            let seconds = speed.seconds(4500.0, 400.0).unwrap();
            assert!((seconds - expected).abs() < 1e-9, "{given:?}: {seconds}");
        }
    }
}
