//! A gate in this process, and what its tests ask of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::gate::config::{Overrides, Pace, Settings};
use prescale::gate::{Bound, Ends, run};
use prescale::source::config::ScrapePolicy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take that should happen soon, on a machine that is busy with others.
const SOON: Duration = Duration::from_secs(20);

/// A running gate; it ends with the value.
pub(crate) struct Gated {
    pub(crate) bound: Bound,
    pub(crate) ends: Ends,
    pub(crate) client: Client,
    /// Addresses by name.
    pub(crate) names: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>,
    task: JoinHandle<()>,
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a test looks at in tens of milliseconds, a gate looks at in seconds.
fn pace() -> Pace {
    Pace {
        held: Duration::from_millis(50),
        busy: Duration::from_millis(100),
        idle: Duration::from_millis(100),
        wake: Duration::from_millis(400),
        wake_retry: Duration::from_millis(50),
        lame_duck: Duration::from_millis(50),
    }
}

impl Gated {
    /// A gate with this configuration, whose addresses are free ones.
    pub(crate) async fn start(config: &str) -> Self {
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        let overrides =
            Overrides { listen: Some(any), admin_listen: Some(any), ..Overrides::default() };
        let mut settings = Settings::parse(config, overrides).unwrap();
        settings.pace = pace();
        let names: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>> = Arc::default();
        let policy = ScrapePolicy { names: Some(Arc::clone(&names)), ..ScrapePolicy::default() };
        let ends = Ends::default();
        let (tell, ready) = oneshot::channel();
        let asked = ends.clone();
        let task = tokio::spawn(async move {
            let told = |bound| tell.send(bound).unwrap();
            run(settings, policy, asked, told).await.unwrap();
        });
        let bound = ready.await.unwrap();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { bound, ends, client, names, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.bound.listen)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(self.url(path));
        request.header("content-type", "application/json").body(body.to_string())
    }

    /// A chat completion on its way.
    pub(crate) fn ask(&self, body: &Value) -> JoinHandle<Response> {
        let request = self.post("/v1/chat/completions", body);
        tokio::spawn(async move { request.send().await.unwrap() })
    }

    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.bound.admin);
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The sum of the series that begin with `series`; `None` where there is none.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (_, page) = self.admin("/metrics").await;
        let values = page.lines().filter(|line| line.starts_with(series));
        let values: Vec<f64> =
            values.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until `series` is `value`.
    pub(crate) async fn until(&self, series: &str, value: f64) {
        let mut last = None;
        let begun = tokio::time::timeout(SOON, async {
            loop {
                last = self.metric(series).await;
                if last.is_some_and(|found| (found - value).abs() < 1e-9) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if begun.await.is_err() {
            panic!("{series} is {last:?}, not {value}");
        }
    }

    /// Waits until a server is ready.
    pub(crate) async fn until_ready(&self) {
        self.until("prescale_gate_endpoints_ready", 1.0).await;
    }

    /// Waits until the gate has ended.
    pub(crate) async fn ended(mut self) {
        tokio::time::timeout(SOON, &mut self.task).await.unwrap().unwrap();
    }
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..SOON.as_millis() / 20 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// The status, and the code of the error.
pub(crate) async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}
