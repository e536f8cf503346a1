//! The pure core: what was observed and `now` come in, a decision and its reasons go out.
//!
//! Nothing in here reads a clock, a file or the network, logs, or depends on the order of a hash.
//! Equal inputs and memory give equal bytes. The modules stand in the order in which they build on
//! each other: a module uses those above it only.

pub mod numeric;
pub mod rough;
pub mod units;

pub mod series;

pub mod calendar;

pub mod setup;

pub mod arrived;
pub mod observation;

pub mod histogram;
pub mod time_of_day;

pub mod decision;

pub mod signals;

pub mod capacity;
pub mod cold_start;
pub mod demand;

pub mod forecast;

pub mod foresight;

pub mod memory;

pub mod decide;

pub mod step;

pub mod invariants;

pub mod replay;

pub mod score;

#[cfg(test)]
mod demand_tests;
#[cfg(test)]
mod properties;
