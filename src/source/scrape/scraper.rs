//! What all readers of the server share: the resolver, the client, and each page read once a tick.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use crate::clock::Clock;
use crate::engine::observation::FaultKind;
use crate::engine::units::Timestamp;
use crate::source::config::ScrapePolicy;
use crate::source::exposition::{Page, Wanted};
use crate::source::resolve::Resolver;
use crate::source::scrape::fetch::{Fetcher, Place};
use crate::source::scrape::limits::Limits;

/// A page is shared among those who ask for the same tick this long after the newest tick seen.
const SHARED_FOR: Duration = Duration::from_secs(10);

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for direct scrape")]
pub struct Error(#[from] reqwest::Error);

/// A page and when it was complete.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) page: Page,
    pub(super) at: Timestamp,
}

type Shared = Result<Arc<Answer>, FaultKind>;
type Flight = (Timestamp, Place, Wanted);

/// Scrapes pages for every reader; one for the server.
#[derive(Debug)]
pub struct Scraper {
    pub(super) resolver: Resolver,
    pub(super) limits: Limits,
    pub(crate) clock: Clock,
    fetcher: Fetcher,
    slots: Semaphore,
    flights: Mutex<BTreeMap<Flight, Arc<OnceCell<Shared>>>>,
}

impl Scraper {
    /// Reads the system's resolver configuration unless `policy` has names. No network I/O.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(policy: &ScrapePolicy, limits: Limits, clock: Clock) -> Result<Arc<Self>, Error> {
        Self::with_resolver(Resolver::new(policy, limits.resolve), limits, clock)
    }

    /// The same with a resolver of its own.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn with_resolver(
        resolver: Resolver,
        limits: Limits,
        clock: Clock,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            resolver,
            limits,
            clock,
            fetcher: Fetcher::new(limits)?,
            slots: Semaphore::new(limits.at_once_in_all),
            flights: Mutex::new(BTreeMap::new()),
        }))
    }

    /// The page at `place` for the tick at `tick`, read now or lately for another reader.
    pub(super) async fn page(&self, tick: Timestamp, place: &Place, wanted: &Wanted) -> Shared {
        match self.flight(tick, place, wanted) {
            Some(cell) => cell.get_or_init(|| self.fetch(place, wanted)).await.clone(),
            None => self.fetch(place, wanted).await,
        }
    }

    /// The place where the page of this tick is or will be; `None` when there are too many.
    fn flight(
        &self,
        tick: Timestamp,
        place: &Place,
        wanted: &Wanted,
    ) -> Option<Arc<OnceCell<Shared>>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = flights.last_key_value().map_or(tick, |((newest, ..), _)| *newest);
        let oldest = newest.minus(SHARED_FOR);
        while flights.first_key_value().is_some_and(|((at, ..), _)| *at < oldest) {
            flights.pop_first();
        }
        let key = (tick, place.clone(), wanted.clone());
        if flights.len() >= self.limits.shared && !flights.contains_key(&key) {
            return None;
        }
        Some(Arc::clone(flights.entry(key).or_default()))
    }

    /// The page at `place` now, shared with nobody and not remembered, within `limit`. It takes none of
    /// the places of those who read for a tick.
    pub(super) async fn glance(
        &self,
        place: &Place,
        wanted: &Wanted,
        limit: Duration,
    ) -> Result<Page, FaultKind> {
        let page = tokio::time::timeout(limit, self.fetcher.page(place, wanted)).await;
        page.unwrap_or(Err(FaultKind::Timeout))
    }

    async fn fetch(&self, place: &Place, wanted: &Wanted) -> Shared {
        let waited = tokio::time::timeout(self.limits.page, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = waited else { return Err(FaultKind::Timeout) };
        let page = self.fetcher.page(place, wanted).await?;
        Ok(Arc::new(Answer { page, at: self.clock.now() }))
    }
}
