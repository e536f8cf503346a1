//! The past of a workload, fetched once: what arrived in each minute of the last days.
//!
//! Given a datasource, a target and a [`Cursor`]. Promises the minutes of the cursor's range, newest
//! day first and ascending within a chunk, each once; what the datasource does not know is a gap, never
//! zero. It asks with `query_range`, one query at a time for all scalers of a datasource, and less than
//! half of the time; a server that fails is asked again later, for as long as it takes. Where the
//! minutes are kept, and who learns from them, is left to others.
//!
//! What a [`Chunk`] brought is not kept here: a back-fill holds one stage, a day of some columns.

mod cursor;
mod reason;

mod queries;
mod scrapes;

mod minutes;
mod prepare;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::engine::arrived::Minute;
use crate::engine::observation::{Fault, FaultKind};
use crate::engine::setup::Setup;
use crate::engine::units::Timestamp;
use crate::source::prometheus::Datasource;
use crate::source::prometheus::answer::Answer;
use crate::spec::Target;

use self::minutes::{Column, column, minutes, unknown};
use self::prepare::{Prepared, prepared};
use self::queries::Query;
use self::reason::{Stop, is_final, is_of_length};
use self::scrapes::Scrapes;

pub use self::cursor::{Cursor, Progress};
pub use self::reason::Reason;

/// The longest stage: 1 440 points of 11 000 that Prometheus allows, and what Thanos and Mimir cut
/// long queries into.
const STAGE_MAX: Duration = Duration::from_secs(86_400);

/// The shortest that a slow server is asked for. What it cannot say of one hour it never will.
const STAGE_MIN: Duration = Duration::from_secs(3_600);

/// Longest wait between two attempts: short beside the days to fetch, long for a server in need.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Partial answers in all before the minutes of the next ones are given up: with the pauses between them a
/// quarter of an hour, in which a store starts again. One that is gone for good costs that once.
const PARTIAL_MAX: u32 = 10;

/// Stages in a row, after one that was too long, before a longer one is tried again.
const CALM: u32 = 8;

/// A minute is read when it has been over for this long: scrapes and remote writes come late.
const LATE: Duration = Duration::from_secs(60);

/// Minutes that were fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// One after the other, oldest first, those of which nothing is known included.
    pub minutes: Vec<Minute>,
    /// Where to go on after them.
    pub cursor: Cursor,
    /// How far it is with them.
    pub progress: Progress,
}

/// What one step of a back-fill brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Minutes; they lie before those of the chunk before.
    Chunk(Chunk),
    /// Nothing for now.
    Waiting {
        /// What kept it.
        kind: FaultKind,
        /// How long to wait before the next step.
        pause: Duration,
        /// How far it is.
        progress: Progress,
    },
    /// Everything is there.
    Done(Progress),
    /// There will be no more.
    Failed {
        /// Why.
        reason: Reason,
        /// How far it was.
        progress: Progress,
    },
}

/// The back-fill of one scaler.
#[derive(Debug)]
pub struct Backfill {
    datasource: Result<Arc<Datasource>, Fault>,
    target: Target,
    setup: Setup,
    cursor: Cursor,
    prepared: Option<Prepared>,
    /// Answers to the first queries of the stage under way.
    columns: Vec<Column>,
    longest: Duration,
    /// Stages since one was too long.
    calm: u32,
    partial: u32,
    failures: u32,
    sent: u32,
    fault: Option<FaultKind>,
}

impl Backfill {
    /// A back-fill of what `cursor` lacks. A datasource that may not be used is told at the first step.
    #[must_use]
    pub(crate) fn new(
        datasource: Result<Arc<Datasource>, Fault>,
        target: &Target,
        setup: &Setup,
        cursor: Cursor,
    ) -> Self {
        Self {
            datasource,
            target: target.clone(),
            setup: setup.clone(),
            cursor,
            prepared: None,
            columns: Vec::new(),
            longest: STAGE_MAX,
            calm: 0,
            partial: 0,
            failures: 0,
            sent: 0,
            fault: None,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::of(&self.cursor, self.sent, self.fault)
    }

    /// Where to go on.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next chunk, or why there is none now. Given up in the midst of it, a back-fill repeats at
    /// most one query.
    pub async fn next_chunk(&mut self) -> Told {
        match self.attempt().await {
            Ok(Some(minutes)) => {
                let (cursor, progress) = (self.cursor, self.progress());
                Told::Chunk(Chunk { minutes, cursor, progress })
            }
            Ok(None) => Told::Done(self.progress()),
            Err(Stop::Failed(reason)) => Told::Failed { reason, progress: self.progress() },
            Err(Stop::Later(kind)) => {
                self.failures = self.failures.saturating_add(1);
                self.fault = Some(kind);
                let own = Duration::from_secs(1 << self.failures.min(9)).min(WAIT_MAX);
                let told = self.datasource.as_ref().map(|of| of.pause()).unwrap_or_default();
                Told::Waiting { kind, pause: own.max(told), progress: self.progress() }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Vec<Minute>>, Stop> {
        if self.cursor.is_done() {
            return Ok(None);
        }
        let datasource = self.datasource.clone();
        let datasource = datasource.map_err(|fault| Stop::Failed(Reason::Refused(fault)))?;
        self.prepare(&datasource).await?;
        let Some(stage) = self.cursor.stage(self.longest) else { return Ok(None) };
        self.look(&datasource).await?;
        self.turn(stage);
        while let Some(query) = self.open_query() {
            let column = self.ask(&datasource, &query, stage).await?;
            self.columns.push(column);
            self.failures = 0;
        }
        let found = minutes(stage, &self.columns);
        self.columns.clear();
        self.cursor.had(stage.0);
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.longest = (self.longest * 2).min(STAGE_MAX);
        }
        Ok(Some(found))
    }

    async fn prepare(&mut self, datasource: &Datasource) -> Result<(), Stop> {
        if self.prepared.is_none() {
            let now = datasource.clock().now();
            let found = prepared(datasource, (&self.target, &self.setup), now).await;
            let found = found.map_err(|stop| judged(datasource, stop))?;
            self.cursor.end_by(now.minus(LATE));
            self.prepared = Some(found);
        }
        Ok(())
    }

    /// Looks once how often pods were scraped. A server that is there and will not say is not asked again:
    /// what it says of the rest is only read over a longer range.
    async fn look(&mut self, datasource: &Datasource) -> Result<(), Stop> {
        let Some(prepared) = &mut self.prepared else { return Ok(()) };
        let Some(query) = prepared.unlooked(&self.target) else { return Ok(()) };
        let (span, step) = scrapes::span(self.cursor.from(), self.cursor.until());
        self.sent = self.sent.saturating_add(1);
        let found = match datasource.ask_past(&query, span, step).await {
            Ok(answer) => Scrapes::read(&answer.data),
            Err(unanswered) if is_of_length(unanswered.kind) || is_final(unanswered.kind) => {
                Scrapes::default()
            }
            Err(unanswered) => {
                self.fault = Some(unanswered.kind);
                return Err(Stop::Later(unanswered.kind));
            }
        };
        prepared.looked(found);
        self.failures = 0;
        Ok(())
    }

    fn turn(&mut self, stage: (Timestamp, Timestamp)) {
        if let Some(prepared) = self.prepared.as_mut().filter(|_| self.columns.is_empty()) {
            prepared.turn((&self.target, &self.setup), stage);
        }
    }

    /// The first query of the stage that is not answered.
    fn open_query(&self) -> Option<Query> {
        self.prepared.as_ref()?.queries.get(self.columns.len()).cloned()
    }

    async fn ask(
        &mut self,
        datasource: &Datasource,
        query: &Query,
        stage: (Timestamp, Timestamp),
    ) -> Result<Column, Stop> {
        let span = (stage.0.plus(Minute::LENGTH), stage.1);
        self.sent = self.sent.saturating_add(1);
        let answer = datasource.ask_past(&query.text, span, Minute::LENGTH).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(unanswered) => return Err(self.unanswered(datasource, unanswered.kind)),
        };
        self.fault = answer.partial.then_some(FaultKind::Partial);
        self.read(&answer, query, stage)
    }

    fn read(
        &mut self,
        answer: &Answer,
        query: &Query,
        stage: (Timestamp, Timestamp),
    ) -> Result<Column, Stop> {
        if answer.partial {
            self.partial = self.partial.saturating_add(1);
            if self.partial < PARTIAL_MAX {
                return Err(Stop::Later(FaultKind::Partial));
            }
            // Less than there was must not pass for all of it.
            return Ok(unknown(query.what, stage));
        }
        column(query.what, &answer.data, stage).ok_or(Stop::Later(FaultKind::BadResponse))
    }

    fn unanswered(&mut self, datasource: &Datasource, kind: FaultKind) -> Stop {
        self.fault = Some(kind);
        if is_of_length(kind) && self.longest > STAGE_MIN {
            self.longest = (self.longest / 2).max(STAGE_MIN);
            self.calm = 0;
            self.columns.clear();
            return Stop::Later(kind);
        }
        if is_final(kind) || matches!(kind, FaultKind::TooLarge | FaultKind::QueryFailed) {
            Stop::Failed(Reason::Refused(datasource.fault(kind)))
        } else {
            Stop::Later(kind)
        }
    }
}

/// What stops the preparation, for good where the server will never say it.
fn judged(datasource: &Datasource, stop: Stop) -> Stop {
    match stop {
        Stop::Later(kind) if is_final(kind) => {
            Stop::Failed(Reason::Refused(datasource.fault(kind)))
        }
        Stop::Later(_) | Stop::Failed(_) => stop,
    }
}

/// Drives `backfill` to its end and tells each step, the last one included; the chunk after one that
/// nobody took is not fetched. Ends early when nobody listens any more.
///
/// At most four back-fills of a datasource are under way, the others wait for their turn; one that has
/// to wait for its server lets others go first.
pub async fn run(mut backfill: Backfill, told: &Sender<Told>) {
    let datasource = backfill.datasource.clone().ok();
    let mut seat = None;
    loop {
        if let (Some(datasource), None) = (&datasource, &seat) {
            seat = tokio::select! {
                seat = datasource.backfill_seat() => seat,
                () = told.closed() => return,
            };
        }
        let step = tokio::select! {
            step = backfill.next_chunk() => step,
            () = told.closed() => return,
        };
        let pause = match &step {
            Told::Chunk(_) => None,
            Told::Waiting { pause, .. } => Some(*pause),
            Told::Done(_) | Told::Failed { .. } => {
                // Whoever does not listen any more has no use for the end.
                let _ = told.send(step).await;
                return;
            }
        };
        if told.send(step).await.is_err() {
            return;
        }
        if let (Some(pause), Some(datasource)) = (pause, &datasource) {
            seat = None;
            tokio::select! {
                () = datasource.clock().sleep(pause) => {}
                () = told.closed() => return,
            }
        }
    }
}
