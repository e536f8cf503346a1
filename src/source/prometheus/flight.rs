//! Identical queries asked once: the answers of the last ticks, and who is waiting for one.
//!
//! Scalers of one workload tick at the same aligned instants and ask the same text, so text and
//! instant are the key. An answer is kept for 20 seconds of ticks, within a budget of bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::engine::units::Timestamp;
use crate::source::prometheus::answer::{Answer, Data};

/// Scalers of one tick are spread by less than this.
const KEPT: Duration = Duration::from_secs(20);

/// Ticks of the last hour may be read again after a restart, beside those of now; answers further
/// ahead are left over from a clock that was set back.
const FUTURE_MAX: Duration = Duration::from_secs(2 * 3600);

/// What may be kept in all, in samples of 16 bytes: some 32 MiB.
const WEIGHT_MAX: usize = 2_000_000;

/// What the labels of a series weigh, in samples: about 1 KiB.
const LABELS_WEIGHT: usize = 64;

/// Weighing walks through everything kept: once in so many questions, of one tick or several. What
/// comes between two weighings is bounded by it and by the size of an answer.
const WEIGHED_EVERY: usize = 256;

type Key = (Timestamp, String);
type Cell<E> = Arc<OnceCell<Result<Arc<Answer>, E>>>;

/// The queries under way and the answers kept, of one datasource; `E` is a failure.
#[derive(Debug)]
pub(crate) struct Flights<E> {
    kept: Mutex<Kept<E>>,
}

#[derive(Debug)]
struct Kept<E> {
    cells: BTreeMap<Key, Cell<E>>,
    /// Questions since what is kept was weighed.
    unweighed: usize,
}

impl<E> Default for Flights<E> {
    fn default() -> Self {
        let kept = Kept { cells: BTreeMap::new(), unweighed: 0 };
        Self { kept: Mutex::new(kept) }
    }
}

impl<E: Clone> Flights<E> {
    /// The answer to `query` at `at`: kept, awaited from who asked first, or asked by `ask`. If who
    /// asked first gives up, the next one asks.
    ///
    /// # Errors
    /// The failure of the one who asked, told to everybody.
    pub(crate) async fn answer<F>(
        &self,
        query: &str,
        at: Timestamp,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<Answer>, E>
    where
        F: Future<Output = Result<Arc<Answer>, E>>,
    {
        let cell = self.cell(query, at);
        cell.get_or_init(ask).await.clone()
    }

    fn cell(&self, query: &str, at: Timestamp) -> Cell<E> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (at, query.to_owned());
        if let Some(cell) = kept.cells.get(&key) {
            return Arc::clone(cell);
        }
        kept.forget(at);
        let cell = Cell::default();
        kept.cells.insert(key, Arc::clone(&cell));
        cell
    }
}

impl<E> Kept<E> {
    /// Drops what is too old, and what a clock that was set back left in the future; then, now and
    /// again, the oldest while there is too much. Whoever waits for an answer keeps it.
    fn forget(&mut self, now: Timestamp) {
        while self.cells.first_key_value().is_some_and(|((at, _), _)| now.since(*at) > KEPT) {
            self.cells.pop_first();
        }
        while self.cells.last_key_value().is_some_and(|((at, _), _)| at.since(now) > FUTURE_MAX) {
            self.cells.pop_last();
        }
        self.unweighed += 1;
        if self.unweighed < WEIGHED_EVERY {
            return;
        }
        self.unweighed = 0;
        let mut weight_kept: usize = self.cells.values().map(weight).sum();
        while weight_kept > WEIGHT_MAX {
            let Some((_, cell)) = self.cells.pop_first() else { break };
            weight_kept = weight_kept.saturating_sub(weight(&cell));
        }
    }
}

fn weight<E>(cell: &Cell<E>) -> usize {
    match cell.get() {
        Some(Ok(answer)) => match &answer.data {
            Data::Vector(elements) => elements.len() * LABELS_WEIGHT,
            Data::Matrix(rows) => {
                rows.iter().map(|row| row.series.samples().len() + LABELS_WEIGHT).sum()
            }
            Data::Scalar(_) | Data::Text(_) => 1,
        },
        Some(Err(_)) | None => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::{Answer, Data, Flights};
    use crate::engine::units::Timestamp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + seconds * 1000)
    }

    #[tokio::test]
    async fn one_text_at_one_instant_is_asked_once() {
        let flights: Flights<()> = Flights::default();
        let asked = Cell::new(0);
        let ask = async |query: &str, time: i64| {
            flights
                .answer(query, at(time), || async {
                    asked.set(asked.get() + 1);
                    tokio::task::yield_now().await;
                    Ok(Arc::new(Answer { data: Data::Scalar(1.0), partial: false }))
                })
                .await
        };
        let (a, b, c) = tokio::join!(ask("x", 0), ask("x", 0), ask("y", 0));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(asked.get(), 2);
        ask("x", 15).await.expect("answered");
        ask("x", 0).await.expect("kept");
        assert_eq!(asked.get(), 3);
        ask("x", 60).await.expect("answered");
        ask("x", 0).await.expect("asked again");
        assert_eq!(asked.get(), 5);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_question_to_the_next() {
        let flights: Flights<()> = Flights::default();
        let never = flights.answer("x", at(0), std::future::pending);
        tokio::select! {
            biased;
            _ = never => panic!("never answers"),
            () = tokio::task::yield_now() => {}
        }
        let answered = flights
            .answer("x", at(0), || async {
                Ok(Arc::new(Answer { data: Data::Scalar(2.0), partial: false }))
            })
            .await;
        assert_eq!(answered.map(|answer| answer.data.clone()), Ok(Data::Scalar(2.0)));
    }

    #[tokio::test]
    async fn what_is_kept_has_a_limit_within_one_tick_too() {
        use crate::source::prometheus::answer::Element;
        for (what, seconds_between) in [("over many ticks", 1), ("within one tick", 0)] {
            let flights: Flights<()> = Flights::default();
            let asked = Cell::new(0);
            let ask = async |idx: i64| {
                let large = || async {
                    asked.set(asked.get() + 1);
                    let element = Element { labels: [].into(), value: 0.0 };
                    let data = Data::Vector(vec![element; 400]);
                    Ok(Arc::new(Answer { data, partial: false }))
                };
                let time = idx % 20 * seconds_between;
                flights.answer(&format!("{idx:04}"), at(time), large).await.expect("answered");
            };
            for idx in 0..1000 {
                ask(idx).await;
            }
            let kept = flights.kept.lock().expect("not poisoned").cells.len();
            assert!(kept < 400, "{what}: {kept} kept");
            ask(999).await;
            assert_eq!(asked.get(), 1000, "{what}: the newest was not kept");
        }
    }
}
