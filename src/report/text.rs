//! A report as a block of text, for terminals.
//!
//! The first line says who and how many; the rest says why, one fact a line. No colour, no cursor
//! movement: the same bytes go to a terminal, a pipe and a file.

use std::fmt;

use crate::engine::decision::State;
use crate::report::facts::{Answer, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first_line(f)?;
        for term in &self.terms {
            let mark = if term.binding { "  <- binding" } else { "" };
            row(f, "demand", format_args!("{:>8.2}  {}{mark}", term.replicas, term.text))?;
        }
        for reason in &self.reasons {
            row(f, "reason", &reason.text)?;
        }
        self.last_lines(f)
    }
}

impl Report {
    fn first_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.map_or("starting", State::name);
        writeln!(
            f,
            "{}/{}  {}  ({state}, current {}, ready {}, data age {})",
            self.namespace,
            self.name,
            told(&self.answer),
            count(self.current),
            count(self.ready),
            seconds(self.data_age_seconds),
        )
    }

    fn last_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.answer.error {
            row(f, "error", error)?;
        }
        if let (Some(sent), true) = (self.answer.sent, self.answer.sent != self.answer.desired) {
            row(f, "sent", format_args!("{sent}, to leave the HPA's dead band"))?;
        }
        if let Some(unmasked) = &self.unmasked {
            row(f, "shadow", format_args!("would say {}", told(unmasked)))?;
        }
        for fault in &self.faults {
            row(f, "unread", fault)?;
        }
        for searched in &self.searched {
            let found = searched.found.as_deref().unwrap_or("not found");
            row(f, "metric", format_args!("{}: {found}", searched.role))?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, text: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {what:<9} {text}")
}

fn told(answer: &Answer) -> String {
    match (answer.desired, &answer.error) {
        (Some(desired), _) => format!("desired {desired}"),
        (None, Some(_)) => "no number".to_owned(),
        (None, None) => "not decided yet".to_owned(),
    }
}

fn count(replicas: Option<u32>) -> String {
    replicas.map_or_else(|| "unknown".to_owned(), |n| n.to_string())
}

fn seconds(age: Option<f64>) -> String {
    age.map_or_else(|| "unknown".to_owned(), |age| format!("{age:.0} s"))
}
