//! One page that is looked at each second, and those who want to be told.
//!
//! Runs until it is aborted. A place that fails is looked at again after two, four, eight and then every
//! fifteen seconds, the tick that reads it anyway; so is a name that does not resolve. Only those of a
//! namespace in which something rose are judged, each by what it may read itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{Semaphore, watch};

use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::exposition::Page;
use crate::source::lookout::sight::{Risen, Sight, WANTED};
use crate::source::parts::arrivals::Rows;
use crate::source::parts::held;
use crate::source::preset::{asked, on_any_page};
use crate::source::scrape::{Place, Scraper, glance, whereabouts};
use crate::spec::{Endpoint, Target};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// The same in real time where the clock runs faster: more often would only burn the processor.
const REAL_MIN: Duration = Duration::from_millis(100);

/// A page that takes longer than the time to the next look has nothing to tell sooner than a tick. Real
/// time.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Rest after repeated failures: the default tick, which reads the page anyway.
const REST_MAX: Duration = Duration::from_secs(15);

/// Addresses of one name: a gateway has a few replicas.
const ADDRESSES_MAX: usize = 8;

/// Somebody who sleeps.
#[derive(Debug)]
pub(super) struct Watcher {
    target: Arc<Target>,
    above: f64,
    tell: Arc<watch::Sender<Option<Timestamp>>>,
}

impl Watcher {
    /// Whoever reads `target` and sleeps through demand up to `above`.
    pub(super) const fn new(
        target: Arc<Target>,
        above: f64,
        tell: Arc<watch::Sender<Option<Timestamp>>>,
    ) -> Self {
        Self { target, above, tell }
    }

    /// Tells it if more shows in `rows` than it sleeps through.
    fn judge(&self, rows: &[RawSeries], at: Timestamp) {
        let ways = on_any_page(self.target.gateway).into_iter().flat_map(asked);
        let rows = Rows { read: rows, ..Rows::default() };
        let read = ways.into_iter().find_map(|way| held::on_pages(way, &self.target, rows, at));
        let shown = read.and_then(|reading| reading.held).unwrap_or(0.0);
        if shown > self.above {
            self.tell.send_replace(Some(at));
        }
    }
}

/// One page and its watchers.
#[derive(Debug)]
pub(super) struct Post {
    scraper: Arc<Scraper>,
    slots: Arc<Semaphore>,
    endpoint: Endpoint,
    /// For whom its name is resolved; names are complete, so it is the namespace of all its watchers.
    namespace: String,
    /// By namespace and number.
    watchers: Mutex<BTreeMap<(String, u64), Watcher>>,
}

/// What the looks so far left behind.
#[derive(Debug, Default)]
struct Past {
    sights: BTreeMap<Place, Sight>,
    rests: BTreeMap<Place, Rest>,
    name: Rest,
}

/// How often something failed in a row, and until when it is left alone, by the clock that never jumps.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    failures: u32,
    until: Duration,
}

impl Rest {
    fn after_failure(self, now: Duration) -> Self {
        let failures = self.failures.saturating_add(1);
        // Beyond four failures the rest is at its longest.
        let pause = INTERVAL.saturating_mul(1 << failures.min(4)).min(REST_MAX);
        Self { failures, until: now + pause }
    }
}

impl Post {
    /// Nobody watches yet.
    pub(super) fn new(
        scraper: Arc<Scraper>,
        slots: Arc<Semaphore>,
        endpoint: Endpoint,
        namespace: &str,
    ) -> Self {
        let namespace = namespace.to_owned();
        Self { scraper, slots, endpoint, namespace, watchers: Mutex::default() }
    }

    /// Adds a watcher under a number of its own.
    pub(super) fn add(&self, id: u64, watcher: Watcher) {
        let namespace = watcher.target.namespace.clone();
        self.watchers().insert((namespace, id), watcher);
    }

    /// Removes it; says whether nobody is left.
    pub(super) fn remove(&self, namespace: &str, id: u64) -> bool {
        let mut watchers = self.watchers();
        watchers.remove(&(namespace.to_owned(), id));
        watchers.is_empty()
    }

    /// Looks each second, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let clock = &self.scraper.clock;
        let interval = clock.real(INTERVAL).max(REAL_MIN);
        let mut past = Past::default();
        loop {
            let began = clock.elapsed();
            self.round(&mut past).await;
            let took = clock.real(clock.elapsed().saturating_sub(began));
            tokio::time::sleep(interval.saturating_sub(took)).await;
        }
    }

    async fn round(&self, past: &mut Past) {
        let began = self.scraper.clock.elapsed();
        if began < past.name.until {
            return;
        }
        let most = ADDRESSES_MAX;
        match whereabouts(&self.scraper, &self.endpoint, &self.namespace, most).await {
            Ok(places) => {
                past.name = Rest::default();
                past.sights.retain(|place, _| places.contains(place));
                past.rests.retain(|place, _| places.contains(place));
                let rests = |place: &Place| past.rests.get(place).map(|rest| rest.until);
                let due: Vec<Place> = places
                    .into_iter()
                    .filter(|place| rests(place).is_none_or(|until| until <= began))
                    .collect();
                let pages = self.pages(due).await;
                self.take(pages, past);
            }
            Err(_) => past.name = past.name.after_failure(began),
        }
    }

    /// The pages at `places`; one for which there was no room is not among them.
    async fn pages(&self, places: Vec<Place>) -> Vec<(Place, Option<Page>)> {
        let look = async |place: Place| {
            let slot = tokio::time::timeout(LOOK_MAX, self.slots.acquire()).await;
            let Ok(Ok(_slot)) = slot else { return None };
            let page = glance(&self.scraper, &place, &WANTED, LOOK_MAX).await;
            Some((place, page.ok()))
        };
        let looks = stream::iter(places.into_iter().map(look)).buffer_unordered(ADDRESSES_MAX);
        looks.filter_map(async |seen| seen).collect().await
    }

    fn take(&self, pages: Vec<(Place, Option<Page>)>, past: &mut Past) {
        let (at, now) = (self.scraper.clock.now(), self.scraper.clock.elapsed());
        let mut risen = Risen::default();
        for (place, page) in pages {
            let Some(page) = page else {
                let rest = past.rests.entry(place).or_default();
                *rest = rest.after_failure(now);
                continue;
            };
            past.rests.remove(&place);
            risen.add(past.sights.entry(place).or_default().take(page, at));
        }
        if !risen.is_empty() {
            self.tell(&risen, &past.sights, at);
        }
    }

    /// Judges those in whose namespace something rose.
    fn tell(&self, risen: &Risen, sights: &BTreeMap<Place, Sight>, at: Timestamp) {
        let watchers = self.watchers();
        let mut rows: (&str, Vec<RawSeries>) = ("", Vec::new());
        for ((namespace, _), watcher) in watchers.iter() {
            if !risen.anywhere && !risen.namespaces.contains(namespace) {
                continue;
            }
            // Ordered by namespace: each one's rows are made once.
            if rows.0 != namespace {
                let pages = sights.iter();
                let of = pages.flat_map(|(place, sight)| {
                    sight.rows(namespace, &place.address.to_string(), at)
                });
                rows = (namespace, of.collect());
            }
            watcher.judge(&rows.1, at);
        }
    }

    fn watchers(&self) -> MutexGuard<'_, BTreeMap<(String, u64), Watcher>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
