//! What an administrator says about a datasource; part of the server's configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

/// One Prometheus-compatible server.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatasourceConfig {
    /// Base URL; queries go to `<url>/api/v1/query`.
    pub url: String,
    /// File with a bearer token, read again when it changes.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// User name and password file.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// PEM file of the authority that signed the server's certificate.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Headers sent with every query, `X-Scope-OrgID`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Whether tenants' queries are confined to their namespace.
    #[serde(default)]
    pub tenancy: Tenancy,
    /// Labels that may carry the namespace; the first is added where a selector has none.
    #[serde(default)]
    pub tenant_labels: Option<Vec<String>>,
    /// Namespaces that may use it; absent: all.
    #[serde(default)]
    pub namespaces: Option<Vec<String>>,
    /// Time for one query, connection included.
    #[serde(default, deserialize_with = "timeout")]
    pub timeout: Option<Duration>,
    /// Queries in flight at once.
    #[serde(default)]
    pub concurrency: Option<usize>,
}

/// Values of headers are left out: they may be tokens; so is a URL that holds a password.
impl fmt::Debug for DatasourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, bearer_token_file, basic_auth, ca_file, headers, .. } = self;
        let Self { tenancy, tenant_labels, namespaces, timeout, concurrency, .. } = self;
        f.debug_struct("DatasourceConfig")
            .field("url", if url.contains('@') { &"(hidden)" } else { url })
            .field("bearer_token_file", bearer_token_file)
            .field("basic_auth", basic_auth)
            .field("ca_file", ca_file)
            .field("headers", &headers.keys())
            .field("tenancy", tenancy)
            .field("tenant_labels", tenant_labels)
            .field("namespaces", namespaces)
            .field("timeout", timeout)
            .field("concurrency", concurrency)
            .finish()
    }
}

impl DatasourceConfig {
    /// A datasource of which only the URL is given.
    #[must_use]
    pub fn at(url: String) -> Self {
        Self {
            url,
            bearer_token_file: None,
            basic_auth: None,
            ca_file: None,
            headers: BTreeMap::new(),
            tenancy: Tenancy::None,
            tenant_labels: None,
            namespaces: None,
            timeout: None,
            concurrency: None,
        }
    }
}

/// HTTP basic authentication.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// File with the password.
    pub password_file: PathBuf,
}

/// Whether tenants' queries are confined to their namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tenancy {
    /// Any series may be read by anybody who may use the datasource.
    #[default]
    None,
    /// Every selector carries the scaled object's namespace.
    Namespace,
}

/// What direct scrape may reach, and how names resolve.
#[derive(Debug, Clone, Default)]
pub struct ScrapePolicy {
    /// Loopback addresses may be scraped: for the demo and tests, not reachable by configuration.
    pub allow_loopback: bool,
    /// Names answered from this table instead of DNS: for the demo and tests.
    pub names: Option<NameTable>,
}

/// Addresses by name; changed while it is in use, as a fleet changes.
pub type NameTable = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// A datasource that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not an absolute http or https URL without credentials.
    #[error("datasource {name}: url {URL_ACCEPTED}")]
    Url {
        /// The datasource.
        name: String,
    },
    /// A file could not be read.
    #[error("datasource {name}: {what} {}", path.display())]
    File {
        /// The datasource.
        name: String,
        /// Which file.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Direct scrape cannot be set up.
    #[error("direct scrape cannot be set up")]
    Scrape(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another setting cannot be used.
    #[error("datasource {name}: {problem}")]
    Setting {
        /// The datasource.
        name: String,
        /// What is wrong and what would be accepted.
        problem: String,
    },
}

/// What is accepted as a datasource's URL. The value is never told: it may hold a password.
pub(crate) const URL_ACCEPTED: &str =
    "must be http:// or https:// with a host and no credentials, as http://prometheus:9090";

/// The base URL of a datasource, if `text` is one.
pub(crate) fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && bare).then_some(url)
}

fn timeout<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(input)?;
    let refused = || serde::de::Error::custom("must be a duration from 1ms to 60s, such as 5s");
    let (number, unit) = text
        .find(|c: char| c.is_ascii_alphabetic())
        .map_or((text.as_str(), "s"), |at| text.split_at(at));
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(refused()),
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|value| Duration::try_from_secs_f64(value * seconds).ok())
        .filter(|span| (1..=60_000).contains(&span.as_millis()))
        .map(Some)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::DatasourceConfig;

    #[test]
    fn debug_shows_no_header_and_no_password() {
        let mut config = DatasourceConfig::at("http://u:canary@prometheus".to_owned());
        config.headers.insert("Authorization".to_owned(), "Bearer canary".to_owned());
        let text = format!("{config:?}");
        assert!(text.contains("Authorization") && !text.contains("canary"), "{text}");
    }
}
