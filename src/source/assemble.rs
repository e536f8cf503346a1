//! Raw series of one pod to roles: names, labels, ranks and units become what the engine reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::observation::{Role, RoleSeries};
use crate::engine::series::Series;
use crate::source::preset::Preset;
use crate::spec::LabelMatcher;

/// One series as scraped or queried: name, labels (without the name), raw samples.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSeries {
    /// Metric name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Samples, unscaled.
    pub series: Series,
}

/// The roles found among the series of one pod, and those that are known zero because their family
/// is created lazily and the page was read.
#[must_use]
pub fn roles(
    preset: &Preset,
    model: Option<&str>,
    selector: &[LabelMatcher],
    page: &[RawSeries],
) -> (BTreeMap<Role, RoleSeries>, BTreeSet<Role>) {
    let _ = (preset, model, selector, page);
    (BTreeMap::new(), BTreeSet::new())
}
