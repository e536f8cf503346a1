//! What is said in the log at start.

use std::net::SocketAddr;

use tracing::{info, warn};

use crate::server::config::Settings;

/// Says what a person should know about the settings.
pub(super) fn at_start(settings: &Settings) {
    for note in settings.notes() {
        warn!(%note, "configuration");
    }
}

/// Says where the server answers.
pub(super) fn at_ready(
    settings: &Settings,
    (grpc, http): (SocketAddr, SocketAddr),
    wake: Option<SocketAddr>,
) {
    let tls = settings.tls.is_some();
    let datasources = settings.datasources.keys().map(String::as_str).collect::<Vec<_>>().join(",");
    let wake = wake.map(tracing::field::display);
    info!(%grpc, %http, wake, tls, datasources, version = env!("CARGO_PKG_VERSION"), "ready");
}
