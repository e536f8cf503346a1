//! A pod that reports out of all proportion to its siblings is clamped, not believed and not dropped.

use std::collections::BTreeMap;

use crate::engine::numeric::median;
use crate::engine::observation::Role;
use crate::engine::signals::pod::PodReading;

/// Fewer pods have no majority that could say which of them is wrong.
const PODS_MIN: usize = 3;
/// Load balancing is uneven by small factors; ten times the median pod is not unevenness. Nothing but
/// the median: a limit that shrinks when pods become more alike would let more load ask for less.
const FACTOR: f64 = 10.0;

/// A clamped value.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// The pod.
    pub pod: String,
    /// The signal.
    pub role: Role,
    /// What it reports.
    pub read: f64,
    /// What counts.
    pub counted: f64,
}

/// What one pod may always report while its siblings are idle: an hour of affinity can put all
/// requests on one pod, so ordinary amounts of work are never cut.
const fn always(role: Role) -> Option<f64> {
    match role {
        Role::Waiting => Some(64.0),
        // The default batch limit of vLLM.
        Role::Running => Some(256.0),
        Role::Finished | Role::Arrivals | Role::Rejections => Some(50.0),
        Role::PromptTokens | Role::CachedTokens => Some(100_000.0),
        Role::GenerationTokens => Some(20_000.0),
        Role::KvUsage
        | Role::KvTokens
        | Role::Awake
        | Role::GpuUtilization
        | Role::GpuMemoryUsed
        | Role::GpuMemoryTotal
        | Role::GpuMemoryBandwidth
        | Role::GpuPower
        | Role::GpuPowerLimit => None,
    }
}

/// Clamps the outliers among `readings` in place and names them.
pub(super) fn clamp(readings: &mut BTreeMap<String, PodReading>) -> Vec<Outlier> {
    let mut outliers = Vec::new();
    let roles = [
        Role::Waiting,
        Role::Running,
        Role::Finished,
        Role::Arrivals,
        Role::Rejections,
        Role::PromptTokens,
        Role::CachedTokens,
        Role::GenerationTokens,
    ];
    for role in roles {
        let of = |reading: &PodReading| reading.level(role).or(reading.rate(role));
        let values: Vec<f64> = readings.values().filter_map(of).collect();
        let Some(limit) = limit(role, &values) else { continue };
        for (name, reading) in readings.iter_mut() {
            let values = if role.is_counter() { &mut reading.rates } else { &mut reading.levels };
            if let Some(value) = values.get_mut(&role).filter(|value| **value > limit) {
                let (pod, read) = (name.clone(), *value);
                outliers.push(Outlier { pod, role, read, counted: limit });
                *value = limit;
            }
        }
    }
    outliers
}

/// The most that one pod may report among `values`; `None` when they cannot tell.
pub(super) fn limit(role: Role, values: &[f64]) -> Option<f64> {
    if values.len() < PODS_MIN {
        return None;
    }
    let middle = median(values)?;
    Some(always(role)?.max(FACTOR * middle))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{clamp, limit};
    use crate::engine::observation::Role;
    use crate::engine::signals::pod::PodReading;

    #[test]
    fn one_pod_in_a_hundred_does_not_set_the_limit() {
        let rows: [(&[f64], Option<f64>); 5] = [
            (&[5.0, 500.0], None),
            (&[5.0, 5.0, 500.0], Some(64.0)),
            (&[50.0, 50.0, 50.0, 5000.0], Some(500.0)),
            (&[0.0, 0.0, 1e9], Some(64.0)),
            // Spread out by nature: nothing is cut.
            (&[10.0, 60.0, 110.0], Some(600.0)),
        ];
        for (values, expected) in rows {
            let limit = limit(Role::Waiting, values);
            // One product.
            let near = limit.zip(expected).map(|(a, b)| (a - b).abs() < 1e-6);
            assert!(near.unwrap_or(limit == expected), "{values:?}: {limit:?}");
        }
    }

    #[test]
    fn the_outlier_is_named_and_clamped() {
        let mut readings: BTreeMap<String, PodReading> = ["a", "b", "c"]
            .into_iter()
            .zip([4.0, 4.0, 900.0])
            .map(|(name, waiting)| {
                let levels = BTreeMap::from([(Role::Waiting, waiting)]);
                (name.to_owned(), PodReading { levels, ..PodReading::default() })
            })
            .collect();
        let outliers = clamp(&mut readings);
        assert_eq!(outliers.len(), 1);
        assert_eq!((outliers[0].pod.as_str(), outliers[0].counted), ("c", 64.0));
        assert_eq!(readings["c"].level(Role::Waiting), Some(64.0));
    }
}
