//! What is counted about datasources.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::engine::observation::FaultKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Datasource {
    datasource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    datasource: String,
    result: &'static str,
}

/// Counters of queries sent; shared by all datasources.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Outcome, Counter>,
    duration: Family<Datasource, Histogram>,
    up: Family<Datasource, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            // From a cached answer beside us to the longest timeout.
            duration: Family::new_with_constructor(|| {
                Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
            }),
            up: Family::default(),
        }
    }
}

impl Metrics {
    /// Shows them on the metrics page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "prescale_datasource_requests",
            "Queries sent to a datasource, by result",
            self.requests.clone(),
        );
        registry.register(
            "prescale_datasource_request_duration_seconds",
            "Time of a query, waiting for a free slot included",
            self.duration.clone(),
        );
        registry.register(
            "prescale_datasource_up",
            "1 if the last query that reached a verdict was answered",
            self.up.clone(),
        );
    }

    /// A query was sent and ended.
    pub fn sent(&self, datasource: &str, failure: Option<FaultKind>, took: Duration) {
        let result = failure.map_or("ok", label);
        let name = datasource.to_owned();
        self.requests.get_or_create(&Outcome { datasource: name.clone(), result }).inc();
        self.duration.get_or_create(&Datasource { datasource: name }).observe(took.as_secs_f64());
    }

    /// Whether the datasource answers.
    pub fn up(&self, datasource: &str, up: bool) {
        let label = Datasource { datasource: datasource.to_owned() };
        self.up.get_or_create(&label).set(i64::from(up));
    }

    /// Queries sent to a datasource that ended with `result` (`ok` or a kind of fault).
    #[must_use]
    pub fn sent_count(&self, datasource: &str, result: &'static str) -> u64 {
        let label = Outcome { datasource: datasource.to_owned(), result };
        self.requests.get(&label).map_or(0, |counter| counter.get())
    }
}

const fn label(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Dns => "dns",
        FaultKind::AddressRefused => "address_refused",
        FaultKind::ConnectRefused => "connect_refused",
        FaultKind::ConnectTimeout => "connect_timeout",
        FaultKind::Timeout => "timeout",
        FaultKind::Tls => "tls",
        FaultKind::Forbidden => "forbidden",
        FaultKind::Overloaded => "overloaded",
        FaultKind::QueryFailed => "query_failed",
        FaultKind::ClientError => "client_error",
        FaultKind::NotFound => "not_found",
        FaultKind::ServerError => "server_error",
        FaultKind::Redirect => "redirect",
        FaultKind::BadResponse => "bad_response",
        FaultKind::TooLarge => "too_large",
        FaultKind::TooManySeries => "too_many_series",
        FaultKind::Empty => "empty",
        FaultKind::NotFinite => "not_finite",
        FaultKind::OutOfTime => "out_of_time",
        FaultKind::Partial => "partial",
        FaultKind::CircuitOpen => "circuit_open",
        FaultKind::NotAllowed => "not_allowed",
    }
}
