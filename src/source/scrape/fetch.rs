//! One page over HTTP/1.1, from an address that was vetted.
//!
//! Follows no redirect, uses no proxy, sends no credentials, keeps no connection. Whatever fails is
//! one [`FaultKind`].

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use crate::engine::observation::FaultKind;
use crate::source::exposition::{Format, Page, Parser, Wanted};
use crate::source::scrape::body::Body;
use crate::source::scrape::limits::Limits;

/// Text is preferred: its timestamps and names are what dashboards show. Some servers send
/// OpenMetrics whatever is asked for.
const ACCEPTED: &str =
    "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";

/// Which page: where to connect, and what the server is told it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// Host and port as the trigger names them.
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// The HTTP client.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    limits: Limits,
}

impl Fetcher {
    pub(super) fn new(limits: Limits) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(limits.connect)
            // A fresh connection each time says whether somebody listens, and the vetted address is
            // surely the one connected to.
            .pool_max_idle_per_host(0)
            // Pages are plain HTTP: no authority is trusted, and none need be installed.
            .tls_certs_only([])
            .build()?;
        Ok(Self { client, limits })
    }

    /// The wanted part of the page at `place`, within the time for one page.
    pub(super) async fn page(&self, place: &Place, wanted: &Wanted) -> Result<Page, FaultKind> {
        tokio::time::timeout(self.limits.page, self.read(place, wanted))
            .await
            .unwrap_or(Err(FaultKind::Timeout))
    }

    async fn read(&self, place: &Place, wanted: &Wanted) -> Result<Page, FaultKind> {
        let answer = self.ask(place).await?;
        refused(answer.status())?;
        let length = answer.content_length();
        if length.is_some_and(|bytes| {
            usize::try_from(bytes).is_ok_and(|n| n > self.limits.content.bytes)
        }) {
            return Err(FaultKind::TooLarge);
        }
        let delimited = [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| answer.headers().contains_key(name));
        let mut body = self.body(answer.headers(), wanted)?;
        let mut answer = answer;
        while let Some(chunk) = answer.chunk().await.map_err(|error| cut_off(&error))? {
            body.feed(&chunk)?;
        }
        let page = body.finish(delimited)?;
        if page.truncated { Err(FaultKind::BadResponse) } else { Ok(page) }
    }

    async fn ask(&self, place: &Place) -> Result<Response, FaultKind> {
        let Place { address, authority, path } = place;
        let url = Url::parse(&format!("http://{address}{path}"));
        let url = url.map_err(|_| FaultKind::ClientError)?;
        let host = HeaderValue::from_str(authority).map_err(|_| FaultKind::ClientError)?;
        // A path must not be able to move the request elsewhere.
        if !path.starts_with('/') || url.port_or_known_default() != Some(address.port()) {
            return Err(FaultKind::ClientError);
        }
        self.client
            .get(url)
            .header(HOST, host)
            .header(ACCEPT, ACCEPTED)
            .header(ACCEPT_ENCODING, "gzip")
            .send()
            .await
            .map_err(|error| unanswered(&error))
    }

    fn body(&self, headers: &HeaderMap, wanted: &Wanted) -> Result<Body, FaultKind> {
        let openmetrics = text(headers, &CONTENT_TYPE).contains("application/openmetrics-text");
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
        let parser = Parser::new(format, wanted.clone(), self.limits.content);
        match text(headers, &CONTENT_ENCODING).as_str() {
            "" | "identity" => Ok(Body::plain(parser)),
            "gzip" | "x-gzip" => Ok(Body::gzip(parser, self.limits.ratio)),
            _ => Err(FaultKind::BadResponse),
        }
    }
}

/// All values of a header, lower case, or nothing.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    values.join(",").trim().to_ascii_lowercase()
}

const fn refused(status: StatusCode) -> Result<(), FaultKind> {
    match status.as_u16() {
        200 => Ok(()),
        300..=399 => Err(FaultKind::Redirect),
        401 | 403 => Err(FaultKind::Forbidden),
        404 => Err(FaultKind::NotFound),
        429 | 503 => Err(FaultKind::Overloaded),
        400..=499 => Err(FaultKind::ClientError),
        500..=599 => Err(FaultKind::ServerError),
        _ => Err(FaultKind::BadResponse),
    }
}

/// Why there was no answer.
fn unanswered(error: &reqwest::Error) -> FaultKind {
    if error.is_timeout() {
        return if error.is_connect() { FaultKind::ConnectTimeout } else { FaultKind::Timeout };
    }
    if !error.is_connect() {
        // Connected, and then something other than HTTP, or nothing at all.
        return FaultKind::BadResponse;
    }
    match io_kind(error) {
        Some(io::ErrorKind::TimedOut) => FaultKind::ConnectTimeout,
        _ => FaultKind::ConnectRefused,
    }
}

/// Why an answer that began did not end.
fn cut_off(error: &reqwest::Error) -> FaultKind {
    if error.is_timeout() { FaultKind::Timeout } else { FaultKind::BadResponse }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}
