//! `prescale top`: all scalers of a running server, a row each.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::ask::{self, At, Server};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print};
use crate::engine::decision::Short;
use crate::report::one_line;

/// Scalers per answer, as many as the API gives.
const PART: usize = 500;

/// What `top` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Of this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    at: At,
    /// How it is written
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// A scaler, as the API tells it and as `-o json` prints it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    trigger: String,
    strategy: Option<String>,
    reference: Option<String>,
    metric: Option<String>,
    metric_target: Option<f64>,
    metric_current: Option<f64>,
    desired: Option<u32>,
    /// Replicas there.
    current: Option<u32>,
    ready: Option<u32>,
    min: Option<u32>,
    max: Option<u32>,
    age_seconds: Option<f64>,
    stage: Option<String>,
    trust: Option<String>,
    skill: Option<f64>,
    lead_seconds: Option<f64>,
    state: Option<String>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Part {
    scalers: Vec<Row>,
    total: usize,
}

const HEADS: [&str; 16] = [
    "SCALER",
    "TRIGGER",
    "STRATEGY",
    "REFERENCE",
    "METRIC",
    "TARGET",
    "CURRENT",
    "DESIRED",
    "REPLICAS",
    "MIN",
    "MAX",
    "AGE",
    "STAGE",
    "SKILL",
    "LEAD",
    "STATE",
];

/// Columns of numbers stand to the right.
const NUMBERS: [usize; 6] = [5, 6, 7, 8, 9, 10];

/// Prints the table.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let Args { namespace, at, output } = args;
    let rows = ask::with(at, async |server| all(&server, namespace.as_deref()).await)?;
    let text = match output {
        Output::Json => format!("{:#}\n", json!({ "scalers": rows })),
        Output::Table if rows.is_empty() => {
            "no scaler yet: KEDA has not asked, or not in this namespace\n".to_owned()
        }
        Output::Table => table(&rows),
    };
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Part by part; a server whose list grows meanwhile is asked no more than it said at first.
async fn all(server: &Server, namespace: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let (mut rows, mut total) = (Vec::new(), 1);
    while rows.len() < total {
        let (skip, limit) = (rows.len().to_string(), PART.to_string());
        let mut query = vec![("skip", skip.as_str()), ("limit", limit.as_str())];
        query.extend(namespace.map(|namespace| ("namespace", namespace)));
        let json: Value = server.get(&["scalers"], &query).await?;
        let part: Part = serde_json::from_value(json).context("failed to understand the answer")?;
        if part.scalers.is_empty() {
            break;
        }
        total = part.total;
        rows.extend(part.scalers);
    }
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let wide = |idx: usize| lines.iter().map(|line| line[idx].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(wide).collect();
    let line = |cells: &[String; 16]| {
        let cell = |(idx, cell): (usize, &String)| {
            let wide = widths[idx];
            if NUMBERS.contains(&idx) { format!("{cell:>wide$}") } else { format!("{cell:wide$}") }
        };
        let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

fn cells(row: &Row) -> [String; 16] {
    let dash = || "-".to_owned();
    let text = |value: &Option<String>| value.as_deref().map_or_else(dash, one_line);
    let count = |value: Option<u32>| value.map_or_else(dash, |value| value.to_string());
    let real = |value: Option<f64>| value.map_or_else(dash, |value| Short(value).to_string());
    let skill = match (row.skill, row.trust.as_deref()) {
        (Some(skill), Some("demoted")) => format!("{skill:.2} demoted"),
        (Some(skill), _) => format!("{skill:.2}"),
        (None, _) => dash(),
    };
    [
        one_line(&format!("{}/{}", row.namespace, row.name)),
        one_line(&row.trigger),
        text(&row.strategy),
        text(&row.reference),
        text(&row.metric),
        real(row.metric_target),
        real(row.metric_current),
        count(row.desired),
        count(row.current),
        count(row.min),
        count(row.max),
        row.age_seconds.map_or_else(dash, age),
        text(&row.stage),
        skill,
        row.lead_seconds.map_or_else(dash, |lead| format!("{lead:.0}s")),
        row.state.as_deref().map_or_else(|| "starting".to_owned(), one_line),
    ]
}

/// As kubectl writes it: one unit.
fn age(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0}s"),
        seconds if seconds < 7200.0 => format!("{:.0}m", (seconds / 60.0).floor()),
        seconds if seconds < 172_800.0 => format!("{:.0}h", (seconds / 3600.0).floor()),
        seconds => format!("{:.0}d", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, age, table};

    #[test]
    fn what_is_not_known_is_a_dash_and_numbers_stand_to_the_right() {
        let row: Row = serde_json::from_str(
            r#"{"namespace":"team-a","name":"llama\n","trigger":"0123abcd","strategy":"auto",
                "desired":12,"metricTarget":5.0,"skill":1.3,"trust":"demoted","later":1}"#,
        )
        .unwrap();
        let text = table(&[row, Row::default()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("llama\\n") && lines[1].contains("1.30 demoted"), "{text}");
        let end = lines[0].find("DESIRED").unwrap() + "DESIRED".len();
        assert_eq!(&lines[1][end - 2..end], "12", "{text}");
        assert!(lines[2].ends_with("starting") && !text.contains("null"), "{text}");
    }

    #[test]
    fn ages_have_one_unit() {
        let rows = [(0.0, "0s"), (119.0, "119s"), (7199.0, "119m"), (90_000.0, "25h")];
        for (seconds, expected) in rows {
            assert_eq!(age(seconds), expected);
        }
    }
}
