//! The clusters of all cases behind one web server, scraped by one Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;

use crate::cases::Case;
use crate::cluster::{Page, pod_names, state};
use crate::http::{Reply, Server};
use crate::prometheus::{Prometheus, Scraped};

/// Scrapes of every page before anybody asks: rates need a span, and pages with a past have to reach
/// the present. The first tick stands for an instant up to 15 s ago.
const SCRAPES: f64 = 50.0;

/// A loaded machine needs most of it to start.
const DEADLINE: Duration = Duration::from_secs(180);

/// A running cluster; it ends with the value.
pub(crate) struct World {
    _pages: Server,
    prometheus: Prometheus,
}

/// A page with the labels that its scrape adds.
struct Target {
    path: String,
    page: Page,
    labels: Vec<(&'static str, String)>,
    honor_labels: bool,
}

impl World {
    /// Starts the clusters of `cases`; `None` where there is no Prometheus to scrape them.
    pub(crate) async fn start(cases: &[Case]) -> Option<Self> {
        let targets: Vec<Target> = cases.iter().flat_map(targets).collect();
        let server = serve(&targets).await;
        let leaked = |text: &str| -> &'static str { String::leak(text.to_owned()) };
        let scraped: Vec<Scraped> = targets
            .iter()
            .map(|target| {
                let labels = target.labels.iter().map(|(name, value)| (*name, leaked(value)));
                let labels: Vec<(&'static str, &'static str)> = labels.collect();
                Scraped {
                    address: server.address,
                    path: leaked(&target.path),
                    labels: Vec::leak(labels),
                    honor_labels: target.honor_labels,
                }
            })
            .collect();
        let prometheus = Prometheus::start(&scraped).await?;
        let world = Self { _pages: server, prometheus };
        world.scraped(targets.len()).await;
        Some(world)
    }

    /// Where its Prometheus is.
    pub(crate) fn url(&self) -> String {
        self.prometheus.url()
    }

    /// Waits until every one of `count` pages was read often enough.
    async fn scraped(&self, count: usize) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/api/v1/query", self.url());
        let query = format!("count(sum_over_time(up[5m]) >= {SCRAPES})");
        let clock = Clock::system();
        loop {
            let body = format!("query={}", query.replace('>', "%3E").replace('=', "%3D"));
            let request = client.post(&url).body(body);
            let form = request.header("content-type", "application/x-www-form-urlencoded");
            let text = form.send().await.unwrap().text().await.unwrap();
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            let done = answer["data"]["result"][0]["value"][1].as_str() == Some(&count.to_string());
            if done {
                return;
            }
            assert!(clock.elapsed() < DEADLINE, "pages are not scraped: {text}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn serve(targets: &[Target]) -> Server {
    let pages: BTreeMap<String, Page> =
        targets.iter().map(|target| (target.path.clone(), target.page.clone())).collect();
    let (pages, clock) = (Arc::new(pages), Clock::system());
    Server::start(move |request| {
        let path = request.line.trim_start_matches("GET ");
        let now = clock.now().since(Timestamp::from_unix_ms(0));
        match pages.get(path) {
            Some(page) => Reply::Answer(
                200,
                vec![("content-type".to_owned(), "text/plain; version=0.0.4".to_owned())],
                page.shown(clock.elapsed(), now).into_bytes(),
            ),
            None => Reply::status(404),
        }
    })
    .await
}

/// What an operator would have scraped for one case: engines and gateways by pod monitors, DCGM
/// without `honorLabels` as its chart has it, cluster-wide exporters with.
fn targets(case: &Case) -> Vec<Target> {
    let Case { name, namespace, .. } = case;
    let pods = pod_names(name, usize::try_from(case.pods).unwrap());
    let target = |part: &str, page: &Page, (namespace, pod): (&str, &str), honor_labels| Target {
        path: format!("/{}/{name}/{part}", case.namespace),
        page: page.clone(),
        labels: vec![("namespace", namespace.to_owned()), ("pod", pod.to_owned())],
        honor_labels,
    };
    let engines = case
        .engine
        .iter()
        .flat_map(|page| pods.iter().map(move |pod| target(pod, page, (namespace, pod), false)));
    let mut all: Vec<Target> = engines.collect();
    let facts = Page::of(&state(namespace, name, &pods, case.max));
    let cluster = ("monitoring", "kube-state-metrics-0");
    all.push(target("state", &facts, cluster, true));
    let own = case.file.starts_with(['h', 'm', 'n', 'o', 'p', 'q']);
    if !case.exporters.is_empty() {
        all.push(target("exporters", &case.exporters, ("gpu-operator", "dcgm-exporter-x"), own));
    }
    all.extend(case.gateway.iter().map(|page| {
        let place = if case.file.starts_with(['a', 'j', 'k']) { *namespace } else { "keda" };
        target("gateway", page, (place, "gateway-0"), false)
    }));
    all
}
