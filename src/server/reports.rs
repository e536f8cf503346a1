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

/// What there is to say about one scaler.
fn report(scaler: &Scaler, now: Timestamp) -> Report {
    // Before the first tick nothing is withheld: there is nothing yet.
    let withheld = scaler.latest().and_then(|_| scaler.answer().err()).map(|why| why.to_string());
    let seen = scaler.seen();
    let subject = Subject {
        namespace: &scaler.namespace,
        name: &scaler.name,
        trigger: &scaler.hash8,
        not_acting: &scaler.spec.not_acting,
        searched: &seen.searched,
        faults: &seen.faults,
        withheld: withheld.as_deref(),
        open_streams: Some(scaler.streams()),
        last_call: Some(now.minus(scaler.silent())),
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
