//! What a page gives: the wanted samples, and how much of the page to believe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::units::Timestamp;

/// Which metric names are kept; everything else on a page is passed over without being stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Every name.
    All,
    /// These sample names; a histogram is named by its `_bucket`, `_sum` and `_count`.
    Names(Arc<BTreeSet<String>>),
}

impl Wanted {
    /// Exactly these names.
    pub fn names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Names(Arc::new(names.into_iter().map(Into::into).collect()))
    }

    /// Whether samples of `name` are kept.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }
}

/// The two text formats; they differ in the unit of timestamps and in how a page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: timestamps in milliseconds, the page ends where it ends.
    Text,
    /// OpenMetrics: timestamps in seconds, the page ends with `# EOF`.
    OpenMetrics,
}

/// One sample of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageSeries {
    /// Metric name.
    pub name: String,
    /// Labels, without the name.
    pub labels: BTreeMap<String, String>,
    /// The value as written; may be NaN or infinite.
    pub value: f64,
    /// The instant written on the page, which few exporters do.
    pub timestamp: Option<Timestamp>,
}

/// A page that was understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The wanted samples in the order of the page, repetitions included.
    pub series: Vec<PageSeries>,
    /// Lines that could not be understood.
    pub skipped: u32,
    /// The page was cut off: what it lacks is unknown, not absent.
    pub truncated: bool,
    /// Wanted families that are declared and have no sample.
    pub declared_only: BTreeSet<String>,
}

/// Bounds on one page: an exporter is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression. Real pages have 5 to 120 KB.
    pub bytes: usize,
    /// Bytes of one line, which must be held until its end is seen.
    pub line: usize,
    /// Lines, which bounds the time spent.
    pub lines: u32,
    /// Samples kept.
    pub series: usize,
    /// Labels kept over all samples: ten for each sample at its limit. Many one-letter labels are
    /// the way to turn few bytes of page into much memory.
    pub labels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 20, line: 1 << 20, lines: 200_000, series: 20_000, labels: 200_000 }
    }
}
