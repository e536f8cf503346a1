//! The parts of one tick's reading, each its own question and its own faults.
//!
//! A part is given where to ask and what to look for, and promises what it found together with what
//! kept it from finding more. How the parts become one observation is [`join`]'s.

pub(crate) mod asking;

pub(crate) mod arrivals;
pub(crate) mod candidates;
pub(crate) mod engine;
pub(crate) mod facts;
pub(crate) mod gateway;
pub(crate) mod held;
pub(crate) mod latency;
pub(crate) mod own;

pub(crate) mod direct;

pub(crate) mod join;
