//! Golden queries.
