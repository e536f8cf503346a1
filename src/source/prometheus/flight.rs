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

/// Samples kept in all: at some 50 bytes with its share of labels, 50 MiB.
const SAMPLES_MAX: usize = 1_000_000;

type Key = (Timestamp, String);
type Cell<E> = Arc<OnceCell<Result<Arc<Answer>, E>>>;

/// The queries under way and the answers kept, of one datasource; `E` is a failure.
#[derive(Debug)]
pub(crate) struct Flights<E> {
    cells: Mutex<BTreeMap<Key, Cell<E>>>,
}

impl<E> Default for Flights<E> {
    fn default() -> Self {
        Self { cells: Mutex::new(BTreeMap::new()) }
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
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (at, query.to_owned());
        if let Some(cell) = cells.get(&key) {
            return Arc::clone(cell);
        }
        forget(&mut cells, at);
        let cell = Cell::default();
        cells.insert(key, Arc::clone(&cell));
        cell
    }
}

/// Drops what is too old, then the oldest while there is too much. A clock set back leaves answers
/// "from the future": those are dropped too.
fn forget<E>(cells: &mut BTreeMap<Key, Cell<E>>, now: Timestamp) {
    let current = |at: Timestamp| now.since(at) <= KEPT && at.since(now) <= KEPT;
    if cells.first_key_value().is_some_and(|((at, _), _)| !current(*at))
        || cells.last_key_value().is_some_and(|((at, _), _)| !current(*at))
    {
        cells.retain(|(at, _), _| current(*at));
    }
    // Counted once per tick instant, not per query: the sum is only needed when a tick begins.
    if cells.last_key_value().is_some_and(|((at, _), _)| *at < now) {
        let mut samples: usize = cells.values().map(weight).sum();
        while samples > SAMPLES_MAX {
            let Some((_, cell)) = cells.pop_first() else { break };
            samples = samples.saturating_sub(weight(&cell));
        }
    }
}

fn weight<E>(cell: &Cell<E>) -> usize {
    match cell.get() {
        Some(Ok(answer)) => match &answer.data {
            Data::Vector(elements) => elements.len() * 4,
            Data::Matrix(rows) => rows.iter().map(|row| row.series.samples().len() + 8).sum(),
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
}
