//! Decisions to text and JSON: one wording for log, page, API and command line.
