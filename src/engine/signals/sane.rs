//! Which values a role may have; everything else is missing, never zero.

use std::ops::RangeInclusive;

use crate::engine::observation::Role;

/// Queues, token counts and watts: a billion is far beyond any pod, and exporters' blank values
/// (2^63 - 14 and friends) are far beyond a billion.
const GAUGE: RangeInclusive<f64> = 0.0..=1e9;
/// Counters and bytes: 1e15 tokens are a thousand years of a fast pod, 1e15 bytes a petabyte.
const LARGE: RangeInclusive<f64> = 0.0..=1e15;
/// Shares: a rounding error above 1 is accepted; a percentage in disguise is not.
const SHARE: RangeInclusive<f64> = 0.0..=1.01;

/// The values that `role` may have.
#[must_use]
pub(super) const fn sane(role: Role) -> RangeInclusive<f64> {
    match role {
        Role::Waiting | Role::Running | Role::KvTokens | Role::GpuPower | Role::GpuPowerLimit => {
            GAUGE
        }
        Role::KvUsage | Role::GpuUtilization | Role::GpuMemoryBandwidth | Role::Awake => SHARE,
        Role::PromptTokens
        | Role::CachedTokens
        | Role::GenerationTokens
        | Role::Finished
        | Role::Arrivals
        | Role::Rejections
        | Role::GpuMemoryUsed
        | Role::GpuMemoryTotal => LARGE,
    }
}

/// A value outside of the pods (gateway, own signal), if it may be believed: finite, not negative,
/// at most 1e15, because users count bytes and tokens.
#[must_use]
pub fn believable(value: Option<f64>) -> Option<f64> {
    value.filter(|value| LARGE.contains(value)).map(f64::abs)
}

#[cfg(test)]
mod tests {
    use super::{believable, sane};
    use crate::engine::observation::Role;

    #[test]
    fn poison_is_missing() {
        let rows = [
            (Role::Waiting, 1e9, true),
            (Role::Waiting, 1.1e9, false),
            (Role::Waiting, -0.5, false),
            (Role::GpuMemoryUsed, 8e10, true),
            (Role::GpuMemoryUsed, 9_223_372_036_854_775_794.0, false),
            (Role::KvUsage, 1.0, true),
            (Role::KvUsage, 85.0, false),
            (Role::Finished, 1e14, true),
            (Role::Finished, f64::NAN, false),
        ];
        for (role, value, expected) in rows {
            assert_eq!(sane(role).contains(&value), expected, "{role} {value}");
        }
        assert_eq!(believable(Some(f64::INFINITY)), None);
        assert_eq!(believable(Some(3.0)), Some(3.0));
    }
}
