//! Pods that could be meant, for the message that none was found.

use std::collections::BTreeMap;

use crate::source::parts::asking::{Asking, Notes};
use crate::source::plan;
use crate::source::preset::{Label, Preset};

/// More would not fit a message.
const CANDIDATES_MAX: usize = 5;

/// Up to five pods of the namespace that export what the preset looks for, one per workload.
pub(crate) async fn read(asking: Asking<'_>, preset: &Preset) -> Vec<String> {
    // What waits and what runs is enough to know an engine by.
    let families = &preset.families[..preset.families.len().min(2)];
    let names: Vec<&str> = families.iter().flat_map(|family| family.names).copied().collect();
    // A router that exports an engine's names is not a candidate.
    let blank: Vec<&str> = families
        .iter()
        .flat_map(|family| family.labels)
        .filter_map(|label| match label {
            Label::Is(name, "") => Some(*name),
            Label::Is(_, _) => None,
        })
        .collect();
    let query = plan::candidates(asking.target, &names, &blank);
    // The cold state has its own fault; a second one about the hint would hide it.
    let mut unheard = Notes::default();
    let elements = asking.elements(&query, &mut unheard).await.unwrap_or_default();
    let pods = elements.iter().map(|element| {
        let exported = element.label("exported_pod");
        if exported.is_empty() { element.label("pod") } else { exported }
    });
    one_per_workload(pods.filter(|pod| !pod.is_empty()))
}

fn one_per_workload<'a>(pods: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for pod in pods {
        let kept = first.entry(workload(pod)).or_insert(pod);
        *kept = pod.min(kept);
    }
    first.into_values().take(CANDIDATES_MAX).map(str::to_owned).collect()
}

/// The name without what a Deployment or StatefulSet adds, as far as it can be told.
fn workload(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    let ordinal = last.chars().all(|c| c.is_ascii_digit());
    if ordinal { rest } else { rest.rsplit_once('-').map_or(rest, |(name, _)| name) }
}

#[cfg(test)]
mod tests {
    use super::one_per_workload;

    #[test]
    fn one_pod_speaks_for_its_workload_and_five_workloads_are_enough() {
        let pods = ["a-7d9f-abcde", "a-7d9f-aaaaa", "b-0", "b-1", "c", "d-1a-aaaaa", "e-0", "f-0"];
        let expected = ["a-7d9f-aaaaa", "b-0", "c", "d-1a-aaaaa", "e-0"];
        assert_eq!(one_per_workload(pods.into_iter()), expected);
    }
}
