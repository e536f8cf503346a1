//! Which policies are compared, by the names people know them by.

use crate::engine::replay::policy::Policy;

/// What is compared where nobody is named: what never scales, the two ways most people scale today,
/// the strongest open competitor, ours, and what was possible at all.
pub const USUAL: [&str; 6] =
    ["static-peak", "keda-queue", "hpa-kv", "slo-aware", "prescale-reactive", "oracle"];

/// In place of a name: every policy of the table.
pub const ALL: &str = "all";

/// Policies that need a forecast; they come with it.
pub const FORECASTING: [&str; 2] = ["prescale-auto", "prescale-proactive"];

/// Those of `table` that are named, each once, in the order of the table; the usual ones where nobody
/// is, and all of them at [`ALL`]. Names that are not in the table are left out.
#[must_use]
pub fn choose(names: &[String], table: &'static [Policy]) -> Vec<&'static Policy> {
    let is_named = |policy: &&Policy| match names {
        [] => USUAL.contains(&policy.name),
        names if names.iter().any(|name| name == ALL) => true,
        names => names.iter().any(|name| name == policy.name),
    };
    table.iter().filter(is_named).collect()
}
