//! `prescale check`: what a ScaledObject's YAML would come to, before it is applied.
//!
//! Given files of Kubernetes manifests, any kinds, several documents each, that belong together.
//! Promises every fault of our keys, the traps of KEDA and the HPA around them, what of the workload
//! they bear on, and the settings in force. No cluster is asked, and a datasource only where one is
//! named ([`check_at`]).

mod address;
mod annotations;
mod connection;
mod fallback;
mod fields;
mod finding;
mod flag;
mod form;
mod formula;
mod manifest;
mod modifiers;
mod object;
mod observed;
mod placeholder;
mod quantity;
mod queries;
mod reference;
mod render;
mod rivals;
mod scaled;
mod schema;
mod target;
mod trigger;
mod zero;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::cli::check::finding::{Findings, Place};
use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::object::{BEHAVIOR, BEHAVIOR_KEY};
use crate::cli::check::queries::{Server, Trial};
use crate::cli::check::scaled::Object;
use crate::cli::check::trigger::Understood;
use crate::source::config::Error;

pub use finding::{Finding, Level, Report, Setting, Trigger};
pub use render::{Format, write_keys};

/// Largest file read: manifests are kilobytes.
const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing of level error.
    Fine,
    /// At least one finding of level error.
    Errors,
    /// A file could not be read or is not YAML, or the datasource did not answer.
    Unreadable,
}

impl Outcome {
    /// The exit code: 0, 1 or 2.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Errors => 1,
            Self::Unreadable => 2,
        }
    }
}

/// Checks `files` (`-` is standard input) and writes the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(files: &[PathBuf], format: Format, out: &mut dyn Write) -> io::Result<Outcome> {
    write(&check(files), format, out)
}

/// Writes `report`; how it ends the command.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(report: &Report, format: Format, out: &mut dyn Write) -> io::Result<Outcome> {
    render::write(report, format, out)?;
    Ok(outcome(report))
}

/// How a report ends the command.
#[must_use]
pub fn outcome(report: &Report) -> Outcome {
    if report.unreadable > 0 {
        Outcome::Unreadable
    } else if report.count(Level::Error) > 0 {
        Outcome::Errors
    } else {
        Outcome::Fine
    }
}

/// Checks `files`.
#[must_use]
pub fn check(files: &[PathBuf]) -> Report {
    checked(files).0
}

/// Checks `files`, and tries the queries of their triggers at the Prometheus-compatible server at
/// `url`, once, now. It stands for whatever datasource a trigger names.
///
/// # Errors
/// When `url` is not one; before any file is read.
pub async fn check_at(files: &[PathBuf], url: &str) -> Result<Report, Error> {
    let server = Server::open(url)?;
    let (mut report, trials) = checked(files);
    match server.tried(&trials).await {
        Ok(findings) => report.findings.extend(findings),
        Err(kind) => {
            let reason = format!("{}: no query was tried", kind.words());
            unreadable("--prometheus-url", &reason, &mut report);
        }
    }
    Ok(report)
}

fn checked(files: &[PathBuf]) -> (Report, Vec<Trial>) {
    let mut report = Report::default();
    let mut texts = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match read(file) {
            Ok(text) => texts.extend(parsed(&name, &text, &mut report).map(|all| (name, all))),
            Err(error) => unreadable(&name, &error.to_string(), &mut report),
        }
    }
    let trials = documents(&texts, &mut report);
    (report, trials)
}

/// Checks the documents of one `text`, called `file`, and adds to `report`.
pub fn check_text(file: &str, text: &str, report: &mut Report) {
    let texts: Vec<Text> =
        parsed(file, text, report).map(|all| (file.to_owned(), all)).into_iter().collect();
    documents(&texts, report);
}

/// A file's name and its documents.
type Text = (String, Vec<Manifest>);

fn parsed(file: &str, text: &str, report: &mut Report) -> Option<Vec<Manifest>> {
    let manifests = manifest::read(text);
    manifests.map_err(|error| unreadable(file, &error.to_string(), report)).ok()
}

/// Checks all documents, those of other files beside each; the triggers, to be tried.
fn documents(texts: &[Text], report: &mut Report) -> Vec<Trial> {
    let all: Vec<&Manifest> = texts.iter().flat_map(|(_, manifests)| manifests).collect();
    let mut trials = Vec::new();
    let mut findings = Findings::default();
    for (file, manifests) in texts {
        let mut ours = 0;
        for manifest in manifests {
            let Some(kind) = manifest.kind() else {
                form::kind(manifest, file, &mut findings);
                continue;
            };
            let found = (&mut findings, &mut report.triggers);
            let understood = scaled((kind, manifest), &all, file, found);
            ours += understood.len();
            let workload = reference::workload(manifest);
            let tried = |one| Trial::of(one, workload.as_ref());
            trials.extend(understood.into_iter().filter_map(tried));
        }
        if ours == 0 {
            let place = Place { file: file.clone(), ..Place::default() };
            findings.add(Level::Info, &place, "", "has no prescale trigger");
        }
    }
    if findings.0.iter().any(|finding| finding.key == BEHAVIOR_KEY) {
        report.recommended_behavior = Some(BEHAVIOR);
    }
    report.findings.extend(findings.0);
    trials
}

/// Checks one scaled object; the triggers of ours that it has.
fn scaled(
    (kind, manifest): (Kind, &Manifest),
    all: &[&Manifest],
    file: &str,
    (findings, triggers): (&mut Findings, &mut Vec<Trigger>),
) -> Vec<Understood> {
    let word = match kind {
        Kind::ScaledObject => "scaledobject",
        Kind::ScaledJob => "scaledjob",
    };
    let (namespace, name) = (manifest.namespace(), manifest.name());
    let object = format!("{word}/{namespace}/{name}");
    let place = Place { file: file.to_owned(), object, trigger: String::new() };
    let triggers_given = manifest.triggers();
    triggers_given.iter().for_each(|one| trigger::mistyped(one, &place, findings));
    let (mine, others): (Vec<_>, Vec<_>) = triggers_given.into_iter().partition(trigger::is_ours);
    let mut understood = Vec::new();
    if mine.is_empty() {
        return understood;
    }
    for one in &mine {
        let checked = trigger::check(one, (namespace, name), &place, findings);
        triggers.extend(trigger::settings(one, &checked));
        understood.push(checked);
    }
    form::check(manifest, &place, findings);
    annotations::check(kind, manifest, &place, findings);
    fields::check(kind, manifest, &place, findings);
    let object = Object { kind, manifest, ours: &understood, others: others.len() };
    object::check(&object, &place, findings);
    if kind == Kind::ScaledObject {
        rivals::check(manifest, all, &place, findings);
        target::check(&object, all, &place, findings);
    }
    understood
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let size = if file.as_os_str() == "-" {
        io::stdin().take(FILE_BYTES + 1).read_to_string(&mut text)?
    } else {
        std::fs::File::open(file)?.take(FILE_BYTES + 1).read_to_string(&mut text)?
    };
    if u64::try_from(size).unwrap_or(u64::MAX) > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 8 MiB"));
    }
    Ok(text)
}

fn unreadable(file: &str, reason: &str, report: &mut Report) {
    report.unreadable += 1;
    report.findings.push(Finding {
        level: Level::Error,
        file: file.to_owned(),
        object: String::new(),
        trigger: String::new(),
        key: String::new(),
        message: reason.to_owned(),
    });
}
