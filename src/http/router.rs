//! Which path is answered by what, and the limits around it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{any, get, post};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;

use crate::http::app::App;
use crate::http::error::{limited, no_wakes, not_allowed, not_found};
use crate::http::guard::{authorize, harden};
use crate::http::wake::{Wakes, wake};
use crate::http::{api, page, probes};

/// The path of wakes.
const WAKE: &str = "/wake/{namespace}/{name}";

/// Longer than any answer takes, and shorter than a scraper's patience (10 s).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Requests in work at once, so that answers of some megabytes stay some hundred in all.
const CONCURRENCY: usize = 64;

/// Metrics pages in work at once: two scrapers, twice.
const CONCURRENCY_METRICS: usize = 4;

/// Wakes in work at once: each may wait a second or two for its peers, and shares no place with pages.
const CONCURRENCY_WAKES: usize = 128;

/// All paths; that of wakes says so where they are not configured. Probes are outside of the limits, so that a busy server is not taken for a dead one.
pub fn router(app: App, wakes: Option<Arc<Wakes>>) -> Router {
    let limits = |concurrency| {
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(limited))
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(concurrency))
            .timeout(TIMEOUT)
    };
    let not_waking = || Router::new().route(WAKE, any(no_wakes));
    let waking = |wakes| waking(wakes).layer(limits(CONCURRENCY_WAKES));
    let guarded = Router::new()
        .route("/", get(page::index))
        .route("/scalers/{namespace}/{name}", get(page::scaler))
        .route("/api/v1/scalers", get(api::list))
        .route("/api/v1/scalers/{namespace}/{name}", get(api::one))
        .layer(from_fn_with_state(app.clone(), authorize))
        .layer(limits(CONCURRENCY));
    let metrics =
        Router::new().route("/metrics", get(probes::metrics)).layer(limits(CONCURRENCY_METRICS));
    Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .merge(metrics)
        .merge(guarded)
        .with_state(app)
        .merge(wakes.map_or_else(not_waking, waking))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(map_response(harden))
}

/// Wakes alone, for the listener on which a certificate stands for a token. What is slow or too much
/// there is bounded by the connections.
pub fn wakes_only(wakes: Arc<Wakes>) -> Router {
    waking(wakes)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(map_response(harden))
}

fn waking(wakes: Arc<Wakes>) -> Router {
    Router::new().route(WAKE, post(wake)).with_state(wakes)
}
