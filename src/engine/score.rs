//! How well a forecast predicts a series that is known to its end, beside baselines: a rolling origin.
//!
//! Given a series, what disturbs it and the models, [`race::race`] shows every model the same steps one
//! by one and promises losses over the same targets of the same origins; no model sees a step before
//! its time, and a gap is neither filled nor scored. Reading files and showing figures is left to
//! others, and so is time: what an update takes is read from a stopwatch that is given.

pub mod data;
pub mod inject;
pub mod model;
pub mod models;
pub mod race;
pub mod series;
pub mod summary;

mod baselines;
mod tally;
mod targets;
