//! The fields of KEDA's objects, as of KEDA 2.20: names, forms and limits, as tables.
//!
//! From KEDA's resource definitions and, below `behavior`, from what Kubernetes accepts of an HPA.
//! What is another's (a job, a scaler's metadata) may be anything here.

use crate::cli::check::manifest::Kind;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Not looked at here.
    Any,
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number from the one to the other.
    Whole(i64, i64),
    /// A Kubernetes quantity from 0.
    Quantity,
    /// These fields.
    Fields(&'static [Field]),
    /// A list, each element these fields.
    List(&'static [Field]),
}

/// One field of an object.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// KEDA's numbers have 32 bits.
const MOST: i64 = i32::MAX as i64;
const FROM_ZERO: Shape = Shape::Whole(0, MOST);
const FROM_ONE: Shape = Shape::Whole(1, MOST);

const fn field(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

/// The fields of the spec of a kind.
pub(crate) const fn spec(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::ScaledObject => &OBJECT,
        Kind::ScaledJob => &JOB,
    }
}

static OBJECT: [Field; 10] = [
    field("scaleTargetRef", Shape::Fields(&TARGET)),
    field("pollingInterval", FROM_ONE),
    field("cooldownPeriod", FROM_ZERO),
    field("initialCooldownPeriod", FROM_ZERO),
    field("idleReplicaCount", FROM_ZERO),
    field("minReplicaCount", FROM_ZERO),
    field("maxReplicaCount", FROM_ONE),
    field("advanced", Shape::Fields(&ADVANCED)),
    // Held to `TRIGGER` one by one, so that findings name the trigger.
    field("triggers", Shape::Any),
    field("fallback", Shape::Fields(&FALLBACK)),
];

static JOB: [Field; 11] = [
    field("jobTargetRef", Shape::Any),
    field("pollingInterval", FROM_ONE),
    field("successfulJobsHistoryLimit", FROM_ZERO),
    field("failedJobsHistoryLimit", FROM_ZERO),
    field("rolloutStrategy", Shape::Any),
    field("rollout", Shape::Any),
    field("envSourceContainerName", Shape::Text),
    field("minReplicaCount", FROM_ZERO),
    field("maxReplicaCount", FROM_ONE),
    field("scalingStrategy", Shape::Any),
    field("triggers", Shape::Any),
];

// That the name is there is said by the rules about the target.
static TARGET: [Field; 4] = [
    field("name", Shape::Text),
    field("apiVersion", Shape::Text),
    field("kind", Shape::Text),
    field("envSourceContainerName", Shape::Text),
];

static FALLBACK: [Field; 3] = [
    required("failureThreshold", FROM_ZERO),
    required("replicas", FROM_ZERO),
    field("behavior", Shape::Word(&FALLBACK_BEHAVIORS)),
];

static FALLBACK_BEHAVIORS: [&str; 5] = [
    "static",
    "currentReplicas",
    "currentReplicasIfHigher",
    "currentReplicasIfLower",
    "scalingModifiers",
];

static ADVANCED: [Field; 3] = [
    field("horizontalPodAutoscalerConfig", Shape::Fields(&HPA)),
    field("restoreToOriginalReplicaCount", Shape::Flag),
    field("scalingModifiers", Shape::Fields(&MODIFIERS)),
];

static MODIFIERS: [Field; 4] = [
    field("formula", Shape::Text),
    field("target", Shape::Text),
    field("activationTarget", Shape::Text),
    field("metricType", Shape::Word(&["AverageValue", "Value"])),
];

static HPA: [Field; 2] = [field("behavior", Shape::Fields(&BEHAVIOR)), field("name", Shape::Text)];

static BEHAVIOR: [Field; 2] =
    [field("scaleUp", Shape::Fields(&RULES)), field("scaleDown", Shape::Fields(&RULES))];

static RULES: [Field; 4] = [
    field("stabilizationWindowSeconds", Shape::Whole(0, 3600)),
    field("selectPolicy", Shape::Word(&["Max", "Min", "Disabled"])),
    field("policies", Shape::List(&POLICY)),
    field("tolerance", Shape::Quantity),
];

static POLICY: [Field; 3] = [
    required("type", Shape::Word(&["Pods", "Percent"])),
    required("value", FROM_ONE),
    required("periodSeconds", Shape::Whole(1, 1800)),
];

/// The fields of a trigger. Whether its metric type is usable is said by the rules about triggers.
pub(crate) static TRIGGER: [Field; 6] = [
    field("type", Shape::Text),
    field("name", Shape::Text),
    field("metadata", Shape::Any),
    field("metricType", Shape::Text),
    field("useCachedMetrics", Shape::Flag),
    field("authenticationRef", Shape::Fields(&AUTHENTICATION)),
];

static AUTHENTICATION: [Field; 2] = [
    required("name", Shape::Text),
    field("kind", Shape::Word(&["TriggerAuthentication", "ClusterTriggerAuthentication"])),
];

/// Where a field of this name belongs, from the spec on.
pub(crate) fn places(kind: Kind, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(spec(kind), "", name, &mut found);
    collect(&TRIGGER, "triggers[].", name, &mut found);
    found
}

fn collect(fields: &[Field], path: &str, name: &str, found: &mut Vec<String>) {
    for field in fields {
        if field.name == name {
            found.push(format!("{path}{name}"));
        }
        if let Shape::Fields(inner) = field.shape {
            collect(inner, &format!("{path}{}.", field.name), name, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::places;
    use crate::cli::check::manifest::Kind;

    #[test]
    fn a_field_is_found_where_it_belongs() {
        let rows: [(&str, &[&str]); 4] = [
            ("scaleDown", &["advanced.horizontalPodAutoscalerConfig.behavior.scaleDown"]),
            ("behavior", &["advanced.horizontalPodAutoscalerConfig.behavior", "fallback.behavior"]),
            ("metricType", &["advanced.scalingModifiers.metricType", "triggers[].metricType"]),
            ("colour", &[]),
        ];
        for (name, expected) in rows {
            assert_eq!(places(Kind::ScaledObject, name), expected, "{name}");
        }
    }
}
