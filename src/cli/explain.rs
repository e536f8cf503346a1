//! `prescale explain NAMESPACE/NAME`: why there are as many replicas as there are.

use std::fmt::Write as _;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::ask::{self, At};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print};
use crate::report::one_line;

/// What `explain` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Namespace and name of the scaled object
    #[arg(value_name = "NAMESPACE/NAME")]
    scaler: String,
    /// Of several triggers the one with this hash, as `top` shows it; else the one that decided last
    #[arg(long, value_name = "HASH8")]
    trigger: Option<String>,
    #[command(flatten)]
    at: At,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// Examples, below the flags.
pub(super) const EXAMPLES: &str = "\
Examples:
  prescale explain team-a/llama
  prescale explain team-a/llama -o json --server http://prescale.prescale.svc:8080
The lines are explained in docs/explain.md.";

/// What of the API's answer is printed.
#[derive(Debug, Deserialize)]
struct Told {
    trigger: String,
    #[serde(default)]
    triggers: Vec<String>,
    #[serde(default)]
    explanation: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    topic: String,
    text: String,
}

/// Prints the explanation.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args { scaler, trigger, at, output } = args;
    let (namespace, name) = ask::named(scaler)?;
    let query: Vec<(&str, &str)> = trigger.iter().map(|it| ("trigger", it.as_str())).collect();
    let json =
        ask::with(at, async |server| server.get(&["scalers", namespace, name], &query).await)?;
    let text = match output {
        Output::Json => format!("{json:#}\n"),
        Output::Table => table(scaler, json)?,
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// A topic is named once; its lines stand below each other.
fn table(scaler: &str, json: Value) -> anyhow::Result<String> {
    let told: Told = serde_json::from_value(json).context("failed to understand the answer")?;
    let mut text = format!("{}  trigger {}", one_line(scaler), one_line(&told.trigger));
    let others = told.triggers.iter().filter(|it| **it != told.trigger);
    let others: Vec<String> = others.map(|it| one_line(it)).collect();
    if !others.is_empty() {
        text += " (others: ";
        text += &others.join(", ");
        text += ")";
    }
    text += "\n";
    if told.explanation.is_empty() {
        text += "  the server is older than this command and explains nothing: see -o json\n";
    }
    let wide = told.explanation.iter().map(|it| it.topic.chars().count()).max().unwrap_or(0);
    let mut before = "";
    for Line { topic, text: line } in &told.explanation {
        let shown = if topic == before { "" } else { topic };
        let _ = writeln!(text, "  {:wide$}  {}", one_line(shown), one_line(line));
        before = topic;
    }
    Ok(text)
}
