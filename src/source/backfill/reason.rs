//! Why a back-fill does not go on: for good, or for now.

use crate::engine::observation::{Fault, FaultKind};
use crate::source::tenancy::Refusal;

/// Why there is no (more) history. Never holds what a server said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The datasource may not be used, or refuses the query.
    #[error("{0}")]
    Refused(Fault),
    /// One of the user's queries is not asked.
    #[error("{place}: {refusal}")]
    Query {
        /// Which, `signal kafka`.
        place: String,
        /// Why.
        refusal: Refusal,
    },
    /// Whatever shows arrivals is scraped directly, or nothing does.
    #[error("no datasource keeps what this trigger reads")]
    Nothing,
}

/// What kept a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// For good.
    Failed(Reason),
    /// For now.
    Later(FaultKind),
}

/// Whether the same question can never be answered: the server understood and refused it. That a call is not
/// there is said by a proxy as well, while what is behind it is being started.
pub(super) const fn is_final(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::ClientError | FaultKind::NotAllowed)
}

/// Whether a shorter stage may be answered.
pub(super) const fn is_of_length(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Timeout | FaultKind::TooLarge | FaultKind::QueryFailed)
}
