//! The one table from what went wrong to a gRPC status.
//!
//! KEDA copies the text into an Event that users read with `kubectl describe scaledobject`, so it
//! is one line from a fixed catalogue, bounded in length, and holds nothing that a caller or an
//! upstream could use to write another line or to see a secret.

use tonic::{Code, Status};

use crate::engine::decision::Refusal;
use crate::scaler::{Refused, Unanswered};
use crate::spec::Faults;

/// Characters of one fault; a key, a value of at most 40 and what is accepted fit.
const FAULT_MAX: usize = 200;

/// Characters of a text: an Event's message may have 1024.
const TEXT_MAX: usize = 1000;

/// Room kept for "; and 63 more".
const MORE_MAX: usize = 20;

/// What went wrong, from whichever part.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The request has no reference.
    NoReference,
    /// The request asks for another metric; its name.
    OtherMetric(String),
    /// No scaler serves the reference.
    Refused(Refused),
    /// The scaler has nothing to tell.
    Unanswered(Unanswered),
    /// The decision is not to tell a number.
    NoNumber(Refusal),
    /// The answer took longer than its deadline.
    Overdue,
    /// A panic in the handler.
    Panicked,
}

/// The status of a problem.
pub(crate) fn status(problem: &Problem) -> Status {
    Status::new(code(problem), text(problem))
}

const fn code(problem: &Problem) -> Code {
    match problem {
        Problem::NoReference | Problem::OtherMetric(_) => Code::InvalidArgument,
        Problem::Refused(Refused::Metadata(_) | Refused::Malformed(_)) => Code::InvalidArgument,
        Problem::NoNumber(Refusal::NoData { .. }) => Code::FailedPrecondition,
        Problem::Refused(Refused::Full(_)) => Code::ResourceExhausted,
        Problem::Refused(Refused::Ending) | Problem::Overdue => Code::Unavailable,
        Problem::NoNumber(Refusal::Stale { .. }) => Code::Unavailable,
        Problem::Unanswered(Unanswered::NotYet | Unanswered::Stale { .. }) => Code::Unavailable,
        Problem::Unanswered(Unanswered::Failed | Unanswered::Paused) => Code::Internal,
        Problem::Panicked => Code::Internal,
    }
}

fn text(problem: &Problem) -> String {
    match problem {
        Problem::NoReference => "scaledObjectRef: missing".to_owned(),
        Problem::OtherMetric(name) => {
            let name = clean(name, 60);
            format!("metricName: {name:?} is not served; accepted is \"prescale-replicas\"")
        }
        Problem::Refused(Refused::Metadata(faults)) => faults_text(faults),
        Problem::Refused(refused) => clean(&refused.to_string(), FAULT_MAX),
        Problem::Unanswered(unanswered) => clean(&unanswered.to_string(), FAULT_MAX),
        Problem::NoNumber(refusal) => clean(&refusal.to_string(), FAULT_MAX),
        Problem::Overdue => "no answer within 1 s; prescale is overloaded".to_owned(),
        Problem::Panicked => "internal error in this call; see the log of prescale".to_owned(),
    }
}

/// As many whole faults as fit, and how many more there are.
fn faults_text(faults: &Faults) -> String {
    let Faults(faults) = faults;
    if faults.is_empty() {
        return "metadata: not accepted".to_owned();
    }
    let mut text = String::new();
    for (idx, fault) in faults.iter().enumerate() {
        let part = clean(&fault.to_string(), FAULT_MAX);
        let separator = if idx == 0 { "" } else { "; " };
        let length = text.chars().count() + separator.len() + part.chars().count();
        if length + MORE_MAX > TEXT_MAX {
            return format!("{text}; and {} more", faults.len() - idx);
        }
        text.push_str(separator);
        text.push_str(&part);
    }
    text
}

/// `text` on one line, cut to `limit` characters.
fn clean(text: &str, limit: usize) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= limit {
        return one_line.collect();
    }
    one_line.take(limit.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;

    use super::{Problem, status};
    use crate::engine::decision::Refusal;
    use crate::scaler::{Refused, Unanswered};
    use crate::spec::{Fault, Faults};

    fn faults(count: usize, problem: &str) -> Problem {
        let fault = Fault {
            key: "kvCache".to_owned(),
            value: "85".to_owned(),
            problem: problem.to_owned(),
        };
        Problem::Refused(Refused::Metadata(Faults(vec![fault; count])))
    }

    #[test]
    fn every_problem_has_its_code_and_its_words() {
        let stale = Refusal::Stale {
            age: Duration::from_secs(612),
            cause: "datasource main: connect timeout".to_owned(),
        };
        let age = Duration::from_secs(700);
        let rows = [
            (Problem::NoReference, Code::InvalidArgument, "scaledObjectRef: missing"),
            (
                Problem::OtherMetric("s0-other\nname".to_owned()),
                Code::InvalidArgument,
                "metricName: \"s0-other name\" is not served; accepted is \"prescale-replicas\"",
            ),
            (
                faults(1, "is not between 0 and 1; accepted are 0.85 or 85%"),
                Code::InvalidArgument,
                "kvCache: \"85\" is not between 0 and 1; accepted are 0.85 or 85%",
            ),
            (faults(0, ""), Code::InvalidArgument, "metadata: not accepted"),
            (
                Problem::Refused(Refused::Malformed("metadata: more than 64 keys")),
                Code::InvalidArgument,
                "metadata: more than 64 keys",
            ),
            (
                Problem::Refused(Refused::Full("the server has 2 scalers".to_owned())),
                Code::ResourceExhausted,
                "the server has 2 scalers",
            ),
            (Problem::Refused(Refused::Ending), Code::Unavailable, "shutting down"),
            (
                Problem::NoNumber(stale),
                Code::Unavailable,
                "data stale 612 s (datasource main: connect timeout)",
            ),
            (
                Problem::NoNumber(Refusal::NoData { text: "0 of 3 series found".to_owned() }),
                Code::FailedPrecondition,
                "no data yet: 0 of 3 series found",
            ),
            (
                Problem::Unanswered(Unanswered::NotYet),
                Code::Unavailable,
                "first reading not finished yet; the next poll will have it",
            ),
            (
                Problem::Unanswered(Unanswered::Stale { age }),
                Code::Unavailable,
                "data stale 700 s (no tick has ended since)",
            ),
            (
                Problem::Unanswered(Unanswered::Failed),
                Code::Internal,
                "internal error in the last tick; see the log of prescale",
            ),
            (
                Problem::Unanswered(Unanswered::Paused),
                Code::Internal,
                "ticks paused for 10 min after repeated internal errors; see the log of prescale",
            ),
            (Problem::Overdue, Code::Unavailable, "no answer within 1 s; prescale is overloaded"),
            (
                Problem::Panicked,
                Code::Internal,
                "internal error in this call; see the log of prescale",
            ),
        ];
        for (problem, code, text) in rows {
            let status = status(&problem);
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length_whatever_went_wrong() {
        let hostile = "é\r\n\u{1b}[31m".repeat(500);
        let rows = [
            faults(1, &hostile),
            faults(64, &hostile),
            faults(64, "short"),
            Problem::OtherMetric(hostile.clone()),
            Problem::NoNumber(Refusal::NoData { text: hostile }),
        ];
        for problem in rows {
            let status = status(&problem);
            let text = status.message();
            assert!(text.chars().count() <= 1000, "{}", text.chars().count());
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert!(status(&faults(64, "short")).message().contains("; and "));
    }
}
