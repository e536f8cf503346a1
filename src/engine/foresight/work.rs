//! Between replicas and work: what a replica carries, and what work ahead needs.

use crate::engine::arrived::Minute;
use crate::engine::capacity::Capacity;
use crate::engine::demand::Input;
use crate::engine::foresight::ahead::{Ahead, Unit};
use crate::engine::numeric::share;

/// What one replica carries in full use, per second; `None` while nobody knows. And what the HPA keeps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Carries {
    pub(super) requests: Option<f64>,
    /// In output tokens.
    pub(super) work: Option<f64>,
    /// Replicas that are there whatever is asked for.
    pub(super) least: u32,
}

impl Carries {
    /// As `capacity` has it.
    #[must_use]
    pub fn of(capacity: &Capacity) -> Self {
        let requests = capacity.request_rate();
        let work = requests.zip(size(capacity)).map(|(requests, size)| requests * size);
        Self { requests, work, least: 0 }
    }

    /// Beside an HPA with this minimum. KEDA gives its HPAs one of one where zero is allowed: that says nothing.
    #[must_use]
    pub fn beside(self, hpa_min: Option<u32>) -> Self {
        Self { least: hpa_min.filter(|least| *least > 1).unwrap_or(0), ..self }
    }

    /// In this unit.
    pub(super) fn within(self, unit: Unit) -> Option<f64> {
        match unit {
            Unit::Requests => self.requests,
            Unit::Work => self.work,
            Unit::Replicas => Some(1.0),
        }
    }
}

/// Replicas, unrounded, that the work ahead needs at the headroom in force; `None` while nobody
/// knows what a replica carries. A user's own target is taken as it stands.
#[must_use]
pub fn equivalents(input: &Input<'_>, ahead: &Ahead) -> Option<f64> {
    let work = ahead.work?;
    if ahead.unit == Unit::Replicas {
        return Some(work);
    }
    let size = if ahead.unit == Unit::Work { size(input.capacity)? } else { 1.0 };
    let requests = work / size;
    let targets = &input.setup.targets;
    let by_capacity =
        input.capacity.request_rate().and_then(|rate| share(requests, input.headroom.get() * rate));
    let by_target = targets.request_rate.and_then(|target| share(requests, target));
    let by_tokens = targets.token_rate.and_then(|target| {
        let shape = input.capacity.shape?;
        share(requests * (shape.output + shape.uncached), target)
    });
    [by_capacity, by_target, by_tokens].into_iter().flatten().reduce(f64::max)
}

/// Work of one request, in output tokens.
pub(super) fn size(capacity: &Capacity) -> Option<f64> {
    let shape = capacity.shape?;
    Some(Minute::work_of(shape.output, shape.uncached)).filter(|size| *size > 0.0)
}
