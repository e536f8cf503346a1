//! What a backtest can be fed: trace files good and bad, a scripted server, a real Prometheus.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod server;

#[path = "inputs/files.rs"]
mod files;
#[path = "inputs/generated.rs"]
mod generated;
#[path = "inputs/history.rs"]
mod history;

use prescale::backtest::input::InputError;

/// An error with all its causes, as the command line shows it.
fn told(error: &InputError) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        parts.push(below.to_string());
        cause = below.source();
    }
    parts.join(": ")
}
