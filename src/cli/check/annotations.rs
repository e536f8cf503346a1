//! Annotations by which KEDA stops scaling, and those that nobody reads.

use serde_json::Value;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::flag;
use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::placeholder;
use crate::spec::closest;

const PAUSED: &str = "autoscaling.keda.sh/paused";
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

/// The annotations that KEDA reads from a scaled object, as of 2.20.
const KNOWN: [&str; 8] = [
    PAUSED,
    PAUSED_REPLICAS,
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
    "autoscaling.keda.sh/force-activation",
    "scaledobject.keda.sh/transfer-hpa-ownership",
    "scaledobject.keda.sh/hpa-excluded-labels",
    "scaledjob.keda.sh/job-excluded-labels",
];

/// Where KEDA's annotations live, and where they are looked for in vain.
const HOSTS: [&str; 4] =
    ["autoscaling.keda.sh", "scaledobject.keda.sh", "scaledjob.keda.sh", "keda.sh"];

/// Applies every rule to one object.
pub(crate) fn check(kind: Kind, manifest: &Manifest, place: &Place, findings: &mut Findings) {
    strings(manifest, place, findings);
    unread(manifest, place, findings);
    paused(manifest, place, findings);
    if kind == Kind::ScaledObject {
        paused_replicas(manifest, place, findings);
    }
}

/// What is no string the API server refuses.
fn strings(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    for map in ["annotations", "labels"] {
        let given = manifest.object(&format!("/metadata/{map}"));
        for (name, value) in given.into_iter().flatten() {
            if !value.is_string() && *value != Value::Null {
                let message = format!("{name} must be a string: put the value in quotes");
                findings.add(Level::Error, place, &format!("metadata.{map}"), message);
            }
        }
    }
}

fn unread(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let given = manifest.object("/metadata/annotations");
    for name in given.into_iter().flat_map(serde_json::Map::keys) {
        if let Some(near) = meant(name) {
            let message =
                format!("{name} is none that KEDA knows and has no effect: did you mean {near}?");
            findings.add(Level::Warning, place, "metadata.annotations", message);
        }
    }
}

/// The annotation of KEDA's that an unknown one is much like.
fn meant(name: &str) -> Option<&'static str> {
    let (host, word) = name.split_once('/')?;
    if KNOWN.contains(&name) || !HOSTS.contains(&host) {
        return None;
    }
    let words = KNOWN.map(|known| known.rsplit_once('/').map_or(known, |(_, word)| word));
    let near = closest(word, &words)?;
    KNOWN.into_iter().find(|known| known.ends_with(&format!("/{near}")))
}

/// The text of an annotation, if it is known here.
fn known<'a>(manifest: &'a Manifest, name: &str) -> Option<&'a str> {
    manifest.annotation(name).filter(|text| !placeholder::is_in(text))
}

/// What is no truth value counts as true.
fn paused(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let Some(given) = known(manifest, PAUSED) else { return };
    let message = match flag::parse(given) {
        Some(false) => return,
        Some(true) => format!("{PAUSED} stops all scaling until it is removed"),
        None => format!("{PAUSED} is {given:?}, which counts as true: it stops all scaling"),
    };
    findings.add(Level::Warning, place, "metadata.annotations", message);
}

fn paused_replicas(manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let Some(given) = known(manifest, PAUSED_REPLICAS) else { return };
    let (level, message) = match given.parse::<i32>() {
        Ok(replicas @ 0..) if manifest.annotation(PAUSED).and_then(flag::parse) == Some(false) => (
            Level::Warning,
            format!(
                "{PAUSED_REPLICAS} stops all scaling at {replicas}, paused \"false\" or not: \
                 remove it"
            ),
        ),
        Ok(replicas @ 0..) => (
            Level::Warning,
            format!("{PAUSED_REPLICAS} stops all scaling at {replicas} until it is removed"),
        ),
        _ => {
            (Level::Error, format!("{PAUSED_REPLICAS} is {given:?}: must be a whole number from 0"))
        }
    };
    findings.add(level, place, "metadata.annotations", message);
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn an_annotation_is_told_apart_from_one_that_is_misspelt() {
        let rows = [
            ("autoscaling.keda.sh/paused", None),
            ("autoscaling.keda.sh/pause", Some("autoscaling.keda.sh/paused")),
            ("keda.sh/paused", Some("autoscaling.keda.sh/paused")),
            ("autoscaling.keda.sh/paused-scale-in", None),
            ("autoscaling.keda.sh/pausedReplicas", Some("autoscaling.keda.sh/paused-replicas")),
            ("autoscaling.keda.sh/owner", None),
            ("example.org/paused", None),
            ("paused", None),
        ];
        for (name, expected) in rows {
            assert_eq!(meant(name), expected, "{name}");
        }
    }
}
