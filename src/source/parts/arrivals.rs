//! Requests that arrive at a gateway, per second: counted on each of its pages, and added.
//!
//! Given the series of pages that are there, read or not, and of pages that are surely gone. Promises one
//! number over the same time for all pages, and that a page which is not read never makes it smaller:
//!
//! - The time is a minute, or two scrapes where those take longer. It ends at the newest instant up to which
//!   every page was read, whatever the lag, and begins when the youngest of them began: what a router moved to a
//!   new replica of the gateway would count twice over lives of different length. Between samples a
//!   counter is a line; a restart counts from zero. Of a page with one sample nothing is known, and so
//!   of the whole, until its second.
//! - A page one or two scrapes behind (a tick at least) counts by its own last minute.
//! - One further behind is late. If as many pages as are late began about when it ended, or since, they took
//!   its place: what it counted within the time counts. Else nobody can say whether it was scaled down or is
//!   not read: its last rate stands for a minute, or 2 x (tick + scrape) where that is longer. That counts
//!   too much where others took over, at most its own share. After that the whole is unknown, for as long as
//!   two of its samples are in what was asked for; then nothing is left of it, and the others count alone.
//!   A late page that counted nothing is not missed.
//! - A page that is surely gone counts as one that was replaced.
//!
//! How old the newest page may be is left to the engine, which is told its age.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::series::Series;
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;

/// Arrivals are counted over the last minute: longer than two scrapes, shorter than a cold start.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Of a page with one sample nobody knows how often it is scraped: the usual time.
const INTERVAL: Duration = Duration::from_secs(30);

/// Series of a gateway's pages.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rows<'a> {
    /// Of pages that were read.
    pub(crate) read: &'a [RawSeries],
    /// Of pages that are there and were not read this time, as they were before.
    pub(crate) unread: &'a [RawSeries],
    /// Of pages that are no more, as they were at the end.
    pub(crate) gone: &'a [RawSeries],
}

/// The page that a series stands on.
pub(crate) fn page(row: &RawSeries) -> (String, String) {
    let label = |name: &str| row.labels.get(name).cloned().unwrap_or_default();
    (label("instance"), label("pod"))
}

/// The time over which requests are counted where a page is scraped so often.
pub(crate) fn span(interval: Option<Duration>) -> Duration {
    MINUTE.max(interval.unwrap_or_default().saturating_mul(2))
}

/// Requests per second by the counters of the first of `names` on each page; `None` where none counts,
/// or not all is known.
pub(crate) fn per_second(rows: Rows<'_>, names: &[&str], tick: Duration) -> Option<f64> {
    let pages = pages(rows.read.iter().chain(rows.unread), names);
    if pages.iter().all(|page| page.counters.is_empty()) {
        return None;
    }
    let newest = pages.iter().map(|page| page.ended).max()?;
    let behind =
        |page: &&Page<'_>| newest.since(page.ended) > page.interval.saturating_mul(2).max(tick);
    let (late, current): (Vec<_>, Vec<_>) = pages.iter().partition(behind);
    let window = Window::of(&current, newest)?;
    let came: Option<f64> = current.iter().map(|page| window.rate(page)).sum();
    let missed: Option<f64> = late
        .iter()
        .map(|page| {
            let successors = current.iter().filter(|other| other.succeeds(page, &pages)).count();
            if successors >= late.len() {
                Some(window.part(page))
            } else {
                window.of_late(page, tick)
            }
        })
        .sum();
    let gone: f64 = self::pages(rows.gone, names).iter().map(|page| window.part(page)).sum();
    Some(came? + missed? + gone)
}

/// What one page shows.
#[derive(Debug)]
struct Page<'a> {
    counters: Vec<&'a Series>,
    began: Timestamp,
    ended: Timestamp,
    interval: Duration,
}

/// The pages of `rows`, with their counters under the first of `names` that each has.
fn pages<'a>(rows: impl IntoIterator<Item = &'a RawSeries>, names: &[&str]) -> Vec<Page<'a>> {
    let mut pages: BTreeMap<(String, String), Vec<&RawSeries>> = BTreeMap::new();
    for row in rows {
        pages.entry(page(row)).or_default().push(row);
    }
    pages.values().filter_map(|rows| Page::of(rows, names)).collect()
}

impl<'a> Page<'a> {
    fn of(rows: &[&'a RawSeries], names: &[&str]) -> Option<Self> {
        let times = || rows.iter().flat_map(|row| row.series.samples()).map(|sample| sample.at);
        let named = |name: &&str| rows.iter().filter(|row| row.name == **name).collect::<Vec<_>>();
        let counters = names.iter().map(named).find(|found| !found.is_empty());
        let intervals = rows.iter().filter_map(|row| row.series.scrape_interval());
        Some(Self {
            counters: counters.into_iter().flatten().map(|row| &row.series).collect(),
            began: times().min()?,
            ended: times().max()?,
            interval: intervals.min().unwrap_or(INTERVAL),
        })
    }

    /// How much its counters grew, as far as they were read.
    fn grown(&self, from: Timestamp, until: Timestamp) -> f64 {
        self.counters
            .iter()
            .filter_map(|series| series.grown(from, until))
            .map(|(grown, _)| grown)
            .sum()
    }

    /// The same per second of the time in which it was read, if it was.
    fn rate(&self, from: Timestamp, until: Timestamp) -> Option<f64> {
        let (from, until) = (from.max(self.began), until.min(self.ended));
        let seconds = until.since(from).as_secs_f64();
        (seconds > 0.0).then(|| self.grown(from, until) / seconds)
    }

    /// Whether it may have taken the place of `other`: it began at most a minute before that ended, when
    /// other `pages` had long been read.
    fn succeeds(&self, other: &Self, pages: &[Self]) -> bool {
        let first = pages.iter().map(|page| page.began).min();
        let young = first.is_some_and(|first| self.began.since(first) > self.interval);
        young && self.began > other.ended.minus(MINUTE)
    }
}

/// From when until when requests are counted.
#[derive(Debug)]
struct Window {
    from: Timestamp,
    until: Timestamp,
    span: Duration,
    newest: Timestamp,
}

impl Window {
    /// That of pages of which the newest sample is at `newest`.
    fn of(current: &[&Page<'_>], newest: Timestamp) -> Option<Self> {
        let interval = current.iter().map(|page| page.interval).max()?;
        let ended = current.iter().map(|page| page.ended).min()?;
        let until = ended.max(newest.minus(interval));
        let span = span(Some(interval));
        let counting = current.iter().filter(|page| !page.counters.is_empty());
        let began = counting.map(|page| page.began).max();
        let from = until.minus(span);
        Some(Self { from: began.map_or(from, |began| began.max(from)), until, span, newest })
    }

    /// What came to a page per second.
    fn rate(&self, page: &Page<'_>) -> Option<f64> {
        if page.counters.is_empty() {
            return Some(0.0);
        }
        let own = || page.rate(page.ended.minus(self.span), page.ended);
        page.rate(self.from, self.until).or_else(own)
    }

    /// What a page that is no more adds: no more came than it counted.
    fn part(&self, page: &Page<'_>) -> f64 {
        let seconds = self.until.since(self.from).as_secs_f64();
        if seconds > 0.0 { page.grown(self.from, self.until) / seconds } else { 0.0 }
    }

    /// What came to a page that has not been read for a while and that nobody replaced.
    fn of_late(&self, page: &Page<'_>, tick: Duration) -> Option<f64> {
        let last = page.rate(page.ended.minus(span(Some(page.interval))), page.ended);
        let limit = MINUTE.max(tick.saturating_add(page.interval).saturating_mul(2));
        match last.filter(|rate| *rate > 0.0) {
            None => Some(0.0),
            Some(rate) => (self.newest.since(page.ended) <= limit).then_some(rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rows, per_second};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::assemble::RawSeries;

    const NAME: &str = "requests_total";
    const TICK: Duration = Duration::from_secs(15);

    /// Milliseconds before now that are asked for.
    const RANGE: i64 = 150_000;

    fn row(name: &str, page: &str, samples: &[(i64, f64)]) -> RawSeries {
        let sample = |(at, value): &(i64, f64)| Sample {
            at: Timestamp::from_unix_ms(10_000_000 + at),
            value: *value,
        };
        RawSeries {
            name: name.to_owned(),
            labels: [("instance".to_owned(), page.to_owned())].into(),
            series: Series::new(samples.iter().map(sample).collect()),
        }
    }

    fn counted(read: &[RawSeries], gone: &[RawSeries]) -> Option<f64> {
        per_second(Rows { read, gone, ..Rows::default() }, &[NAME], TICK)
    }

    /// A page that is scraped from one second until another, and its rates from such seconds on.
    #[derive(Clone, Copy)]
    struct Page<'a> {
        scraped: (i64, i64),
        rates: &'a [(i64, f64)],
    }

    impl Page<'_> {
        fn value(&self, ms: i64) -> f64 {
            let ends = self.rates.iter().skip(1).map(|(at, _)| *at).chain([i64::MAX / 1000]);
            let part = |((at, rate), end): (&(i64, f64), i64)| {
                let lasted = ms.min(end * 1000) - at * 1000;
                rate * f64::from(i32::try_from(lasted.max(0)).unwrap()) / 1000.0
            };
            self.rates.iter().zip(ends).map(part).sum()
        }

        /// As seen at `now`: scraped at such times, and told so much later.
        fn row(&self, name: &str, now: i64, (every, offset, lag): (i64, i64, i64)) -> RawSeries {
            let (from, to) = self.scraped;
            let times = (0..200).map(|idx| idx * every + offset);
            let told = times.filter(|at| *at + lag <= now && *at >= now - RANGE);
            let there = told.filter(|at| (from * 1000..to * 1000).contains(at));
            let samples: Vec<(i64, f64)> = there.map(|at| (at, self.value(at))).collect();
            row(NAME, name, &samples)
        }
    }

    const ALWAYS: (i64, i64) = (-1000, 10_000);
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    /// What is counted at each tick of some minutes, of pages each scraped a little after the one before.
    fn course(pages: &[Page<'_>]) -> Vec<(i64, Option<f64>)> {
        let rows = |now: i64| -> Vec<RawSeries> {
            let pages = pages.iter().zip(NAMES).zip([0, 4000, 9000, 13_000]);
            let rows =
                pages.map(|((page, name), at)| page.row(name, now * 1000, (15_000, at, 100)));
            rows.filter(|row| row.series.latest().is_some()).collect()
        };
        (20..60).map(|tick| tick * 15).map(|now| (now, counted(&rows(now), &[]))).collect()
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-6
    }

    #[test]
    fn a_steady_stream_counts_as_what_it_is_however_its_page_is_scraped() {
        let rows = [
            // Read directly, just after the tick.
            ("tick of 15 s", 15, (15_000, 5, -5)),
            ("tick of 30 s", 30, (30_000, 5, -5)),
            ("tick of 60 s", 60, (60_000, 5, -5)),
            ("lag of 5 s", 15, (15_000, 0, 5000)),
            ("lag of 15 s", 15, (15_000, 0, 15_000)),
            ("lag of 30 s", 15, (15_000, 0, 30_000)),
            ("scrapes of 30 s, lag of 15 s", 15, (30_000, 7000, 15_000)),
            ("scrapes of 45 s", 15, (45_000, 2000, 100)),
            ("scrapes of 60 s, lag of 5 s", 15, (60_000, 0, 5000)),
        ];
        for (what, tick, scrapes) in rows {
            for now in (10..30).map(|idx| idx * tick) {
                let page = Page { scraped: ALWAYS, rates: &[(-500, 2.0)] };
                let found = counted(&[page.row("a", now * 1000, scrapes)], &[]);
                assert!(found.is_some_and(|rate| near(rate, 2.0)), "{what}, at {now}: {found:?}");
            }
        }
    }

    #[test]
    fn what_was_not_scraped_is_not_zero() {
        let times = [0, 15, 30, 45, 60, 75, 90, 105, 120];
        for missed in [&[][..], &[120], &[105], &[60], &[105, 120], &[0, 15, 30, 45, 60, 75, 90]] {
            let left = times.iter().filter(|at| !missed.contains(*at));
            let samples: Vec<_> = left.map(|at| (i64::from(*at) * 1000, f64::from(*at))).collect();
            let found = counted(&[row(NAME, "a", &samples)], &[]);
            assert_eq!(found, Some(1.0), "without {missed:?}");
        }
    }

    #[test]
    fn a_restart_a_birth_and_silence_count_from_zero() {
        let alive = row("alive", "a", &[(0, 1.0), (15_000, 1.0), (30_000, 1.0), (60_000, 1.0)]);
        let of = |samples: &[(i64, f64)]| vec![row(NAME, "a", samples), alive.clone()];
        let rows = [
            (of(&[(0, 90.0), (15_000, 105.0), (30_000, 15.0), (60_000, 45.0)]), Some(1.0)),
            (of(&[(0, 90.0), (15_000, 90.0), (30_000, 90.0), (60_000, 90.0)]), Some(0.0)),
            // Born between two scrapes; what came lies within the minute that the page was read.
            (of(&[(30_000, 0.0), (60_000, 6.0)]), Some(0.1)),
            (vec![row(NAME, "a", &[(60_000, 6.0)])], None),
            (vec![alive.clone()], None),
            (vec![alive.clone(), row(NAME, "b", &[(0, 0.0), (60_000, 60.0)])], Some(1.0)),
        ];
        for (pages, expected) in rows {
            assert_eq!(counted(&pages, &[]), expected, "{pages:?}");
        }
    }

    #[test]
    fn the_last_rate_of_a_gateway_that_is_not_scraped_stands() {
        let page = Page { scraped: (-1000, 300), rates: &[(-500, 2.0)] };
        for (now, found) in course(&[page]) {
            // Then a single sample of it is left in what was asked for.
            assert_eq!(found, (now <= 420).then_some(2.0), "at {now}");
        }
    }

    /// Three pages, and what became of the third at 300 s: the least and the most that is counted while
    /// something is, and for how many ticks nothing is.
    fn check(what: &str, pages: &[Page<'_>], (least, most): (f64, f64), unknown: usize) {
        let course: Vec<_> = course(pages).into_iter().filter(|(now, _)| *now <= 420).collect();
        let none = course.iter().filter(|(_, rate)| rate.is_none()).count();
        let within = |rate: &f64| *rate > least - 1e-6 && *rate < most + 1e-6;
        let outside: Vec<_> = course.iter().filter(|(_, rate)| !rate.iter().all(within)).collect();
        assert!(outside.is_empty() && none == unknown, "{what}: {outside:?} of {course:?}");
    }

    #[test]
    fn what_becomes_of_one_of_three_replicas_never_makes_less_of_what_comes() {
        let steady = Page { scraped: ALWAYS, rates: &[(-500, 1.0)] };
        let unread = Page { scraped: (-1000, 300), ..steady };
        let silent = Page { scraped: (-1000, 300), rates: &[(-500, 0.0)] };
        let more = Page { scraped: ALWAYS, rates: &[(-500, 1.0), (300, 1.5)] };
        let less = Page { scraped: ALWAYS, rates: &[(-500, 1.5), (300, 1.0)] };
        let after = Page { scraped: (310, 10_000), rates: &[(300, 1.0)] };
        let surge = Page { scraped: (270, 10_000), rates: &[(260, 0.0), (300, 1.0)] };
        let late = Page { scraped: (300, 10_000), rates: &[(-500, 0.0), (300, 1.0)] };
        check("nothing", &[steady; 3], (3.0, 3.0), 0);
        check("unread", &[steady, steady, unread], (3.0, 3.0), 4);
        check("silent and unread", &[steady, steady, silent], (2.0, 2.0), 0);
        // Nobody says that the third is gone: its last minute counts for another.
        check("scaled down", &[more, more, unread], (3.0, 4.0), 4);
        check("scaled up", &[less, less, late], (2.9, 3.1), 1);
        check("replaced", &[steady, steady, unread, after], (2.9, 4.0), 1);
        // What it counted after its last scrape is lost, as with a restart.
        check("replaced with a surge", &[steady, steady, unread, surge], (2.8, 4.0), 1);
        check("the only one replaced", &[unread, after], (0.9, 2.0), 1);
    }

    #[test]
    fn what_a_page_counted_that_is_gone_counts() {
        let scrapes = (15_000, 5, -5);
        for now in (20..28).map(|idx| idx * 15) {
            let more = Page { scraped: ALWAYS, rates: &[(-500, 1.0), (300, 1.5)] };
            let past = Page { scraped: (-1000, 301), rates: &[(-500, 1.0), (300, 0.0)] };
            let [a, b, c] = [more, more, past].map(|page| page.row("a", now * 1000, scrapes));
            let b = RawSeries { labels: [("instance".to_owned(), "b".to_owned())].into(), ..b };
            let found = counted(&[a, b], &[c]);
            assert!(found.is_some_and(|rate| (rate - 3.0).abs() < 0.01), "at {now}: {found:?}");
        }
    }
}
