//! Asks a running server's HTTP API, for `explain`, `top` and `wake`.
//!
//! Promises one clear error when it does not answer, or not as prescale would, and bounded time and
//! size. What the answer means is left to the commands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value;
use tokio::runtime::Builder;

use crate::cli::exit::Usage;
use crate::report::one_line;

/// A server that takes longer is not one that people wait for.
const TIMEOUT: Duration = Duration::from_secs(10);

/// 500 scalers of one answer are some megabytes.
const BYTES_MAX: usize = 32 << 20;

/// A token is a line.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The server to ask.
#[derive(Debug, clap::Args)]
pub(super) struct ServerUrl {
    /// The running server's HTTP address; in a cluster: kubectl port-forward svc/prescale 8080
    #[arg(
        long,
        env = "PRESCALE_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(super) server: String,
}

/// Where to ask.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    #[command(flatten)]
    url: ServerUrl,
    /// File with the token that the server asks for (its httpTokenFile)
    #[arg(long, env = "PRESCALE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The server did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(String);

/// Runs `ask` with a server to ask.
pub(super) fn with<T>(
    at: &At,
    ask: impl AsyncFnOnce(Server) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let server = Server::open(at)?;
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start the runtime")?.block_on(ask(server))
}

/// The token in the file given as `--token-file`.
pub(super) fn token(path: &Path) -> anyhow::Result<String> {
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, TOKEN_BYTES_MAX), &mut text)?;
        Ok(text.trim().to_owned())
    };
    read().map_err(|why| {
        Usage(format!("--token-file {}: failed to read: {why}", path.display())).into()
    })
}

/// `NAMESPACE/NAME` in its parts.
pub(super) fn named(scaler: &str) -> anyhow::Result<(&str, &str)> {
    let whole = |part: &str| !part.is_empty() && !part.contains('/');
    scaler
        .split_once('/')
        .filter(|(a, b)| whole(a) && whole(b))
        .ok_or_else(|| Usage(format!("{scaler:?} must be NAMESPACE/NAME, team-a/llama")).into())
}

/// A server to ask.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    base: Url,
    token: Option<String>,
}

impl Server {
    fn open(at: &At) -> anyhow::Result<Self> {
        let At { url, token_file } = at;
        Self::at(url, token_file.as_deref().map(token).transpose()?)
    }

    /// The server at a URL, asked with this token.
    pub(super) fn at(url: &ServerUrl, token: Option<String>) -> anyhow::Result<Self> {
        let ServerUrl { server } = url;
        let usage = |text: String| anyhow::Error::from(Usage(text));
        let wrong = || usage(format!("--server {server:?} must be a URL, http://127.0.0.1:8080"));
        let base = Url::parse(server).map_err(|_| wrong())?;
        // It would stand in every error.
        if !base.username().is_empty() || base.password().is_some() {
            let text = "--server must be a URL without a user, http://127.0.0.1:8080";
            return Err(usage(text.to_owned()));
        }
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong());
        }
        // A token goes to the server that was named and nowhere else.
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        let client = client.timeout(TIMEOUT).build();
        let client = client.context("failed to make an HTTP client")?;
        Ok(Self { client, base, token })
    }

    /// The JSON at these segments of a path with this query.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.answer(self.client.get(url), "httpTokenFile").await
    }

    /// The JSON that `POST /wake/NAMESPACE/NAME` is answered with.
    pub(super) async fn wake(&self, namespace: &str, name: &str) -> anyhow::Result<Value> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["wake", namespace, name]);
        }
        self.answer(self.client.post(url), "wake.tokenFile").await
    }

    /// The JSON of an answer; `key` names the token that it may want.
    async fn answer(&self, mut request: RequestBuilder, key: &str) -> anyhow::Result<Value> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status();
        let body = self.body(response).await?;
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, json) {
            (StatusCode::OK | StatusCode::ACCEPTED, Some(json)) => Ok(json),
            (StatusCode::UNAUTHORIZED, _) if self.token.is_some() => Err(Unanswered(format!(
                "{} refuses the token that was given: it wants the one of its {key}",
                self.base
            ))
            .into()),
            (StatusCode::UNAUTHORIZED, _) => Err(Unanswered(format!(
                "{} asks for a token: give --token-file with the one of its {key}",
                self.base
            ))
            .into()),
            (status, Some(json)) if json["error"].is_string() => {
                let text = one_line(json["error"].as_str().unwrap_or_default());
                Err(Unanswered(format!("{} says {}: {text}", self.base, status.as_u16())).into())
            }
            (status, _) => Err(Unanswered(format!(
                "{} answers {} and not as prescale would; is it the HTTP port?",
                self.base,
                status.as_u16()
            ))
            .into()),
        }
    }

    async fn body(&self, mut response: Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.silent(&error))? {
            body.extend_from_slice(&part);
            if body.len() > BYTES_MAX {
                let text = format!("{} sends more than {} MiB", self.base, BYTES_MAX >> 20);
                return Err(Unanswered(text).into());
            }
        }
        Ok(body)
    }

    /// What kept it from answering, without the words of five libraries.
    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
        let refused = causes.any(|it| {
            let io = it.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
        });
        let why = match () {
            () if refused => "connection refused",
            () if error.is_timeout() => "no answer within 10 s",
            () if error.is_connect() => "no connection",
            () => "the connection broke",
        };
        Unanswered(format!(
            "no answer from {}: {why}; is `prescale serve` there? --server or PRESCALE_SERVER says \
             where else",
            self.base
        ))
        .into()
    }
}
