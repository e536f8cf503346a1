//! The decision as data: the state of knowledge, what KEDA is told, and every reason for it.

mod early;
mod foreseen;
mod reason;
mod term;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::units::{Replicas, Timestamp};

pub use early::Early;
pub use foreseen::{Foreseen, Margin, Rival, Stage, Trust};
pub use reason::{Block, Limit, Reason};
pub use term::{Short, Term, TermKind};

/// How much is known (docs/safety.md); one row of the decision-safety contract each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All required signals are recent and complete.
    Fresh,
    /// Data is old, but not too old: the last good value stands, increases count.
    Hold,
    /// Data is too old to answer.
    Blind,
    /// There never was data.
    Cold,
    /// Replicas are zero and nothing asks for them.
    Asleep,
    /// Asleep, and the place where demand would show cannot be read.
    AsleepBlind,
    /// A wake is unanswered or pods are loading.
    Waking,
    /// Some ready pods could not be read.
    Partial,
}

impl State {
    /// All states, for metrics.
    pub const ALL: [Self; 8] = [
        Self::Fresh,
        Self::Hold,
        Self::Blind,
        Self::Cold,
        Self::Asleep,
        Self::AsleepBlind,
        Self::Waking,
        Self::Partial,
    ];

    /// Its name in metrics, JSON and text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Hold => "hold",
            Self::Blind => "blind",
            Self::Cold => "cold",
            Self::Asleep => "asleep",
            Self::AsleepBlind => "asleep_blind",
            Self::Waking => "waking",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why no number is sent. One line each, at most 200 characters, no secrets, no upstream text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Data is too old: UNAVAILABLE.
    #[error("data stale {} s ({cause})", age.as_secs())]
    Stale {
        /// Age of the newest trustworthy sample.
        age: Duration,
        /// What keeps new data from coming, in fixed words.
        cause: String,
    },
    /// Data never came: FAILED_PRECONDITION.
    #[error("no data yet: {text}")]
    NoData {
        /// What was looked for and found, in fixed words.
        text: String,
    },
}

/// What KEDA is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A number: act.
    Scale {
        /// Replicas wanted, absolute; what limits and reasons speak of.
        replicas: Replicas,
        /// The number sent; differs from `replicas` only to leave the HPA's dead band.
        sent: Replicas,
        /// Whether more than zero replicas are wanted.
        active: bool,
    },
    /// An error: hold.
    Refuse(Refusal),
}

/// One tick's decision and everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The tick.
    pub at: Timestamp,
    /// How much is known.
    pub state: State,
    /// What KEDA is told.
    pub verdict: Verdict,
    /// What would have been told without `shadow`; equal to `verdict` otherwise.
    pub unmasked: Verdict,
    /// The terms of demand, in replica-equivalents, largest first; the first one binds.
    pub terms: Vec<Term>,
    /// Everything else that shaped the decision, in the order it applied.
    pub reasons: Vec<Reason>,
    /// Age of the newest trustworthy sample.
    pub data_age: Option<Duration>,
    /// Replicas the target has (best source), if known.
    pub current: Option<Replicas>,
    /// Ready replicas, if known.
    pub ready: Option<Replicas>,
    /// Whether this active period has pods serving (the push stream need not repeat it).
    pub serving: bool,
    /// What was foreseen; `None` where nothing is forecast.
    #[serde(default)]
    pub foreseen: Option<Foreseen>,
}

impl Decision {
    /// Whether more than zero replicas are wanted; `None` when there is no number. Cold with
    /// replicas running, with demand seen outside of the pods or with a floor by the calendar is
    /// active: data that never came is no reason to stop them, and none to leave the demand waiting.
    /// So is any refusal while somebody asks for a wake: KEDA starts a first replica on that, and
    /// keeps any other count.
    #[must_use]
    pub fn active(&self) -> Option<bool> {
        let running = self.current.is_some_and(|current| current > Replicas::ZERO);
        let scheduled =
            self.reasons.iter().any(|reason| matches!(reason, Reason::Scheduled { .. }));
        let asks = |reason: &Reason| matches!(reason, Reason::Wake { .. } | Reason::Asked { .. });
        let asked = self.reasons.iter().any(asks);
        let cold = self.state == State::Cold;
        match &self.verdict {
            Verdict::Scale { active, .. } => Some(*active),
            Verdict::Refuse(_) if asked || cold && (running || scheduled) => Some(true),
            Verdict::Refuse(_) => None,
        }
    }

    /// Everything in one line: state, number, binding term, replicas ready.
    #[must_use]
    pub fn headline(&self) -> String {
        let told = match &self.unmasked {
            Verdict::Scale { replicas, .. } => format!("{replicas} replicas"),
            Verdict::Refuse(refusal) => refusal.to_string(),
        };
        let binding = self.terms.first().map_or_else(String::new, |term| format!(" ({term})"));
        let ready = self.ready.map_or_else(String::new, |ready| format!(", {ready} ready"));
        format!("{}: {told}{binding}{ready}", self.state)
    }
}
