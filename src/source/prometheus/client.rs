//! One request to the query API over HTTP: what is sent, what is accepted, how long it may take.
//!
//! Redirects are never followed and the environment's proxies are not used, so credentials go to the
//! configured origin only. Bodies are capped while they arrive and while they are unpacked.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;

use crate::engine::observation::FaultKind;
use crate::engine::units::Timestamp;
use crate::source::config::{DatasourceConfig, Error, base_url};
use crate::source::prometheus::answer::{Answer, error_type};
use crate::source::prometheus::credentials::SecretFile;

/// The largest answer we ever need: 1 000 pods with 30 families and 10 samples each are near it.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Enough of an error's body to find its type in.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// A server in the same cluster accepts within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Above this, parsing would hold up a worker thread for longer than a tick may be late.
const PARSE_INLINE_BYTES: usize = 256 * 1024;

/// Why a request brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The kind.
    pub(crate) kind: FaultKind,
    /// How long the server said to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The datasource is to blame, not this query.
    pub(crate) of_datasource: bool,
}

impl Failure {
    const fn of_datasource(kind: FaultKind) -> Self {
        Self { kind, retry_after: None, of_datasource: true }
    }

    const fn of_query(kind: FaultKind) -> Self {
        Self { kind, retry_after: None, of_datasource: false }
    }
}

enum Credentials {
    None,
    Bearer(SecretFile),
    Basic(String, SecretFile),
}

/// Speaks to one server.
pub(crate) struct Api {
    client: Client,
    url: Url,
    range_url: Url,
    headers: HeaderMap,
    credentials: Credentials,
    timeout: Duration,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        f.debug_struct("Api").field("host", &host).field("timeout", &self.timeout).finish()
    }
}

impl Api {
    /// Prepares a client: reads files, does no network I/O.
    ///
    /// # Errors
    /// When the URL, a file or a header cannot be used.
    pub(crate) fn open(
        name: &str,
        config: &DatasourceConfig,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: client(name, config, timeout)?,
            url: endpoint(name, &config.url, "query")?,
            range_url: endpoint(name, &config.url, "query_range")?,
            headers: headers(name, &config.headers)?,
            credentials: credentials(name, config)?,
            timeout,
        })
    }

    /// Asks `query` as of `at`.
    ///
    /// # Errors
    /// With the kind of what kept the answer, never its text.
    pub(crate) async fn query(&self, query: &str, at: Timestamp) -> Result<Answer, Failure> {
        self.send(&self.url, form(query, &[("time", &seconds_of(at))], self.timeout)).await
    }

    /// Asks `query` at every `step` of `span`, both ends included.
    ///
    /// # Errors
    /// As for [`Self::query`].
    pub(crate) async fn range(
        &self,
        query: &str,
        (start, end): (Timestamp, Timestamp),
        step: Duration,
    ) -> Result<Answer, Failure> {
        let (start, end) = (seconds_of(start), seconds_of(end));
        let step = step.as_secs_f64().to_string();
        let fields = [("start", start.as_str()), ("end", &end), ("step", &step)];
        self.send(&self.range_url, form(query, &fields, self.timeout)).await
    }

    async fn send(&self, url: &Url, form: String) -> Result<Answer, Failure> {
        let request = self
            .client
            .post(url.clone())
            .headers(self.headers.clone())
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let request = match &self.credentials {
            Credentials::None => request,
            Credentials::Bearer(token) => request.bearer_auth(token.current().expose_secret()),
            Credentials::Basic(user, password) => {
                request.basic_auth(user, Some(password.current().expose_secret()))
            }
        };
        let response = request.send().await.map_err(|error| not_sent(&error))?;
        if response.status().is_success() {
            answer(response).await
        } else {
            refusal(response).await
        }
    }
}

async fn answer(response: Response) -> Result<Answer, Failure> {
    let packed = gzipped(&response)?;
    let body = body(response, BODY_BYTES_MAX).await?;
    if body.len() <= PARSE_INLINE_BYTES {
        return read(&body, packed);
    }
    let parsed = tokio::task::spawn_blocking(move || read(&body, packed)).await;
    parsed.unwrap_or(Err(Failure::of_datasource(FaultKind::BadResponse)))
}

fn read(body: &Bytes, packed: bool) -> Result<Answer, Failure> {
    let understood = if packed { Answer::parse(&unpacked(body)?) } else { Answer::parse(body) };
    understood.map_err(|_| Failure::of_datasource(FaultKind::BadResponse))
}

fn gzipped(response: &Response) -> Result<bool, Failure> {
    match response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Failure::of_datasource(FaultKind::BadResponse)),
    }
}

/// The body as it comes, given up at the first byte beyond `bytes_max`.
async fn body(mut response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| not_read(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Failure::of_query(FaultKind::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn unpacked(packed: &[u8]) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut body)
        .map_err(|_| Failure::of_datasource(FaultKind::BadResponse))?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Failure::of_query(FaultKind::TooLarge));
    }
    Ok(body)
}

async fn refusal(response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds);
    let packed = gzipped(&response).unwrap_or(true);
    let said = if packed {
        None
    } else {
        body(response, ERROR_BYTES_MAX).await.ok().and_then(|body| error_type(&body))
    };
    Err(judged(status, said.as_deref(), retry_after))
}

/// What a status other than success means. Prometheus says "timeout" and "execution" with 503 and
/// 422 about the one query that was too slow or wrong.
fn judged(status: StatusCode, said: Option<&str>, retry_after: Option<Duration>) -> Failure {
    match (status, said) {
        (_, Some("timeout" | "canceled")) => Failure::of_query(FaultKind::Timeout),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            Failure { retry_after, ..Failure::of_datasource(FaultKind::Forbidden) }
        }
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {
            Failure { retry_after, ..Failure::of_datasource(FaultKind::Overloaded) }
        }
        (status, _) if status.is_redirection() => Failure::of_datasource(FaultKind::Redirect),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => {
            Failure::of_datasource(FaultKind::NotFound)
        }
        (StatusCode::UNPROCESSABLE_ENTITY, _) => Failure::of_query(FaultKind::QueryFailed),
        (status, _) if status.is_client_error() => Failure::of_query(FaultKind::ClientError),
        _ => Failure::of_datasource(FaultKind::ServerError),
    }
}

/// Seconds only: a date would need the server's clock to agree with ours.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn not_sent(error: &reqwest::Error) -> Failure {
    let kind = if error.is_connect() {
        if error.is_timeout() { FaultKind::ConnectTimeout } else { not_connected(error) }
    } else if error.is_timeout() {
        FaultKind::Timeout
    } else {
        FaultKind::BadResponse
    };
    Failure::of_datasource(kind)
}

fn not_read(error: &reqwest::Error) -> Failure {
    let kind = if error.is_timeout() { FaultKind::Timeout } else { FaultKind::BadResponse };
    Failure::of_datasource(kind)
}

/// Why no connection came about, from the causes below the client's error.
fn not_connected(error: &reqwest::Error) -> FaultKind {
    let mut cause = error.source();
    while let Some(below) = cause {
        if below.is::<rustls::Error>() {
            return FaultKind::Tls;
        }
        if let Some(io) = below.downcast_ref::<std::io::Error>() {
            if io.kind() == ErrorKind::TimedOut {
                return FaultKind::ConnectTimeout;
            } else if handshake_failed(io) {
                return FaultKind::Tls;
            }
        }
        // The resolver's error has no public type.
        if below.to_string().starts_with("dns error") {
            return FaultKind::Dns;
        }
        cause = below.source();
    }
    FaultKind::ConnectRefused
}

/// Whether a TLS error is wrapped in an I/O error, which does not count as its source.
fn handshake_failed(io: &std::io::Error) -> bool {
    io.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>()
            || inner.downcast_ref::<std::io::Error>().is_some_and(handshake_failed)
    })
}

fn form(query: &str, fields: &[(&str, &str)], timeout: Duration) -> String {
    let timeout = format!("{}ms", timeout.as_millis());
    let all = [("query", query)].into_iter().chain(fields.iter().copied());
    let all = all.chain([("timeout", timeout.as_str())]);
    let pairs = all.map(|(name, value)| format!("{name}={}", percent_encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn seconds_of(at: Timestamp) -> String {
    let milliseconds = at.unix_ms();
    format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000))
}

fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn endpoint(name: &str, text: &str, of_api: &str) -> Result<Url, Error> {
    let mut url = base_url(text).ok_or_else(|| Error::Url { name: name.to_owned() })?;
    let path = format!("{}/api/v1/{of_api}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn headers(name: &str, given: &BTreeMap<String, String>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (header, value) in given {
        let wrong = || Error::Setting {
            name: name.to_owned(),
            problem: format!("header {header:?} must be a header name with a printable value"),
        };
        let key: HeaderName = header.parse().map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn credentials(name: &str, config: &DatasourceConfig) -> Result<Credentials, Error> {
    match (&config.bearer_token_file, &config.basic_auth) {
        (None, None) => Ok(Credentials::None),
        (Some(path), None) => {
            SecretFile::open(name, "bearerTokenFile", path).map(Credentials::Bearer)
        }
        (None, Some(basic)) => {
            let password = SecretFile::open(name, "passwordFile", &basic.password_file)?;
            Ok(Credentials::Basic(basic.username.clone(), password))
        }
        (Some(_), Some(_)) => Err(Error::Setting {
            name: name.to_owned(),
            problem: "either bearerTokenFile or basicAuth, not both".to_owned(),
        }),
    }
}

fn client(name: &str, config: &DatasourceConfig, timeout: Duration) -> Result<Client, Error> {
    let setting =
        |problem: &str| Error::Setting { name: name.to_owned(), problem: problem.to_owned() };
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .timeout(timeout)
        .user_agent(concat!("prescale/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &config.ca_file {
        let file = |source| Error::File {
            name: name.to_owned(),
            what: "caFile",
            path: path.clone(),
            source,
        };
        let pem = std::fs::read(path).map_err(file)?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|authorities| !authorities.is_empty())
            .ok_or_else(|| setting("caFile must hold PEM certificates"))?;
        builder = builder.tls_certs_only(authorities);
    } else if !config.url.starts_with("https") {
        // A small image has no system authorities, which would be an error even without TLS.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|_| setting("https needs the system's authorities or a caFile"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{FaultKind, endpoint, form, headers, judged, seconds_of};
    use crate::engine::units::Timestamp;

    #[test]
    fn only_plain_http_urls_with_a_host_are_accepted() {
        let rows = [
            ("http://prometheus:9090", Some("http://prometheus:9090/api/v1/query")),
            ("https://mimir/prometheus/", Some("https://mimir/prometheus/api/v1/query")),
            ("http://[::1]:9090", Some("http://[::1]:9090/api/v1/query")),
            ("prometheus:9090", None),
            ("ftp://prometheus", None),
            ("file:///etc/passwd", None),
            ("http://", None),
            ("http://user@prometheus", None),
            ("http://user:secret@prometheus", None),
            ("http://prometheus/?a=b", None),
            ("http://prometheus/#a", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let read = endpoint("main", text, "query").ok().map(|url| url.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        let error =
            endpoint("main", "http://user:secret@prometheus", "query").expect_err("refused");
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn queries_are_sent_as_a_form_with_the_time_of_the_tick() {
        let at = Timestamp::from_unix_ms(1_700_000_000_250);
        assert_eq!(
            form("a{b=\"c d\"}+1", &[("time", &seconds_of(at))], Duration::from_secs(5)),
            "query=a%7Bb%3D%22c%20d%22%7D%2B1&time=1700000000.250&timeout=5000ms"
        );
    }

    #[test]
    fn a_status_says_whose_fault_it_is() {
        let rows = [
            (401, None, FaultKind::Forbidden, true),
            (403, None, FaultKind::Forbidden, true),
            (429, None, FaultKind::Overloaded, true),
            (503, None, FaultKind::Overloaded, true),
            (503, Some("timeout"), FaultKind::Timeout, false),
            (302, None, FaultKind::Redirect, true),
            (400, Some("bad_data"), FaultKind::ClientError, false),
            (422, Some("execution"), FaultKind::QueryFailed, false),
            (404, None, FaultKind::NotFound, true),
            (500, None, FaultKind::ServerError, true),
        ];
        for (status, said, kind, of_datasource) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            let failure = judged(status, said, None);
            assert_eq!((failure.kind, failure.of_datasource), (kind, of_datasource), "{status}");
        }
    }

    #[test]
    fn headers_with_line_breaks_are_refused() {
        let given = |name: &str, value: &str| {
            headers("main", &[(name.to_owned(), value.to_owned())].into()).is_ok()
        };
        assert!(given("X-Scope-OrgID", "team"));
        assert!(!given("X-Scope-OrgID", "team\r\nX-Other: 1"));
        assert!(!given("X Scope", "team"));
    }
}
