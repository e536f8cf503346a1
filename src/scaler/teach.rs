//! What a new scaler learns of the past: the minutes the store kept, and those its datasource has.
//!
//! Beside the ticks, which go on without a forecast meanwhile. Minutes that ticks measure in that time
//! are added at the end, so that nothing is lost and nothing counts twice. What was fetched is stored
//! as it comes: after a restart only the rest is asked for.
//!
//! Once a day, where minutes are stored, it learns them afresh from a later midnight on: nothing before the
//! history has a say, however long the process has been running. So processes that began on different days
//! come to say the same, to the bit, once their histories hold the same minutes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, info};

use crate::engine::arrived::Minute;
use crate::engine::decide::Timings;
use crate::engine::foresight::{Carries, Foresight};
use crate::engine::setup::Strategy;
use crate::engine::units::Timestamp;
use crate::scaler::handle::Scaler;
use crate::scaler::keep;
use crate::scaler::past::Learning;
use crate::scaler::shared::Shared;
use crate::scaler::wanted::{Known, wanted};
use crate::source::backfill::{self, Cursor, Told};

/// Histories learned at once: each costs a tenth of a second of a core, and ticks come first.
pub(crate) const LEARNING_MAX: usize = 1;

const DAY_MS: i64 = 86_400_000;

/// How often it is looked whether there was a midnight.
const LOOK: Duration = Duration::from_mins(10);

/// Scalers learn afresh in the first hours of a day, each at a time of its own: ten thousand at once would
/// be half an hour of a core.
const SPREAD: Duration = Duration::from_hours(6);
/// Of at least so much: a shorter history is what to begin with, and who has lived longer knows a week, some
/// hours of it unknown.
const RENEWED_MIN: Duration = Duration::from_hours(14 * 24);

/// Who teaches one scaler.
#[derive(Debug)]
pub(crate) struct Teacher {
    shared: Arc<Shared>,
    scaler: Arc<Scaler>,
    /// It knows its days already, from a sibling.
    taught: bool,
    /// What was fetched; what is stored is read when it is needed, or thousands of scalers that wait
    /// for their turn would hold a megabyte each.
    fetched: BTreeMap<Timestamp, Minute>,
    /// All of it was handed to the store.
    stored: bool,
}

impl Teacher {
    /// A teacher, if the scaler forecasts.
    pub(crate) fn of(shared: Arc<Shared>, scaler: Arc<Scaler>) -> Option<Self> {
        let setup = &scaler.spec.setup;
        if setup.strategy == Strategy::Reactive {
            return None;
        }
        let taught = scaler.memory().foresight.is_taught(setup, scaler.clock().now());
        scaler.lessons().recent = (!taught).then(VecDeque::new);
        Some(Self { shared, scaler, taught, fetched: BTreeMap::new(), stored: true })
    }

    /// Teaches the past, then every day again.
    pub(crate) async fn run(mut self) {
        let now = self.scaler.clock().now();
        let from = begins(now, self.scaler.spec.setup.forecast.history);
        if !self.taught {
            // In a place of its own, which is given back: inside, the task would be as large for life.
            Box::pin(self.learn(now, from)).await;
            self.fetched = BTreeMap::new();
        }
        if self.shared.store.is_some() {
            self.renew(from).await;
        }
    }

    /// Teaches what is stored every day again, from a midnight later each time, and whenever days that were
    /// known are not any more, as after a clock that went ahead and back; never ends.
    async fn renew(&mut self, mut from: Timestamp) {
        let Scaler { namespace, name, hash8, .. } = &*self.scaler;
        let late = spread([namespace, name, hash8]);
        let mut knew = self.knows_days();
        let history = self.scaler.spec.setup.forecast.history.max(RENEWED_MIN);
        loop {
            self.scaler.clock().sleep(LOOK).await;
            let now = self.scaler.clock().now().minus(late);
            let forgot = std::mem::replace(&mut knew, self.knows_days()) && !knew;
            let due = begins(now, history);
            if due > from || forgot {
                // Where it forgot, `from` may be of a clock that was ahead.
                from = if due > from { due } else { from.min(due) };
                self.again(from).await;
                knew = self.knows_days();
                let mut lessons = self.scaler.lessons();
                lessons.recent = None;
                let done = matches!(lessons.learning, Learning::Done { .. });
                drop(lessons);
                // What came since the past was there, ticks have stored.
                if done && self.stored {
                    self.keep_cursor(now);
                }
            }
        }
    }

    fn knows_days(&self) -> bool {
        self.scaler.memory().foresight.knows_days(&self.scaler.spec.setup)
    }

    /// Teaches what is stored since `from`; what a datasource refused a day ago is asked for again.
    async fn again(&mut self, from: Timestamp) {
        self.scaler.lessons().recent = Some(VecDeque::new());
        if matches!(self.scaler.learning(), Learning::Failed(_)) {
            Box::pin(self.learn(self.scaler.clock().now(), from)).await;
            self.fetched = BTreeMap::new();
        } else {
            Box::pin(self.teach(from)).await;
        }
    }

    /// Teaches what is stored since `from`, then what the datasource has.
    async fn learn(&mut self, now: Timestamp, from: Timestamp) {
        let mut known = self.teach(from).await;
        let mut whole = true;
        for cursor in wanted(from, now, &known, self.complete().await) {
            whole = self.fetch(cursor, from).await;
            if !whole {
                break;
            }
        }
        if !self.fetched.is_empty() {
            known = self.teach(from).await;
        }
        if whole {
            self.scaler.lessons().learning = Learning::Done { minutes: known.minutes };
        }
        if whole && self.stored {
            self.keep_cursor(now);
        }
        info!(minutes = known.minutes, "history learned");
        self.scaler.lessons().recent = None;
    }

    /// Up to when everything is stored.
    async fn complete(&self) -> Option<Timestamp> {
        let store = Arc::clone(self.shared.store.as_ref()?);
        let key = keep::minutes_key(self.scaler.key(), &self.scaler.spec);
        tokio::task::spawn_blocking(move || store.cursor(&key)).await.ok()?
    }

    /// Fetches what `cursor` lacks; whether it was all there. The newest day is taught as soon as it is
    /// there, the rest at the end.
    async fn fetch(&mut self, cursor: Cursor, from: Timestamp) -> bool {
        let Some(history) = self.shared.world.history(&self.scaler.spec, cursor) else {
            return false;
        };
        let (sender, mut told) = mpsc::channel(1);
        let reading = backfill::run(history, &sender);
        tokio::pin!(reading);
        let mut early = self.fetched.is_empty();
        loop {
            let step = tokio::select! {
                step = told.recv() => step,
                () = &mut reading => told.try_recv().ok(),
            };
            match step {
                Some(Told::Chunk(chunk)) => {
                    self.take(chunk.minutes);
                    self.scaler.lessons().learning = Learning::Reading(chunk.progress);
                    if std::mem::take(&mut early) {
                        self.teach(from).await;
                    }
                }
                Some(Told::Waiting { kind, progress, .. }) => {
                    debug!(fault = kind.words(), "history has to wait");
                    self.scaler.lessons().learning = Learning::Reading(progress);
                }
                Some(Told::Done(_)) => return true,
                Some(Told::Failed { reason, .. }) => {
                    info!(%reason, "no more history");
                    self.scaler.lessons().learning = Learning::Failed(reason);
                    return false;
                }
                None => return false,
            }
        }
    }

    fn take(&mut self, minutes: Vec<Minute>) {
        if let Some(store) = &self.shared.store {
            let key = keep::minutes_key(self.scaler.key(), &self.scaler.spec);
            if !store.add_minutes(&key, &minutes) {
                debug!("history not stored: too much waits to be written");
                self.stored = false;
            }
        }
        let known = minutes.into_iter().filter(Minute::is_known);
        self.fetched.extend(known.map(|minute| (minute.at, minute)));
    }

    fn keep_cursor(&self, until: Timestamp) {
        if let Some(store) = &self.shared.store {
            store.set_cursor(&keep::minutes_key(self.scaler.key(), &self.scaler.spec), until);
        }
    }

    /// Has everything known since `from` learned, and the scaler go on with it.
    async fn teach(&self, from: Timestamp) -> Known {
        let Ok(_turn) = self.shared.learning.acquire().await else { return Known::default() };
        let setup = self.scaler.spec.setup.clone();
        let memory = self.scaler.memory();
        let hpa_min = self.scaler.seen().workload.hpa_min;
        let carries = Carries::of(&memory.capacity).beside(hpa_min);
        let lead = Timings::of(&setup, &memory).lead;
        let (store, fetched) = (self.shared.store.clone(), self.fetched.clone());
        let key = keep::minutes_key(self.scaler.key(), &self.scaler.spec);
        let now = self.scaler.clock().now();
        let learn = move || {
            let mut minutes = fetched;
            let stored = store.iter().flat_map(|store| store.minutes(&key, from));
            // Those of a clock that went ahead are none.
            for minute in stored.filter(|minute| minute.at <= now) {
                minutes.entry(minute.at).or_insert(minute);
            }
            let minutes: Vec<Minute> = minutes.into_values().collect();
            (Known::of(&minutes), Foresight::of(&setup, lead, carries, &minutes))
        };
        let Ok((known, taught)) = tokio::task::spawn_blocking(learn).await else {
            return Known::default();
        };
        if known.minutes > 0 {
            let setup = &self.scaler.spec.setup;
            self.scaler.revise_quietly(|memory| {
                let recent = self.scaler.lessons().recent.iter().flatten().copied().collect();
                let recent: Vec<Minute> = recent;
                memory.foresight.take_over(setup, taught, &recent);
            });
        }
        known
    }
}

/// The midnight (UTC) before `history` ago. What a forecaster says depends on where its series began, by
/// some percent in its upper quantiles: processes that start on one day, and one that is started again on
/// it, begin alike. It is also what Thanos and Mimir keep answers by.
fn begins(now: Timestamp, history: Duration) -> Timestamp {
    let from = now.minus(history).unix_ms();
    Timestamp::from_unix_ms(from - from.rem_euclid(DAY_MS))
}

/// How long after a midnight the scaler of that name learns afresh: the same in every process.
fn spread(names: [&str; 3]) -> Duration {
    // FNV-1a.
    let hash = names
        .iter()
        .flat_map(|name| name.bytes().chain([0]))
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    SPREAD.mul_f64(f64::from(hash) / f64::from(u32::MAX))
}

/// Histories that are learned at the same time.
pub(crate) const fn gate() -> Semaphore {
    Semaphore::const_new(LEARNING_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DAY_MS, SPREAD, begins, spread};
    use crate::engine::units::Timestamp;

    #[test]
    fn whoever_starts_on_one_day_learns_from_the_same_minute_on() {
        let at = |days: i64, ms: i64| Timestamp::from_unix_ms(days * DAY_MS + ms);
        let history = Duration::from_hours(14 * 24);
        for ms in [0, 1, 43_200_000, DAY_MS - 1] {
            assert_eq!(begins(at(20_000, ms), history), at(19_986, 0), "{ms}");
        }
        assert_eq!(begins(at(20_001, 0), history), at(19_987, 0));
        assert_eq!(begins(at(20_000, 5), Duration::from_mins(1)), at(19_999, 0));
    }

    #[test]
    fn scalers_learn_afresh_at_times_of_their_own() {
        let mut late: Vec<Duration> =
            (0..1000).map(|idx| spread(["ns", &format!("vllm-{idx}"), "0a1b2c3d"])).collect();
        late.sort();
        assert!(late.iter().all(|late| *late <= SPREAD), "{late:?}");
        for quarter in 1..4 {
            let even = SPREAD * quarter / 4;
            assert!(late[250 * usize::try_from(quarter).unwrap()].abs_diff(even) < SPREAD / 20);
        }
    }
}
