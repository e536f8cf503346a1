//! What a tick measured of arrivals.
//!
//! Given a tick in numbers; promises a count only where it is known to the full, or so nearly that the pods
//! that could be read speak for the one that could not. Without a pod nothing arrives where demand would show
//! and does not; where it would not show, nothing is known.

use crate::engine::demand::{Input, largest, terms};
use crate::engine::foresight::meter::Measured;
use crate::engine::foresight::work::size;
use crate::engine::numeric::share;
use crate::engine::setup::Family;
use crate::engine::signals::Signals;

/// So many pods that were read speak for one that was not. Without that one broken pod of a large fleet would
/// end its forecast after some minutes, and the margin that the forecast replaces would be bought again.
const SPEAK_FOR_ONE: u32 = 9;

/// What arrives now.
#[must_use]
pub fn measured(input: &Input<'_>) -> Measured {
    if input.setup.family != Family::Llm {
        return Measured { requests: None, work: None, replicas: replicas(input) };
    }
    let requests = requests(input);
    let size = || size(input.capacity);
    let work = requests
        .and_then(|rate| if rate > 0.0 { size().map(|size| rate * size) } else { Some(0.0) });
    Measured { requests, work, replicas: None }
}

/// Requests per second. While no pod serves it is what a gateway counts.
fn requests(input: &Input<'_>) -> Option<f64> {
    let supply = &input.signals.supply;
    let starts = supply.current.is_some() && supply.unread == 0;
    if supply.read == 0 && (supply.current == Some(0) || starts) {
        return before_pods(input.signals);
    }
    if supply.read == 0 {
        return None;
    }
    Some(input.counted()? * whole(input.signals)?)
}

/// Requests per second that come where demand shows without a pod.
fn before_pods(signals: &Signals) -> Option<f64> {
    let outside = &signals.outside;
    let sees = outside.sees_zero && !outside.unreadable;
    let nobody = signals.supply.current == Some(0);
    let silent = (sees && nobody && outside.activation <= 0.0).then_some(0.0);
    outside.arrivals.filter(|_| sees).or(silent)
}

/// By how much what was read of the pods is less than the whole.
fn whole(signals: &Signals) -> Option<f64> {
    if signals.complete() {
        return Some(1.0);
    }
    let (unread, came) = (signals.supply.unread, signals.came.steady);
    let few = unread > 0 && unread.saturating_mul(SPEAK_FOR_ONE) <= signals.supply.read;
    let missing = signals.missing.iter().all(|role| signals.totals.missing(*role) <= unread);
    let otherwise = signals.partial || !signals.own_missing.is_empty() || came.missing > unread;
    if !few || !missing || otherwise {
        return None;
    }
    // A gateway counts what goes to all of them.
    let counted = signals.outside.arrivals.is_some();
    let all = f64::from(came.known.saturating_add(came.missing));
    if counted { Some(1.0) } else { share(all, f64::from(came.known)) }
}

/// Replicas' worth, for what is not counted in requests.
fn replicas(input: &Input<'_>) -> Option<f64> {
    let signals = input.signals;
    if signals.supply.current == Some(0) && signals.supply.read == 0 {
        let rate = before_pods(signals)?;
        let carries = || input.setup.targets.request_rate;
        return if rate > 0.0 { share(rate, carries()?) } else { Some(0.0) };
    }
    let serving = signals.complete() && signals.newest.is_some();
    serving.then(|| largest(&terms(input, 1.0)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::measured;
    use crate::engine::capacity::Capacity;
    use crate::engine::demand::{Input, Pressure};
    use crate::engine::demand_tests::setup;
    use crate::engine::foresight::Measured;
    use crate::engine::observation::{
        Combine, GatewayReading, Observation, Phase, PodObservation, Role, RoleSeries,
    };
    use crate::engine::series::{Sample, Series};
    use crate::engine::setup::{Family, Setup};
    use crate::engine::signals::{Bound, PodsSeen, Signals};
    use crate::engine::units::Timestamp;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    /// A pod that finishes two requests per second, if it can be read.
    fn pod(readable: bool, now: Timestamp) -> PodObservation {
        let mut pod = PodObservation::new(Phase::Ready);
        let of = |role: Role| {
            let sample = |back: u32| {
                let grown = f64::from(600 - back) * 2.0;
                let value = if role.is_counter() { grown } else { 0.5 };
                Sample { at: now.minus(Duration::from_secs(back.into())), value }
            };
            let series = vec![Series::new([60, 45, 30, 15, 0].map(sample).to_vec())];
            RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series }
        };
        if readable {
            for role in [Role::Waiting, Role::Running, Role::KvUsage, Role::Finished] {
                pod.roles.insert(role, of(role));
            }
        }
        pod
    }

    /// What is measured of (read, unread) pods; `current` replicas and a gateway's arrivals per second.
    fn of(setup: &Setup, pods: (u32, u32), current: Option<u32>, came: Option<f64>) -> Measured {
        let mut seen = PodsSeen::default();
        let mut observe = |now: Timestamp, unread: u32| {
            let mut observation = Observation::empty(now);
            for idx in 0..pods.0 + pods.1 {
                let pod = pod(idx >= unread, now);
                observation.pods.insert(format!("p{idx}"), pod);
            }
            observation.workload.spec_replicas = current;
            observation.gateway = came.map(|_| GatewayReading {
                held: Some(0.0),
                arrivals_per_second: came,
                ..GatewayReading::default()
            });
            Signals::read(setup, &observation, &mut seen, Duration::from_mins(5), false)
        };
        observe(NOW.minus(Duration::from_secs(15)), 0);
        let signals = observe(NOW, pods.1);
        measured(&Input {
            setup,
            signals: &signals,
            bound: Bound::Low,
            capacity: &Capacity::default(),
            pressure: &Pressure::default(),
            headroom: setup.headroom,
            cold_start: Duration::from_secs(100),
            slow: false,
        })
    }

    #[test]
    fn nine_pods_speak_for_a_tenth_and_no_fewer() {
        let setup = setup();
        let requests =
            |read, unread| of(&setup, (read, unread), Some(read + unread), None).requests;
        assert_eq!(requests(9, 0).map(f64::round), Some(18.0));
        assert_eq!(requests(9, 1).map(f64::round), Some(20.0));
        assert_eq!(requests(18, 2).map(f64::round), Some(40.0));
        assert_eq!(requests(8, 1), None);
        assert_eq!(requests(17, 2), None);
        assert_eq!(requests(0, 2), None);
    }

    #[test]
    fn a_gateway_counts_before_there_is_a_pod() {
        let mut setup = setup();
        setup.wake_path = true;
        let requests = |current, came| of(&setup, (0, 0), current, came).requests;
        assert_eq!(requests(Some(0), Some(3.0)), Some(3.0));
        assert_eq!(requests(Some(0), Some(0.0)), Some(0.0));
        assert_eq!(requests(Some(2), Some(3.0)), Some(3.0), "they load");
        assert_eq!(requests(Some(2), None), None);
        assert_eq!(requests(Some(0), None), None);
        assert_eq!(requests(None, Some(3.0)), None);
    }

    #[test]
    fn requests_at_zero_are_no_replicas() {
        for family in [Family::Gpu, Family::Custom] {
            let mut setup = Setup { family, wake_path: true, ..setup() };
            let replicas = |setup: &Setup, came| of(setup, (0, 0), Some(0), Some(came)).replicas;
            assert_eq!(replicas(&setup, 0.0), Some(0.0));
            assert_eq!(replicas(&setup, 20.0), None, "{family:?}: nobody knows what one carries");
            setup.targets.request_rate = Some(40.0);
            assert_eq!(replicas(&setup, 20.0), Some(0.5));
        }
    }
}
