//! Direct scrape: the pages of a scaler's endpoints, read each tick and remembered for minutes.
//!
//! Given endpoints, a [`Pages`] promises a [`Reading`] for every tick whatever the pages do: each
//! address is vetted, each page bounded in time and size, and what fails is a fault with its place.
//! [`Scraper`] is what all of them share. Which roles the series have is left to
//! [`crate::source::assemble`]; what silence means for a decision, to the engine.

mod body;
mod fetch;
mod limits;
mod reading;
mod scraper;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use crate::engine::observation::{Fault, FaultKind, Phase};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::exposition::{Page, Wanted};
use crate::source::resolve::literal;
use crate::source::ring::{Memory, PROCESS_START};
use crate::source::scrape::scraper::Answer;
use crate::spec::Endpoint;

pub(crate) use fetch::Place;
pub use limits::Limits;
pub use reading::{PageResult, Reading, wanted};
pub use scraper::{Error, Scraper};

/// Samples are kept at least this long: the range that a datasource is asked for.
const WINDOW_MIN: Duration = Duration::from_secs(150);

/// An address that the name lacks for this many rounds is forgotten; one round may be a flap.
const UNSEEN_MAX: u32 = 2;

/// The endpoints of one scaler and what they showed lately.
#[derive(Debug)]
pub struct Pages {
    scraper: Arc<Scraper>,
    namespace: String,
    endpoints: Vec<Endpoint>,
    /// What the owner asked for.
    wanted: Wanted,
    /// That and what the memory needs.
    read: Wanted,
    window: Duration,
    known: BTreeMap<Place, Known>,
    /// What forgotten addresses showed, until it is older than the window.
    gone: BTreeMap<Place, Memory>,
}

/// One address as it was in the rounds so far.
#[derive(Debug)]
struct Known {
    memory: Memory,
    /// Rounds since the name had it.
    unseen: u32,
    /// The last tick in which its asking came to an end.
    asked: Option<Timestamp>,
    /// The last tick in which it answered.
    answered: Option<Timestamp>,
    /// It was seen not answering before its first answer.
    seen_loading: bool,
    ready: Option<Timestamp>,
    fault: Option<FaultKind>,
}

/// A page, or why there is none.
type Given = Result<Arc<Answer>, FaultKind>;

/// An endpoint and the addresses it has.
struct Resolved<'a> {
    endpoint: &'a Endpoint,
    addresses: Result<Vec<IpAddr>, FaultKind>,
}

impl Pages {
    /// Nothing read yet. `tick` is the time between rounds: memory spans at least five of them.
    #[must_use]
    pub fn new(
        scraper: Arc<Scraper>,
        namespace: &str,
        endpoints: Vec<Endpoint>,
        wanted: Wanted,
        tick: Duration,
    ) -> Self {
        let read = match &wanted {
            Wanted::All => Wanted::All,
            Wanted::Names(names) => {
                let names = names.iter().map(String::as_str);
                Wanted::names(names.chain([PROCESS_START]))
            }
        };
        let window = WINDOW_MIN.max(tick.saturating_mul(5));
        let namespace = namespace.to_owned();
        let (known, gone) = (BTreeMap::new(), BTreeMap::new());
        Self { scraper, namespace, endpoints, wanted, read, window, known, gone }
    }

    /// Reads every page for the tick at `at`, within the time for names plus the time for a round.
    pub async fn read(&mut self, at: Timestamp) -> Reading {
        let Self { scraper, known, .. } = &*self;
        let resolved = resolve(scraper, &self.namespace, &self.endpoints).await;
        let places = places(&resolved, scraper.limits.addresses);
        let mut order: Vec<&Place> = places.iter().collect();
        // Should the round end early, those who answered last time were asked, and of the others
        // those who waited longest.
        order.sort_by_key(|place| {
            known.get(*place).map(|known| (known.fault.is_some(), known.asked))
        });
        let answers = round(scraper, at, order, &self.read).await;
        let faults = name_faults(&resolved, scraper.limits.addresses);
        let addresses = address_count(&resolved);
        let unasked = unseen(&mut self.known, &resolved, &places);
        self.forget(at);
        for place in places {
            let answer = answers.get(&place).cloned();
            self.remember(place, answer, at);
        }
        self.report(at, &unasked, Reading { addresses, faults, ..Reading::default() })
    }

    /// Takes the answer of an address; `None` when the round ended before it.
    fn remember(&mut self, place: Place, answer: Option<Given>, at: Timestamp) {
        let known = self.known.entry(place).or_insert_with(|| Known::new(self.window));
        known.unseen = 0;
        known.asked = if answer.is_some() { Some(at) } else { known.asked };
        match answer.unwrap_or(Err(FaultKind::Timeout)) {
            Ok(answer) => {
                let in_time = known.memory.absorb(&answer.page, answer.at);
                known.fault = (!in_time).then_some(FaultKind::OutOfTime);
                if known.answered.is_none() && known.seen_loading {
                    known.ready = Some(answer.at);
                }
                known.answered = Some(at);
            }
            Err(kind) => {
                known.fault = Some(kind);
                known.seen_loading |= known.answered.is_none();
            }
        }
    }

    /// Forgets addresses that were missing for some rounds; what they showed counts while it is recent.
    fn forget(&mut self, at: Timestamp) {
        let from = at.minus(self.window);
        for (place, known) in std::mem::take(&mut self.known) {
            if known.unseen < UNSEEN_MAX {
                self.known.insert(place, known);
            } else {
                self.gone.insert(place, known.memory);
            }
        }
        self.gone.retain(|_, memory| memory.read().is_some_and(|read| read >= from));
    }

    /// The series of the last minutes of addresses that their names have no more.
    fn gone(&self, now: Timestamp) -> BTreeMap<String, Vec<RawSeries>> {
        let unseen = self.known.iter().filter(|(_, known)| known.unseen > 0);
        let gone = unseen.map(|(place, known)| (place, &known.memory)).chain(&self.gone);
        let mut series: BTreeMap<String, Vec<RawSeries>> = BTreeMap::new();
        for (place, memory) in gone {
            let wanted =
                memory.series(now).into_iter().filter(|raw| self.wanted.contains(&raw.name));
            series.entry(place.address.to_string()).or_default().extend(wanted);
        }
        series
    }

    fn report(&self, at: Timestamp, unasked: &BTreeSet<Place>, mut reading: Reading) -> Reading {
        // Pages answer after the tick's instant; memory is read as of the newest answer.
        let now = self.known.values().filter_map(|known| known.memory.read()).fold(at, Ord::max);
        for (place, known) in self.known.iter().filter(|(_, known)| known.unseen == 0) {
            let mut page = known.result(at, now, self.window);
            page.series.retain(|raw| self.wanted.contains(&raw.name));
            let kind = if unasked.contains(place) { Some(FaultKind::Dns) } else { known.fault };
            page.fault = kind.map(|kind| page_fault(place, kind));
            reading.faults.extend(page.fault.clone());
            merge(&mut reading.pages, place.address.to_string(), page);
        }
        reading.gone = self.gone(now);
        reading.faults.sort_by(|a, b| (&a.place, a.kind).cmp(&(&b.place, b.kind)));
        reading.faults.dedup();
        reading
    }
}

/// Where the pages of one endpoint are now: of a name that stands for several, at most `most`.
///
/// # Errors
/// When nobody can say, or an address may not be scraped.
pub(crate) async fn whereabouts(
    scraper: &Scraper,
    endpoint: &Endpoint,
    namespace: &str,
    most: usize,
) -> Result<BTreeSet<Place>, FaultKind> {
    let addresses = scraper.resolver.addresses(&endpoint.host, namespace).await;
    let resolved = [Resolved { endpoint, addresses: Ok(addresses?) }];
    Ok(places(&resolved, most))
}

/// The page at `place` now, within `limit`; read for no tick, and remembered by nobody.
///
/// # Errors
/// What kept it from being read.
pub(crate) async fn glance(
    scraper: &Scraper,
    place: &Place,
    wanted: &Wanted,
    limit: Duration,
) -> Result<Page, FaultKind> {
    scraper.glance(place, wanted, limit).await
}

impl Known {
    const fn new(window: Duration) -> Self {
        let memory = Memory::new(window);
        Self {
            memory,
            unseen: 0,
            asked: None,
            answered: None,
            seen_loading: false,
            ready: None,
            fault: None,
        }
    }

    fn result(&self, at: Timestamp, now: Timestamp, window: Duration) -> PageResult {
        let phase = match self.answered {
            None => Phase::Loading,
            Some(last) if at.since(last) <= window => Phase::Ready,
            Some(_) => Phase::Unready,
        };
        PageResult {
            series: self.memory.series(now),
            answered: self.answered == Some(at),
            answered_ever: self.answered.is_some(),
            phase,
            ready: self.ready,
            fault: None,
        }
    }
}

/// Counts the rounds in which a known address was missing, and gives those of which nobody could
/// say this time: their name did not resolve.
fn unseen(
    known: &mut BTreeMap<Place, Known>,
    resolved: &[Resolved<'_>],
    places: &BTreeSet<Place>,
) -> BTreeSet<Place> {
    let failed = |place: &Place| {
        resolved.iter().any(|one| {
            one.addresses == Err(FaultKind::Dns)
                && authority(one.endpoint) == place.authority
                && one.endpoint.path == place.path
        })
    };
    let unasked: BTreeSet<Place> = known.keys().filter(|place| failed(place)).cloned().collect();
    for (place, known) in known.iter_mut() {
        if !places.contains(place) && !unasked.contains(place) {
            known.unseen += 1;
        }
    }
    unasked
}

async fn resolve<'a>(
    scraper: &Scraper,
    namespace: &str,
    endpoints: &'a [Endpoint],
) -> Vec<Resolved<'a>> {
    join_all(endpoints.iter().map(async |endpoint| {
        let addresses = scraper.resolver.addresses(&endpoint.host, namespace).await;
        Resolved { endpoint, addresses }
    }))
    .await
}

/// The pages to read; of an `http://` name only its first address.
fn places(resolved: &[Resolved<'_>], most: usize) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for Resolved { endpoint, addresses } in resolved {
        let most = if endpoint.every_address { most } else { 1 };
        for address in addresses.iter().flatten().take(most) {
            places.insert(Place {
                address: SocketAddr::new(*address, endpoint.port),
                authority: authority(endpoint),
                path: endpoint.path.clone(),
            });
        }
    }
    places
}

async fn round(
    scraper: &Scraper,
    at: Timestamp,
    places: Vec<&Place>,
    wanted: &Wanted,
) -> BTreeMap<Place, Given> {
    let ask = async |place: &Place| (place.clone(), scraper.page(at, place, wanted).await);
    stream::iter(places.into_iter().map(ask))
        .buffer_unordered(scraper.limits.at_once)
        .take_until(Box::pin(tokio::time::sleep(scraper.limits.round)))
        .collect()
        .await
}

/// Faults of names as such. That a `dns://` name has no address is no fault: there are no pods.
fn name_faults(resolved: &[Resolved<'_>], most: usize) -> Vec<Fault> {
    let kind = |one: &Resolved<'_>| match &one.addresses {
        Err(kind) => Some(*kind),
        Ok(found) if found.is_empty() && !one.endpoint.every_address => Some(FaultKind::Dns),
        Ok(found) if found.len() > most => Some(FaultKind::TooLarge),
        Ok(_) => None,
    };
    let faults = resolved.iter().map(|one| (authority(one.endpoint), kind(one)));
    faults.filter_map(|(authority, kind)| Some(fault(&authority, kind?))).collect()
}

fn address_count(resolved: &[Resolved<'_>]) -> Option<u32> {
    let named: Vec<&Resolved<'_>> = resolved
        .iter()
        .filter(|one| one.endpoint.every_address && literal(&one.endpoint.host).is_none())
        .collect();
    if named.is_empty() {
        return None;
    }
    let mut all: BTreeSet<&IpAddr> = BTreeSet::new();
    for one in named {
        all.extend(one.addresses.as_ref().ok()?);
    }
    u32::try_from(all.len()).ok()
}

/// Two paths of one address are one pod: read only if both are.
fn merge(pages: &mut BTreeMap<String, PageResult>, name: String, page: PageResult) {
    let Some(first) = pages.get_mut(&name) else {
        pages.insert(name, page);
        return;
    };
    let PageResult { series, answered, answered_ever, phase, ready, fault } = page;
    first.series.extend(series);
    first.answered &= answered;
    first.answered_ever |= answered_ever;
    if first.phase == Phase::Loading {
        first.phase = phase;
    }
    first.ready = first.ready.or(ready);
    first.fault = first.fault.take().or(fault);
}

/// Host and port as the trigger names them; an IPv6 address in its brackets.
fn authority(endpoint: &Endpoint) -> String {
    literal(&endpoint.host).map_or_else(
        || format!("{}:{}", endpoint.host, endpoint.port),
        |address| SocketAddr::new(address, endpoint.port).to_string(),
    )
}

/// The fault of one page; its path is named where that is what is wrong.
fn page_fault(place: &Place, kind: FaultKind) -> Fault {
    let Place { authority, path, address: _ } = place;
    let path = if kind == FaultKind::NotFound { path } else { "" };
    fault(&format!("{authority}{path}"), kind)
}

fn fault(authority: &str, kind: FaultKind) -> Fault {
    Fault { place: format!("endpoint {authority}"), kind }
}
