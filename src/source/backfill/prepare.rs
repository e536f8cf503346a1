//! What has to be known before the past can be asked for: the workload's name, the user's own queries as
//! they may be sent, and, of each stage, the time between two scrapes.

use std::time::Duration;

use crate::engine::observation::{FaultKind, Role};
use crate::engine::setup::{OwnRole, Setup};
use crate::engine::units::Timestamp;
use crate::source::backfill::queries::{Query, Subject, families, queries};
use crate::source::backfill::reason::{Reason, Stop};
use crate::source::parts::asking::{Asking, Notes};
use crate::source::parts::own::Questions;
use crate::source::parts::{engine, facts, gateway};
use crate::source::plan::{self, Style};
use crate::source::preset::{asked, preset};
use crate::source::prometheus::Datasource;
use crate::spec::{Engine, SourceRef, Target, WorkloadRef};

/// Two scrapes fall into it, and one may fail, up to an interval of 200 s.
const LOOKED_BACK: Duration = Duration::from_secs(600);

/// What is known of the workload, and what to ask.
#[derive(Debug)]
pub(super) struct Prepared {
    workload: WorkloadRef,
    questions: Questions,
    /// Whether its gateway may be asked.
    gateway: bool,
    /// The time between two scrapes at the end of the stage, or when there last were pods; and that end.
    scraped: (Option<Duration>, Option<Timestamp>),
    /// At least one.
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
    let mut prepared = Prepared { workload, questions, gateway, scraped: (None, None), queries };
    prepared.write(target, setup);
    if prepared.queries.is_empty() {
        return Err(Stop::Failed(why_nothing(setup, &prepared.questions)));
    }
    Ok(prepared)
}

impl Prepared {
    /// Turns to the stage that ends at `ends`: pods may have been scraped at another interval then.
    ///
    /// # Errors
    /// For now where the datasource did not answer.
    pub(super) async fn turn(
        &mut self,
        datasource: &Datasource,
        (target, setup): (&Target, &Setup),
        ends: Timestamp,
    ) -> Result<(), Stop> {
        let (before, at) = self.scraped;
        if at != Some(ends) {
            let asking = Asking { datasource, at: ends, target, workload: &self.workload };
            self.scraped = (interval(asking).await?.or(before), Some(ends));
            self.write(target, setup);
        }
        Ok(())
    }

    fn write(&mut self, target: &Target, setup: &Setup) {
        let window = plan::minute_window(self.scraped.0);
        let subject = Subject { target, workload: &self.workload, window };
        self.queries = queries(&subject, setup, &self.questions, self.gateway);
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

/// The time between two scrapes, as the workload's pods show it; `None` where there are none.
async fn interval(asking: Asking<'_>) -> Result<Option<Duration>, Stop> {
    let Asking { target, workload, .. } = asking;
    let (role, select): (_, Select) = match (target.engine, &target.source) {
        (Engine::Custom, _) => return Ok(None),
        (Engine::Gpu, _) => (Role::GpuUtilization, plan::gpus),
        (_, SourceRef::Endpoints { .. }) => return Ok(None),
        (_, SourceRef::Datasource(_)) => (Role::Running, plan::pods),
    };
    let rows = families(&preset(target.engine), &[role]);
    let names: Vec<&str> = rows.iter().flat_map(|family| family.every_name()).collect();
    for style in Style::ALL {
        let mut notes = Notes::default();
        let query = select(target, workload, &names, style, LOOKED_BACK);
        let rows = asking.series(&query, &mut notes).await;
        unanswered(&notes)?;
        if let Some(interval) = engine::interval(&rows.unwrap_or_default()) {
            return Ok(Some(interval));
        }
    }
    Ok(None)
}

/// [`plan::pods`] or [`plan::gpus`].
type Select = fn(&Target, &WorkloadRef, &[&str], Style, Duration) -> String;

/// The first thing that kept an answer; one that is partial is an answer.
fn unanswered(notes: &Notes) -> Result<(), Stop> {
    let fault = notes.faults.iter().find(|fault| fault.kind != FaultKind::Partial);
    fault.map_or(Ok(()), |fault| Err(Stop::Later(fault.kind)))
}
