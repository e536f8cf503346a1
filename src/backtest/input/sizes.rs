//! How large requests are where the trace does not tell, and how much of each a cache answers.

use crate::engine::units::Ratio;

/// Sizes of requests where the trace does not tell them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Tokens of the prompt; 0 counts as 1.
    pub prompt: u32,
    /// Tokens generated; 0 counts as 1.
    pub output: u32,
    /// Share of every prompt, told by the trace or not, that a warm prefix cache answers; the last
    /// token is always computed.
    pub cached: Ratio,
}

impl Default for Sizes {
    /// 1000 in, 200 out, nothing cached: a chat with some context.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "zero is in 0..=1")]
        let cached = Ratio::try_new(0.0).expect("zero is a share");
        Self { prompt: 1000, output: 200, cached }
    }
}
