//! The run as Prometheus would have it, had it scraped the server every five seconds.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use prescale::engine::units::Timestamp;

use crate::server::{Prometheus, installed};

/// What the scrape added to the labels.
const SCRAPED: &str = r#"namespace="team-a",pod="llama-7d9f8b6c5d-x2x4q","#;

/// A Prometheus that remembers the run. `None`, said loudly, where the programs are missing.
pub(crate) async fn prometheus() -> Option<Prometheus> {
    if !installed("promtool") {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.om");
    std::fs::write(&file, unpacked()).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([file, dir.path().join("data")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Prometheus::start_in(dir, &[]).await
}

/// The same pages as the server had them, by their instants.
pub(crate) fn pages() -> BTreeMap<Timestamp, String> {
    let mut pages: BTreeMap<Timestamp, String> = BTreeMap::new();
    let text = String::from_utf8(unpacked()).unwrap();
    for line in text.lines().filter(|line| line.starts_with("vllm:")) {
        let (sample, seconds) = line.rsplit_once(' ').unwrap();
        let at = Timestamp::from_unix_ms(seconds.replace('.', "").parse().unwrap());
        let page = pages.entry(at).or_default();
        page.push_str(&sample.replace(SCRAPED, ""));
        page.push('\n');
    }
    pages
}

fn unpacked() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded/run.om.gz");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut text)
        .unwrap();
    text
}
