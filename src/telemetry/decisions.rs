//! A decision's way into the log: what changed, once, with its reason.
//!
//! info: a number changed, or things got better. warn: serving, but degraded. debug: every tick.

use tracing::{debug, info, warn};

use crate::engine::decision::{Decision, State};
use crate::report::{Answer, headline};

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids<'a> {
    /// Namespace of the scaled object.
    pub namespace: &'a str,
    /// Name of the scaled object.
    pub name: &'a str,
    /// First eight hex digits of the trigger's hash.
    pub trigger: &'a str,
}

/// Logs what differs between two decisions of one scaler; `old` is `None` for its first one.
pub fn decision_changed(ids: Ids<'_>, old: Option<&Decision>, new: &Decision) {
    let reason = headline(new);
    tick(ids, new, &reason);
    if old.is_none_or(|old| old.state != new.state) {
        state_changed(ids, old.map(|old| old.state), new.state, &reason);
    }
    let (was, is) = (old.map(|old| Answer::new(&old.verdict)), Answer::new(&new.verdict));
    if let Some(desired) = is.desired
        && was.is_none_or(|was| (was.desired, was.active) != (is.desired, is.active))
    {
        let Ids { namespace, name, trigger } = ids;
        info!(
            namespace, name, trigger, desired, active = is.active, state = %new.state, %reason,
            "desired replicas changed"
        );
    }
}

fn tick(ids: Ids<'_>, new: &Decision, reason: &str) {
    let Ids { namespace, name, trigger } = ids;
    let Answer { desired, sent, active, error: _ } = Answer::new(&new.verdict);
    debug!(namespace, name, trigger, desired, sent, active, state = %new.state, reason, "tick");
}

fn state_changed(ids: Ids<'_>, from: Option<State>, to: State, reason: &str) {
    let Ids { namespace, name, trigger } = ids;
    let from = from.map_or("none", State::name);
    if degraded(to) {
        warn!(namespace, name, trigger, from, state = %to, reason, "state changed");
    } else {
        info!(namespace, name, trigger, from, state = %to, reason, "state changed");
    }
}

/// Whether a state means serving with less than all there is to know.
const fn degraded(state: State) -> bool {
    match state {
        State::Hold | State::Blind | State::Cold | State::AsleepBlind | State::Partial => true,
        State::Fresh | State::Asleep | State::Waking => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Ids, decision_changed};
    use crate::engine::decision::{Decision, Refusal, State, Verdict};
    use crate::engine::units::{Replicas, Timestamp};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The events of one transition, as `LEVEL message`.
    fn events(old: Option<(State, u32)>, new: (State, u32)) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        let ids = Ids { namespace: "team-a", name: "llama", trigger: "0123abcd" };
        let old = old.map(decision);
        tracing::subscriber::with_default(log, || {
            decision_changed(ids, old.as_ref(), &decision(new));
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(summary).collect()
    }

    fn summary(line: &str) -> String {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["namespace"], "team-a", "{line}");
        assert!(event["reason"].is_string(), "{line}");
        format!("{} {}", event["level"].as_str().unwrap(), event["message"].as_str().unwrap())
    }

    fn decision((state, replicas): (State, u32)) -> Decision {
        let verdict = if state == State::Cold {
            Verdict::Refuse(Refusal::NoData { text: "nothing".to_owned() })
        } else {
            let count = Replicas::new(replicas);
            Verdict::Scale { replicas: count, sent: count, active: replicas > 0 }
        };
        Decision {
            at: Timestamp::from_unix_ms(0),
            state,
            unmasked: verdict.clone(),
            verdict,
            terms: Vec::new(),
            reasons: Vec::new(),
            data_age: None,
            current: None,
            ready: None,
            serving: false,
            foreseen: None,
        }
    }

    #[test]
    fn transitions_are_logged_once_and_states_never() {
        let changed = "INFO desired replicas changed";
        let rows = [
            (None, (State::Fresh, 2), vec!["INFO state changed", changed]),
            (None, (State::Cold, 0), vec!["WARN state changed"]),
            (Some((State::Fresh, 2)), (State::Fresh, 2), vec![]),
            (Some((State::Fresh, 2)), (State::Fresh, 3), vec![changed]),
            (Some((State::Fresh, 2)), (State::Hold, 2), vec!["WARN state changed"]),
            (Some((State::Hold, 2)), (State::Hold, 2), vec![]),
            (Some((State::Hold, 2)), (State::Fresh, 1), vec!["INFO state changed", changed]),
            (Some((State::Cold, 0)), (State::Cold, 0), vec![]),
        ];
        for (old, new, expected) in rows {
            assert_eq!(events(old, new), expected, "{old:?} -> {new:?}");
        }
    }
}
