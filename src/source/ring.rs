//! What is remembered of one scraped page: the last minutes of each wanted series.
//!
//! Given pages and the instants at which they were read, it promises raw series bounded by a time
//! window and a count, that end when they disappear and never reach across a change of process.
//! Rates and resets are left to those who read the series.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;
use crate::source::exposition::{Page, PageSeries};

/// Python engines say here when their process began; a change means that all counters began anew,
/// even if they are already higher than before.
pub const PROCESS_START: &str = "process_start_time_seconds";

/// The same process may tell its start a second apart, because it is reckoned from a boot time that
/// clock adjustment moves. A start that went back is another process too: behind the address of a
/// service each page may come from another pod.
const START_JITTER: f64 = 2.0;

/// Most samples kept of one series: a tick of 5 s fills the window of 150 s with 30.
const SAMPLES_MAX: usize = 64;

/// Ends of the names of counters.
const COUNTERS: [&str; 4] = ["_total", "_count", "_sum", "_bucket"];

/// Counters whose names do not say so.
const COUNTERS_BY_NAME: [&str; 6] = [
    "nginx_ingress_controller_requests",
    "envoy_cluster_upstream_cx_none_healthy",
    "ray_serve_handle_request_counter",
    "nv_inference_request_success",
    "tgi_request_success",
    "tgi_request_failure",
];

/// A timestamp written on a page is believed this far back and forward. An exporter that writes
/// them lags by its own cache; clocks of one cluster differ by seconds.
const PAST_MAX: Duration = Duration::from_secs(300);
const FUTURE_MAX: Duration = Duration::from_secs(60);

type Key = (String, BTreeMap<String, String>);

/// Memory of one page.
#[derive(Debug)]
pub struct Memory {
    window: Duration,
    rings: BTreeMap<Key, VecDeque<Sample>>,
    read: Option<Timestamp>,
    started: Option<f64>,
}

impl Memory {
    /// Nothing read yet; keeps samples at most `window` older than the newest reading.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        Self { window, rings: BTreeMap::new(), read: None, started: None }
    }

    /// When the page was last read.
    #[must_use]
    pub const fn read(&self) -> Option<Timestamp> {
        self.read
    }

    /// Takes a page read at `at`. Of equal series the first counts. False when a sample was left
    /// out because the instant written beside it cannot be.
    pub fn absorb(&mut self, page: &Page, at: Timestamp) -> bool {
        let started = page.series.iter().find(|series| series.name == PROCESS_START);
        let started = started.map(|series| series.value).filter(|value| value.is_finite());
        let restarted = matches!((self.started, started), (Some(old), Some(new))
            if (new - old).abs() > START_JITTER);
        // A clock that was set back would make every new sample the older one.
        if restarted || self.read.is_some_and(|read| read > at) {
            self.rings.clear();
            self.read = None;
        }
        self.started = started.or(self.started);
        let (rings, in_time) = self.continued(page, at);
        self.rings = rings;
        self.read = Some(at);
        in_time
    }

    /// The rings of the series on `page`; those of other series are left behind.
    fn continued(&mut self, page: &Page, at: Timestamp) -> (BTreeMap<Key, VecDeque<Sample>>, bool) {
        let mut rings: BTreeMap<Key, VecDeque<Sample>> = BTreeMap::new();
        let mut in_time = true;
        for series in &page.series {
            let key = (series.name.clone(), series.labels.clone());
            if rings.contains_key(&key) {
                continue;
            }
            let mut ring = self.rings.remove(&key).unwrap_or_else(|| self.born(series));
            in_time &= push(&mut ring, series, at);
            trim(&mut ring, at.minus(self.window));
            rings.insert(key, ring);
        }
        (rings, in_time)
    }

    /// The ring of a series seen for the first time. A counter that the same page lacked at its
    /// last reading was zero then: engines create counters with their first event, and without
    /// this the first burst would be missed.
    fn born(&self, series: &PageSeries) -> VecDeque<Sample> {
        let counter = COUNTERS.iter().any(|end| series.name.ends_with(end))
            || COUNTERS_BY_NAME.contains(&series.name.as_str());
        match self.read {
            Some(at) if counter && series.timestamp.is_none() => {
                VecDeque::from([Sample { at, value: 0.0 }])
            }
            _ => VecDeque::new(),
        }
    }

    /// Every series with its samples of the window before `now`; series without any are left out.
    #[must_use]
    pub fn series(&self, now: Timestamp) -> Vec<RawSeries> {
        let from = now.minus(self.window);
        let mut all = Vec::new();
        for ((name, labels), ring) in &self.rings {
            let samples: Vec<Sample> =
                ring.iter().copied().filter(|sample| sample.at >= from).collect();
            if !samples.is_empty() {
                let (name, labels) = (name.clone(), labels.clone());
                all.push(RawSeries { name, labels, series: Series::new(samples) });
            }
        }
        all
    }
}

/// Appends the sample unless its value is not finite or its instant is not new; false when the
/// instant written beside it is out of time.
fn push(ring: &mut VecDeque<Sample>, series: &PageSeries, read: Timestamp) -> bool {
    let at = series.timestamp.unwrap_or(read);
    if at < read.minus(PAST_MAX) || at > read.plus(FUTURE_MAX) {
        return false;
    }
    let newer = ring.back().is_none_or(|last| last.at < at);
    if newer && series.value.is_finite() {
        ring.push_back(Sample { at, value: series.value });
    }
    true
}

fn trim(ring: &mut VecDeque<Sample>, from: Timestamp) {
    while ring.len() > SAMPLES_MAX || ring.front().is_some_and(|sample| sample.at < from) {
        ring.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Memory, PROCESS_START};
    use crate::engine::units::Timestamp;
    use crate::source::exposition::{Page, PageSeries};

    fn page(rows: &[(&str, f64, Option<i64>)]) -> Page {
        let series = rows
            .iter()
            .map(|(name, value, at)| PageSeries {
                name: (*name).to_owned(),
                labels: BTreeMap::new(),
                value: *value,
                timestamp: at.map(|seconds| Timestamp::from_unix_ms(seconds * 1000)),
            })
            .collect();
        Page { series, ..Page::default() }
    }

    type Rows<'a> = &'a [(&'a str, f64, Option<i64>)];

    /// Pages by the second they were read; what is left of `name`, as (second, value).
    fn check(name: &str, pages: &[(i64, Rows<'_>)], expected: &[(i64, f64)]) {
        let mut memory = Memory::new(Duration::from_secs(150));
        for (second, rows) in pages {
            memory.absorb(&page(rows), Timestamp::from_unix_ms(second * 1000));
        }
        let (last, _) = pages[pages.len() - 1];
        let all = memory.series(Timestamp::from_unix_ms(last * 1000));
        let samples = all.iter().find(|raw| raw.name == name).map(|raw| {
            let row =
                |sample: &crate::engine::series::Sample| (sample.at.unix_ms() / 1000, sample.value);
            raw.series.samples().iter().map(row).collect::<Vec<_>>()
        });
        assert_eq!(samples.unwrap_or_default(), expected, "{name} {pages:?}");
    }

    #[test]
    fn a_series_is_remembered_for_the_window_and_no_longer() {
        check(
            "g",
            &[(1000, &[("g", 1.0, None)]), (1015, &[("g", 2.0, None)])],
            &[(1000, 1.0), (1015, 2.0)],
        );
        check("g", &[(1000, &[("g", 1.0, None)]), (1151, &[("g", 2.0, None)])], &[(1151, 2.0)]);
        check(
            "g",
            &[(1000, &[("g", 1.0, None)]), (1015, &[]), (1030, &[("g", 3.0, None)])],
            &[(1030, 3.0)],
        );
    }

    #[test]
    fn values_that_are_not_finite_are_missing() {
        check(
            "g",
            &[(1000, &[("g", 1.0, None)]), (1015, &[("g", f64::NAN, None)])],
            &[(1000, 1.0)],
        );
        check("g", &[(1000, &[("g", f64::INFINITY, None)])], &[]);
    }

    #[test]
    fn of_equal_series_on_a_page_the_first_counts() {
        check("g", &[(1000, &[("g", 1.0, None), ("g", 9.0, None)])], &[(1000, 1.0)]);
    }

    #[test]
    fn a_new_process_begins_a_new_series() {
        let before: Rows<'_> = &[(PROCESS_START, 500.0, None), ("c_total", 5.0, None)];
        let after: Rows<'_> = &[(PROCESS_START, 1010.0, None), ("c_total", 7.0, None)];
        check("c_total", &[(1000, before), (1015, before)], &[(1000, 5.0), (1015, 5.0)]);
        check("c_total", &[(1000, before), (1015, after)], &[(1015, 7.0)]);
        check("c_total", &[(1000, after), (1015, before)], &[(1015, 5.0)]);
        let jitter: Rows<'_> = &[(PROCESS_START, 501.0, None), ("c_total", 6.0, None)];
        check("c_total", &[(1000, before), (1015, jitter)], &[(1000, 5.0), (1015, 6.0)]);
    }

    #[test]
    fn a_counter_born_between_two_readings_was_zero_before() {
        let other: Rows<'_> = &[("g", 1.0, None)];
        let born: Rows<'_> = &[("g", 1.0, None), ("c_total", 40.0, None), ("h", 3.0, None)];
        check("c_total", &[(1000, other), (1015, born)], &[(1000, 0.0), (1015, 40.0)]);
        check("c_total", &[(1015, born)], &[(1015, 40.0)]);
        check("h", &[(1000, other), (1015, born)], &[(1015, 3.0)]);
    }

    #[test]
    fn a_clock_set_back_begins_anew() {
        check("g", &[(1000, &[("g", 1.0, None)]), (400, &[("g", 2.0, None)])], &[(400, 2.0)]);
    }

    #[test]
    fn written_timestamps_count_unless_they_cannot_be() {
        check(
            "g",
            &[(1000, &[("g", 1.0, Some(990))]), (1015, &[("g", 1.0, Some(990))])],
            &[(990, 1.0)],
        );
        for (second, in_time) in [(699, false), (700, true), (1060, true), (1061, false)] {
            let mut memory = Memory::new(Duration::from_secs(600));
            let absorbed = memory
                .absorb(&page(&[("g", 1.0, Some(second))]), Timestamp::from_unix_ms(1_000_000));
            assert_eq!(absorbed, in_time, "{second}");
            let kept = memory.series(Timestamp::from_unix_ms(1_000_000));
            assert_eq!(kept.len(), usize::from(in_time), "{second}");
        }
    }

    #[test]
    fn at_most_64_samples_are_kept() {
        let mut memory = Memory::new(Duration::from_secs(150));
        for second in 0..100 {
            memory.absorb(&page(&[("g", 1.0, None)]), Timestamp::from_unix_ms(second * 1000));
        }
        let all = memory.series(Timestamp::from_unix_ms(100_000));
        assert_eq!(all[0].series.samples().len(), 64);
    }
}
