//! A report as text for people or as JSON for programs.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};

use crate::cli::check::finding::{Finding, Level, Report, Setting, Trigger};
use crate::spec::{Key, keys};

/// Wide enough for the settings, narrow enough for a terminal beside an editor.
const WIDTH: u16 = 100;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Writes `report`.
pub(crate) fn write(report: &Report, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, report)?;
            writeln!(out)
        }
        Format::Table => text(report, out),
    }
}

fn text(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for finding in &report.findings {
        one(finding, out)?;
    }
    if let Some(behavior) = report.recommended_behavior {
        writeln!(out, "\nrecommended in the spec of a ScaledObject:\n{behavior}")?;
    }
    for trigger in &report.triggers {
        writeln!(out, "\n{} {} {}", trigger.file, trigger.object, trigger.trigger)?;
        writeln!(out, "{}", settings(trigger))?;
        let unset: Vec<&str> = trigger
            .settings
            .iter()
            .filter(|setting| setting.value.is_none())
            .map(|setting| setting.key)
            .collect();
        wrapped("unset, learned or left to the HPA:", &unset, out)?;
    }
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    let triggers = report.triggers.len();
    let (triggers, errors) = (count(triggers, "trigger"), count(errors, "error"));
    writeln!(out, "{triggers} understood, {errors}, {}", count(warnings, "warning"))
}

/// Words behind a beginning, in lines as wide as the tables.
fn wrapped(beginning: &str, words: &[&str], out: &mut dyn Write) -> io::Result<()> {
    let mut line = beginning.to_owned();
    for word in words {
        if line.len() + word.len() >= usize::from(WIDTH) {
            writeln!(out, "{line}")?;
            line = "   ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn one(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let Finding { level, file, object, trigger, key, message } = finding;
    let place: Vec<&str> = [file, object, trigger, key]
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    writeln!(out, "{level}: {}: {message}", place.join(" "))
}

fn settings(trigger: &Trigger) -> Table {
    let mut table = table(["key", "value", "from"]);
    for Setting { key, value, given } in &trigger.settings {
        let Some(value) = value else { continue };
        let from = if *given { "given" } else { "default" };
        table.add_row([key, value.as_str(), from]);
    }
    table
}

/// Writes every key with its meaning, what it accepts and its default.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_keys(out: &mut dyn Write) -> io::Result<()> {
    for Key { name, meaning, accepted, default, multiline: _ } in keys() {
        writeln!(out, "{name}")?;
        let words: Vec<&str> = meaning.split(' ').collect();
        wrapped("   ", &words, out)?;
        writeln!(out, "    must be {accepted}; default: {default}")?;
    }
    Ok(())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header);
    table
}
