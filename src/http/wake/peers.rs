//! The other processes: where they are, and a wake handed to each of them.
//!
//! Promises at most a second for the name and one for the calls, all at once, whatever the others do; one
//! that is dead costs its second and fails nothing.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use futures_util::future::join_all;
use reqwest::{Client, Response, Url};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::http::wake::answer::{Answer, LIMITED};
use crate::http::wake::metrics::{Handed, Metrics};

/// Carries the number of the process that hands a wake on: whoever gets it hands it to nobody.
pub(super) const HEADER: &str = "prescale-peer";

/// For one peer, and for the name: KEDA's own poll comes within seconds.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long addresses are used again; a burst of wakes asks the name server once.
const FRESH: Duration = Duration::from_secs(5);

/// How long they are used while the name cannot be resolved: then a wake, and the token with it, might
/// reach whoever has the address by now.
const STALE_MAX: Duration = Duration::from_mins(5);

/// Addresses asked at most: prescale is run in two or three.
const PEERS_MAX: usize = 32;

/// An answer has some 200 bytes.
const BYTES_MAX: usize = 4096;

/// Where the other processes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeersAt {
    /// Behind this name, at this port; our own address may be among them.
    Name(String, u16),
    /// At these addresses.
    Urls(Vec<Url>),
}

impl PeersAt {
    /// From `dns://NAME:PORT`, or `http://HOST:PORT` once or more, separated by commas.
    ///
    /// # Errors
    /// A text that says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text = crate::report::one_line(text);
            // A password may stand before an @.
            let text = if text.contains('@') { "a URL with a user" } else { &text };
            format!(
                "{text:?} must be dns://NAME:PORT, the headless service and the port of httpListen, or \
                 http://HOST:PORT, one or more separated by commas"
            )
        };
        if let Some(rest) = text.trim().strip_prefix("dns://") {
            let (name, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
            let named = (1..=253).contains(&name.len()) && name.bytes().all(plain);
            return if named { Ok(Self::Name(name.to_owned(), port)) } else { Err(wrong()) };
        }
        let urls = text.split(',').map(|part| {
            let url = Url::parse(part.trim()).ok().filter(|url| {
                let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
                url.scheme() == "http" && url.has_host() && bare && url.password().is_none()
            });
            url.ok_or_else(wrong)
        });
        let urls: Vec<Url> = urls.collect::<Result<_, _>>()?;
        if urls.len() <= PEERS_MAX { Ok(Self::Urls(urls)) } else { Err(wrong()) }
    }
}

/// What one peer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Holds(Answer),
    Unknown,
    /// Not now: how long to wait, its words, and whether it is asked too often.
    Later(Duration, String, bool),
    /// Anything else, in its words.
    Refuses(String),
    Silent,
}

/// Addresses behind the name.
#[derive(Debug, Default)]
struct Known {
    /// When they were asked for last.
    asked: Option<Duration>,
    /// When somebody could say.
    resolved: Duration,
    urls: Vec<Url>,
}

impl Known {
    /// What is known at `now`, after an attempt to learn it.
    fn note(&mut self, found: Option<Vec<Url>>, now: Duration) -> Vec<Url> {
        self.asked = Some(now);
        match found {
            Some(urls) => (self.resolved, self.urls) = (now, urls),
            None if now.saturating_sub(self.resolved) > STALE_MAX => self.urls.clear(),
            None => {}
        }
        self.urls.clone()
    }
}

/// The other processes.
#[derive(Debug)]
pub(super) struct Peers {
    at: PeersAt,
    client: Client,
    own: String,
    known: Mutex<Known>,
    metrics: Metrics,
}

impl Peers {
    /// # Errors
    /// When the system gives no HTTP client.
    pub(super) fn new(at: PeersAt, metrics: Metrics) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()?;
        // To be told from the others: nothing secret, and nothing that has to be.
        let own = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        Ok(Self { at, client, own, known: Mutex::default(), metrics })
    }

    /// Whether a wake that was handed on is our own.
    pub(super) fn is_own(&self, number: &[u8]) -> bool {
        self.own.as_bytes() == number
    }

    /// Hands a wake to all others; what each said.
    pub(super) async fn hand(
        &self,
        (namespace, name): (&str, &str),
        authorization: &HeaderValue,
        now: Duration,
    ) -> Vec<Said> {
        let bases = self.bases(now).await;
        let calls = bases.into_iter().take(PEERS_MAX).filter_map(|mut url| {
            url.path_segments_mut().ok()?.clear().extend(["wake", namespace, name]);
            Some(self.ask(url, authorization.clone()))
        });
        let said: Vec<Said> = join_all(calls).await.into_iter().flatten().collect();
        for said in &said {
            self.metrics.handed(match said {
                Said::Holds(_) => Handed::held,
                Said::Unknown => Handed::unknown,
                Said::Later(..) | Said::Refuses(_) => Handed::refused,
                Said::Silent => Handed::silent,
            });
        }
        said
    }

    /// `None`: that was ourselves.
    async fn ask(&self, url: Url, authorization: HeaderValue) -> Option<Said> {
        let request = self.client.post(url.clone());
        let request = request.header(AUTHORIZATION, authorization).header(HEADER, &self.own);
        match request.send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => None,
            Ok(response) => Some(said(response).await),
            Err(error) => {
                debug!(
                    peer = url.authority(),
                    timeout = error.is_timeout(),
                    "peer does not answer"
                );
                Some(Said::Silent)
            }
        }
    }

    /// Where to ask; while the name server does not answer, where it was last.
    async fn bases(&self, now: Duration) -> Vec<Url> {
        let (name, port) = match &self.at {
            PeersAt::Urls(urls) => return urls.clone(),
            PeersAt::Name(name, port) => (name.as_str(), *port),
        };
        let mut known = self.known.lock().await;
        if known.asked.is_some_and(|at| now < at + FRESH) {
            return known.urls.clone();
        }
        let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((name, port))).await;
        let found = found.ok().and_then(Result::ok).map(|found| urls(found.collect()));
        if found.is_none() {
            warn!(name, known = known.urls.len(), "peers' name not resolved");
        }
        known.note(found, now)
    }
}

/// Of a name with both families the IPv4 addresses: the same processes stand behind the others.
fn urls(found: BTreeSet<SocketAddr>) -> Vec<Url> {
    let any4 = found.iter().any(SocketAddr::is_ipv4);
    let one = found.iter().filter(|address| address.is_ipv4() || !any4);
    one.filter_map(|address| Url::parse(&format!("http://{address}")).ok()).collect()
}

async fn said(mut response: Response) -> Said {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > BYTES_MAX {
            break;
        }
    }
    if status == StatusCode::ACCEPTED {
        let answer = serde_json::from_slice(&body).ok();
        return answer.map_or_else(|| Said::Refuses("not understood".to_owned()), Said::Holds);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = json["error"].as_str().map_or_else(|| status.to_string(), str::to_owned);
    match status {
        StatusCode::NOT_FOUND => Said::Unknown,
        StatusCode::TOO_MANY_REQUESTS => {
            let limited = json["reason"].as_str() == Some(LIMITED);
            Said::Later(Duration::from_secs(wait.unwrap_or(1)), text, limited)
        }
        _ => Said::Refuses(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Known, PeersAt, STALE_MAX, urls};

    #[test]
    fn addresses_are_used_for_five_minutes_after_the_last_answer() {
        let mut known = Known::default();
        let at = |seconds| Duration::from_secs(seconds);
        let one = vec!["http://10.0.0.1:8080".parse().unwrap()];
        assert_eq!(known.note(None, at(1)), []);
        assert_eq!(known.note(Some(one.clone()), at(100)), one);
        assert_eq!(known.note(None, at(100) + STALE_MAX), one);
        assert_eq!(known.note(None, at(101) + STALE_MAX), []);
    }

    #[test]
    fn peers_are_a_name_or_addresses() {
        let good = [
            ("dns://prescale-headless:8080", PeersAt::Name("prescale-headless".to_owned(), 8080)),
            ("dns://a.b.svc:1", PeersAt::Name("a.b.svc".to_owned(), 1)),
        ];
        for (text, expected) in good {
            assert_eq!(PeersAt::parse(text), Ok(expected), "{text}");
        }
        let two = PeersAt::parse("http://a:1, http://[::1]:2/").unwrap();
        assert!(matches!(two, PeersAt::Urls(urls) if urls.len() == 2));
        let bad = [
            "",
            "a:1",
            "dns://a",
            "dns://:1",
            "dns://a:0",
            "dns://a:x",
            "dns://a/b:1",
            "https://a:1",
            "http://a:1/path",
            "http://u:p@a:1",
            "http://a:1,",
        ];
        for text in bad {
            let error = PeersAt::parse(text).unwrap_err();
            assert!(error.contains("must be dns://NAME:PORT"), "{text}: {error}");
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn a_process_with_two_addresses_is_asked_once() {
        let found = ["10.0.0.1:80", "[fd00::1]:80", "10.0.0.2:80"];
        let found = found.into_iter().map(|it| it.parse().unwrap()).collect();
        let urls: Vec<String> = urls(found).iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["http://10.0.0.1/", "http://10.0.0.2/"]);
    }
}
