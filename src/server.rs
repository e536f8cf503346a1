//! The running server: configuration, listeners, tasks and their graceful end.
