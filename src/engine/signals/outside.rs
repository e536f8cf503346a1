//! Demand that shows outside of the pods: the gateway and the user's own signals.

use std::time::Duration;

use crate::engine::observation::Observation;
use crate::engine::setup::{OwnRole, Setup};
use crate::engine::signals::sane::believable;

/// What is known outside of the pods.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outside {
    /// The user's own signals by the order of the setup; absent when not usable.
    pub own: Vec<Option<f64>>,
    /// Held or in flight at the gateway; absent when unreadable or not configured.
    pub held: Option<f64>,
    /// Held where the gateway holds: requests that wait, or are in flight, at it.
    pub waits: Option<f64>,
    /// Requests per second at the gateway.
    pub arrivals: Option<f64>,
    /// Everything that can wake, summed: held, own activation signals, own totals of demand.
    pub activation: f64,
    /// Some place where demand would show at zero replicas is configured.
    pub sees_zero: bool,
    /// Some place where demand would show at zero replicas is configured and cannot be read.
    pub unreadable: bool,
    /// The freshest reading of an own signal of role demand.
    pub own_age: Option<Duration>,
}

impl Outside {
    /// Reads what is outside; values older than `limit` are missing. A reading without an age was
    /// read at the tick.
    #[must_use]
    pub fn read(setup: &Setup, observation: &Observation, limit: Duration) -> Self {
        let recent = |age: Option<Duration>| age.is_none_or(|age| age <= limit);
        let gateway = observation.gateway.filter(|gateway| recent(gateway.age));
        let held = believable(gateway.and_then(|gateway| gateway.held));
        let arrivals = believable(gateway.and_then(|gateway| gateway.arrivals_per_second));
        let own = |idx: usize| {
            let reading = observation.own.get(idx).filter(|reading| recent(reading.age))?;
            believable(reading.value)
        };
        let own: Vec<Option<f64>> = (0..setup.own.len()).map(own).collect();
        let wakes: Vec<Option<f64>> = setup
            .own
            .iter()
            .zip(&own)
            .filter(|(signal, _)| can_wake(signal.role, signal.total))
            .map(|(_, value)| *value)
            .collect();
        let gateway_blind = observation.gateway.is_some() && held.is_none();
        let nothing = observation.gateway.is_none() && wakes.is_empty();
        Self {
            activation: held.unwrap_or(0.0) + wakes.iter().flatten().sum::<f64>(),
            unreadable: gateway_blind
                || wakes.iter().any(Option::is_none)
                || (nothing && setup.wake_path),
            sees_zero: setup.wake_path || !nothing,
            own_age: own_age(setup, observation),
            own,
            held,
            waits: held.filter(|_| gateway.is_some_and(|gateway| !gateway.refuses)),
            arrivals,
        }
    }
}

/// A mean per ready replica says nothing while there is no replica.
fn can_wake(role: OwnRole, total: bool) -> bool {
    match role {
        OwnRole::Activation => true,
        OwnRole::Demand => total,
        OwnRole::Latency => false,
    }
}

fn own_age(setup: &Setup, observation: &Observation) -> Option<Duration> {
    setup
        .own
        .iter()
        .zip(&observation.own)
        .filter(|(signal, reading)| {
            signal.role == OwnRole::Demand && believable(reading.value).is_some()
        })
        .map(|(_, reading)| reading.age.unwrap_or(Duration::ZERO))
        .min()
}
