//! What a user of the API sees of the demo's scaler: state, number and binding reason.
//!
//! Asked over HTTP like any user would, so that what the table shows is what the API shows.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::demo::keda::{NAME, NAMESPACE};

/// An answer of the API that takes longer is not waited for: the next look comes soon.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The scaler as the API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct View {
    /// How much the server knows.
    pub(super) state: Option<String>,
    /// Replicas it wants.
    pub(super) desired: Option<u32>,
    /// The binding term of demand, or the error, or the first reason.
    pub(super) because: Option<String>,
}

/// The part of the API's answer that the table shows.
#[derive(Debug, Deserialize)]
struct Report {
    state: Option<String>,
    desired: Option<u32>,
    error: Option<String>,
    #[serde(default)]
    terms: Vec<Line>,
    #[serde(default)]
    reasons: Vec<Line>,
}

/// A term or a reason.
#[derive(Debug, Deserialize)]
struct Line {
    text: String,
}

/// Asks the API.
#[derive(Debug)]
pub(super) struct Viewer {
    client: reqwest::Client,
    url: String,
}

impl Viewer {
    /// Asks the server that listens on `http`.
    pub(super) fn new(http: SocketAddr) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { client, url: format!("http://{http}/api/v1/scalers/{NAMESPACE}/{NAME}") })
    }

    /// The API's address of the scaler.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The scaler now; everything absent when the API does not know it (yet) or does not answer.
    pub(super) async fn look(&self) -> View {
        match self.text().await {
            Ok(text) => parse(&text),
            Err(_) => View::default(),
        }
    }

    async fn text(&self) -> Result<String, reqwest::Error> {
        self.client.get(&self.url).send().await?.error_for_status()?.text().await
    }
}

fn parse(text: &str) -> View {
    let Ok(Report { state, desired, error, terms, reasons }) = serde_json::from_str(text) else {
        return View::default();
    };
    // The API lists the largest term, which binds, first.
    let lines = terms.into_iter().chain(reasons).map(|line| line.text);
    View { state, desired, because: error.into_iter().chain(lines).next() }
}

#[cfg(test)]
mod tests {
    use super::{View, parse};

    fn view(state: &str, desired: Option<u32>, because: &str) -> View {
        let because = Some(because.to_owned());
        View { state: Some(state.to_owned()), desired, because }
    }

    #[test]
    fn the_binding_term_comes_before_reasons_and_an_error_before_both() {
        let terms = r#""terms":[{"term":"kv_cache","replicas":6.2,"text":"KV cache 6.2"}]"#;
        let reasons = r#""reasons":[{"text":"held for 60 s","data":{}}]"#;
        let rows = [
            (
                format!(r#"{{"state":"fresh","desired":7,"error":null,{terms},{reasons}}}"#),
                view("fresh", Some(7), "KV cache 6.2"),
            ),
            (
                format!(r#"{{"state":"asleep","desired":0,"error":null,"terms":[],{reasons}}}"#),
                view("asleep", Some(0), "held for 60 s"),
            ),
            (
                format!(r#"{{"state":"blind","desired":null,"error":"data stale",{terms}}}"#),
                view("blind", None, "data stale"),
            ),
            ("not json".to_owned(), View::default()),
            (r#"{"state":null,"desired":null,"error":null}"#.to_owned(), View::default()),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }
}
