//! The user's own queries: exactly one number each.

use std::time::Duration;

use crate::engine::observation::{Fault, FaultKind, OwnReading};
use crate::engine::units::Timestamp;
use crate::source::parts::asking::{Asking, Notes};
use crate::source::prometheus::answer::{Answer, Data};
use crate::source::tenancy::{Admitted, Refusal, admit};
use crate::spec::Target;

/// A query of the user's, as it may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// What it is called in faults: `signal kafka`.
    pub(crate) place: String,
    /// The text to send, or why it is not sent.
    pub(crate) admitted: Result<Admitted, Refusal>,
}

/// The user's own queries, as they may be asked.
#[derive(Debug)]
pub(crate) struct Questions {
    /// The signals, in the order of the setup.
    pub(crate) own: Vec<Question>,
    /// Demand held outside of the pods.
    pub(crate) activation: Option<Question>,
}

impl Questions {
    /// Understands the queries of `target` and confines them to its namespace where `tenant_labels`
    /// are given. Parsing takes its time: not on a thread of the runtime.
    pub(crate) fn understood(target: &Target, tenant_labels: Option<&[String]>) -> Self {
        let question = |place: String, query: &str| Question {
            place,
            admitted: admit(query, &target.namespace, tenant_labels),
        };
        let own = target.own.iter();
        Self {
            own: own.map(|own| question(format!("signal {}", own.name), &own.query)).collect(),
            activation: target
                .activation_query
                .as_deref()
                .map(|query| question("activationQuery".to_owned(), query)),
        }
    }
}

/// The value of a question; `None` with a note.
pub(crate) async fn value(
    asking: Asking<'_>,
    question: &Question,
    notes: &mut Notes,
) -> Option<f64> {
    let admitted = match &question.admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            let place = format!("{} ({refusal})", question.place);
            notes.fault(Fault { place, kind: FaultKind::ClientError });
            return None;
        }
    };
    let mut unanswered = Notes::default();
    let answer = asking.ask_own(&admitted.query, &mut unanswered).await;
    for fault in &mut unanswered.faults {
        if of_the_query(fault.kind) {
            fault.place = format!("{}, {}", question.place, fault.place);
        }
    }
    notes.add(unanswered);
    match single(&*answer?) {
        Ok(value) => Some(value),
        Err(kind) => {
            notes.fault(Fault { place: place(asking, question, kind), kind });
            None
        }
    }
}

/// What may be the query's own fault names the signal; the rest is the datasource's, and said once.
const fn of_the_query(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::QueryFailed | FaultKind::ClientError | FaultKind::TooLarge | FaultKind::Timeout
    )
}

/// An empty answer under tenancy names the label that was added.
fn place(asking: Asking<'_>, question: &Question, kind: FaultKind) -> String {
    match asking.datasource.tenant_labels().and_then(<[String]>::first) {
        Some(label) if kind == FaultKind::Empty => {
            let namespace = &asking.target.namespace;
            format!("{}, selected by {label}=\"{namespace}\"", question.place)
        }
        _ => question.place.clone(),
    }
}

/// The one number of an answer.
fn single(answer: &Answer) -> Result<f64, FaultKind> {
    let value = match &answer.data {
        Data::Scalar(value) => *value,
        Data::Vector(elements) => match elements.as_slice() {
            [] => return Err(FaultKind::Empty),
            [only] => only.value,
            _ => return Err(FaultKind::TooManySeries),
        },
        Data::Matrix(_) | Data::Text(_) => return Err(FaultKind::BadResponse),
    };
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(FaultKind::NotFinite) }
}

/// The values of the user's signals, in their order; their ages are not known here.
pub(crate) async fn read(asking: Asking<'_>, questions: &[Question]) -> (Vec<OwnReading>, Notes) {
    let asked = questions.iter().map(async |question| {
        let mut notes = Notes::default();
        let value = value(asking, question, &mut notes).await;
        (OwnReading { value, age: None }, notes)
    });
    let mut readings = Vec::new();
    let mut notes = Notes::default();
    for (reading, note) in futures_util::future::join_all(asked).await {
        readings.push(reading);
        notes.add(note);
    }
    (readings, notes)
}

/// The age of the newest sample behind a question's first selector, if it can be told.
pub(crate) async fn age(asking: Asking<'_>, question: &Question) -> Option<Duration> {
    let query = question.admitted.as_ref().ok()?.newest.as_deref()?;
    // A fault here is not the signal's: its age is then unknown, and that is all.
    let answer =
        asking.datasource.ask_own(query, asking.at, &asking.target.namespace).await.ok()?;
    let seconds = single(&answer).ok().filter(|seconds| *seconds < 1e11)?;
    let stamp = Duration::try_from_secs_f64(seconds).ok()?;
    Some(asking.at.since(Timestamp::from_unix_ms(0).plus(stamp)))
}

/// The ages of the user's signals, in their order.
pub(crate) async fn ages(asking: Asking<'_>, questions: &[Question]) -> Vec<Option<Duration>> {
    futures_util::future::join_all(questions.iter().map(|question| age(asking, question))).await
}

#[cfg(test)]
mod tests {
    use super::{Answer, Data, FaultKind, single};
    use crate::source::prometheus::answer::Element;

    #[test]
    fn only_one_usable_number_is_a_value() {
        let vector = |values: &[f64]| {
            Data::Vector(
                values.iter().map(|value| Element { labels: [].into(), value: *value }).collect(),
            )
        };
        let rows = [
            (vector(&[2.5]), Ok(2.5)),
            (Data::Scalar(0.0), Ok(0.0)),
            (vector(&[]), Err(FaultKind::Empty)),
            (vector(&[1.0, 2.0]), Err(FaultKind::TooManySeries)),
            (vector(&[f64::NAN]), Err(FaultKind::NotFinite)),
            (vector(&[f64::INFINITY]), Err(FaultKind::NotFinite)),
            (vector(&[-1.0]), Err(FaultKind::NotFinite)),
            (Data::Matrix(Vec::new()), Err(FaultKind::BadResponse)),
            (Data::Text("1".to_owned()), Err(FaultKind::BadResponse)),
        ];
        for (data, expected) in rows {
            let answer = Answer { data, partial: false };
            assert_eq!(single(&answer), expected, "{answer:?}");
        }
    }
}
