//! Identical queries asked once: the answers of the last ticks, and who is waiting for one.
//!
//! Scalers of one workload tick at the same aligned instants and ask the same text, so text and
//! instant are the key. An answer is kept for 20 seconds of ticks, within a budget of bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::prometheus::answer::{Answer, Data, Labels};

/// Scalers of one tick are spread by less than this.
const KEPT: Duration = Duration::from_secs(20);

/// Ticks of the last hour may be read again after a restart, beside those of now; answers further
/// ahead are left over from a clock that was set back.
const FUTURE_MAX: Duration = Duration::from_secs(2 * 3600);

/// What may be kept in all, in bytes.
const WEIGHT_MAX: usize = 32 << 20;

/// A map of labels or a row besides its text, and one label of it: two strings as an allocator rounds them,
/// and their place in the map.
const ROW_BYTES: usize = 128;
const LABEL_BYTES: usize = 112;
const SAMPLE_BYTES: usize = 16;

type Key = (Timestamp, String);
type Cell<E> = Arc<OnceCell<Result<Arc<Answer>, E>>>;

/// The queries under way and the answers kept, of one datasource; `E` is a failure.
#[derive(Debug)]
pub(crate) struct Flights<E> {
    kept: Mutex<Kept<E>>,
}

#[derive(Debug)]
struct Kept<E> {
    /// With the bytes of each; zero until it is answered.
    cells: BTreeMap<Key, (Cell<E>, usize)>,
    /// Their sum.
    weight: usize,
}

impl<E> Default for Flights<E> {
    fn default() -> Self {
        let kept = Kept { cells: BTreeMap::new(), weight: 0 };
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
        let mut asked = false;
        let ask = || {
            asked = true;
            ask()
        };
        let answer = cell.get_or_init(ask).await.clone();
        if asked {
            let weight = query.len() + answer.as_ref().map_or(0, |it| weight(it));
            self.kept().weigh((at, query.to_owned()), weight);
        }
        answer
    }

    fn cell(&self, query: &str, at: Timestamp) -> Cell<E> {
        let mut kept = self.kept();
        let key = (at, query.to_owned());
        if let Some((cell, _)) = kept.cells.get(&key) {
            return Arc::clone(cell);
        }
        kept.forget(at);
        let cell = Cell::default();
        kept.cells.insert(key, (Arc::clone(&cell), 0));
        cell
    }

    fn kept(&self) -> MutexGuard<'_, Kept<E>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Kept<E> {
    /// Drops what is too old, and what a clock that was set back left in the future. Whoever waits for an
    /// answer keeps it.
    fn forget(&mut self, now: Timestamp) {
        while self.cells.first_key_value().is_some_and(|((at, _), _)| now.since(*at) > KEPT) {
            self.drop_first();
        }
        while self.cells.last_key_value().is_some_and(|((at, _), _)| at.since(now) > FUTURE_MAX) {
            let last = self.cells.pop_last();
            self.weight -= last.map_or(0, |(_, (_, weight))| weight);
        }
    }

    /// Notes that the answer to a question weighs so much, and drops the oldest while there is too much; that
    /// may be this one.
    fn weigh(&mut self, key: Key, weight: usize) {
        let Some((_, before)) = self.cells.get_mut(&key) else { return };
        self.weight = self.weight - std::mem::replace(before, weight) + weight;
        while self.weight > WEIGHT_MAX && !self.cells.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let first = self.cells.pop_first();
        self.weight -= first.map_or(0, |(_, (_, weight))| weight);
    }
}

/// Bytes that an answer takes, about.
fn weight(answer: &Answer) -> usize {
    let text = |(name, value): (&String, &String)| name.len() + value.len() + LABEL_BYTES;
    let labels = |labels: &Labels| ROW_BYTES + labels.iter().map(text).sum::<usize>();
    match &answer.data {
        Data::Vector(elements) => elements.iter().map(|element| labels(&element.labels)).sum(),
        Data::Matrix(rows) => {
            let samples = |row: &RawSeries| row.series.samples().len() * SAMPLE_BYTES;
            rows.iter().map(|row| labels(&row.labels) + samples(row)).sum()
        }
        Data::Scalar(_) => 0,
        Data::Text(text) => text.len(),
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
                    let data = Data::Vector(vec![element; 4_000]);
                    Ok(Arc::new(Answer { data, partial: false }))
                };
                let time = idx % 20 * seconds_between;
                flights.answer(&format!("{idx:04}"), at(time), large).await.expect("answered");
            };
            for idx in 0..1000 {
                ask(idx).await;
            }
            let kept = flights.kept.lock().expect("not poisoned").cells.len();
            assert!((60..70).contains(&kept), "{what}: {kept} kept");
            ask(999).await;
            assert_eq!(asked.get(), 1000, "{what}: the newest was not kept");
        }
    }
}
