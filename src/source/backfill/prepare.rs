//! What has to be known before the past can be asked for: the workload's name, the user's own queries as
//! they may be sent, and how often pods were scraped.

use std::time::Duration;

use crate::engine::observation::FaultKind;
use crate::engine::setup::{OwnRole, Setup};
use crate::engine::units::Timestamp;
use crate::source::backfill::queries::{Query, Subject, queries};
use crate::source::backfill::reason::{Reason, Stop};
use crate::source::backfill::scrapes::{self, Scrapes};
use crate::source::parts::asking::{Asking, Notes};
use crate::source::parts::own::Questions;
use crate::source::parts::{facts, gateway};
use crate::source::preset::asked;
use crate::source::prometheus::Datasource;
use crate::spec::{Target, WorkloadRef};

/// What is known of the workload, and what to ask.
#[derive(Debug)]
pub(super) struct Prepared {
    workload: WorkloadRef,
    questions: Questions,
    /// Whether its gateway may be asked.
    gateway: bool,
    scrapes: Option<Scrapes>,
    /// Of the stage that it was turned to; at least one.
    pub(super) queries: Vec<Query>,
}

/// Finds out what to ask for `target`, as of `now`.
///
/// # Errors
/// For good where there is nothing to ask; for now where the datasource did not answer.
pub(super) async fn prepared(
    datasource: &Datasource,
    (target, setup): (&Target, &Setup),
    now: Timestamp,
) -> Result<Prepared, Stop> {
    let questions = questions(datasource, target).await?;
    let guess = WorkloadRef { kind: None, name: target.scaled_object.clone() };
    let asking = Asking { datasource, at: now, target, workload: &guess };
    let workload = workload(asking).await?;
    let asking = Asking { workload: &workload, ..asking };
    let preset = target.gateway.filter(|_| target.activation_endpoints.is_empty());
    let gateway = preset.is_some_and(|of| gateway::refused(asking, asked(of)).is_none());
    let queries = Vec::new();
    let mut prepared = Prepared { workload, questions, gateway, scrapes: None, queries };
    prepared.queries = prepared.written((target, setup), None);
    if prepared.queries.is_empty() {
        return Err(Stop::Failed(why_nothing(setup, &prepared.questions)));
    }
    Ok(prepared)
}

impl Prepared {
    /// What tells how often pods were scraped, while that has not been told.
    pub(super) fn unlooked(&self, target: &Target) -> Option<String> {
        self.scrapes.is_none().then(|| scrapes::query(target, &self.workload)).flatten()
    }

    /// How often pods were scraped.
    pub(super) fn looked(&mut self, scrapes: Scrapes) {
        self.scrapes = Some(scrapes);
    }

    /// Turns to a stage.
    pub(super) fn turn(&mut self, of: (&Target, &Setup), stage: (Timestamp, Timestamp)) {
        let interval = self.scrapes.as_ref().and_then(|scrapes| scrapes.interval(stage));
        self.queries = self.written(of, interval);
    }

    fn written(&self, of: (&Target, &Setup), interval: Option<Duration>) -> Vec<Query> {
        let (target, setup) = of;
        let subject = Subject { target, workload: &self.workload, interval };
        queries(&subject, setup, &self.questions, self.gateway)
    }
}

/// The first demand signal that may not be asked, if that is why.
fn why_nothing(setup: &Setup, questions: &Questions) -> Reason {
    let demand = setup.own.iter().zip(&questions.own).filter(|(of, _)| of.role == OwnRole::Demand);
    let refused = demand.filter_map(|(_, question)| {
        let refusal = question.admitted.as_ref().err()?.clone();
        Some(Reason::Query { place: question.place.clone(), refusal })
    });
    refused.into_iter().next().unwrap_or(Reason::Nothing)
}

async fn questions(datasource: &Datasource, target: &Target) -> Result<Questions, Stop> {
    let target = target.clone();
    let labels = datasource.tenant_labels().map(<[String]>::to_vec);
    let understood = move || Questions::understood(&target, labels.as_deref());
    // The runtime is ending: whoever asks later asks again.
    tokio::task::spawn_blocking(understood).await.map_err(|_| Stop::Later(FaultKind::Timeout))
}

/// The workload as given, as the HPA says, else by the scaled object's name.
async fn workload(asking: Asking<'_>) -> Result<WorkloadRef, Stop> {
    if let Some(given) = &asking.target.workload {
        return Ok(given.clone());
    }
    let facts = facts::read(asking).await;
    unanswered(&facts.notes)?;
    Ok(facts.scaled.unwrap_or_else(|| asking.workload.clone()))
}

/// The first thing that kept an answer; one that is partial is an answer.
fn unanswered(notes: &Notes) -> Result<(), Stop> {
    let fault = notes.faults.iter().find(|fault| fault.kind != FaultKind::Partial);
    fault.map_or(Ok(()), |fault| Err(Stop::Later(fault.kind)))
}
