//! Addresses to listen on.

use std::net::SocketAddr;

/// An address to listen on.
///
/// # Errors
/// A text that says what is accepted.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| {
        let text = crate::report::one_line(text);
        format!("{text:?} must be an IP address and a port, 0.0.0.0:6000 or [::]:6000")
    })
}

/// Whether two listeners cannot stand side by side.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any)
}
