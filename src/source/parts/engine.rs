//! What the pods of a workload export: engine families, or those of a GPU exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::observation::{Role, RoleSeries, Searched};
use crate::engine::units::Timestamp;
use crate::source::assemble::{RawSeries, roles};
use crate::source::parts::asking::{Asking, Notes, searched};
use crate::source::plan::{self, Style};
use crate::source::preset::Preset;

/// One pod's roles.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PodRoles {
    /// What it exports, by role.
    pub(crate) roles: BTreeMap<Role, RoleSeries>,
    /// Roles known to be zero.
    pub(crate) known_zero: BTreeSet<Role>,
}

impl PodRoles {
    /// The newest sample of any role.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        let series = self.roles.values().flat_map(|role| &role.series);
        series.filter_map(|series| series.latest()).map(|sample| sample.at).max()
    }
}

/// What the pods of a workload export.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pods {
    /// By pod name; pods that export nothing of the preset are not among them.
    pub(crate) pods: BTreeMap<String, PodRoles>,
    /// The time between two scrapes, as the samples show it.
    pub(crate) interval: Option<Duration>,
    /// What could not be read, and what was looked for.
    pub(crate) notes: Notes,
}

impl Pods {
    /// The newest sample of any pod.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.pods.values().filter_map(PodRoles::newest).max()
    }
}

/// The engine's families in the workload's pods.
pub(crate) async fn engine(asking: Asking<'_>, preset: &Preset, window: Duration) -> Pods {
    let mut notes = Notes::default();
    let names = preset.family_names();
    let query = |style| plan::pods(asking.target, asking.workload, &names, style, window);
    let mut rows = asking.series(&query(Style::Plain), &mut notes).await;
    // An engine's own page has no pod label, so the target's is not renamed; a federated page's is.
    if rows.as_ref().is_some_and(Vec::is_empty) {
        rows = asking.series(&query(Style::Exported), &mut notes).await;
    }
    assembled(preset, asking.target.model.as_deref(), rows.unwrap_or_default(), notes)
}

/// GPU families of the workload's pods, under either pair of labels.
pub(crate) async fn gpus(asking: Asking<'_>, preset: &Preset, window: Duration) -> Pods {
    let (mut notes, mut more) = (Notes::default(), Notes::default());
    let names = preset.family_names();
    let [plain, exported] =
        Style::ALL.map(|style| plan::gpus(asking.target, asking.workload, &names, style, window));
    let (plain, exported) =
        tokio::join!(asking.series(&plain, &mut notes), asking.series(&exported, &mut more));
    notes.add(more);
    let rows = plain.into_iter().chain(exported).flatten().collect();
    assembled(preset, None, rows, notes)
}

fn assembled(preset: &Preset, model: Option<&str>, rows: Vec<RawSeries>, notes: Notes) -> Pods {
    let interval = interval(&rows);
    let mut pages: BTreeMap<String, Vec<RawSeries>> = BTreeMap::new();
    for row in rows {
        // Where both labels are there, the exported one is the workload's, the other the exporter's.
        let pod = Style::ALL.iter().rev().find_map(|style| row.labels.get(style.pod()));
        if let Some(pod) = pod.filter(|pod| !pod.is_empty()).cloned() {
            pages.entry(pod).or_default().push(row);
        }
    }
    let pods: BTreeMap<String, PodRoles> = pages
        .into_iter()
        .map(|(pod, page)| {
            let (roles, known_zero) = roles(preset, model, &[], &page);
            (pod, PodRoles { roles, known_zero })
        })
        .filter(|(_, found)| !found.roles.is_empty())
        .collect();
    let mut found = Pods { pods, interval, notes };
    let searched = searches(preset, found.pods.values().map(|pod| &pod.roles));
    found.notes.searched.extend(searched);
    found
}

/// What was looked for by role, and under which name some pod has it.
pub(crate) fn searches<'a>(
    preset: &Preset,
    pods: impl Iterator<Item = &'a BTreeMap<Role, RoleSeries>> + Clone,
) -> Vec<Searched> {
    let mut names: BTreeMap<Role, Vec<&str>> = BTreeMap::new();
    for family in preset.families {
        names.entry(family.role).or_default().extend(family.names);
    }
    names
        .into_iter()
        .map(|(role, names)| {
            let found = pods.clone().filter_map(|roles| roles.get(&role));
            let found = found.map(|series| series.metric.as_str()).collect();
            searched(role.name(), &names, &found)
        })
        .collect()
}

/// The median gap between the last two samples of the series.
fn interval(rows: &[RawSeries]) -> Option<Duration> {
    let mut gaps: Vec<Duration> = rows
        .iter()
        .filter_map(|row| match row.series.samples() {
            [.., before, last] => Some(last.at.since(before.at)),
            _ => None,
        })
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}
