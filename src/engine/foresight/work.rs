//! Between replicas and work: what a tick measured of arrivals, and what work ahead needs.

use crate::engine::arrived::Minute;
use crate::engine::capacity::Capacity;
use crate::engine::demand::{Input, largest, terms};
use crate::engine::foresight::ahead::{Ahead, Unit};
use crate::engine::foresight::meter::Measured;
use crate::engine::numeric::share;
use crate::engine::setup::Family;

/// What one replica carries in full use, per second; `None` while nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Carries {
    pub(super) requests: Option<f64>,
    /// In output tokens.
    pub(super) work: Option<f64>,
}

impl Carries {
    /// As `capacity` has it.
    #[must_use]
    pub fn of(capacity: &Capacity) -> Self {
        let requests = capacity.request_rate();
        let work = requests.zip(size(capacity)).map(|(requests, size)| requests * size);
        Self { requests, work }
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

/// What arrives now, as far as it is known to the full: a part of the pods is no measurement.
/// Without a replica nothing arrives where demand would show and does not; where it would not show,
/// nothing is known.
#[must_use]
pub fn measured(input: &Input<'_>) -> Measured {
    let signals = input.signals;
    let nobody = signals.supply.current == Some(0) && signals.supply.read == 0;
    let requests = if nobody {
        let outside = &signals.outside;
        let sees = outside.sees_zero && !outside.unreadable;
        let silent = (sees && outside.activation <= 0.0).then_some(0.0);
        outside.arrivals.filter(|_| sees).or(silent)
    } else {
        input.counted().filter(|_| signals.complete() && signals.supply.read > 0)
    };
    if input.setup.family == Family::Llm {
        let size = size(input.capacity);
        let work = requests
            .and_then(|rate| if rate > 0.0 { size.map(|size| rate * size) } else { Some(0.0) });
        return Measured { requests, work, replicas: None };
    }
    let serving = signals.complete() && signals.newest.is_some();
    let replicas = if nobody { requests } else { serving.then(|| largest(&terms(input, 1.0))) };
    Measured { requests: None, work: None, replicas }
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
fn size(capacity: &Capacity) -> Option<f64> {
    let shape = capacity.shape?;
    Some(Minute::work_of(shape.output, shape.uncached)).filter(|size| *size > 0.0)
}
