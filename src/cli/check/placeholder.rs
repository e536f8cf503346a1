//! Values that another tool will put in before KEDA sees them: nothing is known of them here.

/// As Flux, envsubst, Kustomize and Helm write them.
const MARKS: [&str; 3] = ["${", "$(", "{{"];

/// Whether a part of `text` is still to be put in.
pub(crate) fn is_in(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}
