//! What a score found, told to people and to programs.
//!
//! Given [`Scores`](crate::engine::score::data::Scores), promises the same figures as a table for a
//! terminal, as JSON (a contract) and as one page that opens without a network. The same input gives
//! the same bytes. Scoring, and writing to files and streams, is left to the callers.

pub mod html;
pub mod json;
pub mod table;

mod charts;
mod plot;
mod words;
