//! What a backtest found, told to people and to programs.
//!
//! Given a [`Backtest`], promises the same figures as a table for a terminal, as JSON (a contract) and
//! as one page that opens without a network. The same input gives the same bytes. Running the
//! backtest, and writing to files and streams, is left to the callers.

pub mod advice;
pub mod data;
pub mod figures;
pub mod html;
pub mod json;
pub mod table;

mod columns;
mod money;
mod page_data;
mod sections;
pub(crate) mod words;

pub use data::{ALWAYS_ON, Backtest, CLAIRVOYANT, Entry, Point, Trace, World, is_bound};
