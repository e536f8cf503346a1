//! By which names the server is asked: the defence against a web page whose name suddenly resolves to
//! an address in here (DNS rebinding), and so reads what a person's port-forward shows.
//!
//! Such a page can name any address, but not choose the `Host` that a browser sends: that is the page's
//! own name. IP addresses, `localhost`, names without a dot and names that only a cluster resolves are
//! nobody's web page; others are answered when the administrator says so.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;

use crate::http::error::Failure;
use crate::http::guard::harden;

/// Endings of names that no public name server answers for.
const INSIDE: [&str; 4] = [".svc", ".cluster.local", ".internal", ".localhost"];

/// Probes show nothing, and a prober says what it likes; whoever wakes has to have a token, which no
/// stranger's page has.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/wake/"];

/// `router` for who asks by an address, a name inside or one of `names`; 403 for others. `names` are
/// without a port, in lower case.
pub fn asked_by_name(router: Router, names: Vec<String>) -> Router {
    let names: Arc<[String]> = names.into();
    router.layer(from_fn_with_state(names, refuse_strangers)).layer(map_response(harden))
}

/// Whether `name` may stand in `httpHosts`: a host name without scheme, port and wildcard.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    (1..=253).contains(&name.len()) && name.bytes().all(byte)
}

async fn refuse_strangers(
    State(names): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let header = request.headers().get(HOST).map(|value| value.to_str().unwrap_or_default());
    let asked = request.uri().authority().map(|authority| authority.as_str()).or(header);
    match asked {
        Some(host) if !is_open(request.uri().path()) && !is_known(host, &names) => {
            let text = "not answered under this name: ask by IP address, localhost or \
                        SERVICE.NAMESPACE.svc, or add the name to httpHosts";
            Err(Failure::new(StatusCode::FORBIDDEN, text))
        }
        // A browser always sends a host.
        _ => Ok(next.run(request).await),
    }
}

fn is_open(path: &str) -> bool {
    OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)))
}

/// Whether `host`, with or without a port, is an address, a name inside or one of `names`.
fn is_known(host: &str, names: &[String]) -> bool {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() || (is_host_name(&name) && !name.contains('.')) {
        return true;
    }
    INSIDE.iter().any(|ending| name.ends_with(ending)) || names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{is_host_name, is_known};

    #[test]
    fn addresses_and_names_inside_are_known_and_web_pages_are_not() {
        let names = ["prescale.example.com".to_owned()];
        let rows = [
            ("127.0.0.1:8080", true),
            ("10.1.2.3", true),
            ("[::1]:8080", true),
            ("[fe80::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("prescale:8080", true),
            ("prescale.prescale.svc:8080", true),
            ("prescale.prescale.svc.cluster.local.", true),
            ("host.docker.internal:8080", true),
            ("prescale.example.com", true),
            ("Prescale.Example.com:443", true),
            ("evil.example.com", false),
            ("evil.com:8080", false),
            ("127.0.0.1.evil.com:8080", false),
            ("localhost.evil.com", false),
            ("prescale.prescale.svc.evil.com", false),
            ("prescale.example.com.evil.com", false),
            ("xprescale.example.com", false),
            // Ours only by the name in front, which is no host.
            ("prescale.example.com@evil.com", false),
            ("1.2.3.4.5", false),
            ("[evil.com]", false),
            ("[::1", false),
            ("", false),
            (":8080", false),
        ];
        for (host, known) in rows {
            assert_eq!(is_known(host, &names), known, "{host}");
        }
    }

    #[test]
    fn names_of_the_administrator_are_bare() {
        let rows = [
            ("prescale.example.com", true),
            ("a_b", true),
            ("", false),
            ("*.example.com", false),
            ("https://example.com", false),
            ("example.com:8080", false),
            ("Example.com", false),
        ];
        for (name, accepted) in rows {
            assert_eq!(is_host_name(name), accepted, "{name}");
        }
    }
}
