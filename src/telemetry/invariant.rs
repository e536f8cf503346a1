//! What must hold of every decision (DESIGN section 3), checked on the way out and counted.
//!
//! Tests make a broken invariant fatal; in production a counter and an error line say so, because
//! stopping to serve would harm every other workload.

use crate::engine::decision::{Decision, Verdict};
use crate::engine::units::Replicas;

/// An invariant that one decision alone can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// The number sent is above the server's limit.
    Limit,
    /// Active and the number contradict each other.
    Active,
    /// A term of demand is not finite or is negative.
    Finite,
}

impl Invariant {
    /// Its name as a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Active => "active",
            Self::Finite => "finite",
        }
    }
}

/// The first invariant that `decision` breaks; `limit` is the server's largest replica count.
#[must_use]
pub fn broken(decision: &Decision, limit: Replicas) -> Option<Invariant> {
    if decision.terms.iter().any(|term| !term.replicas.is_finite() || term.replicas < 0.0) {
        return Some(Invariant::Finite);
    }
    match decision.verdict {
        Verdict::Scale { replicas, sent, .. } if replicas.max(sent) > limit => {
            Some(Invariant::Limit)
        }
        Verdict::Scale { replicas, sent, active }
            if active != (replicas > Replicas::ZERO) || active != (sent > Replicas::ZERO) =>
        {
            Some(Invariant::Active)
        }
        Verdict::Scale { .. } | Verdict::Refuse(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Invariant, broken};
    use crate::engine::decision::{Decision, State, Term, Verdict};
    use crate::engine::units::{Replicas, Timestamp};

    /// Read from JSON, because a kind of term may have more numbers than the invariants look at.
    fn kv_term(replicas: f64) -> Term {
        let one = serde_json::json!({"kind": "kv_cache", "replicas": 1.0});
        let mut term: Term = serde_json::from_value(one).unwrap();
        term.replicas = replicas;
        term
    }

    fn check(scale: (u32, u32, bool), term: f64, expected: Option<Invariant>) {
        let (replicas, sent, active) = scale;
        let verdict =
            Verdict::Scale { replicas: Replicas::new(replicas), sent: Replicas::new(sent), active };
        let decision = Decision {
            at: Timestamp::from_unix_ms(0),
            state: State::Fresh,
            unmasked: verdict.clone(),
            verdict,
            terms: vec![kv_term(term)],
            reasons: Vec::new(),
            data_age: None,
            current: None,
            ready: None,
            serving: false,
        };
        assert_eq!(broken(&decision, Replicas::new(100)), expected, "{scale:?} {term}");
    }

    #[test]
    fn a_decision_that_cannot_be_is_found() {
        check((3, 3, true), 2.5, None);
        check((0, 0, false), 0.0, None);
        check((100, 100, true), 1e6, None);
        check((101, 101, true), 2.5, Some(Invariant::Limit));
        check((99, 101, true), 2.5, Some(Invariant::Limit));
        check((0, 0, true), 2.5, Some(Invariant::Active));
        check((3, 3, false), 2.5, Some(Invariant::Active));
        check((3, 0, true), 2.5, Some(Invariant::Active));
        check((3, 3, true), f64::NAN, Some(Invariant::Finite));
        check((3, 3, true), -1.0, Some(Invariant::Finite));
    }
}
