//! What the gate counts: per route, and in all.
//!
//! The first five families are a contract with prescale's `prescale-gate` preset. Every series is
//! there from the start, at zero: what is absent is unknown, and unknown would keep a model awake.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::gate::config::Route;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    namespace: String,
    name: String,
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    namespace: String,
    name: String,
    model: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Woken {
    namespace: String,
    name: String,
    model: String,
    result: WakeResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unrouted {
    reason: &'static str,
}

/// How a call to prescale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(super) enum WakeResult {
    /// prescale wants a replica now.
    accepted,
    /// prescale refuses for a while.
    limited,
    /// prescale does not know the scaled object: KEDA has not asked yet, or wakes are off.
    not_found,
    /// The token is missing or wrong, or not for this namespace.
    denied,
    /// Nobody answered, or with something else.
    failed,
}

const WAKE_RESULTS: [WakeResult; 5] = [
    WakeResult::accepted,
    WakeResult::limited,
    WakeResult::not_found,
    WakeResult::denied,
    WakeResult::failed,
];

/// Reasons for which a request that belongs to a route is refused; those of `Refusal::code`.
const REASONS: [&str; 10] = [
    "queue_full",
    "held_bytes",
    "deadline",
    "backing_off",
    "draining",
    "body_too_large",
    "body_slow",
    "body_broken",
    "upstream_broken",
    "upstream_silent",
];

/// Reasons for which a request belongs to no route.
const UNROUTED: [&str; 8] = [
    "model_not_found",
    "model_missing",
    "malformed",
    "method",
    "held_bytes",
    "body_too_large",
    "body_slow",
    "body_broken",
];

/// From a warm model's first token to a cold start of a quarter of an hour.
fn seconds() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
        600.0, 900.0,
    ])
}

/// All of it; made once.
#[derive(Debug)]
pub(super) struct Metrics {
    held: Family<Of, Gauge>,
    in_flight: Family<Of, Gauge>,
    requests: Family<Of, Counter>,
    refused: Family<Refused, Counter>,
    first_byte: Family<Of, Histogram, fn() -> Histogram>,
    abandoned: Family<Of, Counter>,
    passed: Family<Of, Counter>,
    broken: Family<Of, Counter>,
    endpoints: Family<Of, Gauge>,
    wakes: Family<Woken, Counter>,
    unrouted: Family<Unrouted, Counter>,
    held_bytes: Gauge,
    connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let unrouted = Family::<Unrouted, Counter>::default();
        for reason in UNROUTED {
            drop(unrouted.get_or_create(&Unrouted { reason }));
        }
        Self {
            held: Family::default(),
            in_flight: Family::default(),
            requests: Family::default(),
            refused: Family::default(),
            first_byte: Family::new_with_constructor(seconds),
            abandoned: Family::default(),
            passed: Family::default(),
            broken: Family::default(),
            endpoints: Family::default(),
            wakes: Family::default(),
            unrouted,
            held_bytes: Gauge::default(),
            connections: Gauge::default(),
        }
    }
}

impl Metrics {
    /// A registry with everything under its full name.
    pub(super) fn registry(&self, commit: Option<&'static str>, started: f64) -> Registry {
        let mut registry = Registry::default();
        let build =
            vec![("version", env!("CARGO_PKG_VERSION")), ("commit", commit.unwrap_or("unknown"))];
        registry.register("prescale_build", "The version that runs", Info::new(build));
        registry.register(
            "process_start_time_seconds",
            "When the process started, seconds since the Unix epoch",
            prometheus_client::metrics::gauge::ConstGauge::new(started),
        );
        let name = |name: &str| format!("prescale_gate_{name}");
        let Self { held, in_flight, requests, refused, first_byte, abandoned, .. } = self;
        let Self { passed, broken, endpoints, wakes, unrouted, held_bytes, connections, .. } = self;
        registry.register(
            name("requests_held"),
            "Requests that wait for a ready endpoint",
            held.clone(),
        );
        registry.register(
            name("requests_in_flight"),
            "Requests that arrived and are not finished, held ones included",
            in_flight.clone(),
        );
        registry.register(
            name("requests"),
            "Requests that arrived, refused ones included; GET, HEAD and OPTIONS are no demand and not counted",
            requests.clone(),
        );
        registry.register(
            name("requests_refused"),
            "Requests that the gate answered by itself, by reason",
            refused.clone(),
        );
        registry.register(
            name("time_to_first_byte_seconds"),
            "From a request's arrival to the first byte of its answer's body, waiting included",
            first_byte.clone(),
        );
        registry.register(
            name("requests_abandoned"),
            "Requests whose client went away while they waited",
            abandoned.clone(),
        );
        registry.register(
            name("reads_passed"),
            "GET, HEAD and OPTIONS requests passed on to a ready endpoint",
            passed.clone(),
        );
        registry.register(
            name("answers_broken"),
            "Answers that an endpoint broke off, or that fell silent",
            broken.clone(),
        );
        registry.register(name("endpoints_ready"), "Endpoints that are ready", endpoints.clone());
        registry.register(name("wakes"), "Calls that wake prescale, by result", wakes.clone());
        registry.register(
            name("requests_unrouted"),
            "Requests that belong to no route, by reason",
            unrouted.clone(),
        );
        registry.register(
            name("held_bytes"),
            "Bytes of bodies that are kept in memory",
            held_bytes.clone(),
        );
        registry.register(name("connections"), "Open connections of clients", connections.clone());
        registry
    }

    /// The series of one route, all of them at zero.
    pub(super) fn of(&self, route: &Route) -> RouteMetrics {
        let Route { namespace, name, .. } = route;
        let (namespace, name, model) = (namespace.clone(), name.clone(), route.label());
        let of = Of { namespace, name, model };
        let Of { namespace, name, model } = of.clone();
        for reason in REASONS {
            let (namespace, name, model) = (namespace.clone(), name.clone(), model.clone());
            drop(self.refused.get_or_create(&Refused { namespace, name, model, reason }));
        }
        for result in WAKE_RESULTS {
            let (namespace, name, model) = (namespace.clone(), name.clone(), model.clone());
            drop(self.wakes.get_or_create(&Woken { namespace, name, model, result }));
        }
        RouteMetrics {
            held: self.held.get_or_create_owned(&of),
            in_flight: self.in_flight.get_or_create_owned(&of),
            requests: self.requests.get_or_create_owned(&of),
            first_byte: self.first_byte.get_or_create_owned(&of),
            abandoned: self.abandoned.get_or_create_owned(&of),
            passed: self.passed.get_or_create_owned(&of),
            broken: self.broken.get_or_create_owned(&of),
            endpoints: self.endpoints.get_or_create_owned(&of),
            refused: self.refused.clone(),
            wakes: self.wakes.clone(),
            of,
        }
    }

    /// Counts a request that belongs to no route.
    pub(super) fn unrouted(&self, reason: &'static str) {
        self.unrouted.get_or_create(&Unrouted { reason }).inc();
    }

    /// Bytes of bodies that are kept.
    pub(super) const fn held_bytes(&self) -> &Gauge {
        &self.held_bytes
    }

    /// Connections of clients.
    pub(super) const fn connections(&self) -> &Gauge {
        &self.connections
    }
}

/// The series of one route, found once.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    pub(super) held: Gauge,
    pub(super) in_flight: Gauge,
    pub(super) requests: Counter,
    pub(super) abandoned: Counter,
    pub(super) passed: Counter,
    pub(super) broken: Counter,
    pub(super) endpoints: Gauge,
    first_byte: Histogram,
    refused: Family<Refused, Counter>,
    wakes: Family<Woken, Counter>,
    of: Of,
}

impl RouteMetrics {
    /// Counts a refusal.
    pub(super) fn refused(&self, reason: &'static str) {
        let Of { namespace, name, model } = self.of.clone();
        self.refused.get_or_create(&Refused { namespace, name, model, reason }).inc();
    }

    /// Counts a call to prescale.
    pub(super) fn woke(&self, result: WakeResult) {
        let Of { namespace, name, model } = self.of.clone();
        self.wakes.get_or_create(&Woken { namespace, name, model, result }).inc();
    }

    /// Notes how long the first byte took.
    pub(super) fn first_byte(&self, after: Duration) {
        self.first_byte.observe(after.as_secs_f64());
    }
}
