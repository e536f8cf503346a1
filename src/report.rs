//! Decisions to text and JSON: one wording for log, page, API and command line.
//!
//! Given who a scaler is ([`Subject`]), its latest decision and now, a [`Report`] promises the same
//! facts as JSON (through serde) and as text (through `Display`). Every string in it is one line
//! without control characters. It holds no secrets, because a decision holds none; what the strings
//! need to stand in HTML or in a label is left to who puts them there.

pub mod backtest;
pub mod explain;
pub mod score;

mod facts;
mod line;
mod page;
mod text;

pub use facts::{Answer, ReasonLine, Report, Subject, TermLine, data_age, headline, term_name};
pub use line::{escape, one_line};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Report, Subject, headline, one_line, term_name};
    use crate::engine::decision::{Decision, Reason, Refusal, State, Term, TermKind, Verdict};
    use crate::engine::observation::{Fault, FaultKind, Searched};
    use crate::engine::units::{Replicas, Timestamp};

    fn scale(replicas: u32, sent: u32) -> Verdict {
        Verdict::Scale {
            replicas: Replicas::new(replicas),
            sent: Replicas::new(sent),
            active: replicas > 0,
        }
    }

    /// Read from JSON, because a kind of term may have more numbers than a report looks at.
    fn terms() -> Vec<Term> {
        let own = json!({"own": "kafka\u{1b}[2J"});
        let rows = [(json!("kv_cache"), 6.25), (own, 1.0)];
        rows.map(|(kind, replicas)| {
            serde_json::from_value(json!({"kind": kind, "replicas": replicas})).unwrap()
        })
        .into()
    }

    fn decision(verdict: Verdict) -> Decision {
        Decision {
            at: Timestamp::from_unix_ms(1_000_000),
            state: State::Fresh,
            unmasked: verdict.clone(),
            verdict,
            terms: terms(),
            reasons: Vec::new(),
            data_age: Some(Duration::from_secs(4)),
            current: Some(Replicas::new(4)),
            ready: None,
            serving: true,
            foreseen: None,
        }
    }

    fn report(decision: Option<&Decision>) -> Report {
        let subject = Subject {
            namespace: "team-a",
            name: "llama",
            trigger: "0123abcd",
            searched: &[Searched {
                role: "waiting".to_owned(),
                tried: vec!["a".to_owned(), "b".to_owned()],
                found: None,
            }],
            faults: &[Fault { place: "datasource default".to_owned(), kind: FaultKind::Timeout }],
            withheld: None,
            open_streams: Some(1),
            last_call: Some(Timestamp::from_unix_ms(1_005_000)),
        };
        Report::new(&subject, decision, Timestamp::from_unix_ms(1_010_000))
    }

    #[test]
    fn the_json_of_a_decision_is_the_contract() {
        let mut decision = decision(scale(0, 0));
        decision.unmasked = scale(7, 8);
        decision.reasons.push(Reason::Shadow);
        let text: Vec<String> = decision.terms.iter().map(|t| one_line(&t.to_string())).collect();
        let expected = json!({
            "namespace": "team-a", "name": "llama", "trigger": "0123abcd",
            "state": "fresh", "desired": 0, "sent": 0, "active": false, "error": null,
            "unmasked": {"desired": 7, "sent": 8, "active": true, "error": null},
            "current": 4, "ready": null, "serving": true,
            "terms": [
                {"term": "kv_cache", "replicas": 6.25, "binding": true,
                 "text": text[0], "data": decision.terms[0]},
                {"term": "own:kafka\\u{1b}[2J", "replicas": 1.0, "binding": false,
                 "text": text[1], "data": decision.terms[1]},
            ],
            "reasons": [{
                "text": Reason::Shadow.to_string(),
                "data": serde_json::to_value(Reason::Shadow).unwrap(),
            }],
            "decidedAtMs": 1_000_000, "decisionAgeSeconds": 10.0, "dataAgeSeconds": 14.0,
            "searched": [{"role": "waiting", "tried": ["a", "b"], "found": null}],
            "faults": ["datasource default: timeout"],
            "openStreams": 1, "lastCallSeconds": 5.0,
        });
        assert_eq!(serde_json::to_value(report(Some(&decision))).unwrap(), expected);
    }

    #[test]
    fn before_the_first_tick_everything_is_null_and_nothing_is_zero() {
        let json = serde_json::to_value(report(None)).unwrap();
        for key in ["state", "desired", "sent", "active", "error", "current", "dataAgeSeconds"] {
            assert!(json[key].is_null(), "{key}: {}", json[key]);
        }
        let text = report(None).to_string();
        assert!(
            text.starts_with("team-a/llama  not decided yet  (starting, current unknown"),
            "{text}"
        );
    }

    #[test]
    fn the_text_says_who_how_many_and_why() {
        let text = report(Some(&decision(scale(7, 8)))).to_string();
        let terms: Vec<String> = terms().iter().map(|t| one_line(&t.to_string())).collect();
        let expected = format!(
            "\
team-a/llama  desired 7  (fresh, current 4, ready unknown, data age 14 s)
  demand        6.25  {}  <- binding
  demand        1.00  {}
  sent      8, to leave the HPA's dead band
  unread    datasource default: timeout
  metric    waiting: not found
",
            terms[0], terms[1]
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn an_error_is_told_as_an_error_and_never_as_a_number() {
        let refusal =
            Refusal::Stale { age: Duration::from_secs(612), cause: "connect\ntimeout".to_owned() };
        let decision = decision(Verdict::Refuse(refusal));
        let json = serde_json::to_value(report(Some(&decision))).unwrap();
        assert!(json["desired"].is_null());
        assert_eq!(json["error"], "data stale 612 s (connect\\ntimeout)");
        let text = report(Some(&decision)).to_string();
        assert!(text.starts_with("team-a/llama  no number  "), "{text}");
        assert!(text.contains("  error     data stale 612 s (connect\\ntimeout)\n"), "{text}");
    }

    #[test]
    fn a_decision_that_may_not_be_told_is_not_shown_as_told() {
        let decision = decision(scale(7, 7));
        let subject = Subject {
            namespace: "team-a",
            name: "llama",
            trigger: "0123abcd",
            searched: &[],
            faults: &[],
            withheld: Some("ticks paused"),
            open_streams: None,
            last_call: None,
        };
        let report = Report::new(&subject, Some(&decision), decision.at);
        assert_eq!(report.answer.desired, None);
        assert_eq!(report.answer.error.as_deref(), Some("ticks paused"));
    }

    #[test]
    fn the_headline_is_one_short_line() {
        let mut decision = decision(scale(7, 7));
        decision.reasons.push(Reason::Shadow);
        let line = headline(&decision);
        assert_eq!(line, format!("{}; {}", terms()[0], Reason::Shadow));

        decision.reasons = vec![Reason::Shadow; 50];
        assert_eq!(headline(&decision).chars().count(), 200);
    }

    #[test]
    fn a_term_has_one_name_everywhere() {
        let rows =
            [(TermKind::KvCache, "kv_cache"), (TermKind::Own("kafka".to_owned()), "own:kafka")];
        for (kind, expected) in rows {
            assert_eq!(term_name(&kind), expected);
        }
    }
}
