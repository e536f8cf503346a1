//! `prescale backtest`: a history replayed under each policy, in a world measured before any claim.

pub mod error;
pub mod options;
pub mod progress;

mod queue;
mod trigger;
