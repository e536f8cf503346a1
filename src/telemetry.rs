//! Logs and the registry of our own metrics.
