//! Scalers as the HTTP side sees them.

use std::sync::Arc;

use crate::clock::Clock;
use crate::engine::units::Timestamp;
use crate::http::{Ask, Found, Reports};
use crate::report::{Report, Subject};
use crate::scaler::{Registry, Scaler};
use crate::telemetry::{Reading, Readings, Snapshot};

/// Reports on the registry's scalers, as of the moment they are asked for.
pub(super) fn reports(registry: Arc<Registry>, clock: Clock) -> Reports {
    Reports::new(move |ask| find(&registry, ask, clock.now()))
}

/// Readings of all scalers, for metrics.
pub(super) fn readings(registry: Arc<Registry>, clock: Clock) -> Readings {
    Readings::new(move || {
        let scalers = registry.all().iter().map(|scaler| reading(scaler)).collect();
        Snapshot { now: clock.now(), scalers }
    })
}

fn find(registry: &Registry, ask: &Ask, now: Timestamp) -> Found {
    let mut scalers = registry.all();
    scalers.retain(|scaler| {
        ask.namespace.as_ref().is_none_or(|namespace| *namespace == scaler.namespace)
            && ask.name.as_ref().is_none_or(|name| *name == scaler.name)
    });
    let part = scalers.iter().skip(ask.skip).take(ask.limit);
    Found { total: scalers.len(), reports: part.map(|scaler| report(scaler, now)).collect() }
}

/// What there is to say about one scaler; what the scaler does not count is not said.
fn report(scaler: &Scaler, now: Timestamp) -> Report {
    let subject = Subject {
        namespace: &scaler.namespace,
        name: &scaler.name,
        trigger: &scaler.hash8,
        not_acting: &scaler.spec.not_acting,
        searched: &[],
        withheld: None,
        open_streams: None,
        last_call: None,
    };
    Report::new(&subject, scaler.latest().as_deref(), now)
}

fn reading(scaler: &Scaler) -> Reading {
    Reading {
        namespace: scaler.namespace.clone(),
        name: scaler.name.clone(),
        trigger: scaler.hash8.clone(),
        decision: scaler.latest(),
    }
}
