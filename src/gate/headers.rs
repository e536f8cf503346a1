//! Headers on their way through: what belongs to one connection stays there, the rest passes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

/// Names a request from client to engine.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long it waited, seconds; on answers to requests that did.
pub(super) const X_HELD_SECONDS: HeaderName = HeaderName::from_static("x-prescale-held-seconds");
/// The model, where it cannot be told from the body.
pub(super) const X_MODEL: HeaderName = HeaderName::from_static("x-model");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// RFC 9110, section 7.6.1, and what old clients send.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The request's own id, or a new one.
pub(super) fn id(headers: &HeaderMap) -> HeaderValue {
    headers.get(X_REQUEST_ID).cloned().unwrap_or_else(|| {
        // Keys of a hasher are random; an id needs no more.
        let random = || RandomState::new().build_hasher().finish();
        HeaderValue::try_from(format!("{:016x}{:016x}", random(), random()))
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// Makes the head of a request from `peer` one for a server called `host`.
pub(super) fn to_upstream(head: &mut Parts, peer: IpAddr, host: &HeaderValue, id: &HeaderValue) {
    head.version = Version::HTTP_11;
    let path = head.uri.path_and_query().cloned();
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    head.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let headers = &mut head.headers;
    strip(headers);
    // The gate has said 100 Continue itself by the time that it reads the body.
    headers.remove(EXPECT);
    let asked = headers.insert(HOST, host.clone());
    let asked = asked.or_else(|| authority.and_then(|text| text.parse().ok()));
    if let (Some(asked), false) = (asked, headers.contains_key(X_FORWARDED_HOST)) {
        headers.insert(X_FORWARDED_HOST, asked);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    let peer = peer.to_canonical();
    append(headers, X_FORWARDED_FOR, &peer.to_string());
    if headers.contains_key(FORWARDED) {
        let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
        append(headers, FORWARDED, &format!("for={node}"));
    }
    headers.insert(X_REQUEST_ID, id.clone());
}

/// Makes the headers of a server's answer ones for the client.
pub(super) fn to_client(headers: &mut HeaderMap) {
    strip(headers);
}

fn strip(headers: &mut HeaderMap) {
    // With both, the length is a lie: the body was read in chunks (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Adds to a list that may stand in several headers.
fn append(headers: &mut HeaderMap, name: HeaderName, entry: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(entry.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::{id, to_upstream};

    #[test]
    fn what_belongs_to_the_connection_stays_and_the_client_is_added() {
        let request = Request::post("http://gate.example/v1/chat/completions?a=b")
            .header("host", "gate.example")
            .header("connection", "keep-alive, X-Secret-Hop")
            .header("x-secret-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("content-length", "3")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "h2c")
            .header("expect", "100-continue")
            .header("authorization", "Bearer sk")
            .header("traceparent", "00-1-2-01")
            .header("x-forwarded-for", "1.1.1.1")
            .header("x-forwarded-for", "2.2.2.2")
            .header("forwarded", "for=1.1.1.1")
            .body(())
            .unwrap();
        let (mut head, ()) = request.into_parts();
        let peer = "::ffff:10.0.0.9".parse().unwrap();
        let own = id(&head.headers);
        to_upstream(&mut head, peer, &HeaderValue::from_static("llama:8000"), &own);
        assert_eq!(head.uri, "/v1/chat/completions?a=b");
        let mut found: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        found.sort();
        let expected = [
            ("authorization", "Bearer sk"),
            ("forwarded", "for=1.1.1.1, for=10.0.0.9"),
            ("host", "llama:8000"),
            ("traceparent", "00-1-2-01"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.0.0.9"),
            ("x-forwarded-host", "gate.example"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", own.to_str().unwrap()),
        ];
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_id_is_kept_or_made_and_none_is_made_twice() {
        let request = Request::get("/").header("x-request-id", "mine").body(()).unwrap();
        assert_eq!(id(request.headers()), "mine");
        let none = Request::get("/").body(()).unwrap();
        let (a, b) = (id(none.headers()), id(none.headers()));
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
