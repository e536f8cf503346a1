//! Raw series of one pod to roles: names, labels, ranks and units become what the engine reads.
//!
//! Given what a page or a query showed of one pod. Promises: the first name found counts, so that a
//! rollout with two versions reads right in every pod; repeated readings of one truth count once;
//! values that cannot be (negative, blank sentinels, ratios far above one) are missing, not zero.
//! Which pods there are, and how old their samples are, is left to others.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};

use crate::engine::observation::{Role, RoleSeries};
use crate::engine::series::{Sample, Series};
use crate::source::preset::{Family, Label, Preset, Value, is_ratio};
use crate::spec::{LabelMatcher, MatchOp};

/// Gauges from here on are a driver's "not supported": DCGM's blanks are near 2^63.
const SENTINEL: f64 = 1e15;

/// DCGM's 32-bit blanks: blank, not found, not supported, not permissioned.
const INT32_BLANKS: std::ops::RangeInclusive<f64> = 2_147_483_632.0..=2_147_483_635.0;

/// A share may exceed one by the rounding of an exporter, not by more.
const RATIO_MAX: f64 = 1.05;

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
///
/// A role is known zero only beside what the preset takes for a sign of life, or else beside another
/// role that was found: a page of something else, or of another model, proves nothing.
#[must_use]
pub fn roles(
    preset: &Preset,
    model: Option<&str>,
    selector: &[LabelMatcher],
    page: &[RawSeries],
) -> (BTreeMap<Role, RoleSeries>, BTreeSet<Role>) {
    let selection = Selection::new(preset, model, selector);
    let chosen: Vec<&RawSeries> = page.iter().filter(|raw| selection.accepts(raw)).collect();
    let mut found = BTreeMap::new();
    for family in preset.families {
        if !found.contains_key(&family.role)
            && let Some(series) = read(preset, family, &chosen)
        {
            found.insert(family.role, series);
        }
    }
    let lazy = preset.families.iter().filter(|family| family.lazy).map(|family| family.role);
    let lives = match preset.alive {
        [] => !found.is_empty(),
        signs => page
            .iter()
            .any(|raw| signs.contains(&raw.name.as_str()) && selection.accepts_of_any_model(raw)),
    };
    let zero = if lives {
        lazy.filter(|role| !found.contains_key(role)).collect()
    } else {
        BTreeSet::new()
    };
    (found, zero)
}

/// Which series of a page are meant: those of the served model that the matchers accept.
#[derive(Debug)]
pub struct Selection<'a> {
    model: Option<(&'a Preset, &'a str)>,
    matchers: Vec<Matcher<'a>>,
}

impl<'a> Selection<'a> {
    /// The selection of a trigger, its patterns compiled once.
    #[must_use]
    pub fn new(preset: &'a Preset, model: Option<&'a str>, selector: &'a [LabelMatcher]) -> Self {
        let model = model.map(|model| (preset, model));
        Self { model, matchers: selector.iter().map(Matcher::new).collect() }
    }

    /// Whether a series is meant.
    #[must_use]
    pub fn accepts(&self, raw: &RawSeries) -> bool {
        self.matches(raw)
            && self.model.is_none_or(|(preset, model)| of_model(preset, Some(model), raw))
    }

    /// The same, a series that names no model included.
    fn accepts_of_any_model(&self, raw: &RawSeries) -> bool {
        self.matches(raw)
            && self.model.is_none_or(|(preset, model)| {
                let unsaid = preset.model_label.is_none_or(|label| !raw.labels.contains_key(label));
                unsaid || of_model(preset, Some(model), raw)
            })
    }

    fn matches(&self, raw: &RawSeries) -> bool {
        self.matchers.iter().all(|matcher| matcher.accepts(raw))
    }
}

fn of_model(preset: &Preset, model: Option<&str>, raw: &RawSeries) -> bool {
    let (Some(label), Some(model)) = (preset.model_label, model) else { return true };
    raw.labels.get(label).is_some_and(|value| {
        if preset.model_any_case { value.eq_ignore_ascii_case(model) } else { value == model }
    })
}

fn read(preset: &Preset, family: &Family, page: &[&RawSeries]) -> Option<RoleSeries> {
    family.names.iter().find_map(|name| {
        let mut series = distinct(preset, family, name, page);
        if series.is_empty() {
            return None;
        }
        for part in family.also {
            series.extend(distinct(preset, family, part, page));
        }
        Some(RoleSeries { metric: (*name).to_owned(), combine: family.combine, series })
    })
}

/// The usable series of one name, with repeated readings of one truth merged.
fn distinct(preset: &Preset, family: &Family, name: &str, page: &[&RawSeries]) -> Vec<Series> {
    let mut groups: BTreeMap<Vec<&str>, Vec<Sample>> = BTreeMap::new();
    let named = page.iter().filter(|raw| raw.name == name && labelled(family.labels, raw));
    for raw in named {
        let identity = preset
            .identity
            .iter()
            .map(|label| raw.labels.get(*label).map_or("", String::as_str))
            .collect();
        groups.entry(identity).or_default().extend(scaled(family, raw));
    }
    groups.into_values().filter(|samples| !samples.is_empty()).map(largest_per_instant).collect()
}

fn labelled(labels: &[Label], raw: &RawSeries) -> bool {
    labels.iter().all(|label| match label {
        Label::Is(name, wanted) => {
            raw.labels.get(*name).is_none_or(|value| value.is_empty() || value == wanted)
        }
    })
}

fn scaled(family: &Family, raw: &RawSeries) -> Vec<Sample> {
    let usable = |sample: &Sample| usable(family.role, sample.value);
    match family.value {
        Value::Scaled(factor) => raw
            .series
            .samples()
            .iter()
            .filter(|sample| !blank(family.role, sample.value))
            .map(|sample| Sample { at: sample.at, value: sample.value * factor })
            .filter(usable)
            .collect(),
        Value::LabelProduct(left, right) => {
            let number =
                |label: &str| raw.labels.get(label).and_then(|text| text.parse::<f64>().ok());
            let Some(value) = number(left).zip(number(right)).map(|(a, b)| a * b) else {
                return Vec::new();
            };
            let stamps = raw.series.samples().iter();
            stamps.map(|sample| Sample { at: sample.at, value }).filter(usable).collect()
        }
    }
}

fn blank(role: Role, value: f64) -> bool {
    !role.is_counter() && (value >= SENTINEL || INT32_BLANKS.contains(&value))
}

fn usable(role: Role, value: f64) -> bool {
    value.is_finite() && value >= 0.0 && (!is_ratio(role) || value <= RATIO_MAX)
}

fn largest_per_instant(mut samples: Vec<Sample>) -> Series {
    // Of two samples at one instant a series keeps the later one given: here, the larger.
    samples.sort_by(|a, b| a.at.cmp(&b.at).then(a.value.total_cmp(&b.value)));
    Series::new(samples)
}

/// A label matcher that is ready to be applied.
#[derive(Debug)]
struct Matcher<'a> {
    matcher: &'a LabelMatcher,
    regex: Option<Regex>,
}

impl<'a> Matcher<'a> {
    fn new(matcher: &'a LabelMatcher) -> Self {
        let regex = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            // 256 KiB: far more than a label pattern needs, far less than memory.
            MatchOp::Regex | MatchOp::NotRegex => {
                RegexBuilder::new(&format!("^(?s:{})$", matcher.value))
                    .size_limit(256 * 1024)
                    .build()
                    .ok()
            }
        };
        Self { matcher, regex }
    }

    /// Whether a series fits; a pattern that is none fits nothing.
    fn accepts(&self, raw: &RawSeries) -> bool {
        let value = if self.matcher.label == "__name__" {
            raw.name.as_str()
        } else {
            raw.labels.get(&self.matcher.label).map_or("", String::as_str)
        };
        match self.matcher.op {
            MatchOp::Equal => value == self.matcher.value,
            MatchOp::NotEqual => value != self.matcher.value,
            MatchOp::Regex => self.regex.as_ref().is_some_and(|regex| regex.is_match(value)),
            MatchOp::NotRegex => self.regex.as_ref().is_some_and(|regex| !regex.is_match(value)),
        }
    }
}

#[cfg(test)]
mod tests;
