//! Whose memory it is.

/// A workload as one trigger scales it. Workload and engine make up its identity together with the
/// scaled object, because only then what was learned of one still holds for the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// The object that carries the pods, in one word; empty when none was given.
    pub workload: String,
    /// The preset of metric names.
    pub engine: String,
}

/// An identity and which of its triggers. Minutes belong to the identity: what arrived does not
/// depend on how it is scaled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The workload.
    pub identity: Identity,
    /// A hash of the trigger's metadata.
    pub trigger: String,
}

impl Identity {
    /// Its parts, in order.
    pub(super) fn parts(&self) -> [&str; 4] {
        let Self { namespace, name, workload, engine } = self;
        [namespace, name, workload, engine]
    }
}
