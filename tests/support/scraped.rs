//! What a Prometheus is told to scrape: pages of a test, every second.

use std::net::SocketAddr;

use serde_json::json;

/// One page to scrape.
pub(crate) struct Scraped {
    /// Server of the page.
    pub(crate) address: SocketAddr,
    /// Path of the page.
    pub(crate) path: &'static str,
    /// Labels that the scrape adds, as a PodMonitor would.
    pub(crate) labels: &'static [(&'static str, &'static str)],
    /// Whether labels of the page win over those of the scrape.
    pub(crate) honor_labels: bool,
}

/// The configuration that scrapes `pages`.
pub(crate) fn config_of(pages: &[Scraped]) -> serde_json::Value {
    let jobs: Vec<_> = pages
        .iter()
        .enumerate()
        .map(|(idx, page)| {
            let labels: serde_json::Map<String, serde_json::Value> = page
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            json!({
                "job_name": format!("job{idx}"),
                "metrics_path": page.path,
                "honor_labels": page.honor_labels,
                "static_configs": [{ "targets": [page.address.to_string()], "labels": labels }],
            })
        })
        .collect();
    json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
        "scrape_configs": jobs,
    })
}
