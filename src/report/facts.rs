//! What there is to say about one scaler, as data.
//!
//! Given a subject, its decision and now, promises one flat value in which every string is one line.
//! Its JSON form is serde's; its text form is the sibling `text`.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::engine::decision::{Decision, Reason, State, Term, TermKind, Verdict};
use crate::engine::observation::{Fault, Searched};
use crate::engine::units::{Replicas, Timestamp};
use crate::report::explain::data::{Insight, Standing};
use crate::report::line::{cut, one_line};

/// Who a report is about, and what is known of it beside its decision.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Namespace of the scaled object.
    pub namespace: &'a str,
    /// Name of the scaled object.
    pub name: &'a str,
    /// First eight hex digits of the trigger's hash.
    pub trigger: &'a str,
    /// Which metric names were looked for and found.
    pub searched: &'a [Searched],
    /// What the last tick could not read.
    pub faults: &'a [Fault],
    /// Why the latest decision is not told at the moment (ticks stopped or failed).
    pub withheld: Option<&'a str>,
    /// Push streams open now; `None` when nobody counts them.
    pub open_streams: Option<usize>,
    /// When KEDA last asked; `None` when nobody noted it.
    pub last_call: Option<Timestamp>,
}

/// What KEDA is told, flattened for readers: a number, or the error in its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Replicas wanted; `None` when an error is sent.
    pub desired: Option<u32>,
    /// The number sent; differs from `desired` only to leave the HPA's dead band.
    pub sent: Option<u32>,
    /// Whether more than zero replicas are wanted; `None` when that is not known either.
    pub active: Option<bool>,
    /// The error sent; `None` when a number is.
    pub error: Option<String>,
}

impl Answer {
    /// A verdict, flattened.
    #[must_use]
    pub fn new(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Scale { replicas, sent, active } => Self {
                desired: Some(replicas.get()),
                sent: Some(sent.get()),
                active: Some(*active),
                error: None,
            },
            Verdict::Refuse(refusal) => Self {
                desired: None,
                sent: None,
                active: None,
                error: Some(one_line(&refusal.to_string())),
            },
        }
    }
}

/// One term of demand.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TermLine {
    /// Which demand it measures, as in metrics: `kv_cache`, `own:kafka`.
    pub term: String,
    /// Replica-equivalents.
    pub replicas: f64,
    /// Whether this is the term that decides.
    pub binding: bool,
    /// For people: the numbers it was computed from.
    pub text: String,
    /// For programs: the same numbers.
    pub data: Value,
}

/// Something that shaped the decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonLine {
    /// For people.
    pub text: String,
    /// For programs.
    pub data: Value,
}

/// Everything there is to say about one scaler. Its JSON is a contract: fields are added, never
/// renamed; what is not known is `null`, never zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// First eight hex digits of the trigger's hash.
    pub trigger: String,
    /// How much is known; `None` before the first tick.
    pub state: Option<State>,
    /// What KEDA is told; all `null` before the first tick.
    #[serde(flatten)]
    pub answer: Answer,
    /// What would be told without `shadow`; `None` where it is the same.
    pub unmasked: Option<Answer>,
    /// Replicas the target has.
    pub current: Option<u32>,
    /// Ready replicas.
    pub ready: Option<u32>,
    /// Whether this active period has pods serving.
    pub serving: bool,
    /// The terms of demand, largest first.
    pub terms: Vec<TermLine>,
    /// What else shaped the decision, in the order it applied.
    pub reasons: Vec<ReasonLine>,
    /// When it was decided, milliseconds since the Unix epoch.
    pub decided_at_ms: Option<i64>,
    /// Time since it was decided.
    pub decision_age_seconds: Option<f64>,
    /// Age of the newest trustworthy sample, now.
    pub data_age_seconds: Option<f64>,
    /// Which metric names were looked for and found.
    pub searched: Vec<Searched>,
    /// What the last tick could not read, and why.
    pub faults: Vec<String>,
    /// Push streams open now.
    pub open_streams: Option<usize>,
    /// Time since KEDA last asked.
    pub last_call_seconds: Option<f64>,
    /// Where it stands; nothing where nobody looked.
    #[serde(flatten)]
    pub standing: Option<Standing>,
    /// What else there is to see; of one scaler, and not in lists.
    #[serde(flatten)]
    pub insight: Option<Box<Insight>>,
}

impl Report {
    /// What there is to say at `now`; `decision` is `None` before the first tick.
    #[must_use]
    pub fn new(subject: &Subject<'_>, decision: Option<&Decision>, now: Timestamp) -> Self {
        Self {
            namespace: one_line(subject.namespace),
            name: one_line(subject.name),
            trigger: one_line(subject.trigger),
            state: decision.map(|d| d.state),
            answer: answer(subject, decision),
            unmasked: decision
                .filter(|d| d.unmasked != d.verdict)
                .map(|d| Answer::new(&d.unmasked)),
            current: decision.and_then(|d| d.current).map(Replicas::get),
            ready: decision.and_then(|d| d.ready).map(Replicas::get),
            serving: decision.is_some_and(|d| d.serving),
            terms: decision.map(|d| terms(&d.terms)).unwrap_or_default(),
            reasons: decision.map(reasons).unwrap_or_default(),
            decided_at_ms: decision.map(|d| d.at.unix_ms()),
            decision_age_seconds: decision.map(|d| now.since(d.at).as_secs_f64()),
            data_age_seconds: decision.and_then(|d| data_age(d, now)).map(|age| age.as_secs_f64()),
            searched: subject.searched.to_vec(),
            faults: subject.faults.iter().map(|fault| one_line(&fault.to_string())).collect(),
            open_streams: subject.open_streams,
            last_call_seconds: subject.last_call.map(|at| now.since(at).as_secs_f64()),
            standing: None,
            insight: None,
        }
    }
}

/// What KEDA is told now. A refusal may still leave a workload active: [`Decision::active`] knows.
fn answer(subject: &Subject<'_>, decision: Option<&Decision>) -> Answer {
    let none = Answer { desired: None, sent: None, active: None, error: None };
    match (subject.withheld, decision) {
        (Some(why), _) => Answer { error: Some(one_line(why)), ..none },
        (None, Some(d)) => Answer { active: d.active(), ..Answer::new(&d.verdict) },
        (None, None) => none,
    }
}

/// Age at `now` of the newest sample behind `decision`; `None` if there never was one.
#[must_use]
pub fn data_age(decision: &Decision, now: Timestamp) -> Option<Duration> {
    decision.data_age.map(|age| age.saturating_add(now.since(decision.at)))
}

/// The decision's reasons as one line of at most 200 characters: the error if one is sent, else the
/// binding term and what else applied.
#[must_use]
pub fn headline(decision: &Decision) -> String {
    let refusal = match &decision.verdict {
        Verdict::Refuse(refusal) => Some(refusal.to_string()),
        Verdict::Scale { .. } => None,
    };
    let term = decision.terms.first().map(ToString::to_string);
    let parts: Vec<String> = refusal
        .into_iter()
        .chain(term)
        .chain(decision.reasons.iter().map(ToString::to_string))
        .collect();
    cut(&one_line(&parts.join("; ")), 200)
}

/// The name of a kind of demand in metrics, JSON and text: `kv_cache`; with what the user called it
/// where there are several, `own:kafka`.
#[must_use]
pub fn term_name(kind: &TermKind) -> String {
    // The serde form is the one spelling of a kind, so a new kind needs no second table here.
    let name = match serde_json::to_value(kind) {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(fields)) => fields.iter().map(qualified).collect::<Vec<_>>().join(","),
        Ok(other) => other.to_string(),
        Err(_) => "unnamed".to_owned(),
    };
    one_line(&name)
}

fn qualified((kind, detail): (&String, &Value)) -> String {
    let detail = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
    format!("{kind}:{detail}")
}

fn terms(terms: &[Term]) -> Vec<TermLine> {
    let line = |(idx, term): (usize, &Term)| TermLine {
        term: term_name(&term.kind),
        replicas: term.replicas,
        binding: idx == 0,
        text: one_line(&term.to_string()),
        data: serde_json::to_value(term).unwrap_or(Value::Null),
    };
    terms.iter().enumerate().map(line).collect()
}

fn reasons(decision: &Decision) -> Vec<ReasonLine> {
    let line = |reason: &Reason| ReasonLine {
        text: one_line(&reason.to_string()),
        data: serde_json::to_value(reason).unwrap_or(Value::Null),
    };
    decision.reasons.iter().map(line).collect()
}
