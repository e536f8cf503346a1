//! A datasource, an instant and a target: what every part is given, and the note it keeps.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::observation::{Fault, FaultKind, Searched};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::prometheus::answer::{Answer, Data, Element};
use crate::source::prometheus::{Datasource, Unanswered};
use crate::spec::{Target, WorkloadRef};

/// What a part could not read, and what it looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Notes {
    /// What could not be read.
    pub(crate) faults: Vec<Fault>,
    /// What was looked for.
    pub(crate) searched: Vec<Searched>,
    /// A backend said that its answer is partial.
    pub(crate) partial: bool,
}

impl Notes {
    /// Adds another part's notes; a fault that is noted already is not repeated.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { faults, searched, partial } = other;
        for fault in faults {
            self.fault(fault);
        }
        self.searched.extend(searched);
        self.partial |= partial;
    }

    /// Notes a fault, once.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// Where to ask, as of when, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The server.
    pub(crate) datasource: &'a Datasource,
    /// The tick.
    pub(crate) at: Timestamp,
    /// What the trigger asks for.
    pub(crate) target: &'a Target,
    /// The workload, as far as it is known.
    pub(crate) workload: &'a WorkloadRef,
}

impl Asking<'_> {
    /// The answer to `query`, or a note of what kept it.
    pub(crate) async fn ask(&self, query: &str, notes: &mut Notes) -> Option<Arc<Answer>> {
        let answer = self.datasource.ask(query, self.at, &self.target.namespace).await;
        self.noted(answer, notes)
    }

    /// The same for a query that the user wrote.
    pub(crate) async fn ask_own(&self, query: &str, notes: &mut Notes) -> Option<Arc<Answer>> {
        let answer = self.datasource.ask_own(query, self.at, &self.target.namespace).await;
        self.noted(answer, notes)
    }

    fn noted(
        &self,
        answer: Result<Arc<Answer>, Unanswered>,
        notes: &mut Notes,
    ) -> Option<Arc<Answer>> {
        match answer {
            Ok(answer) => {
                if answer.partial {
                    notes.partial = true;
                    notes.fault(self.datasource.fault(FaultKind::Partial));
                }
                Some(answer)
            }
            Err(unanswered) => {
                for fault in self.datasource.faults(unanswered) {
                    notes.fault(fault);
                }
                None
            }
        }
    }

    /// The raw series that `query` selects; `None` when unanswered.
    pub(crate) async fn series(&self, query: &str, notes: &mut Notes) -> Option<Vec<RawSeries>> {
        match &self.ask(query, notes).await?.data {
            Data::Matrix(rows) => Some(rows.clone()),
            Data::Vector(_) | Data::Scalar(_) | Data::Text(_) => {
                notes.fault(self.datasource.fault(FaultKind::BadResponse));
                None
            }
        }
    }

    /// The elements that `query` evaluates to; `None` when unanswered.
    pub(crate) async fn elements(&self, query: &str, notes: &mut Notes) -> Option<Vec<Element>> {
        match &self.ask(query, notes).await?.data {
            Data::Vector(elements) => Some(elements.clone()),
            Data::Matrix(_) | Data::Scalar(_) | Data::Text(_) => {
                notes.fault(self.datasource.fault(FaultKind::BadResponse));
                None
            }
        }
    }
}

/// A search under `names`, and the one that is in `found`.
pub(crate) fn searched(role: &str, names: &[&str], found: &BTreeSet<&str>) -> Searched {
    Searched {
        role: role.to_owned(),
        tried: names.iter().map(|name| (*name).to_owned()).collect(),
        found: names.iter().find(|name| found.contains(*name)).map(|name| (*name).to_owned()),
    }
}
