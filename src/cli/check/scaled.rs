//! One scaled object as the rules see it: KEDA's defaults applied where it says nothing.

use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::trigger::Understood;
use crate::engine::setup::Strategy;
use crate::spec::Spec;

/// KEDA's defaults, in seconds.
pub(crate) const POLLING_SECONDS: i64 = 30;
const COOLDOWN_SECONDS: i64 = 300;
/// KEDA's default.
const MAX_REPLICAS: i64 = 100;

/// One object, its triggers of ours, and how many others it has.
pub(crate) struct Object<'a> {
    pub(crate) kind: Kind,
    pub(crate) manifest: &'a Manifest,
    pub(crate) ours: &'a [Understood],
    pub(crate) others: usize,
}

impl Object<'_> {
    /// The number of a key of the spec, if it is given.
    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        self.manifest.int(&format!("/spec/{key}"))
    }

    /// What its triggers of ours came to, those that could be understood.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.ours.iter().filter_map(|ours| ours.spec.as_ref())
    }

    /// Seconds between two polls of KEDA.
    pub(crate) fn polling(&self) -> i64 {
        self.int("pollingInterval").unwrap_or(POLLING_SECONDS)
    }

    /// Seconds from the last activity that KEDA saw until it scales to zero.
    pub(crate) fn cooldown(&self) -> i64 {
        self.int("cooldownPeriod").unwrap_or(COOLDOWN_SECONDS)
    }

    /// The least replicas while it is active.
    pub(crate) fn min(&self) -> i64 {
        self.int("minReplicaCount").unwrap_or(0)
    }

    /// The most replicas.
    pub(crate) fn max(&self) -> i64 {
        self.int("maxReplicaCount").unwrap_or(MAX_REPLICAS)
    }

    /// Whether KEDA may take it to zero.
    pub(crate) fn reaches_zero(&self) -> bool {
        self.min() == 0 || self.int("idleReplicaCount") == Some(0)
    }

    /// Its triggers of ours that decide; shadows only watch.
    pub(crate) fn acting(&self) -> impl Iterator<Item = &Understood> {
        let acts = |ours: &&Understood| ours.strategy().is_some_and(|one| one != Strategy::Shadow);
        self.ours.iter().filter(acts)
    }
}
