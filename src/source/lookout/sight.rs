//! What one page showed at two looks, and where more shows than before.
//!
//! Given pages in the order they were read, promises the namespaces in which a gauge of requests held or
//! a counter of refused ones rose, and the series of those namespaces as [`held`] reads them. Says
//! nothing of a counter at the first look: what it had counted is past.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::exposition::{Page, Wanted};
use crate::source::parts::held;
use crate::source::preset::{Asked, asked};
use crate::spec::Gateway;

/// Where something rose: in these namespaces, or on a page that names none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Risen {
    /// By name.
    pub(super) namespaces: BTreeSet<String>,
    /// Nobody says whose.
    pub(super) anywhere: bool,
}

impl Risen {
    /// Whether nothing rose.
    pub(super) fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && !self.anywhere
    }

    /// Adds what rose on another page.
    pub(super) fn add(&mut self, other: Self) {
        self.namespaces.extend(other.namespaces);
        self.anywhere |= other.anywhere;
    }
}

/// What one page showed.
#[derive(Debug, Default)]
pub(super) struct Sight {
    read: Option<Timestamp>,
    before: Option<Timestamp>,
    series: BTreeMap<Key, Shown>,
}

type Key = (String, BTreeMap<String, String>);

/// A value, the one of the look before, and whose it is.
#[derive(Debug, Clone)]
struct Shown {
    now: f64,
    before: Option<f64>,
    whose: Risen,
}

/// The families that are looked at, and how each may be asked.
static FAMILIES: LazyLock<BTreeMap<&'static str, Vec<&'static Asked>>> = LazyLock::new(|| {
    let mut families: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for way in Gateway::NAMES.iter().flat_map(|(_, gateway)| asked(*gateway)) {
        for name in way.held.iter().chain(counters(way)) {
            families.entry(name).or_default().push(way);
        }
    }
    families
});

/// Names of the counters that stand for requests held.
fn counters(way: &Asked) -> &'static [&'static str] {
    match way.refused {
        Some(refused) => refused.names,
        None if way.edge => way.arrivals,
        None => &[],
    }
}

/// What is kept of a page.
pub(super) static WANTED: LazyLock<Wanted> =
    LazyLock::new(|| Wanted::names(FAMILIES.keys().copied()));

impl Sight {
    /// Takes the page read at `at`: where more shows than at the look before.
    pub(super) fn take(&mut self, page: Page, at: Timestamp) -> Risen {
        let mut known = std::mem::take(&mut self.series);
        let mut risen = Risen::default();
        for series in page.series {
            if !series.value.is_finite() || series.value < 0.0 {
                continue;
            }
            let key = (series.name, series.labels);
            let (last, whose) = match known.remove(&key) {
                Some(last) => (Some(last.now), last.whose),
                // Absent at the last look was zero then.
                None => (self.read.map(|_| 0.0), whose(&key)),
            };
            let shown = Shown { now: series.value, before: last, whose };
            if shown.rose(&key.0) {
                risen.add(shown.whose.clone());
            }
            self.series.insert(key, shown);
        }
        self.before = self.read;
        self.read = Some(at);
        risen
    }

    /// The series of `namespace` and those that name none, as a page at `address` shows them. Only what
    /// was read at `at` tells of change.
    pub(super) fn rows(&self, namespace: &str, address: &str, at: Timestamp) -> Vec<RawSeries> {
        let Some(read) = self.read else { return Vec::new() };
        let mine = self.series.iter().filter(|(_, Shown { whose, .. })| {
            whose.anywhere || whose.namespaces.contains(namespace)
        });
        mine.map(|((name, labels), shown)| {
            let mut labels = labels.clone();
            labels.insert("instance".to_owned(), address.to_owned());
            let before = self.before.filter(|_| read == at).zip(shown.before);
            let before = before.map(|(at, value)| Sample { at, value });
            let samples = before.into_iter().chain([Sample { at: read, value: shown.now }]);
            RawSeries { name: name.clone(), labels, series: Series::new(samples.collect()) }
        })
        .collect()
    }
}

impl Shown {
    fn rose(&self, name: &str) -> bool {
        match self.before {
            Some(before) => self.now > before,
            None => self.now > 0.0 && is_gauge(name),
        }
    }
}

fn is_gauge(name: &str) -> bool {
    FAMILIES.get(name).is_some_and(|ways| ways.iter().any(|way| way.held.contains(&name)))
}

/// Whose a series is, in any way it may be asked.
fn whose((name, labels): &Key) -> Risen {
    let mut whose = Risen::default();
    for way in FAMILIES.get(name.as_str()).into_iter().flatten() {
        match held::tenant_of(way, labels) {
            Some(namespace) => {
                whose.namespaces.insert(namespace.to_owned());
            }
            None => whose.anywhere = true,
        }
    }
    whose
}

#[cfg(test)]
mod tests {
    use super::{Risen, Sight, WANTED};
    use crate::engine::units::Timestamp;
    use crate::source::exposition::{Format, Limits, Page, Parser};

    fn page(text: &str) -> Page {
        let mut parser = Parser::new(Format::Text, WANTED.clone(), Limits::default());
        parser.feed(text.as_bytes()).unwrap();
        parser.finish(true).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    /// What rose at the last of several looks.
    fn check(pages: &[&str], namespaces: &[&str], anywhere: bool) {
        let mut sight = Sight::default();
        let mut risen = Risen::default();
        for (second, text) in (0..).zip(pages) {
            risen = sight.take(page(text), at(second));
        }
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(risen, Risen { namespaces, anywhere }, "{pages:?}");
    }

    #[test]
    fn what_rises_tells_whose_it_is_and_what_stands_or_falls_tells_nobody() {
        let gate = |held: u32| {
            format!("prescale_gate_requests_in_flight{{namespace=\"a\",name=\"x\"}} {held}\n")
        };
        let router =
            |count: u32| format!("vllm:num_incoming_requests_total{{model=\"m\"}} {count}\n");
        let (none, one, two) = (gate(0), gate(1), gate(2));
        check(&[&none], &[], false);
        check(&[&one], &["a"], false);
        check(&[&none, &one], &["a"], false);
        check(&[&one, &one], &[], false);
        check(&[&one, &two], &["a"], false);
        check(&[&two, &one], &[], false);
        // What a counter had counted before the first look is past; the page names no namespace.
        check(&[&router(7)], &[], false);
        check(&[&router(7), &router(8)], &[], true);
        check(&[&none, &router(1)], &[], true);
        check(&["prescale_gate_requests_in_flight{namespace=\"a\",name=\"x\"} NaN\n"], &[], false);
    }

    #[test]
    fn rows_are_those_of_the_namespace_with_both_looks() {
        let mut sight = Sight::default();
        let series = |ns: &str, held: u32| {
            format!("prescale_gate_requests_in_flight{{namespace=\"{ns}\",name=\"x\"}} {held}\n")
        };
        sight.take(page(&(series("a", 0) + &series("b", 5))), at(0));
        sight.take(page(&(series("a", 3) + &series("b", 6))), at(1));
        let rows = sight.rows("a", "10.0.0.1:9091", at(1));
        assert_eq!(rows.len(), 1);
        let values: Vec<f64> = rows[0].series.samples().iter().map(|sample| sample.value).collect();
        assert_eq!(values, [0.0, 3.0]);
        assert_eq!(rows[0].labels["instance"], "10.0.0.1:9091");
        // A page that was not read this time changed nothing.
        assert_eq!(sight.rows("a", "10.0.0.1:9091", at(2))[0].series.samples().len(), 1);
    }
}
