//! What the gRPC server counts about itself.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

/// The calls of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Method {
    IsActive,
    StreamIsActive,
    GetMetricSpec,
    GetMetrics,
    StreamMetricSpec,
}

/// Why a connection was closed before it could call anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(crate) enum Closed {
    /// As many connections as there may be.
    limit,
    /// As many connections of this address as there may be.
    address_limit,
    /// The TLS handshake failed or took too long.
    handshake,
    /// accept(2) failed, for want of file descriptors for example.
    accept,
}

/// The names of gRPC's codes, a closed list as labels must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum CodeLabel {
    Ok,
    InvalidArgument,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
    Internal,
    Cancelled,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: Method,
    code: CodeLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closing {
    cause: Closed,
}

/// Counters of the gRPC server; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Call, Counter>,
    duration: Family<Of, Histogram, fn() -> Histogram>,
    streams: Family<Of, Gauge>,
    connections: Gauge,
    closed: Family<Closing, Counter>,
    denied: Counter,
    insecure: Gauge,
    tls_reload_ok: Gauge,
    tls_expiry: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(histogram),
            streams: Family::default(),
            connections: Gauge::default(),
            closed: Family::default(),
            denied: Counter::default(),
            insecure: Gauge::default(),
            tls_reload_ok: Gauge::default(),
            tls_expiry: Gauge::default(),
        }
    }
}

/// The aim is a p99 of 10 ms; the deadline is 1 s.
fn histogram() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0])
}

impl Metrics {
    /// Registers everything under its full name.
    pub fn register(&self, registry: &mut Registry) {
        let Self { requests, duration, streams, connections, closed, .. } = self;
        let Self { denied, insecure, .. } = self;
        registry.register("prescale_rpc_requests", "Calls by method and code", requests.clone());
        registry.register(
            "prescale_rpc_duration_seconds",
            "Time to answer a unary call",
            duration.clone(),
        );
        registry.register("prescale_streams", "Open streams", streams.clone());
        registry.register("prescale_connections", "Open connections", connections.clone());
        registry.register(
            "prescale_connections_closed",
            "Connections closed before any call, by cause",
            closed.clone(),
        );
        registry.register(
            "prescale_rpc_denied",
            "Calls denied because the client certificate has no allowed name",
            denied.clone(),
        );
        registry.register(
            "prescale_insecure",
            "Whether anybody who reaches the port may call: plaintext beyond loopback (1) or not (0)",
            insecure.clone(),
        );
    }

    /// Registers what there is to say of certificates: without TLS nothing, since an expiry of zero would be
    /// an alarm.
    pub fn register_tls(&self, registry: &mut Registry) {
        let Self { tls_reload_ok, tls_expiry, .. } = self;
        registry.register(
            "prescale_tls_last_reload_success",
            "Whether the certificate files were usable the last time they changed (1) or not (0)",
            tls_reload_ok.clone(),
        );
        registry.register(
            "prescale_tls_certificate_expiry_timestamp_seconds",
            "When the server certificate in use expires",
            tls_expiry.clone(),
        );
    }

    /// Counts a call that ended with `code`.
    pub(crate) fn ended(&self, method: Method, code: Code) {
        self.requests.get_or_create(&Call { method, code: label(code) }).inc();
    }

    /// Notes how long a unary call took.
    pub(crate) fn took(&self, method: Method, time: Duration) {
        self.duration.get_or_create(&Of { method }).observe(time.as_secs_f64());
    }

    /// Counts a stream as open until the guard is dropped.
    pub(crate) fn stream(&self, method: Method) -> Open {
        Open::of(self.streams.get_or_create_owned(&Of { method }))
    }

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn connection(&self) -> Open {
        Open::of(self.connections.clone())
    }

    pub(crate) fn closed(&self, cause: Closed) {
        self.closed.get_or_create(&Closing { cause }).inc();
    }

    pub(crate) fn denied(&self) {
        self.denied.inc();
    }

    pub(crate) fn insecure(&self, insecure: bool) {
        self.insecure.set(i64::from(insecure));
    }

    pub(crate) fn reloaded(&self, usable: bool) {
        self.tls_reload_ok.set(i64::from(usable));
    }

    pub(crate) fn expires(&self, unix_seconds: i64) {
        self.tls_expiry.set(unix_seconds);
    }
}

/// Something open, counted by a gauge until dropped.
#[derive(Debug)]
pub(crate) struct Open {
    gauge: Gauge,
}

impl Open {
    fn of(gauge: Gauge) -> Self {
        gauge.inc();
        Self { gauge }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the codes that are ours are listed")]
const fn label(code: Code) -> CodeLabel {
    match code {
        Code::Ok => CodeLabel::Ok,
        Code::InvalidArgument => CodeLabel::InvalidArgument,
        Code::FailedPrecondition => CodeLabel::FailedPrecondition,
        Code::ResourceExhausted => CodeLabel::ResourceExhausted,
        Code::Unavailable => CodeLabel::Unavailable,
        Code::Internal => CodeLabel::Internal,
        Code::Cancelled => CodeLabel::Cancelled,
        _ => CodeLabel::Other,
    }
}
