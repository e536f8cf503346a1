//! The run as Prometheus would have it, had it scraped the server every five seconds.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::server::{Prometheus, installed};

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
    Prometheus::start(dir, &json!({})).await
}

fn unpacked() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded/run.om.gz");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut text)
        .unwrap();
    text
}
