//! A real Prometheus, if there is one on the machine: scraping pages of a test every second, or only
//! remembering what it was given.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

/// Longer than any recording is old: what it was started on is not cleaned away.
const RETENTION: &str = "100y";

/// Whether `program` is on the path. If not, that is said loudly; in continuous integration it is a
/// failure.
pub(crate) fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "no {program} on the path");
        eprintln!("SKIPPED: no `{program}` on the path, nothing was tested against a real one");
    }
    found
}

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

/// A running Prometheus; it ends with the value.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one that scrapes `pages` every second. `None` where it is not [`installed`].
    pub(crate) async fn start(pages: &[Scraped]) -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap(), pages).await
    }

    /// The same on the blocks in `data` of `dir`, if there are any.
    pub(crate) async fn start_in(dir: tempfile::TempDir, pages: &[Scraped]) -> Option<Self> {
        if !installed("prometheus") {
            return None;
        }
        let config = dir.path().join("prometheus.yml");
        // JSON is YAML.
        std::fs::write(&config, config_of(pages).to_string()).unwrap();
        let mut dir = dir;
        for _ in 0..5 {
            let port = free_port();
            let mut started = Self { child: spawn(&dir, port), port, dir };
            if started.is_ready().await {
                return Some(started);
            }
            // The port was taken meanwhile.
            dir = std::mem::replace(&mut started.dir, tempfile::tempdir().unwrap());
        }
        panic!("prometheus does not become ready");
    }

    /// Ends it, for a while.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, with what it had written.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.dir, self.port);
        assert!(self.is_ready().await, "its port is taken");
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn is_ready(&mut self) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/-/ready", self.url());
        for _ in 0..300 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

fn spawn(dir: &tempfile::TempDir, port: u16) -> Child {
    Command::new("prometheus")
        .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--storage.tsdb.retention.time={RETENTION}"))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn config_of(pages: &[Scraped]) -> serde_json::Value {
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

/// Free a moment ago; Prometheus cannot choose one itself.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
