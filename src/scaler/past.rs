//! How far a scaler is with its past, and what ticks measured meanwhile.

use std::collections::VecDeque;
use std::fmt;

use crate::engine::arrived::Minute;
use crate::source::backfill::{Progress, Reason};

/// Minutes that ticks measure while a history is read: a day of them, 80 kB.
const RECENT_MAX: usize = 1440;

/// How far a scaler is with its past.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Learning {
    /// Nothing is to be learned, or it has not begun.
    #[default]
    None,
    /// The datasource is being read.
    Reading(Progress),
    /// It was read to the end; so many minutes are known.
    Done {
        /// Minutes of which something is known.
        minutes: usize,
    },
    /// There is no more to be had.
    Failed(Reason),
}

impl fmt::Display for Learning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none is to be read"),
            Self::Reading(Progress { days_done, days_total, queries, fault }) => {
                write!(f, "{days_done:.1} of {days_total:.1} days read, {queries} queries")?;
                fault.map_or(Ok(()), |kind| write!(f, "; waits: {}", kind.words()))
            }
            Self::Done { minutes } => {
                write!(f, "read; {:.1} days of it are known", to_days(*minutes))
            }
            Self::Failed(reason) => write!(f, "no more to be had: {reason}"),
        }
    }
}

fn to_days(minutes: usize) -> f64 {
    f64::from(u32::try_from(minutes).unwrap_or(u32::MAX)) / 1440.0
}

/// The past of a scaler as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    /// How far it is.
    pub(crate) learning: Learning,
    /// What ticks measured since it began; `None` when nobody needs it.
    pub(crate) recent: Option<VecDeque<Minute>>,
}

impl Lessons {
    /// Notes a minute that a tick measured.
    pub(crate) fn note(&mut self, minute: Minute) {
        if let Some(recent) = &mut self.recent {
            if recent.len() == RECENT_MAX {
                recent.pop_front();
            }
            recent.push_back(minute);
        }
    }
}
