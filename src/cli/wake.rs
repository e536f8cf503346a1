//! `prescale wake NAMESPACE/NAME`: asks a running server for a pod of a workload that sleeps.
//!
//! With `--wait` it asks again every few seconds, which renews the lease, until a pod serves. The end of
//! the wait is the server's: it gives an unanswered wake up and says so.

use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::cli::ask::{self, Server, ServerUrl};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print};
use crate::report::one_line;

/// Between two looks with `--wait`: a scaler may be asked for once a second.
const AGAIN: Duration = Duration::from_secs(3);

/// What `wake` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Namespace and name of the scaled object
    #[arg(value_name = "NAMESPACE/NAME")]
    scaler: String,
    #[command(flatten)]
    url: ServerUrl,
    /// File with a token for wakes (the server's wake.tokenFile)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token itself, where there is no file
    #[arg(
        long,
        env = "PRESCALE_WAKE_TOKEN",
        value_name = "TOKEN",
        hide = true,
        hide_env_values = true
    )]
    token: Option<String>,
    /// Wait until a pod serves, or the server gives the wake up
    #[arg(long)]
    wait: bool,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Examples, below the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  prescale wake team-a/llama --token-file token
  PRESCALE_WAKE_TOKEN=... prescale wake team-a/llama --wait
The answer is explained in docs/wake.md.";

/// What of the answer is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    active: bool,
    expected_ready_seconds: u64,
    lease_until: String,
    peers: Option<Peers>,
}

#[derive(Debug, Deserialize)]
struct Peers {
    known: usize,
    holding: usize,
}

/// Wakes, and waits if that is wanted.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args { scaler, url, token_file, token, wait, output } = args;
    let (namespace, name) = ask::named(scaler)?;
    let token = match token_file {
        Some(path) => Some(ask::token(path)?),
        None => token.as_deref().map(|token| token.trim().to_owned()),
    };
    let server = Server::at(url, token)?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let json = runtime.block_on(async {
        let mut json = server.wake(namespace, name).await?;
        while *wait && !serves(&json)? {
            progress(&json)?;
            tokio::time::sleep(AGAIN).await;
            json = server.wake(namespace, name).await?;
        }
        anyhow::Ok(json)
    })?;
    let text = match output {
        Output::Json => format!("{json:#}\n"),
        Output::Table => format!("{}\n", line(scaler, &told(&json)?)),
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

fn told(json: &Value) -> anyhow::Result<Told> {
    Told::deserialize(json).context("failed to understand the answer")
}

fn serves(json: &Value) -> anyhow::Result<bool> {
    Ok(told(json)?.expected_ready_seconds == 0)
}

/// One line that is written over, for whoever looks at it.
fn progress(json: &Value) -> anyhow::Result<()> {
    let told = told(json)?;
    let line = format!("waking: about {} s until a pod serves", told.expected_ready_seconds);
    let mut err = stderr();
    let end = if console::user_attended_stderr() { "\x1b[K\r" } else { "\n" };
    // Nobody is left to be told when standard error is closed.
    drop(err.write_all(format!("{line}{end}").as_bytes()));
    Ok(())
}

fn line(scaler: &str, told: &Told) -> String {
    let Told { active, expected_ready_seconds, lease_until, peers } = told;
    let (scaler, until) = (one_line(scaler), one_line(lease_until));
    let state = match (active, expected_ready_seconds) {
        (true, 0) => format!("serves, and stays until {until} at least"),
        (true, seconds) => {
            format!("wakes: about {seconds} s until a pod serves, held until {until} at most")
        }
        (false, _) => format!("will wake with the next tick, held until {until} at most"),
    };
    let peers = peers.as_ref().map(|it| format!("; held by {} of {} peers", it.holding, it.known));
    format!("{scaler} {state}{}", peers.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{line, told};

    #[test]
    fn the_line_says_what_happens_and_for_how_long() {
        let rows = [
            (r#"true,"expectedReadySeconds":180"#, "wakes: about 180 s until a pod serves, held"),
            (r#"true,"expectedReadySeconds":0"#, "serves, and stays until T at least"),
            (r#"false,"expectedReadySeconds":9"#, "will wake with the next tick, held until T"),
        ];
        for (part, expected) in rows {
            let json = format!(r#"{{"active":{part},"leaseUntil":"T","later":1}}"#);
            let text = line("ns/llama", &told(&serde_json::from_str(&json).unwrap()).unwrap());
            assert!(text.starts_with(&format!("ns/llama {expected}")), "{text}");
        }
        let json = r#"{"active":true,"expectedReadySeconds":0,"leaseUntil":"T",
                       "peers":{"known":2,"holding":1}}"#;
        let text = line("a/b", &told(&serde_json::from_str(json).unwrap()).unwrap());
        assert!(text.ends_with("; held by 1 of 2 peers"), "{text}");
    }
}
