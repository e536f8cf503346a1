//! Scalers as the HTTP side sees them.

use std::sync::Arc;

use crate::clock::Clock;
use crate::engine::units::Timestamp;
use crate::http::{Ask, Found, Reports};
use crate::report::explain::{View, explain, stand};
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
    let reports = part.map(|scaler| report(scaler, ask.detail, now)).collect();
    Found { total: scalers.len(), reports, now }
}

/// What there is to say about one scaler; in `detail` with its course and forecast.
fn report(scaler: &Scaler, detail: bool, now: Timestamp) -> Report {
    // Before the first tick nothing is withheld: there is nothing yet.
    let withheld = scaler.latest().and_then(|_| scaler.answer().err()).map(|why| why.to_string());
    let seen = scaler.seen();
    let subject = Subject {
        namespace: &scaler.namespace,
        name: &scaler.name,
        trigger: &scaler.hash8,
        searched: &seen.searched,
        faults: &seen.faults,
        withheld: withheld.as_deref(),
        open_streams: Some(scaler.streams()),
        last_call: Some(now.minus(scaler.silent())),
    };
    let latest = scaler.latest();
    let mut report = Report::new(&subject, latest.as_deref(), now);
    let (memory, named) = (scaler.memory(), named(scaler));
    let view = View {
        setup: &scaler.spec.setup,
        memory: &memory,
        decision: latest.as_deref(),
        workload: &seen.workload,
        named: named.as_deref(),
        age: scaler.age(),
    };
    if detail {
        explain(&mut report, &view, scaler.past());
    } else {
        stand(&mut report, &view);
    }
    report
}

/// The workload as the trigger names it, or as KEDA's object is called.
fn named(scaler: &Scaler) -> Option<String> {
    let settings = scaler.spec.settings();
    let workload = settings.into_iter().find(|(key, _)| *key == "workload");
    workload.and_then(|(_, value)| value).or_else(|| Some(scaler.name.clone()))
}

fn reading(scaler: &Scaler) -> Reading {
    Reading {
        namespace: scaler.namespace.clone(),
        name: scaler.name.clone(),
        trigger: scaler.hash8.clone(),
        decision: scaler.latest(),
    }
}
