//! What has to be known before the past can be asked for: the workload's name, the time between two
//! scrapes, and the user's own queries as they may be sent.

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

/// The queries, and how long after a minute began its last value can be read.
#[derive(Debug)]
pub(super) struct Prepared {
    /// At least one.
    pub(super) queries: Vec<Query>,
    /// The longest of their leads.
    pub(super) ahead: Duration,
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
    let window = plan::rate_window(interval(asking).await?);
    let subject = Subject { target, workload: &workload, window };
    let preset = target.gateway.filter(|_| target.activation_endpoints.is_empty());
    let may = preset.is_some_and(|of| gateway::refused(asking, asked(of)).is_none());
    let queries = queries(&subject, setup, &questions, may);
    match queries.iter().map(|query| query.ahead).max() {
        Some(ahead) => Ok(Prepared { queries, ahead }),
        None => Err(Stop::Failed(why_nothing(setup, &questions))),
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

/// The time between two scrapes, as the workload's pods show it now; `None` while there are none.
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
