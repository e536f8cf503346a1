//! `prescale backtest`: a history replayed under each policy, in a world measured before any claim.

pub mod input;
