//! What the tests of direct scrape share: short limits, a table of names, readers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::source::config::ScrapePolicy;
use prescale::source::exposition::Wanted;
use prescale::source::scrape::{Limits, PageResult, Pages, Reading, Scraper};
use prescale::spec::Endpoint;

pub(crate) const GOOD: &[u8] = b"# TYPE waiting gauge\nwaiting 3\nother 1\n";
pub(crate) const START: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

pub(crate) fn short() -> Limits {
    Limits {
        resolve: Duration::from_millis(500),
        connect: Duration::from_millis(300),
        page: Duration::from_millis(600),
        round: Duration::from_secs(2),
        ..Limits::default()
    }
}

pub(crate) type Names = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

pub(crate) fn last(numbers: &[u8]) -> Vec<IpAddr> {
    numbers.iter().map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, *last))).collect()
}

pub(crate) fn names(rows: &[(&str, &[u8])]) -> Names {
    let rows = rows.iter().map(|(name, numbers)| ((*name).to_owned(), last(numbers)));
    Arc::new(Mutex::new(rows.collect()))
}

/// Twenty times as fast: two answers within a millisecond would be one instant.
pub(crate) fn clock() -> Clock {
    Clock::scaled(START, 20.0)
}

pub(crate) fn scraper(limits: Limits, names: &Names) -> Arc<Scraper> {
    let policy = ScrapePolicy { allow_loopback: true, names: Some(Arc::clone(names)) };
    Scraper::new(&policy, limits, clock()).unwrap()
}

pub(crate) fn endpoint(every_address: bool, host: &str, port: u16) -> Endpoint {
    Endpoint { every_address, host: host.to_owned(), port, path: "/metrics".to_owned() }
}

pub(crate) fn pages(scraper: &Arc<Scraper>, endpoints: Vec<Endpoint>) -> Pages {
    let wanted = Wanted::names(["waiting"]);
    Pages::new(Arc::clone(scraper), "prod", endpoints, wanted, Duration::from_secs(15))
}

pub(crate) fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

pub(crate) fn only(reading: &Reading) -> &PageResult {
    assert_eq!(reading.pages.len(), 1, "{reading:?}");
    reading.pages.values().next().unwrap()
}

pub(crate) fn latest(page: &PageResult) -> Option<f64> {
    let raw = page.series.iter().find(|raw| raw.name == "waiting")?;
    raw.series.latest().map(|sample| sample.value)
}
