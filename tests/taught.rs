//! Whole processes of prescale over a real Prometheus that remembers nine days of a workload and goes on
//! scraping it: what is said of the forecast is the same wherever it is said, it is what a replay of the
//! same data says, and two processes say the same.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped or measured"
)]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/history.rs"]
mod history;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/http.rs"]
mod http;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/program.rs"]
mod program;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/prometheus.rs"]
mod server;

#[path = "taught/agreement.rs"]
mod agreement;
#[path = "taught/counted.rs"]
mod counted;
#[path = "taught/fleet.rs"]
mod fleet;
#[path = "taught/replayed.rs"]
mod replayed;
#[path = "taught/twins.rs"]
mod twins;

use std::time::Duration;

use prescale::clock::Clock;
use serde_json::Value;

use crate::program::Program;
use crate::server::Prometheus;

/// Learning nine days takes ten seconds of a core without optimisation, and others may have the cores.
const PATIENCE: Duration = Duration::from_secs(240);

/// The trigger: eight days and what is missing to a midnight, a number of replicas from the first minute
/// on, ticks as short as they may be.
const TRIGGER: [(&str, &str); 6] = [
    ("engine", "vllm"),
    ("model", "m"),
    ("requestRate", "0.75"),
    ("forecastHistory", "8d"),
    ("tick", "5s"),
    ("maxReplicas", "40"),
];

/// The trigger with one more key.
fn trigger<'a>(key: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    TRIGGER.into_iter().chain([(key, value)]).collect()
}

fn now_ms() -> i64 {
    Clock::system().now().unix_ms()
}

/// A configuration file of the server.
fn config(prometheus: &Prometheus, data_dir: &std::path::Path) -> String {
    format!(
        "dataDir: {}\ndatasources: {{default: {{url: '{}'}}}}\n",
        data_dir.display(),
        prometheus.url()
    )
}

/// What the API says of the scaler.
async fn told(program: &Program) -> Value {
    let text = program.get("/api/v1/scalers/llm/chat").await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

/// Asks as KEDA does until `enough` of what the API says.
async fn until(program: &Program, trigger: &[(&str, &str)], enough: fn(&Value) -> bool) -> Value {
    let clock = Clock::system();
    loop {
        // No number before the first reading.
        drop(program.ask(program::metadata("llm", "chat", trigger)).await);
        let told = told(program).await;
        if enough(&told) {
            return told;
        }
        assert!(clock.elapsed() < PATIENCE, "{told:#}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Its past is read to the end, a decision was made with it, and its forecast is a number of replicas.
fn is_taught(told: &Value) -> bool {
    let history = told["history"].as_str().unwrap_or_default();
    let foreseen = &told["foreseen"];
    history.starts_with("read;") && foreseen["stage"] == "week" && foreseen["replicas"].is_u64()
}
